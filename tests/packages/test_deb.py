"""The Debian package, installed by dpkg into a copy of this machine that is thrown away: what is written goes into memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hookrouter import __version__

ROOT = Path(__file__).parents[2]
WALK = """
mount -t tmpfs none "$1"; mkdir "$1/up" "$1/work" "$1/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/all"
mount --rbind /dev "$1/all/dev"
mount -t tmpfs none "$1/all/run"
cp "$2" "$1/all/tmp/hookrouter.deb"
cd /
inside() { root="$1"; shift; chroot "$root/all" "$@"; }
inside "$1" dpkg -i /tmp/hookrouter.deb
echo "== installed"
inside "$1" hookrouter --version
inside "$1" hookrouter demo --speed 50
inside "$1" hookrouter check -c /etc/hookrouter/routes.toml
inside "$1" stat -c '%n %a %U' /etc/hookrouter/environment /etc/hookrouter/routes.toml
inside "$1" find /opt/hookrouter -perm /022 -not -type l
echo "# mine" >> "$1/all/etc/hookrouter/routes.toml"
cp "$3"/*.sh "$3"/*.deb "$1/all/tmp"
printf '#!/bin/sh\necho "systemctl $*"\n' > "$1/all/usr/local/bin/systemctl"
chmod 755 "$1/all/usr/local/bin/systemctl"
inside "$1" dpkg -i --force-downgrade /tmp/hookrouter_0.0.9_ARCH.deb
mkdir -p "$1/all/var/lib/private/hookrouter"
echo before > "$1/all/var/lib/private/hookrouter/state.db"
inside "$1" sh -c 'cd /tmp && sh -ex forward.sh'
echo "== upgraded"
tail -n 1 "$1/all/etc/hookrouter/routes.toml"
inside "$1" dpkg-query -W hookrouter
echo after > "$1/all/var/lib/private/hookrouter/state.db"
inside "$1" sh -c 'cd /tmp && sh -ex back.sh'
echo "== back"
inside "$1" dpkg-query -W hookrouter
cat "$1/all/var/lib/private/hookrouter/state.db" "$1/all/var/lib/private/hookrouter.after/state.db"
inside "$1" dpkg --remove hookrouter
echo "== removed"
inside "$1" sh -c 'ls -d /etc/hookrouter/routes.toml /var/lib/private/hookrouter /opt/hookrouter/bin 2>/dev/null' || true
inside "$1" dpkg --purge hookrouter
echo "== purged"
inside "$1" sh -c 'ls -d /etc/hookrouter /var/lib/private/hookrouter /usr/bin/hookrouter 2>/dev/null' || true
"""


def _needs() -> None:
    """Skips where the machine cannot have it; under CI that is a failure."""
    able = os.geteuid() == 0 and shutil.which("dpkg-deb") and Path("/usr/bin/python3").exists()
    if not able or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        message = "needs root, Debian and namespaces"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


def _older(package: Path, folder: Path) -> str:
    """The same one as version 0.0.9, beside it; its architecture."""
    subprocess.run(["dpkg-deb", "-R", package, folder / "older"], check=True)
    control = folder / "older/DEBIAN/control"
    text = control.read_text()
    arch = re.findall("^Architecture: (.*)$", text, re.MULTILINE)[0]
    control.write_text(text.replace(f"Version: {__version__}", "Version: 0.0.9"))
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", folder / "older", package.parent]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(folder / "older")
    return str(arch)


def _commands_of_the_page(folder: Path, arch: str) -> None:
    """forward.sh and back.sh: the two blocks of docs/operations.md."""
    text = (ROOT / "docs/operations.md").read_text().partition("\n## Upgrading\n")[2]
    for name, block in zip(("forward", "back"), re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE), strict=True):
        assert "dpkg -i" in block
        (folder / f"{name}.sh").write_text(block.replace("sudo ", "").replace("_amd64", f"_{arch}"))


def test_it_is_installed_upgraded_and_removed(tmp_path: Path) -> None:
    """The command plays a call; what is edited stays at an upgrade and a removal, and is gone with `--purge`. From an older version
    and back to it by the commands of docs/operations.md: its data are those of before.
    """
    _needs()
    command = [sys.executable, ROOT / "scripts/make_deb.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    package = Path(done.stdout.strip())
    assert re.fullmatch(rf"hookrouter_{__version__}_\w+\.deb", package.name)
    (tmp_path / "root").mkdir()
    arch = _older(package, tmp_path)
    _commands_of_the_page(tmp_path, arch)
    script = WALK.replace("ARCH", arch)
    walk = ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path / "root"), str(package), str(tmp_path)]
    done = subprocess.run(walk, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    _, installed, upgraded, back, removed, purged = re.split(r"^== .*\n", done.stdout, flags=re.MULTILINE)
    assert __version__ in installed
    assert "All is well" in installed
    assert "no faults" in installed
    assert "/etc/hookrouter/environment 600 root\n/etc/hookrouter/routes.toml 644 root\n" in installed
    assert not re.search("^/opt", installed, re.MULTILINE), "others may write to the program"
    assert upgraded.startswith(f"# mine\nhookrouter\t{__version__}\n")
    assert back.startswith("hookrouter\t0.0.9\nbefore\nafter\n")
    kept = [line for line in removed.splitlines() if line.startswith("/")]
    assert kept == ["/etc/hookrouter/routes.toml", "/var/lib/private/hookrouter"]
    assert [line for line in purged.splitlines() if line.startswith("/")] == []


def test_what_the_package_says_of_itself() -> None:
    """Its unit starts what it installs; the labels of the image have the same version and licence."""
    unit = (ROOT / "deploy/hookrouter.service").read_text()
    assert "ExecStart=/opt/hookrouter/bin/hookrouter serve" in unit
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f'org.opencontainers.image.version="{__version__}"' in dockerfile
    assert 'org.opencontainers.image.licenses="MIT"' in dockerfile
    for page in ("docs/install.md", "docs/operations.md"):
        assert f"hookrouter_{__version__}_amd64.deb" in (ROOT / page).read_text()
