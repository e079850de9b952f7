"""What a route's `match` demands of an event: dotted paths, each with values of which one must fit. All must hold.

Rules:
- `app`, `args` and `asterisk` are the router's own keys; every other key is a path into the ARI event.
- A value is a literal, a glob for the whole text (`*`, `?`, `[…]`, `[!…]`; case counts), or a regular expression that is
  searched for. A number or a boolean also fits its text: Asterisk sends extensions as strings.
- `args` is a prefix: the first arguments must fit one by one.
- Where the path leads into a list, one of its items must fit. Where it leads nowhere, nothing fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import Any, Literal

import msgspec

OWN_KEYS = ("app", "args", "asterisk")
_GLOB = re.compile(r"[*?\[]")


class Pattern(msgspec.Struct, frozen=True):
    """One value that may fit. `kind`: `literal` (equal), `glob` (whole text), `regex` (searched)."""

    kind: Literal["literal", "glob", "regex"]
    value: str | int | float | bool
    text: str = ""
    compiled: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        text = _text(self.value) or ""
        msgspec.structs.force_setattr(self, "text", text)
        if self.kind != "literal":
            source = translate(text) if self.kind == "glob" else text
            msgspec.structs.force_setattr(self, "compiled", re.compile(source))

    def fits(self, found: Any) -> bool:
        """Whether a value of a decoded event fits; tables, lists and null fit nothing."""
        text = found if type(found) is str else _text(found)
        if text is None:
            return False
        if self.compiled is None:
            return text == self.text or (type(found) is not str and _equal(found, self.value))
        return (self.compiled.match(text) if self.kind == "glob" else self.compiled.search(text)) is not None


class Condition(msgspec.Struct, frozen=True):
    """One key of `match`: any of `patterns` must fit. For `args` there are alternatives for each argument instead."""

    key: str
    patterns: tuple[Pattern, ...] = ()
    args: tuple[tuple[Pattern, ...], ...] = ()
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", tuple(self.key.split(".")))

    @property
    def own(self) -> bool:
        """Whether this is one of the router's own keys, for which no event need be decoded."""
        return self.key in OWN_KEYS

    def holds(self, event: Any) -> bool:
        """Whether the decoded ARI event has a value that fits at the path."""
        found = event
        for name in self.path:
            if type(found) is not dict or name not in found:
                return self._holds_somewhere(event)
            found = found[name]
        if type(found) is list:
            return self._holds_somewhere(event)
        return _any_fits(self.patterns, found)

    def _holds_somewhere(self, event: Any) -> bool:
        return any(_any_fits(self.patterns, found) for found in values_at(event, self.path))

    def holds_for(self, text: str) -> bool:
        """Whether the name of an app, or of an Asterisk, fits."""
        return _any_fits(self.patterns, text)

    def holds_for_args(self, args: Sequence[str]) -> bool:
        """Whether the call entered the app with these arguments first."""
        if len(args) < len(self.args):
            return False
        return all(map(_any_fits, self.args, args))


def _any_fits(patterns: Sequence[Pattern], found: Any) -> bool:
    for pattern in patterns:  # noqa: SIM110 - a generator would cost as much as the match
        if pattern.fits(found):
            return True
    return False


def values_at(event: Any, path: Sequence[str]) -> Iterator[Any]:
    """Everything that stands at a path: nothing where it leads nowhere, several where it leads through a list.

    A key that has dots itself (`channel.channelvars.X-A.B`) is found as well.
    """
    if isinstance(event, list):
        for item in event:
            yield from values_at(item, path)
    elif not path:
        yield event
    elif isinstance(event, dict):
        if path[0] in event:
            yield from values_at(event[path[0]], path[1:])
        elif len(path) > 1 and (rest := ".".join(path)) in event:
            yield from values_at(event[rest], ())


def pattern(value: str | int | float | bool) -> Pattern:
    """A literal or a glob, by whether it has a `*`, `?` or `[`."""
    return Pattern("glob" if isinstance(value, str) and _GLOB.search(value) else "literal", value)


def regex(value: str) -> Pattern:
    """A regular expression. Raises ValueError with the place of the fault in it."""
    try:
        return Pattern("regex", value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"`{value}` is not a regular expression: {error}") from None


def _equal(found: Any, value: Any) -> bool:
    return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
