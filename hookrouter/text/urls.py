"""URLs: whether one can be called, and how one may be shown, as what is behind the `?` or before the host may be a secret. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

from hookrouter.text.functions import joined, path_of

MASK = "***"
_USER = re.compile(r"(?<=://)[^/?#@]*@")
_ANY = re.compile(r"https?://[^\s`'\"<>\\]*", re.IGNORECASE)
_ANY_BYTES = re.compile(_ANY.pattern.encode(), re.IGNORECASE)


def web_address(url: str) -> Literal["good", "user", "bad"]:
    """Whether it is an http(s) URL with a host; `user`: it has a user in it, and so perhaps a password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        return "user" if parts.username is not None else "good" if good else "bad"
    except ValueError:
        return "bad"


def beside(to: str, first: str, url: str) -> str:
    """Where an event goes that went to `url`, when those that went to `first` go to `to`: the same path, another host."""
    if url.partition("?")[0] == first.partition("?")[0]:
        return to
    return joined(to, path_of(url))


def sent_host(parts: SplitResult) -> str:
    """The header `host` of a request there. Raises UnicodeError, ValueError."""
    host = (parts.hostname or "").encode("ascii" if (parts.hostname or "").isascii() else "idna").decode()
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port}" if parts.port else shown


def sent_target(parts: SplitResult) -> tuple[str, str]:
    """The path and the query (empty: none) of a request there, as they are sent: what must be encoded is."""
    return quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~"), quote(parts.query, safe="/%:@!$&()*+,;=-._~?")


@lru_cache(maxsize=4096)
def shown_url(url: str) -> str:
    """The URL with the values of its query masked; their names stay: `https://a.test/f?code=***`."""
    head, mark, query = url.partition("#")[0].partition("?")
    if "@" in head:
        head = _USER.sub(f"{MASK}@", head)
    if not mark:
        return head
    parts = (part.partition("=") for part in query.split("&"))
    return head + "?" + "&".join(f"{name}={MASK}" if equals else MASK for name, equals, _ in parts)


def without_queries(text: str) -> str:
    """A text of others' (an error, an answer) without the queries of the URLs in it."""
    return _ANY.sub(_bare, text) if "?" in text else text


def line_without_queries(line: bytes) -> bytes:
    """The same of a line of a log, or of JSON, which stays what it was."""
    return _ANY_BYTES.sub(_bare_bytes, line) if b"?" in line else line


def _bare(found: re.Match[str]) -> str:
    head, mark, _ = found[0].partition("?")
    return f"{head}?{MASK}" if mark else head


def _bare_bytes(found: re.Match[bytes]) -> bytes:
    head, mark, _ = found[0].partition(b"?")
    return head + b"?" + MASK.encode() if mark else head
