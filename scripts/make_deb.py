"""`make deb`: dist/hookrouter_VERSION_ARCH.deb, with all Python packages that the router runs with, as they are locked.

Rules: it is made for the `python3` of the Debian or Ubuntu that makes it, and says so in its Depends. What runs is in
/opt/hookrouter, a virtual environment whose paths are those of the machine that it is installed on; what is edited is in
/etc/hookrouter and is never written over; data in /var/lib/hookrouter go only with `--purge`.
Source: Debian Policy 4.7, chapters 5 (fields), 6 (maintainer scripts), 10.7 (configuration files).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_HOME = "opt/hookrouter"
_ENVIRONMENT = """# NAME=value lines for the router; only root can read them. routes.toml has them as ${NAME}.
# ARI_PASSWORD=…
# HOOKROUTER_TOKEN=…
"""
_POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart hookrouter.service
fi
if [ "$1" = configure ] && [ -z "$2" ]; then
  echo "hookrouter: edit /etc/hookrouter/routes.toml and /etc/hookrouter/environment, then"
  echo "hookrouter: systemctl enable --now hookrouter"
fi
"""
_PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now hookrouter.service
fi
"""
_POSTRM = """#!/bin/sh
set -e
if [ "$1" = purge ]; then
  rm -rf /var/lib/hookrouter /var/lib/private/hookrouter
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3", help="the distribution's Python")
    parser.add_argument("--out", type=Path, default=_ROOT / "dist")
    given = parser.parse_args()
    print(build(given.python, given.out))


def build(python: str, out: Path) -> Path:
    """Makes the package in `out`."""
    version = re.findall(r'"(.+)"', (_ROOT / "hookrouter/__init__.py").read_text())[-1]
    arch = _said("dpkg", "--print-architecture")
    minor = int(_said(python, "-c", "import sys; print(sys.version_info[1])"))
    out.mkdir(parents=True, exist_ok=True)
    package = out / f"hookrouter_{version}_{arch}.deb"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir(mode=0o755)
        _program(root, python)
        _files(root)
        size = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
        _control(root, version, arch, minor, size)
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", root, package]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return package


def _program(root: Path, python: str) -> None:
    """The virtual environment, as if it had been made in its last place."""
    home = root / _HOME
    subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
    install = [_ROOT / ".venv/bin/uv", "pip", "install", "-q", "--link-mode", "copy", "--python", home / "bin/python3"]
    subprocess.run([*install, "--require-hashes", "-r", _ROOT / "requirements.run.lock"], check=True)
    subprocess.run([*install, "--no-deps", _ROOT], check=True)
    for path in (home / "bin").iterdir():
        if path.name == "hookrouter":
            first, _, rest = path.read_text().partition("\n")
            assert first.startswith("#!"), first
            path.write_text(f"#!/{_HOME}/bin/python3\n{rest}")
        elif not path.name.startswith("python"):
            path.unlink()
    settings = (home / "pyvenv.cfg").read_text()
    (home / "pyvenv.cfg").write_text("".join(line + "\n" for line in settings.splitlines() if not line.startswith("command")))
    for name in ("direct_url.json", "uv_cache.json", "REQUESTED"):  # the folder that it was built in, and the like
        for path in home.rglob(name):
            path.unlink()
    for path in home.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o022)  # wheels have what their makers had
    compiling = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/", str(home)]
    subprocess.run([home / "bin/python3", *compiling], check=True)


def _files(root: Path) -> None:
    """What is not the program: the unit, the configuration, the command's place on the PATH, the papers."""
    _copy("deploy/hookrouter.service", root / "usr/lib/systemd/system/hookrouter.service")
    _copy("routes.toml", root / "etc/hookrouter/routes.toml")
    environment = root / "etc/hookrouter/environment"
    environment.write_text(_ENVIRONMENT)
    environment.chmod(0o600)
    (root / "usr/bin").mkdir()
    (root / "usr/bin/hookrouter").symlink_to(f"/{_HOME}/bin/hookrouter")
    papers = root / "usr/share/doc/hookrouter"
    for name in ("README.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in (_ROOT / "docs").glob("*.md"))):
        _copy(name, papers / name)
    notices = [(_ROOT / name).read_text() for name in ("LICENSE", "NOTICE")]
    beside = f"The Python packages in /{_HOME} have their licences beside them, in */site-packages/*.dist-info:"
    notices.append(f"{beside}\n{_others(root)}")
    (papers / "copyright").write_text("\n".join(notices))


def _others(root: Path) -> str:
    """Each package with its version and the licence that it names."""
    lines = []
    for path in sorted(root.glob(f"{_HOME}/lib/python*/site-packages/*.dist-info/METADATA")):
        head = path.read_text().partition("\n\n")[0]
        fields = dict(re.findall(r"^(Name|Version|License|License-Expression|Classifier): (?:License :: )?(.+)$", head, re.MULTILINE))
        kinds = re.findall(r"^Classifier: License :: (?:.* :: )?(.+)$", head, re.MULTILINE)
        licence = fields.get("License-Expression") or ", ".join(kinds) or fields.get("License", "")
        if fields["Name"] != "hookrouter":
            lines.append(f"  {fields['Name']} {fields['Version']}: {licence}\n")
    return "".join(lines)


def _copy(name: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_ROOT / name, to)
    to.chmod(0o644)


def _control(root: Path, version: str, arch: str, minor: int, size: int) -> None:
    folder = root / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(
        f"Package: hookrouter\nVersion: {version}\nArchitecture: {arch}\nSection: comm\nPriority: optional\n"
        f"Maintainer: the hookrouter developers <hookrouter@localhost>\nInstalled-Size: {size}\n"
        f"Depends: python3 (>= 3.{minor}), python3 (<< 3.{minor + 1}), ca-certificates\nSuggests: asterisk\n"
        "Description: puts every call on an Asterisk into the hands of a web function\n"
        " A call comes in, your function gets an HTTP POST and answers with what the caller\n"
        " should hear and what happens next. In any language, without an Asterisk library.\n"
    )
    (folder / "conffiles").write_text("/etc/hookrouter/routes.toml\n/etc/hookrouter/environment\n")
    for name, text in (("postinst", _POSTINST), ("prerm", _PRERM), ("postrm", _POSTRM)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
