"""The image is built from the Dockerfile and started, without a Docker engine: by buildah, on a Debian of our own.

Rules: the base image is made once and kept in the lab's folder; the wheels come from the machine's own package index, so
that the build itself needs no network.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import asterisk as lab
from lab import installing

from hookrouter import __version__

ROOT = Path(__file__).parents[2]
FOLDER = installing.CACHE / "image"
BASE = "localhost/hookrouter-test-base"
IMAGE = "localhost/hookrouter-test"
PYTHON = "3.13"  # what trixie has
pytestmark = pytest.mark.image


def buildah(*arguments: str | Path, check: bool = True) -> str:
    """Runs buildah with a storage of our own. Raises AssertionError with what it said."""
    done = subprocess.run(_buildah(*arguments), capture_output=True, text=True, check=False, cwd=ROOT)
    assert not check or done.returncode == 0, f"{done.args}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def _buildah(*arguments: str | Path) -> list[str]:
    storage = ["--storage-driver", "vfs", "--root", FOLDER / "storage", "--runroot", FOLDER / "run"]
    return list(map(str, ["buildah", *storage, *arguments]))


def _needs() -> None:
    """Skips where the machine cannot have it; under CI that is a failure."""
    missing = [tool for tool in ("buildah", "debootstrap") if not shutil.which(tool)]
    if os.geteuid() == 0 and (not missing or shutil.which("apt-get")):
        installing.apt(*missing)
        return
    message = f"needs root, and {' and '.join(missing) or 'nothing else'} (Debian packages)"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


def _base() -> None:
    """The base image: Debian trixie with Python."""
    if buildah("images", "--quiet", BASE, check=False):
        return
    root = FOLDER / "trixie"
    shutil.rmtree(root, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    script = "/usr/share/debootstrap/scripts/sid"  # the same for every suite of today
    command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv", "trixie", str(root), installing.mirror("debian")]
    subprocess.run([*command, script], check=True, stdout=sys.stderr)
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / name, ignore_errors=True)
    container = buildah("from", "scratch")
    buildah("copy", "--quiet", container, root, "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)


def _wheels() -> Path:
    """What the Dockerfile installs, for the image's Python and this machine's processor: what is locked, and what builds."""
    folder = FOLDER / "wheels"
    builders = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    tags = [f"manylinux{tag}_{platform.machine()}" for tag in ("2014", "_2_17", "_2_28", "_2_34")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder]
    command += ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    command += [part for tag in tags for part in ("--platform", tag)]
    for wanted in (["--no-deps", "--requirement", "requirements.run.lock"], builders):
        done = subprocess.run(list(map(str, [*command, *wanted])), capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def image() -> str:
    """The image, built from the Dockerfile as it is."""
    _needs()
    _base()
    arguments = ["--build-arg", f"BASE_IMAGE={BASE}", "--build-arg", "PIP_NO_INDEX=1"]
    arguments += ["--build-arg", "PIP_FIND_LINKS=/wheels", "--volume", f"{_wheels()}:/wheels:ro"]
    buildah("bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--pull-never", *arguments, "-t", IMAGE, ".")
    buildah("rmi", "--prune", "--force", check=False)  # the stages before: vfs keeps each as a whole copy
    return IMAGE


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """A container of the image; gone after the test."""
    name = buildah("from", "--pull-never", image)
    yield name
    buildah("rm", name)


def _settings(image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    return found


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def test_it_serves_as_nobody_special_and_stops(container: str, image: str) -> None:
    """Started by its own entry point it is alive and healthy, is not root, keeps its journal in the volume, and ends."""
    settings = _settings(image)
    command = [*settings["Entrypoint"], *settings["Cmd"]]  # type: ignore[misc]
    port = lab.free_port()
    own = ["--env", f"HOOKROUTER_LISTEN=127.0.0.1:{port}", "--env", f"ARI_URL=http://127.0.0.1:{lab.free_port()}"]
    run = ["run", "--isolation", "chroot", "--network", "host", *own, container, "--"]  # an Asterisk at 8088 is not ours
    serving = subprocess.Popen(_buildah(*run, *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert _get(f"http://127.0.0.1:{port}/healthz", serving) == 200
        *_, router = _descendants(serving.pid)  # below buildah's own
        assert Path(f"/proc/{router}/comm").read_text().strip() == "hookrouter"
        assert _user(router) == 8080
        health = settings["Healthcheck"]["Test"]  # type: ignore[index]
        assert health[0] == "CMD"
        buildah(*run, *health[1:])
        os.kill(router, signal.SIGTERM)
        output, _ = serving.communicate(timeout=15)
        assert serving.returncode == 0, output
        assert '"event":"ari.reconnecting"' in output  # nobody is there, and it keeps trying
    finally:
        if serving.poll() is None:
            for pid in _descendants(serving.pid):
                os.kill(pid, signal.SIGKILL)
            serving.kill()
            serving.communicate()
    owner = buildah(*run, "stat", "-c", "%U", "/var/lib/hookrouter/state.db")
    assert owner == "hookrouter"


def test_what_it_says_of_itself(image: str) -> None:
    """The user, the port, the volume and the signal are those of the documentation."""
    settings = _settings(image)
    assert settings["User"] == "hookrouter"
    assert settings["ExposedPorts"] == {"8080/tcp": {}}
    assert settings["Volumes"] == {"/var/lib/hookrouter": {}}
    assert settings["StopSignal"] == "SIGTERM"
    labels = settings["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    text = (ROOT / "docs" / "operations.md").read_text()
    assert "/var/lib/hookrouter" in text
    assert "8080" in text


def _user(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])


def _get(url: str, serving: subprocess.Popen[str]) -> int:
    """The status of `url`, as soon as there is one."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if serving.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)  # a poll of another process
    output = serving.communicate(timeout=5)[0] if serving.poll() is not None else "(it runs)"
    raise AssertionError(f"{url} does not answer: {output}")
