"""Who may be called, and where in the dialplan a call may go: patterns against what an answer names.

Rules: `*` at the end of a pattern is anything, elsewhere anything without `/` and `@`. The endpoint `*` is every technology
but `Local/`, through which a call reaches the dialplan and with it all that the dialplan may; Asterisk reads a technology
in either case. Of a Local endpoint, its options (`/n`) do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

from hookrouter.text.lines import cut

_MEDIA = {"audiosocket": (0,), "unicastrtp": (0,), "multicastrtp": (1, 2)}
"""Technologies that send media to a host, and which parts of their dial strings name it."""

_NAME_PEERS = frozenset({"sip", "iax2", "iax", "ooh323", "h323"})
_MOST_PEER = 0xFFFFFF  # a number up to here is a peer's name, and none of an address
_SIP_URI = re.compile(r"(?<![A-Za-z0-9+.-])sips?:", re.IGNORECASE)
_END_OF_HOST = re.compile(r"[;?/]")
_MADDR = re.compile(r";\s*maddr\s*=\s*([^;?]*)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    """A part behind a `*` is taken where it first stands: whoever wrote the pattern, it is matched in one go, and no other
    place could do better, as what lies between has no `/` and `@` either way."""
    body, last = (pattern[:-1], ".*") if pattern.endswith("*") else (pattern, "")
    first, *parts = map(re.escape, body.split("*"))
    if parts and not last:
        last = f"[^/@]*{parts.pop()}"
    return re.compile(first + "".join(f"(?>[^/@]*?{part})" for part in parts) + last, re.DOTALL)


def _normal(endpoint: str) -> str:
    """With its technology in lower case, and a Local one without its options."""
    technology, slash, resource = endpoint.partition("/")
    if technology.lower() == "local":
        resource = resource.partition("/")[0]
    return f"{technology.lower()}{slash}{resource}"


def media_hosts(endpoint: str) -> list[str]:
    """HOST:PORT of each place that media go to, where the technology is one that has nobody but a host to call."""
    technology, *parts = endpoint.split("/", 4)
    hosts = _MEDIA.get(technology.lower())
    return [part for at, part in enumerate(parts) if at in hosts and (part or at == hosts[0])] if hosts else []


def called_hosts(endpoint: str) -> list[str]:
    """HOST or HOST:PORT of each address that a dial string itself names, in every way in which it could be read.

    Of `IAX2/` and the like, whose dial strings have a peer of Asterisk's configuration or a host in one place, what can be
    a host.
    """
    technology, _, resource = endpoint.partition("/")
    uri = _SIP_URI.search(resource)
    if uri is None:
        peer = resource.partition("/")[0].rpartition("@")[2].partition(";")[0]
        return [peer] if technology.lower() in _NAME_PEERS and _like_a_host(peer) else []
    rest = resource[uri.end() :]
    first, *behind = rest.split("@")
    found = [_END_OF_HOST.split(part)[0] for part in behind or [first]]
    if behind and _END_OF_HOST.search(first) and _like_a_host(_END_OF_HOST.split(first)[0]):
        found.append(_END_OF_HOST.split(first)[0])
    return found + [unquote(host) for host in _MADDR.findall(rest)]


def _like_a_host(peer: str) -> bool:
    if peer.isdecimal() and peer.isascii():
        return int(peer[:20]) > _MOST_PEER
    return "." in peer or ":" in peer or peer.lower() == "localhost" or peer.lower().startswith("0x")


def endpoint_fault(endpoint: str, listed: Sequence[str]) -> str:
    """Why this endpoint may not be called; empty where it may."""
    wanted = _normal(endpoint)
    local = wanted.startswith("local/")
    for pattern in listed:
        if pattern == "*":
            if not local:
                return ""
        elif _pattern(_normal(pattern)).fullmatch(wanted):
            return ""
    entry = cut(
        f"Local/*{found}"
        if local and (found := _context_of(wanted))
        else endpoint
        if local
        else f"{endpoint.partition('/')[0]}/*"
    )
    listing = f'["*", "{entry}"]' if tuple(listed) == ("*",) else f'[…, "{entry}"]'
    return (
        f"`{cut(endpoint)}` is not one that this route may call; "
        f"if it is to, write endpoints = {listing} in [policy], or in the route"
    )


def _context_of(endpoint: str) -> str:
    """`@CONTEXT` of a Local endpoint."""
    _, at, context = endpoint.partition("@")
    return at + context


def context_fault(context: str, listed: Sequence[str]) -> str:
    """Why a call may not go there; empty where it may."""
    if any(pattern == "*" or _pattern(pattern).fullmatch(context) for pattern in listed):
        return ""
    return (
        f"the context `{cut(context)}` is not one that this route's calls may go to; "
        f'if they are to, write contexts = […, "{cut(context)}"] in [policy], or in the route'
    )
