"""What is wrong with an answer, each fault with its JSON pointer, and what was perhaps meant.

Rules:
- The reader of these words is who wrote the endpoint.
- At most `MOST_TOLD` faults are put into words; the others are counted. Nothing that an answer holds is repeated at
  length: names are cut at `MOST_SHOWN` characters, also before they are compared with others.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args

import msgspec

from hookrouter.errors import Fault

MOST_TOLD = 20
MOST_SHOWN = 64
_LONGEST_MESSAGE = 300
_LONGEST_END = 200
_LONGEST_PHP = 2000
_SHORTEST = 'answer a JSON list of actions, such as [{"action": "answer"}], or an empty body'
_N8N = "in n8n set Respond to *Using Respond to Webhook node*"
GAPS = (
    "a list with gaps in its numbers, as PHP writes one after array_filter() or unset(): give it through array_values()"
)

Place = tuple[Any, str] | None
"""Where something stands: (the place that holds it, its key there); None: at the top. Written out only when told."""

Message = str | Callable[[], str]


class Faults:
    """Those of one answer, in order. `top`: the pointer of what is looked at."""

    __slots__ = ("_told", "count", "top")

    def __init__(self, top: str = "") -> None:
        self.top = top
        self.count = 0
        self._told: list[Fault] = []

    def add(self, place: Place, message: Message, below: str = "") -> None:
        """`below`: a pointer from `place` on. A message that costs something is a function: it may not be asked for."""
        self.count += 1
        if self.count <= MOST_TOLD:
            text = message if isinstance(message, str) else message()
            self._told.append(Fault(_shortened(self.top + pointer(place) + below), cut(text, _LONGEST_MESSAGE)))

    def extend(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.count += 1
            if self.count <= MOST_TOLD:
                self._told.append(fault)

    @property
    def told(self) -> list[Fault]:
        more = self.count - MOST_TOLD
        return [*self._told, Fault("", f"and {more} more")] if more > 0 else list(self._told)


def pointer(place: Place) -> str:
    """As a JSON pointer; long keys are cut."""
    keys: list[str] = []
    while place is not None:
        place, key = place
        if key:
            keys.append("/" + escaped(cut(key)))
    return "".join(reversed(keys))


def _shortened(place: str) -> str:
    """A long pointer's both ends."""
    return place if len(place) <= 2 * _LONGEST_END else f"{place[:_LONGEST_END]}…{place[-_LONGEST_END:]}"


def escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def cut(text: str, most: int = MOST_SHOWN) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# ---- a body that is no list of actions ---------------------------------------------------------------------------


def text_fault(body: bytes, content_type: str) -> Fault:
    """A body that is no JSON at all."""
    if (php := php_message(body)) is not None:
        hint = "set display_errors = Off in php.ini so that such words go to PHP's log, and mend what they tell"
        return Fault("", f"PHP wrote this beside the JSON: `{php}`; {hint}")
    text = body[:40].decode("utf-8", "replace").replace("\n", " ")
    hint = _SHORTEST
    if text.startswith(("<?xml", "<Response")):
        hint = "this is XML; " + hint
    elif text.startswith("<"):
        hint = "this is a web page: is the URL right, and does the function answer POST? " + hint
    elif "text/plain" in content_type or text.startswith(("Accepted", "Workflow")):
        hint = f"{_N8N}; elsewhere {hint}"
    return Fault("", f"answered {cut(content_type) or 'no content type'} `{text}`: {hint}")


_PHP = re.compile(
    rb"(?:<br />\s*)?(?:<b>)?(?:PHP )?(?:Fatal error|Parse error|Warning|Notice|Deprecated|Recoverable fatal error)"
    rb"(?:</b>)?: "
)
_PHP_END = re.compile(rb"on line (?:<b>)?\d+(?:</b>)?")
_TAG = re.compile(r"<[^<>]{1,20}>")


def php_message(body: bytes) -> str | None:
    """What PHP wrote instead of, or before, the answer: its words with file and line, without the tags."""
    start = body[: _LONGEST_PHP * 2].lstrip()
    if _PHP.match(start) is None:
        behind = body[-_LONGEST_PHP:]
        found = _PHP.search(behind) if _PHP_END.search(behind) else None
        if found is None or body[:1] not in (b"[", b"{"):
            return None
        start = behind[found.start() :]
    ends = [end.end() for end in _PHP_END.finditer(start)]
    text = start[: ends[-1] if ends else _LONGEST_PHP].decode("utf-8", "replace")
    return " ".join(html.unescape(_TAG.sub("", text)).split())[:_LONGEST_PHP]


def value_fault(value: Any) -> Fault:
    """JSON, but neither a list nor an object."""
    hint = ""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        hint = ": this is JSON inside a string, encoded twice"
    said = msgspec.json.encode(value[:40] if isinstance(value, str) else value)[:40].decode("utf-8", "replace")
    return Fault("", f"expected a list of actions or an object, got {kind_of(value)} `{said}`{hint}")


def envelope_hint(value: dict[str, Any]) -> str:
    """An answer that a platform has wrapped: which setting takes the wrapping off. "" where it is none."""
    if "statusCode" in value and "body" in value:
        return (
            "this is the envelope of an AWS Lambda function, and nothing unwrapped it: in API Gateway turn on *Lambda proxy "
            "integration* (a function URL does it by itself), or return the list of actions alone"
        )
    for key, hint in _ENVELOPES.items():
        if key in value and len(value) <= 2 and "actions" not in value:
            return hint
    return ""


_ENVELOPES = {
    "json": "this is an item of n8n: in *Respond to Webhook* set *Respond With* to JSON and *Response Body* to "
    "{{ $json.actions }}",
    "output": "this is a wrapping: of n8n's AI Agent (in *Respond to Webhook* set *Respond With* to JSON and *Response Body* "
    "to {{ $json.output }}), or of AWS Step Functions (in API Gateway's *Mapping template* write "
    "$util.parseJson($input.path('$.output')))",
    "data": "did you mean `actions`? If a platform has put it there: in n8n's Webhook node remove the option *Put Response in "
    "Field*, in Laravel call JsonResource::withoutWrapping()",
}


def unknown_at_top(key: str, item: Any, known: Iterable[str]) -> str:
    """What an unknown field of the answer is likely to be."""
    if key == "message" and isinstance(item, str) and item.startswith("Workflow"):
        return f"unknown field: n8n has answered before the workflow ran; {_N8N}"
    if key == "action" and not isinstance(item, list):
        return "unknown field; an answer with one action is a list with one action"
    if isinstance(item, list) and item and isinstance(item[0], dict) and "action" in item[0]:
        return "unknown field; did you mean `actions`?"
    return f"unknown field{did_you_mean(key, known)}"


def nameless(value: dict[str, Any], known: Iterable[str]) -> str:
    """An action that does not say which: perhaps by another key, perhaps by the key itself."""
    names = frozenset(known)
    for key, item in value.items():
        if isinstance(item, str) and item in names:
            return f"missing: the name of a verb; `{cut(key)}` is called `action` here"
        if key in names:
            return f'missing: the name of a verb; did you mean {{"action": "{key}", …}}?'
    return envelope_hint(value) or "missing: the name of a verb"


# ---- words -------------------------------------------------------------------------------------------------------

_FIELD = re.compile(r"Object (missing required|contains unknown) field `([^`]*)`")


def told_by_msgspec(text: str, annotation: Any, value: Any) -> tuple[str, str]:
    """msgspec's error in our words: (the pointer below the field, what is wrong)."""
    text, _, path = text.partition(" - at `$")
    where = from_path(path.rstrip("`"))
    if (found := _FIELD.match(text)) is None:
        return where, plain(text) + _enum_hint(annotation, value)
    known = sorted({name for part in _structs(annotation) for name in part.__struct_encode_fields__})
    missing = found[1] == "missing required"
    return (
        f"{where}/{escaped(cut(found[2]))}",
        "missing" if missing else f"unknown field{did_you_mean(found[2], known)}",
    )


def _structs(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in get_args(annotation):
        yield from _structs(part)


def from_path(path: str) -> str:
    """msgspec's `.to[0].timeout` as `/to/0/timeout`."""
    parts = re.findall(r"\.([^.\[\]]+)|\[([^\]]+)\]", path[:500])
    return "".join("/" + escaped(cut(a or b)) for a, b in parts if (a or b) != "...")


def plain(text: str) -> str:
    """msgspec's words for types, in ours: `int | null` is a whole number."""

    def words(found: re.Match[str]) -> str:
        kinds = found[1].split(" | ")
        return " or ".join(_NAMES[kind] for kind in kinds if kind != "null" or len(kinds) == 1)

    text = text[:1].lower() + cut(text, 200)[1:]
    return re.sub(r"`((?:(?:str|int|float|bool|array|object|null)(?: \| )?)+)`", words, text)


_NAMES = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """What it is, in JSON's words."""
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


def did_you_mean(name: str, known: Iterable[Any]) -> str:
    """`; did you mean …?`, or what there is."""
    lowered = {str(item).lower(): str(item) for item in known}
    close = get_close_matches(cut(name).lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean `{lowered[close[0]]}`?" if close else f"; known: {', '.join(lowered.values())}"


def unknown_field(name: str, known: Iterable[str], missing: Sequence[str]) -> str:
    """A field that is not known; perhaps it is the one that is `missing`."""
    found = did_you_mean(name, known)
    if "did you mean" not in found and len(missing) == 1:
        found = f"; did you mean `{missing[0]}`, which is missing?"
    return f"unknown field{found}"


def _literals(annotation: Any) -> list[str]:
    if getattr(annotation, "__origin__", None) is Literal:
        return [str(item) for item in get_args(annotation)]
    return [found for part in get_args(annotation) for found in _literals(part)]


def _enum_hint(annotation: Any, value: Any) -> str:
    known = _literals(annotation)
    return did_you_mean(value, known) if known and isinstance(value, str) else ""
