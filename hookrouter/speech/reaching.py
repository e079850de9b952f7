"""At which address an Asterisk reaches this router: where it fetches what `say` says, unless `base_url` names another."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from hookrouter.speech.speech import SpeechFailed

EVERYWHERE = ("0.0.0.0", "::", "")


def on_this_machine(host: str) -> bool:
    """Whether only this machine reaches that address."""
    return host.startswith("127.") or host in ("localhost", "::1")


async def own_address(host: str, port: int, asterisk_url: str) -> str:
    """`http://HOST:PORT` of ours. `host`: what we listen at; where that is every address, the one that leads to Asterisk.
    Raises SpeechFailed where that cannot be known.
    """
    if host in EVERYWHERE:
        host = await _towards(asterisk_url)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _towards(asterisk_url: str) -> str:
    """Our own address in the direction of Asterisk. Nothing is sent."""
    parts = urlsplit(asterisk_url)
    if not parts.hostname:
        raise SpeechFailed(
            "this Asterisk has no `url` (mode `listen`), so it is not known from which address it can fetch the sound: "
            "set `base_url` in [speech]"
        )
    try:
        family, kind, _, _, place = (
            await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 8088, type=socket.SOCK_DGRAM)
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise SpeechFailed(f"no way to {asterisk_url} ({error}): set `base_url` in [speech]") from None
