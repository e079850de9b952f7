"""The entries of a call's record as steps of its ladder: who told whom what, and when. Pure.

Rules: a step names those it passes by, from the first to the last; of one alone it is a note beside its line. A delivery is
two steps, its request and its answer, and each knows the entry that holds what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from hookrouter.record.entries import Entry
from hookrouter.record.raw import object_of, text_at
from hookrouter.text.lines import cut

Who = Literal["caller", "legs", "Asterisk", "router", "endpoint"]
ORDER: tuple[Who, ...] = ("caller", "legs", "Asterisk", "router", "endpoint")
Kind = Literal["plain", "good", "bad", "note"]
_MOST = 120
_HIDDEN = ("asterisk.", "applications.", "bridges.list", "channels.list", "playbacks.get", "channels.get")
_CALLER_EVENTS = {
    "StasisStart": "calls", "ChannelDtmfReceived": "presses", "StasisEnd": "leaves", "ChannelHangupRequest": "hangs up",
    "ChannelDestroyed": "is gone",
}  # fmt: skip
_TO_CALLER = frozenset(
    {
        "channels.play", "channels.playWithId", "channels.answer", "channels.ring", "channels.hangup", "channels.startMoh",
        "channels.record", "channels.sendDTMF", "channels.startSilence", "channels.hold",
    }
)  # fmt: skip
_TO_LEGS = frozenset({"channels.create", "channels.dial", "channels.originate", "channels.originateWithId"})
_ABOUT = (
    "media", "endpoint", "variable", "name", "dtmf", "channel", "mohClass", "context", "reason", "app",
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """`path`: who is passed, in order; `entry`: the place in the record of what was said, None where all is said."""

    at: float
    path: tuple[Who, ...]
    label: str
    kind: Kind = "plain"
    entry: int | None = None
    part: str = ""  # of a delivery: `request` or `answer`


def steps(entries: Sequence[Entry], call_id: str) -> list[Step]:
    """In the order of time. `call_id`: the channel whose line is the caller's."""
    finished = {
        (entry.fields.get("event_id"), entry.fields.get("route")): entry.fields
        for entry in entries
        if entry.what == "DeliveryFinished"
    }
    known: dict[Any, Mapping[str, Any]] = {
        attempt_of(entry): entry.fields for entry in entries if entry.what == "DeliveryAttempted"
    }
    found: list[Step] = []
    for place, entry in enumerate(entries):
        if entry.what == "Exchanged":
            attempted = known.get(attempt_of(entry), {})
            ended = finished.get((entry.fields.get("event_id"), attempted.get("route")), {})
            found += _exchanged(entry, place, attempted, ended)
        elif entry.what in _STEPS:
            found += _STEPS[entry.what](entry, place, call_id)
    return sorted(found, key=lambda step: step.at)


def attempt_of(entry: Entry) -> tuple[Any, ...]:
    """An event may go to several endpoints."""
    return entry.fields.get("event_id"), entry.fields.get("url"), entry.fields.get("attempt")


def lines_of(found: Iterable[Step]) -> list[Who]:
    """Whose lifelines a ladder of these steps has."""
    used = {who for step in found for who in step.path} | {"caller", "Asterisk", "router", "endpoint"}
    return [who for who in ORDER if who in used]


def _exchanged(entry: Entry, place: int, attempted: Mapping[str, Any], finished: Mapping[str, Any]) -> Iterable[Step]:
    fields = entry.fields
    type_, number = str(attempted.get("type", "event")), int(fields.get("attempt", 1))
    notify = attempted.get("kind") == "notify"
    told = f" (for {attempted.get('route', '')})" if notify else ""
    again = f", attempt {number}" if number > 1 else ""
    seconds = float(fields.get("seconds", 0.0))
    yield Step(
        entry.at - seconds, ("router", "endpoint"), cut(f"{type_}{again}{told}", _MOST), "plain", place, "request"
    )
    status = fields.get("status")
    good = isinstance(status, int) and 200 <= status < 300
    if isinstance(status, int):
        words = str(status)
    else:
        words = str(attempted.get("reason") or "no answer").replace("_", " ")
    last = finished.get("attempts") == number
    if good and last and finished.get("outcome") == "unanswered":
        good, words = False, f"{words}: {str(finished.get('reason', 'no usable answer')).replace('_', ' ')}"
    actions = ", ".join(map(str, finished.get("actions", ()))) if good and last and not notify else ""
    label = f"{words} in {_took(seconds)}" + (f": {actions}" if actions else "") + told
    yield Step(entry.at, ("endpoint", "router"), cut(label, _MOST), "good" if good else "bad", place, "answer")


def _named(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _pairs(tags: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in tags.items()) if isinstance(tags, dict) else ""


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _event(entry: Entry, place: int, call_id: str) -> Iterable[Step]:
    fields, event = entry.fields, object_of(entry.fields.get("raw", b""))
    type_ = str(fields.get("type", ""))
    channel = text_at(event, "channel", "id")
    own = channel in ("", call_id)
    about = (
        event.get("digit") or text_at(event, "playback", "media_uri") or event.get("dialstatus")
        or (event.get("cause_txt") if type_ == "ChannelDestroyed" else "") or text_at(event, "recording", "name")
        or (event.get("variable") if type_ == "ChannelVarset" else "")
        or (text_at(event, "channel", "dialplan", "exten") if type_ == "StasisStart" else "")
        or (text_at(event, "channel", "state") if type_ == "ChannelStateChange" else "")
    )  # fmt: skip
    inferred = " (inferred)" if fields.get("inferred") else ""
    path: tuple[Who, ...] = ("Asterisk", "router")
    label = f"{type_} {about or ''}".strip() + inferred
    if type_ == "Dial" or not own:
        path = ("legs", "Asterisk", "router")
        whom = text_at(event, "peer", "name") or text_at(event, "channel", "name")
        label = f"{label} · {whom}" if whom else label
    elif type_ in _CALLER_EVENTS and not inferred:
        path = ("caller", "Asterisk", "router")
    yield Step(entry.at, path, cut(label, _MOST), "plain", place)


def _request(entry: Entry, place: int, call_id: str) -> Iterable[Step]:
    fields = entry.fields
    operation, status = str(fields.get("operation", "")), int(fields.get("status", 0))
    good = 200 <= status < 300
    if operation.startswith(_HIDDEN) and good:
        return
    params = fields.get("params") or {}
    about = next((_named(params[name]) for name in _ABOUT if params.get(name)), "")
    path: tuple[Who, ...] = ("router", "Asterisk")
    if params.get("channelId") == call_id and operation in _TO_CALLER:
        path = ("router", "Asterisk", "caller")
    elif operation in _TO_LEGS or (params.get("channelId", call_id) != call_id and operation.startswith("channels.")):
        path = ("router", "Asterisk", "legs")
    name = operation.partition(".")[2].removesuffix("WithId")
    said = "" if good else f" → {status or 'no reply'}"
    at = entry.at - float(fields.get("seconds", 0.0))
    yield Step(at, path, cut(f"{name} {about}".strip() + said, _MOST), "plain" if good else "bad", place)


def _candidate(entry: Entry, place: int, call_id: str) -> Iterable[Step]:
    fields = entry.fields
    outcome = str(fields.get("outcome", ""))
    kind: Kind = "bad" if outcome in ("different", "no_answer") else "note"
    yield Step(entry.at, ("router",), cut(_told_of_candidate(fields), _MOST), kind, place)


def _told_of_candidate(fields: Mapping[str, Any]) -> str:
    """What came of a candidate's answer, in one line."""
    about = ", ".join(map(str, fields.get("differences", ()))) or str(fields.get("detail", ""))
    said = f"candidate, {fields.get('type', '')}: {str(fields.get('outcome', '')).replace('_', ' ')}"
    return f"{said}: {about}" if about else said


def _action(entry: Entry, place: int, call_id: str) -> Iterable[Step]:
    fields = entry.fields
    outcome = str(fields.get("outcome", ""))
    about = " ".join(filter(None, (str(fields.get("verb", "")), str(fields.get("about", "")))))
    came = str(fields.get("result") or outcome)
    failed = outcome == "failed"
    why = f": {fields['detail']}" if failed and fields.get("detail") else ""
    yield Step(entry.at, ("router",), cut(f"{about}: {came}{why}", _MOST), "bad" if failed else "note", place)


def _note(words: Callable[[Mapping[str, Any]], str], kind: Kind = "bad") -> Callable[[Entry, int, str], Iterable[Step]]:
    def made(entry: Entry, place: int, call_id: str) -> Iterable[Step]:
        yield Step(entry.at, ("router",), cut(words(entry.fields), _MOST), kind, place)

    return made


_STEPS: dict[str, Callable[[Entry, int, str], Iterable[Step]]] = {
    "EventReceived": _event,
    "AriRequested": _request,
    "ActionFinished": _action,
    "FallbackTaken": _note(lambda fields: f"fallback: {fields.get('kind', '')} ({fields.get('reason', '')})"),
    "CallStandsStill": _note(lambda fields: "the call stands still"),
    "AnswerCompared": _candidate,
    "LateAnswer": _note(lambda fields: "a late answer was thrown away"),
    "LimitReached": _note(lambda fields: f"over {fields.get('limit', 'a bound')}"),
    "Warned": _note(lambda fields: str(fields.get("message", ""))),
    "CallNotAnswered": _note(lambda fields: f"not answered: {fields.get('status', '')}"),
    "CallResumed": _note(lambda fields: str(fields.get("message") or "the router was away")),
    "CallTagged": _note(lambda fields: f"tags: {_pairs(fields.get('tags'))}", "note"),
    "CallFinished": _note(lambda fields: f"over: {fields.get('reason', '')}", "note"),
    "Unreadable": _note(lambda fields: str(fields.get("detail", ""))),
}


__all__ = ["ORDER", "Kind", "Step", "Who", "attempt_of", "lines_of", "steps"]
