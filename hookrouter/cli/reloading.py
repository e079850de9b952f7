"""What `hookrouter setup` does with an Asterisk that runs: has it read its files anew, and looks whether it can be worked with."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import msgspec

from hookrouter.ari.reasons import basic
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking.live import check_live
from hookrouter.cli.asking import give_up
from hookrouter.cli.options import say
from hookrouter.config import Config

_RELOAD = "core reload"
_PATIENCE = 15.0  # seconds until the REST interface has to answer after it


def reload(settings: AsteriskSettings) -> None:
    """Has the Asterisk of this machine read all its files anew, and waits until it answers; ends the command where it cannot."""
    program = shutil.which("asterisk")
    if program is None:
        give_up(f'there is no command asterisk on the PATH: run `asterisk -rx "{_RELOAD}"` where Asterisk is')
    try:
        done = subprocess.run([program, "-rx", _RELOAD], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        give_up(f'`asterisk -rx "{_RELOAD}"` has not ended within 60 s: look at Asterisk\'s log')
    if done.returncode != 0:
        give_up(f'`asterisk -rx "{_RELOAD}"` failed: {(done.stderr or done.stdout).strip() or "it says nothing"}')
    say(f'  ✓ asterisk -rx "{_RELOAD}"')
    until = time.monotonic() + _PATIENCE
    while settings.url and time.monotonic() < until and not _answers(settings):
        time.sleep(0.2)


def _answers(settings: AsteriskSettings) -> bool:
    headers = dict([basic(settings.username, settings.password)])
    try:
        return (
            httpx.get(f"{settings.url}/ari/asterisk/ping", headers=headers, timeout=2, trust_env=False).status_code
            == 200
        )
    except httpx.TransportError:
        return False


def look(config: Config, settings: AsteriskSettings, folder: Path | None) -> bool:
    """`check --live` of this Asterisk; whether nothing is wrong. `folder`: its files are read, too."""
    only = msgspec.structs.replace(config, asterisks=(settings,))
    findings = asyncio.run(check_live(only, say, folder))
    say("")
    count = findings.wrong_count
    say(f"{count} thing{'s' if count > 1 else ''} wrong." if count else "Nothing wrong was found.")
    return not count
