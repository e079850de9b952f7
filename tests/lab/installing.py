"""The Asterisks of the lab: each of its own suite of Debian, unpacked into a folder of the cache and run from there.

Rules: `python tests/lab/installing.py` makes what is missing, by root and by apt's own mirror; nothing is installed on the machine
but the tools that are named. An `asterisk` that is on the machine takes the place of testing's, and of no other.
Not to be had there: bookworm and trixie have no package of Asterisk, and buster is not on the mirrors any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CACHE = Path(os.environ.get("HOOKROUTER_LAB", Path.home() / ".cache/hookrouter/lab"))
_ENVIRONMENT = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}


class Suite(NamedTuple):
    """`sources`: the archives, each with its suite. `target`: the one that comes first, where there are several."""

    folder: str
    sources: tuple[tuple[str, str], ...]
    target: str = ""


TESTING = "testing"
SUITES = {
    "bullseye": Suite("bullseye", (("debian", "bullseye"), ("debian-security", "bullseye-security"))),
    TESTING: Suite("forky", (("debian", "forky"),)),
    "experimental": Suite("experimental", (("debian", "sid"), ("debian", "experimental")), "experimental"),
}


def installed(suite: str = TESTING) -> Path | None:
    """The root that this suite's Asterisk is started from: `/`, a folder, or None where there is none."""
    if suite == TESTING and shutil.which("asterisk"):
        return Path("/")
    for root in (CACHE / SUITES[suite].folder, Path("/opt/lab") / SUITES[suite].folder):
        if (root / "usr/sbin/asterisk").exists() and (root / ".ready").exists():
            return root
    return None


def version(root: Path) -> str:
    """As it says it: `16.28.0~dfsg-0+deb11u10`."""
    command = [*within(root), "asterisk", "-V"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().removeprefix("Asterisk ")


def within(root: Path) -> list[str]:
    """What a command line begins with, to be run there."""
    return [] if str(root) == "/" else ["chroot", str(root)]


def setup(suite: str, cache: Path = CACHE) -> Path | None:
    """Makes sure that there is this Asterisk; where it is. Raises CalledProcessError with what failed."""
    found = installed(suite)
    if found is not None or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    root = cache / SUITES[suite].folder
    if root.exists():  # half made by an earlier run
        _unmount(root)
        shutil.rmtree(root)
    _unpack(root, SUITES[suite])
    for name in ("bin", "sbin", "lib", "lib64"):  # base-files has the links; it is not needed for anything else
        if not (root / name).exists() and (root / "usr" / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    sounds = root / "usr/share/asterisk/sounds"  # their language is an alternative of Debian's
    (sounds / "en").symlink_to(next(sounds.glob("en_*")).name)
    _mount(root)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()} A.ROOT-SERVERS.NET\n")
    (root / "etc/resolv.conf").write_text("")
    (root / ".ready").write_text("")
    return root


def _unpack(root: Path, suite: Suite) -> None:
    """All packages that Asterisk needs there, without their scripts: nothing of theirs is run but Asterisk."""
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/preferences.d", "var/lib/dpkg", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text("")  # nothing is there yet
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    lines = [f"deb {key} {mirror(archive)} {name} main\n" for archive, name in suite.sources]
    (root / "etc/apt/sources.list").write_text("".join(lines))
    settings = (f"Dir={root}", f"Dir::State::status={root}/var/lib/dpkg/status", "APT::Sandbox::User=root")
    apt = ["apt-get", "-qq", *(part for setting in settings for part in ("-o", setting))]
    subprocess.run([*apt, "update"], check=True, env=_ENVIRONMENT, stdout=sys.stderr)
    target = ["-t", suite.target] if suite.target else []
    packages = ["asterisk", "asterisk-core-sounds-en-wav"]
    command = [*apt, "install", "-y", "--no-install-recommends", "--download-only", *target, *packages]
    subprocess.run(command, check=True, env=_ENVIRONMENT, stdout=sys.stderr)
    archives = root / "var/cache/apt/archives"
    for package in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    shutil.rmtree(archives)
    shutil.rmtree(root / "var/lib/apt")


def mirror(archive: str) -> str:
    """Of `debian` or `debian-security`: the machine's own, the first in apt's sources."""
    texts = [path.read_text() for path in sorted(Path("/etc/apt").glob("sources.list.d/*"))]
    texts.append(Path("/etc/apt/sources.list").read_text() if Path("/etc/apt/sources.list").exists() else "")
    for text in texts:
        found = re.search(rf"^URIs:\s*(\S+/{archive}/?)\s*$", text, re.M)
        found = found or re.search(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+/{archive}/?)\s", text, re.M)
        if found:
            return found[1]
    if archive != "debian":
        return "http://deb.debian.org/debian-security"
    raise RuntimeError("apt's sources name no Debian mirror")


def _there(package: str, command: str) -> bool:
    if command:
        return shutil.which(command) is not None
    return not subprocess.run(["dpkg", "-s", package], capture_output=True, check=False).returncode


def apt(*packages: str) -> None:
    """What is missing of these: `package`, or `package:command` where any package's command will do."""
    named = [name.partition(":")[::2] for name in packages]
    missing = [package for package, command in named if not _there(package, command)]
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=_ENVIRONMENT, stdout=sys.stderr)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(command, check=True, env=_ENVIRONMENT, stdout=sys.stderr)


def _mount(root: Path) -> None:
    for name in ("proc", "dev"):
        (root / name).mkdir(exist_ok=True)
        if not os.path.ismount(root / name):
            subprocess.run(["mount", "--bind", f"/{name}", str(root / name)], check=True)


def _unmount(root: Path) -> None:
    for name in ("proc", "dev"):
        if os.path.ismount(root / name):
            subprocess.run(["umount", "-l", str(root / name)], check=True)


def ensure_mounted(suite: str = TESTING) -> None:
    """After a reboot the folder has no /proc and /dev."""
    root = installed(suite)
    if root is not None and str(root) != "/" and os.geteuid() == 0:
        _mount(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", nargs="*", default=[], help="Debian packages that must be there too")
    options = parser.parse_args()
    if options.tools and os.geteuid() == 0 and shutil.which("apt-get"):
        apt(*options.tools)
    for suite in SUITES:
        root = setup(suite)
        ensure_mounted(suite)
        said = f"{version(root)} in {root}" if root else "none: run this as root on Debian"
        print(f"Asterisk of {suite}: {said}")


if __name__ == "__main__":
    main()
