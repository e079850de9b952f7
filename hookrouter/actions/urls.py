"""Where an action's own `url` leads, and whether its route allows it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit


def resolve(base: str, url: str, allowed: Sequence[str] = ()) -> str:
    """`url` relative to the route's `base`. Raises ValueError where it leads to another origin that is not allowed.

    `allowed`: URL prefixes from the route's `allow_urls`.
    """
    target = urljoin(base, url)
    parts, home = urlsplit(target), urlsplit(base)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"`{url}` is no http(s) URL")
    if (parts.scheme, parts.netloc) == (home.scheme, home.netloc):
        return target
    if any(target.startswith(prefix) for prefix in allowed):
        return target
    raise ValueError(f"`{target}` is of another origin than the route's url; list it in the route's `allow_urls`")
