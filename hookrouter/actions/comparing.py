"""Two answers to one event, side by side: what they mean counts, and each difference has its place. Pure.

Rules: spaces, the order of keys and the form of nothing make no difference. What is no answer has a meaning, too. A place is
a JSON pointer into the meaning: `/actions/0/media`, `/state/card`, `/status`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.delivery.outcome import NO_BODY
from hookrouter.errors import AnswerRefused
from hookrouter.text.lines import shown

Decode = Callable[[bytes, str], Answer]
_MOST_TOLD = 300  # characters of a value
_NONE: Any = object()


class Given(msgspec.Struct, frozen=True):
    """What came to one event. `status` None: nothing did, and `reason` says why (`timeout`, `refused_connection`, …)."""

    status: int | None
    body: bytes = b""
    reason: str = ""
    detail: str = ""


class Difference(msgspec.Struct, frozen=True):
    """`first` and `second` are JSON, or `nothing`."""

    place: str
    first: str
    second: str

    def told(self, of_first: str = "was recorded", of_second: str = "came") -> str:
        """`/actions/0/media: "sound:a" was recorded, "sound:b" came`."""
        return f"{self.place}: {self.first} {of_first}, {self.second} {of_second}"


def compared(
    first: Given, second: Given, ignore: Sequence[str] = (), decode: Decode = decode_answer
) -> Iterator[Difference]:
    """Where the second differs from the first; nothing where there was no first. `ignore`: places, `*` is any key.

    `decode` raises AnswerRefused for an answer that its route does not take.
    """
    if first.status is None:
        return
    for found in differences(meaning(first, decode), meaning(second, decode)):
        if not any(fnmatchcase(found.place, pattern) for pattern in ignore):
            yield found


def meaning(given: Given, decode: Decode = decode_answer) -> dict[str, Any]:
    """What an answer asks for; or why it is none."""
    status = given.status
    if status is None:
        return {"no answer": given.reason} | ({"why": given.detail} if given.detail else {})
    if not 200 <= status < 300:
        return {"status": status}
    try:
        answer = decode(given.body if status not in NO_BODY else b"", "")
    except AnswerRefused as error:
        return {"refused": str(error)}
    said: dict[str, Any] = {
        "actions": [msgspec.json.decode(step.raw) for step in answer.steps],
        "mode": answer.mode,
        "whenDone": answer.when_done,
        "tags": dict(answer.tags),
    }
    if answer.state is not None:
        said["state"] = msgspec.json.decode(answer.state)
    return said


def differences(first: Any, second: Any, place: str = "") -> Iterator[Difference]:
    """Each place where two values differ."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys((*first, *second)):
            yield from differences(first.get(key, _NONE), second.get(key, _NONE), f"{place}/{key}")
    elif isinstance(first, list) and isinstance(second, list):
        for index in range(max(len(first), len(second))):
            one, other = (side[index] if index < len(side) else _NONE for side in (first, second))
            yield from differences(one, other, f"{place}/{index}")
    elif first != second or isinstance(first, bool) != isinstance(second, bool):
        yield Difference(place or "/", _told(first), _told(second))


def _told(value: Any) -> str:
    return "nothing" if value is _NONE else shown(json.dumps(value, ensure_ascii=False))[:_MOST_TOLD]


__all__ = ["Decode", "Difference", "Given", "compared", "differences", "meaning"]
