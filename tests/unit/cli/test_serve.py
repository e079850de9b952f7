"""`hookrouter serve` as its users see it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from lab.asterisk import free_port


def test_the_first_and_the_last_line(tmp_path: Path) -> None:
    """Where it listens and the dashboard is, and in the end that it has stopped."""
    port = free_port()
    path = tmp_path / "routes.toml"
    path.write_text(
        f'[asterisk.main]\nmode = "listen"\npassword = "x"\n[server]\nlisten = "127.0.0.1:{port}"\n[[routes]]\nurl = "http://127.0.0.1:1/"\n'
    )
    command = [sys.executable, "-m", "hookrouter", "serve", "-c", str(path), "--store", "memory:"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if "router.started" in line:
            break
    assert f"listening at http://127.0.0.1:{port}, dashboard http://127.0.0.1:{port}/" in lines[-1]
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=20)
    assert "router.stopped stopped; 0 calls left as they are" in rest.splitlines()[-1]
    assert process.returncode == 0


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Is told with the remedy, and no traceback."""
    path = tmp_path / "routes.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path.write_text(
            f'[asterisk.main]\npassword = "x"\n[server]\nlisten = "127.0.0.1:{port}"\n[[routes]]\nurl = "http://127.0.0.1:1/"\n'
        )
        command = [sys.executable, "-m", "hookrouter", "serve", "-c", str(path), "--store", "memory:"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"server.listen: another process has port {port}: end it" in done.stderr
    assert "Traceback" not in done.stderr
