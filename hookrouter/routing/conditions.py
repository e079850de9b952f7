"""What a route's `match` demands of an event: dotted paths, each with values of which one must fit. All must hold.

Rules: `app`, `args` and `asterisk` are the router's own keys; every other key is a path into the ARI event. A value is a
literal, a glob (`*`, `?`, `[…]`, case counts), or a regular expression that is searched for. `args` is a prefix: the
first arguments must fit one by one.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import Any

import msgspec

OWN_KEYS = ("app", "args", "asterisk")
_GLOB = re.compile(r"[*?\[]")


class Pattern(msgspec.Struct, frozen=True):
    """One value that may fit. `kind`: `literal` (equal), `glob` (whole text), `regex` (searched)."""

    kind: str
    value: str | int | float | bool | None

    def fits(self, found: Any) -> bool:
        if self.kind == "literal":
            return bool(found == self.value and isinstance(found, bool) == isinstance(self.value, bool))
        text = _text(found)
        if text is None:
            return False
        compiled = _compiled(self.kind, str(self.value))
        return (compiled.fullmatch(text) if self.kind == "glob" else compiled.search(text)) is not None


class Condition(msgspec.Struct, frozen=True):
    """One key of `match`. `path` is split at the dots; for `args` there is a tuple of alternatives per argument."""

    key: str
    patterns: tuple[Pattern, ...] = ()
    args: tuple[tuple[Pattern, ...], ...] = ()

    @property
    def own(self) -> bool:
        return self.key in OWN_KEYS

    def holds(self, event: Any) -> bool:
        """Whether the decoded ARI event has a value that fits at the path; a list fits if one of its items does."""
        found = value_at(event, self.key)
        if found is _NOTHING:
            return False
        candidates = found if isinstance(found, list) else [found]
        return any(pattern.fits(candidate) for candidate in candidates for pattern in self.patterns)

    def holds_for(self, text: str) -> bool:
        return any(pattern.fits(text) for pattern in self.patterns)

    def holds_for_args(self, args: list[str]) -> bool:
        return len(args) >= len(self.args) and all(
            any(pattern.fits(given) for pattern in wanted) for wanted, given in zip(self.args, args, strict=False)
        )


_NOTHING = object()


def value_at(event: Any, path: str) -> Any:
    """What stands at a dotted path; a marker that fits nothing where the path leads nowhere."""
    for name in path.split("."):
        if not isinstance(event, dict) or name not in event:
            return _NOTHING
        event = event[name]
    return event


def pattern(value: str | int | float | bool) -> Pattern:
    """A literal or a glob, by whether it has a `*`, `?` or `[`."""
    if isinstance(value, str) and _GLOB.search(value):
        return Pattern("glob", value)
    return Pattern("literal", value)


def regex(value: str) -> Pattern:
    """A regular expression. Raises ValueError with the place of the fault in it."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"`{value}` is no regular expression: {error}") from None
    return Pattern("regex", value)


@lru_cache(maxsize=1024)
def _compiled(kind: str, value: str) -> re.Pattern[str]:
    return re.compile(translate(value) if kind == "glob" else value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
