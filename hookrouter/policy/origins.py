"""Where an action's own `url` leads, whether its route allows it, and whether the route's credentials go there.

Rules: origins are compared as they are parsed, never as text; a function of Lambda is one of its own. An entry of
`allow_urls` is an origin, or what is below a path of one. What an answer names gets the route's signature, headers and auth
at the route's own origin, or where an entry says so.
Source: RFC 6454 (origin), RFC 3986 §5 (relative references).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from hookrouter.text.functions import SCHEME, function, is_function, joined, path_of
from hookrouter.text.lines import cut

_PORTS = {"http": 80, "https": 443}
_LONGEST = 8192


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


@lru_cache(maxsize=4096)
def origin(url: str) -> Origin:
    """Of an http(s) URL, or `lambda:NAME`. Raises ValueError where it is neither, or can be read in two ways."""
    if is_function(url):
        return Origin("lambda", function(url).name, 0)
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"`{cut(url, 200)}` is not an http(s) URL")
    if "@" in parts.netloc or not url.isprintable() or "\\" in url or " " in url:
        raise ValueError(f"`{cut(url, 200)}` can be read in two ways; leave out users, spaces and backslashes")
    return Origin(parts.scheme, parts.hostname.removesuffix("."), parts.port or _PORTS[parts.scheme])


def _below(target: str, entry: str) -> bool:
    """Whether `target` is of the origin of `entry`, and below its path if it has one."""
    if origin(target) != origin(entry):
        return False
    path = path_of(entry).rstrip("/")
    wanted = unquote(path_of(target))
    if not path:
        return True
    return ".." not in wanted.split("/") and (wanted == path or wanted.startswith(f"{path}/"))


def resolve(base: str, url: str, allowed: Sequence[str] = ()) -> str:
    """`url` relative to the route's `base`. Raises ValueError where it leads to another origin that is not allowed."""
    if len(url) > _LONGEST:
        raise ValueError(f"has {len(url)} characters; a URL may have {_LONGEST}")
    target = joined(base, url)
    if origin(target) == origin(base) or any(_below(target, entry) for entry in allowed):
        return target
    found = origin(target)
    if is_function(target):
        written = f'{{url = "{SCHEME}{found.host}", credentials = true}}'
    else:
        written = f'"{cut(f"{found.scheme}://{urlsplit(target).netloc}", 200)}"'
    raise ValueError(
        f"`{cut(target, 200)}` is of another origin than the route's url; if it is right, write allow_urls = [{written}]"
    )


def entrusted(base: str, url: str, entrusted_to: Sequence[str]) -> bool:
    """Whether the credentials of the route at `base` go to `url`, which an answer has named."""
    return origin(url) == origin(base) or any(_below(url, entry) for entry in entrusted_to)
