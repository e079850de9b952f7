"""What of a call is not kept: values at a route's `redact` paths, and digits of actions that are `sensitive`. Pure.

Rules:
- A path is looked up in an event, in a webhook's body, in its `call`, in the event or the result within it and the action
  of that, in an answer and in each of its actions; `*` is any key, and lists are gone through.
- A text of three characters or more that was left out once is left out wherever it stands later in the call.
- From a `sensitive` gather on, digits are not kept, until one that is not sensitive begins; nor is what was typed ahead
  of it. The result of a sensitive gather is kept without its digits.
- `LEFT_OUT` stands where something was: that is said, not what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hookrouter.facts import ActionStarted, AnswerCompared, CallStarted, EventReceived, Exchanged, Fact
from hookrouter.record.raw import object_of, value_of

LEFT_OUT = "(left out)"
_LEAST = 3
_KEYS = frozenset({"ChannelDtmfReceived"})
_CALLER = (("channel", "caller", "number"), ("call", "caller"), ("caller",))
_CALLED = (("channel", "dialplan", "exten"), ("call", "called"), ("called",))
_encode = msgspec.json.encode

Path = tuple[str, ...]


def path_of(text: str) -> Path:
    """`channel.caller.number` → its parts."""
    return tuple(text.split("."))


class Censor:
    """Sees the facts of one call in order; what it gives back may be written."""

    def __init__(self, paths: tuple[Path, ...] = ()) -> None:
        self.paths = paths
        self.begins = False  # the fact that was seen last begins a sensitive action: what was typed ahead goes, too
        self._hiding = False
        self._ever = False  # there was something sensitive
        self._hidden: set[str] = set()  # events whose digit is not kept
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    @property
    def awake(self) -> bool:
        """Whether `clean` is to see every fact; else it learns only from an ActionStarted."""
        return self._ever or bool(self.paths)

    def clean(self, fact: Fact) -> Fact:
        """The fact as it may be kept."""
        kind = fact.__class__
        self.begins = False
        if kind is ActionStarted and fact.verb == "gather":  # type: ignore[attr-defined]
            self.gather_begins(fact.action)  # type: ignore[attr-defined]
        if not self.awake:
            return fact
        if isinstance(fact, EventReceived):
            return msgspec.structs.replace(fact, raw=self.event(fact.type, fact.event, fact.raw))
        if isinstance(fact, Exchanged):
            request, answer = self.request(fact.event, fact.request), self.answer(fact.answer)
            return msgspec.structs.replace(fact, request=request, answer=answer)
        if isinstance(fact, AnswerCompared):
            return self._words(msgspec.structs.replace(fact, answer=self.answer(fact.answer)))
        if isinstance(fact, CallStarted):
            caller, called = self.numbers(fact.caller, fact.called)
            return msgspec.structs.replace(fact, caller=caller, called=called)
        return self._words(fact)

    def numbers(self, caller: str, called: str) -> tuple[str, str]:
        """The numbers of a call as its line in a list may have them."""
        if not self.paths:
            return caller, called
        return self._number(caller, _CALLER), self._number(called, _CALLED)

    def _number(self, number: str, places: tuple[Path, ...]) -> str:
        if number and any(path in places for path in self.paths):
            self._forbid(number)
            return LEFT_OUT
        return number

    def gather_begins(self, action: bytes) -> None:
        """Whether digits are kept from now on."""
        hiding = b'"sensitive"' in action and object_of(action).get("sensitive") is True
        self.begins = hiding
        self._hiding = hiding
        self._ever = self._ever or hiding

    # ---- bodies

    def event(self, type: str, id: str, raw: bytes) -> bytes:
        """An event of Asterisk's."""
        if type in _KEYS and self._hiding:
            self._hidden.add(id)
        value = object_of(raw)
        changed = self._at_paths(value)
        if id in self._hidden:
            changed = _mask(value, ("digit",), self._nothing) or changed
        return self._said(_encode(value) if changed else raw)

    def request(self, id: str, body: bytes) -> bytes:
        """A webhook's body: the envelope, and the event or result in it."""
        value = object_of(body)
        data = value.get("data")
        changed = self._at_paths(value)
        changed = self._at_paths(value.get("call")) or changed
        if isinstance(data, dict):
            changed = self._at_paths(data) or changed
            action = data.get("action")
            if isinstance(action, dict):
                changed = self._at_paths(action) or changed
                if action.get("sensitive") is True:
                    self._ever = True
                    changed = _mask(data, ("digits",), self._forbid) or changed
            if id in self._hidden:
                changed = _mask(data, ("digit",), self._nothing) or changed
        return self._said(_encode(value) if changed else body)

    def answer(self, body: bytes) -> bytes:
        """What an endpoint answered: the object, and each action."""
        value = value_of(body)
        actions = value.get("actions") if isinstance(value, dict) else value
        changed = self._at_paths(value) if isinstance(value, dict) else False
        for action in actions if isinstance(actions, list) else ():
            changed = self._at_paths(action) or changed
        return self._said(_encode(value) if changed else body)

    def typed_ahead(self, what: str, fields: dict[str, Any]) -> dict[str, Any]:
        """An entry that was written before a sensitive action began, as it may stay."""
        if what == "EventReceived" and fields.get("type") in _KEYS:
            self._hidden.add(fields["event_id"])
            return fields | {"raw": self.event("", fields["event_id"], fields.get("raw", b""))}
        if what == "Exchanged" and fields.get("event_id") in self._hidden:
            return fields | {"request": self.request(fields["event_id"], fields.get("request", b""))}
        return fields

    def _at_paths(self, value: Any) -> bool:
        changed = False
        for path in self.paths:
            changed = _mask(value, path, self._forbid) or changed
        return changed

    # ---- values that were left out once

    def _nothing(self, value: Any) -> None:
        pass

    def _forbid(self, value: Any) -> None:
        for text in _texts(value):
            if len(text) >= _LEAST and text != LEFT_OUT and text not in self._values:
                self._values.add(text)
                written = {form for one in self._values for form in (one, _encode(one).decode()[1:-1])}
                ordered = "|".join(re.escape(one) for one in sorted(written, key=len, reverse=True))
                self._pattern = re.compile(rf"(?<!\w)(?:{ordered})(?!\w)")

    def text(self, text: str) -> str:
        """Any words of the call, such as why it failed."""
        return text if self._pattern is None else self._pattern.sub(LEFT_OUT, text)

    def _said(self, body: bytes) -> bytes:
        if self._pattern is None or not body:
            return body
        return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _words(self, fact: Fact) -> Fact:
        if self._pattern is None:
            return fact
        changes = {}
        for name in fact.__struct_fields__:
            value = getattr(fact, name)
            cleaned = self._cleaned(value) if name not in ("call", "event") else value
            if cleaned != value:
                changes[name] = cleaned
        return msgspec.structs.replace(fact, **changes) if changes else fact

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self._said(value)
        if isinstance(value, Mapping):
            return {key: self._cleaned(inner) for key, inner in value.items()}
        return value


def _texts(value: Any) -> Iterator[str]:
    """What a value says by itself; short words such as true and null say nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _mask(value: Any, path: Path, forbid: Any) -> bool:
    """Puts `LEFT_OUT` where the path leads; whether it led anywhere."""
    if isinstance(value, list):
        return sum(_mask(item, path, forbid) for item in value) > 0
    if not isinstance(value, dict):
        return False
    name, rest = path[0], path[1:]
    changed = False
    for key in list(value) if name == "*" else [name]:
        found = value.get(key)
        if rest:
            changed = _mask(found, rest, forbid) or changed
        elif found is not None and found != LEFT_OUT and found != "":
            forbid(found)
            value[key] = LEFT_OUT
            changed = True
    return changed


__all__ = ["LEFT_OUT", "Censor", "path_of"]
