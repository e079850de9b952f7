"""At which address another machine reaches this one: by the way that leads there."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

EVERYWHERE = ("0.0.0.0", "::", "")


def on_this_machine(host: str) -> bool:
    """Whether only this machine reaches that address."""
    return host.startswith("127.") or host in ("localhost", "::1")


async def reached_at(host: str, port: int, url: str) -> str:
    """`HOST:PORT` of ours. `host`: what we listen at; where that is every address, the one that leads to `url`, which must name
    a host. Raises OSError where there is no way to it. Nothing is sent.
    """
    if host in EVERYWHERE:
        parts = urlsplit(url)
        family, kind, _, _, place = (
            await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 8088, type=socket.SOCK_DGRAM)
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            host = str(probe.getsockname()[0])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


__all__ = ["EVERYWHERE", "on_this_machine", "reached_at"]
