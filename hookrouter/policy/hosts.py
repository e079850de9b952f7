"""Where media may come from and go to: hosts, as whoever opens the connection reads them. Pure: no name is looked up.

Rules: `public` is every address of the internet and every name that can be one there; loopback, link-local and private
addresses, and names of one's own network (without a dot, or below `.local`, `.internal` and the like), are listed by who
wants them. An address counts however it is spelt: in parts, octal, hexadecimal, as one number, within an IPv6 address.
A name that a public name server gives a private address is not noticed here: nobody knows what Asterisk will be told.
Source: RFC 6890 (special addresses), RFC 6761 and 6762 (special names), inet_aton (spellings).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from hookrouter.text.lines import cut

PUBLIC = "public"
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_LONGEST = 255  # a name has at most so many characters
_OWN_NETWORK = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "arpa")
_PREFIXES = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))  # NAT64: the last four bytes are an IPv4 address


def host_of_url(url: str) -> str:
    """The host of an http(s) URL, in lower case; empty where it can be read in two ways."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return "" if "@" in parts.netloc or "%" in host else host.lower()


def host_of_pair(pair: str) -> str:
    """The host of `HOST:PORT` or `[HOST]:PORT`, in lower case."""
    host, colon, port = pair.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        host = pair
    return host.removeprefix("[").removesuffix("]").lower()


def address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, however it is spelt; None where it is a name. What is embedded in IPv6 counts."""
    if len(host) > _LONGEST:
        return None
    host = host.removesuffix(".")
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return _loose(host)
    if isinstance(found, IPv6Address):
        for inner in (found.ipv4_mapped, found.sixtofour):
            if inner is not None:
                return inner
        if any(found in prefix for prefix in _PREFIXES) or int(found) >> 32 == 0 < int(found) >> 16:
            return IPv4Address(int(found) & 0xFFFFFFFF)
    return found


def _loose(host: str) -> IPv4Address | None:
    """As inet_aton reads it: one to four parts, each decimal, octal or hexadecimal; the last one fills up."""
    parts = host.lower().split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers: list[int] = []
    for part in parts:
        if re.fullmatch(r"0x[0-9a-f]*", part):
            numbers.append(int(part[2:] or "0", 16))
        elif re.fullmatch(r"0[0-7]+", part):
            numbers.append(int(part, 8))
        elif re.fullmatch(r"[0-9]+", part):
            numbers.append(int(part))
        else:
            return None
    *first, last = numbers
    room = 4 - len(first)
    if any(number > 255 for number in first) or last >= 256**room:
        return None
    return IPv4Address(sum(number << (8 * (3 - at)) for at, number in enumerate(first)) + last)


@lru_cache(maxsize=4096)
def is_public(host: str) -> bool:
    """Whether a host is on the internet, as far as its spelling tells."""
    found = address(host)
    if found is not None:
        special = found.is_multicast or found.is_reserved or (isinstance(found, IPv6Address) and found.is_site_local)
        return found.is_global and not special
    name = host.removesuffix(".")
    if len(name) > _LONGEST or not _NAME.fullmatch(name) or "." not in name:
        return False
    last = name.rpartition(".")[2]
    return last not in _OWN_NETWORK and not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last)


def _listed(host: str, entry: str) -> bool:
    entry = entry.lower()
    if entry == "*":
        return True
    if entry == PUBLIC:
        return is_public(host)
    network = network_of(entry)
    found = address(host)
    if network is not None:
        return found is not None and found in network
    name = host.removesuffix(".")
    if entry.startswith("*."):
        return found is None and name.endswith(entry[1:])
    return name == entry.removesuffix(".") or (found is not None and found == address(entry))


def network_of(entry: str) -> IPv4Network | IPv6Network | None:
    """An address or network (`10.0.0.0/8`) of a list; None where it is a name."""
    try:
        return ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return None


def host_fault(host: str, listed: Sequence[str], own: Sequence[str] = ()) -> str:
    """Why media may not go to or come from this host; empty where it may. `own`: of the route's own url."""
    if any(_listed(host, entry) for entry in (*listed, *own)):
        return ""
    return (
        f"`{cut(host)}` is not a host that this route's media may go to or come from; "
        f'if it is to be, write hosts = ["public", "{cut(host)}"] in [policy], or in the route'
    )
