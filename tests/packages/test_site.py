"""The site is built from the pages as they are, strictly: a link or an anchor that leads nowhere fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_is_built(tmp_path: Path) -> None:
    """With what is locked for it; nothing in it is fetched from elsewhere."""
    command = [Path(sys.executable).parent / "uv", "run", "-q", "--no-project", "--python", sys.executable]
    command += ["--with-requirements", "requirements.site.lock", "scripts/make_site.py", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    first = (tmp_path / "site/index.html").read_text()
    assert "Five minutes to a call that you hear" in first
    for word in ("fonts.googleapis.com", "unpkg.com", "cdn."):
        assert word not in first
    assert (tmp_path / "site/docs/samples.html").exists()
    assert (tmp_path / "site/examples/php/ivr.php").exists()
