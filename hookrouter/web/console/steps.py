"""What one step of a call's ladder says, taken apart for its panel: headers, bodies, a command to repeat it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.actions.comparing import Given, compared
from hookrouter.record.entries import Entry
from hookrouter.record.raw import object_of, text_at
from hookrouter.record.steps import Step, attempt_of
from hookrouter.telemetry.phrases import duration

_LEFT_OUT = (
    "call",
    "event_id",
    "raw",
    "params",
    "reply",
    "request",
    "answer",
    "request_headers",
    "answer_headers",
    "muted",
    "differences",
)
_NAMES = {"seconds": "took", "connect_seconds": "to connect", "first_byte_seconds": "to first byte"}
_SIGNED = ("webhook-timestamp", "webhook-signature", "content-length", "host", "traceparent")


class Part(msgspec.Struct, frozen=True):
    """Something that was said. `empty`: what to say where there is no body."""

    title: str
    body: bytes
    headers: Mapping[str, str] = {}
    empty: str = "Nothing."


class Panel(msgspec.Struct, frozen=True):
    """`place`: of the entry in the record; `after`: seconds since the call began."""

    number: int
    place: int
    title: str
    at: float
    after: float
    summary: list[tuple[str, str]]
    parts: list[Part]
    curl: str = ""


def panel(found: Step, number: int, entries: Sequence[Entry], began: float) -> Panel:
    """What there is to say of this step."""
    entry = entries[found.entry] if found.entry is not None else Entry(found.at, "", {})
    fields, parts, curl = entry.fields, list[Part](), ""
    summary = [
        (_NAMES.get(name, name), duration(value) if name in _NAMES else _text(value))
        for name, value in fields.items()
        if name not in _LEFT_OUT and value not in ("", None)
    ]
    if entry.what == "Exchanged":
        status = fields.get("status")
        answer = Part(
            f"The answer: {status}" if status else "No answer came", _bytes(fields.get("answer")),
            fields.get("answer_headers") or {}, "It had no body.",
        )  # fmt: skip
        sent = Part("The request", _bytes(fields.get("request")), fields.get("request_headers") or {})
        parts = [answer, sent] if found.part == "answer" else [sent, answer]
        curl = as_curl(str(fields.get("url", "")), fields.get("request_headers") or {}, _bytes(fields.get("request")))
        summary = [*_outcome(entry, entries), *summary]
    elif entry.what == "AnswerCompared":
        own = _own_answer(entry, entries)
        parts = [
            Part(
                "What the candidate answered", _bytes(fields.get("answer")), empty="No answer, or one without a body."
            ),
            Part("What the route's own endpoint answered", own.body, empty="No answer, or one without a body."),
        ]
        found_ = compared(own, Given(fields.get("status"), parts[0].body)) if fields.get("status") else ()
        summary += [
            (one.place, f"{one.first} by the endpoint, {one.second} by the candidate")
            for one in found_
            if one.place in fields.get("differences", ())
        ]
    elif entry.what == "EventReceived":
        parts = [Part("Asterisk's event", _bytes(fields.get("raw")), empty="Its bytes are not kept.")]
    elif entry.what == "AriRequested":
        asked = msgspec.json.encode(fields.get("params") or {})
        parts = [Part("What was asked", asked), Part("The reply", _bytes(fields.get("reply")), empty="It had no body.")]
    return Panel(number, found.entry or 0, found.label, found.at, found.at - began, summary, parts, curl)


def _outcome(entry: Entry, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """What the router made of a delivery: why it was refused, which actions ran."""
    event, found = entry.fields.get("event_id"), list[tuple[str, str]]()
    attempted = next(
        (e.fields for e in entries if e.what == "DeliveryAttempted" and attempt_of(e) == attempt_of(entry)), {}
    )
    for other in entries:
        same = other.what == "DeliveryFinished" and other.fields.get("event_id") == event
        if same and other.fields.get("route") == attempted.get("route"):
            for name in ("route", "outcome", "reason", "actions", "detail"):
                if value := other.fields.get(name):
                    found.append((name, _text(value)))
            break
    return found


def _own_answer(entry: Entry, entries: Sequence[Entry]) -> Given:
    """What the route's own endpoint answered to the event that a candidate got, too."""
    event = entry.fields.get("event_id")
    attempts = [e.fields for e in entries if e.what == "Exchanged" and e.fields.get("event_id") == event]
    notified = {attempt_of(e) for e in entries if e.what == "DeliveryAttempted" and e.fields.get("kind") == "notify"}
    own = [fields for fields in attempts if attempt_of(Entry(0.0, "", fields)) not in notified]
    return Given(own[-1].get("status"), _bytes(own[-1].get("answer"))) if own else Given(None)


def as_curl(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """A command that sends the same again; the signature is left out, as it holds for minutes only."""
    lines = [f"curl -i {shlex.quote(url)}"]
    lines += [
        f"  -H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items() if name.lower() not in _SIGNED
    ]
    lines.append(f"  --data-binary {shlex.quote(body.decode('utf-8', 'replace'))}")
    return " \\\n".join(lines)


def recordings(entries: Sequence[Entry]) -> list[str]:
    """The names of the recordings that were finished in the call."""
    raws = (
        entry.fields.get("raw", b"")
        for entry in entries
        if entry.what == "EventReceived" and entry.fields.get("type") == "RecordingFinished"
    )
    names = (text_at(object_of(raw), "recording", "name") for raw in raws)
    return list(dict.fromkeys(name for name in names if name))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else str(value).encode()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


__all__ = ["Panel", "Part", "as_curl", "panel", "recordings"]
