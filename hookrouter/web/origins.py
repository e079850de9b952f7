"""Where a request comes from: `Host` and `Origin` taken apart, and whether it is of this machine. Pure.

Rules:
- Names are compared whole, never by how they begin or end: `localhost.evil.example` is somebody else's.
- What cannot be read, or is there twice, is nobody's.
- What a proxy says of a request never makes it local, and that a proxy says anything makes it foreign.
Source: RFC 9110 7.2, RFC 6454 7, RFC 3986 3.2.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

Headers = Iterable[tuple[bytes, bytes]]

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,254}))(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_PROXIED = frozenset(
    {
        b"via", b"cdn-loop", b"client-ip", b"cf-ray", b"x-remote-ip", b"x-remote-addr", b"x-real-ip", b"x-client-ip",
        b"x-cluster-client-ip", b"x-original-url", b"x-rewrite-url", b"x-nginx-proxy", b"x-amzn-trace-id", b"x-arr-ssl",
        b"x-azure-clientip", b"x-appengine-remote-addr", b"x-proxyuser-ip", b"x-envoy-external-address",
        b"true-client-ip", b"cf-connecting-ip", b"fastly-client-ip",
    }
)  # fmt: skip


class Authority(msgspec.Struct, frozen=True):
    """A host, in lower case and without brackets or final dot, and its port; `port` None: that of the scheme."""

    host: str
    port: int | None = None

    @property
    def loopback(self) -> bool:
        """Whether it is a name or an address by which a machine means itself."""
        return self.host == "localhost" or is_loopback(self.host)


class Origin(msgspec.Struct, frozen=True):
    """Which site a browser's page is of."""

    scheme: str
    authority: Authority


def read_authority(text: str) -> Authority | None:
    """What a `Host` header names; None where it is none."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    six, name, port = match.groups()
    number = int(port) if port else None
    if number is not None and not 0 < number < 65536:
        return None
    if six is not None:
        try:
            return Authority(str(ipaddress.IPv6Address(six)), number)
        except ValueError:
            return None
    host = name.lower().removesuffix(".")
    return Authority(host, number) if host and ".." not in host and not host.startswith(".") else None


def read_origin(text: str) -> Origin | None:
    """What an `Origin` header names; None for `null`, and where it is none of a web page."""
    match = _ORIGIN.fullmatch(text)
    authority = read_authority(match[2]) if match is not None else None
    return Origin(match[1].lower(), authority) if match is not None and authority is not None else None


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine's own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def proxied(headers: Headers) -> str:
    """The header by which a proxy shows that it has passed this on; empty where none is there."""
    for name, _ in headers:
        if name in _PROXIED or b"forward" in name:
            return name.decode("latin-1")
    return ""


def host_of(headers: Headers) -> Authority | None:
    """Whom the request is for; None where that is not said once and readably."""
    found = [value for name, value in headers if name == b"host"]
    return read_authority(found[0].decode("latin-1").strip()) if len(found) == 1 else None


def foreign(headers: Headers, scheme: str) -> str:
    """Why a web page of another site than ours may have sent this; empty: none did. `scheme`: of the connection."""
    headers = list(headers)
    fetch = [value for name, value in headers if name == b"sec-fetch-site"]
    if any(value not in (b"same-origin", b"none") for value in fetch):
        return "a web page of another site sent it"
    given = [value for name, value in headers if name == b"origin"]
    if not given:
        return ""
    if len(given) > 1:
        return "it has several `Origin` headers"
    origin, host = read_origin(given[0].decode("latin-1").strip()), host_of(headers)
    if origin is None:
        return "its `Origin` is none of a web site"
    if host is None:
        return "its `Host` cannot be read"
    if scheme in ("https", "wss") and origin.scheme != "https":
        return "its `Origin` is not https"
    usual = _PORTS[origin.scheme]
    theirs, ours = origin.authority, host
    if (theirs.host, theirs.port or usual) != (ours.host, ours.port or usual):
        return "its `Origin` is not its `Host`; a proxy has to pass `Host` on as it came"
    return ""


def not_local(headers: Headers, client: str) -> str:
    """Why a request is not one of this machine; empty: it is. `client`: the address that the connection comes from."""
    headers = list(headers)
    if not is_loopback(client):
        return "it comes from another machine"
    if name := proxied(headers):
        return f"a proxy has passed it on (`{name}`)"
    host = host_of(headers)
    if host is None:
        return "its `Host` is missing, is there twice, or cannot be read"
    if not host.loopback:
        return "its `Host` is not this machine's own name, such as localhost or 127.0.0.1"
    return ""
