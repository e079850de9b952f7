"""The ladder of a recorded call: who told whom what and when, and which entry holds what was said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter import facts as f
from hookrouter.record.entries import Entry, read_parts, write_part
from hookrouter.record.recorder import KINDS
from hookrouter.record.steps import ORDER, Step, lines_of, steps

CALL = "1.1"
EVENT = ("Asterisk", "router")


def event(type: str, at: float = 1.0, inferred: bool = False, **data: Any) -> Entry:
    raw = msgspec.json.encode({"type": type, **data})
    return Entry(at, "EventReceived", {"type": type, "raw": raw} | ({"inferred": True} if inferred else {}))


def own(**more: Any) -> dict[str, Any]:
    return {"id": CALL, "name": "PJSIP/alice-1", "state": "Up", **more}


def asked(operation: str, status: int = 200, at: float = 1.0, **params: Any) -> Entry:
    return Entry(at, "AriRequested", {"operation": operation, "status": status, "params": params, "seconds": 0.5})


LEG = {"id": "leg-1", "name": "PJSIP/bob-2"}


@pytest.mark.parametrize(
    ("entry", "path", "label"),
    [
        (event("StasisStart", channel=own(dialplan={"exten": "1000"})), ("caller", *EVENT), "StasisStart 1000"),
        (event("ChannelDtmfReceived", digit="5", channel=own()), ("caller", *EVENT), "ChannelDtmfReceived 5"),
        (event("StasisEnd", inferred=True, channel=own()), EVENT, "StasisEnd (inferred)"),
        (event("ChannelDestroyed", cause_txt="Normal Clearing", channel=own()), ("caller", *EVENT),
         "ChannelDestroyed Normal Clearing"),
        (event("ChannelStateChange", channel=own()), EVENT, "ChannelStateChange Up"),
        (event("ChannelVarset", variable="A", value="secret", channel=own()), EVENT, "ChannelVarset A"),
        (event("PlaybackStarted", playback={"media_uri": "sound:a"}), EVENT, "PlaybackStarted sound:a"),
        (event("RecordingFinished", recording={"name": "r"}), EVENT, "RecordingFinished r"),
        (event("Dial", dialstatus="BUSY", peer=LEG), ("legs", *EVENT), "Dial BUSY · PJSIP/bob-2"),
        (event("ChannelDtmfReceived", digit="1", channel=LEG), ("legs", *EVENT), "ChannelDtmfReceived 1 · PJSIP/bob-2"),
        (event("StasisStart", channel={"id": "leg-1"}), ("legs", *EVENT), "StasisStart"),
        (Entry(1.0, "EventReceived", {"type": "Odd", "raw": b"\xff{"}), EVENT, "Odd"),
        (Entry(1.0, "EventReceived", {"type": "Odd", "raw": b'["a"]'}), EVENT, "Odd"),
        (asked("channels.playWithId", channelId=CALL, media=["sound:a", "sound:b"]), ("router", "Asterisk", "caller"),
         "play sound:a, sound:b"),
        (asked("channels.hangup", channelId=CALL), ("router", "Asterisk", "caller"), "hangup"),
        (asked("channels.setChannelVar", channelId=CALL, variable="A"), ("router", "Asterisk"), "setChannelVar A"),
        (asked("channels.create", endpoint="PJSIP/bob", channelId="leg-1"), ("router", "Asterisk", "legs"), "create PJSIP/bob"),
        (asked("channels.hangup", channelId="leg-1"), ("router", "Asterisk", "legs"), "hangup"),
        (asked("bridges.addChannel", bridgeId="b", channel="leg-1"), ("router", "Asterisk"), "addChannel leg-1"),
        (asked("channels.answer", 404, channelId=CALL), ("router", "Asterisk", "caller"), "answer → 404"),
        (asked("channels.list", 0), ("router", "Asterisk"), "list → no reply"),
        (Entry(1.0, "ActionFinished", {"verb": "dial", "about": "PJSIP/bob", "outcome": "done", "result": "busy"}), ("router",),
         "dial PJSIP/bob: busy"),
        (Entry(1.0, "ActionFinished", {"verb": "play", "outcome": "failed"}), ("router",), "play: failed"),
        (Entry(1.0, "ActionFinished", {"verb": "play", "outcome": "failed", "detail": "no such sound"}), ("router",),
         "play: failed: no such sound"),
        (Entry(1.0, "CallResumed", {"message": "the router was away, and so on"}), ("router",), "the router was away, and so on"),
        (Entry(1.0, "CallTagged", {"tags": {"customer": "4711", "paid": ""}}), ("router",), "tags: customer=4711, paid="),
        (Entry(1.0, "FallbackTaken", {"kind": "continue", "reason": "deadline"}), ("router",), "fallback: continue (deadline)"),
        (Entry(1.0, "CallStandsStill", {}), ("router",), "the call stands still"),
        (Entry(1.0, "LateAnswer", {}), ("router",), "a late answer was thrown away"),
        (Entry(1.0, "LimitReached", {"limit": "max_legs"}), ("router",), "over max_legs"),
        (Entry(1.0, "Warned", {"message": "odd"}), ("router",), "odd"),
        (Entry(1.0, "CallNotAnswered", {"status": "busy"}), ("router",), "not answered: busy"),
        (Entry(1.0, "CallFinished", {"reason": "hangup"}), ("router",), "over: hangup"),
        (Entry(1.0, "Unreadable", {"detail": "3 bytes"}), ("router",), "3 bytes"),
        (Entry(1.0, "AnswerCompared", {"type": "StasisStart", "outcome": "different", "differences": ("/state", "/tags")}),
         ("router",), "candidate, StasisStart: different: /state, /tags"),
        (Entry(1.0, "AnswerCompared", {"type": "StasisEnd", "outcome": "no_answer", "detail": "timeout"}), ("router",),
         "candidate, StasisEnd: no answer: timeout"),
        (Entry(1.0, "AnswerCompared", {"type": "StasisEnd", "outcome": "same"}), ("router",), "candidate, StasisEnd: same"),
    ],
)  # fmt: skip
def test_one_step(entry: Entry, path: tuple[str, ...], label: str) -> None:
    """Who it passes by, in order, and what it says."""
    (found,) = steps([entry], CALL)
    assert (found.path, found.label) == (path, label)
    assert found.entry == 0


@pytest.mark.parametrize(
    "entry",
    [asked("channels.list"), asked("asterisk.getInfo"), asked("playbacks.get"), Entry(1.0, "Something newer", {}),
     Entry(1.0, "ActionStarted", {"verb": "play"})],
)  # fmt: skip
def test_what_is_no_step(entry: Entry) -> None:
    """Asking how things are, where it went well; what tells nobody anything."""
    assert steps([entry], CALL) == []


def exchange(status: int | None, attempt: int = 1, url: str = "http://ivr/", at: float = 2.0, **more: Any) -> Entry:
    fields = {"event_id": "e", "url": url, "attempt": attempt, "seconds": 0.25, **({"status": status} if status else {})}
    return Entry(at, "Exchanged", fields | more)


def attempted(attempt: int = 1, url: str = "http://ivr/", **more: Any) -> Entry:
    fields = {"event_id": "e", "url": url, "attempt": attempt, "type": "StasisStart", "route": "ivr", "kind": "control"}
    return Entry(2.0, "DeliveryAttempted", fields | more)


def finished(**more: Any) -> Entry:
    fields = {"event_id": "e", "route": "ivr", "kind": "control", "outcome": "answered", "attempts": 1}
    return Entry(2.0, "DeliveryFinished", fields | more)


@pytest.mark.parametrize(
    ("entries", "labels", "kinds"),
    [
        pytest.param([exchange(200), attempted(), finished(actions=("answer", "play"))],
                     ["StasisStart", "200 in 250 ms: answer, play"], ["plain", "good"], id="answered"),
        pytest.param([exchange(503), attempted(), exchange(200, 2, at=3.0), attempted(2), finished(attempts=2, actions=("hangup",))],
                     ["StasisStart", "503 in 250 ms", "StasisStart, attempt 2", "200 in 250 ms: hangup"],
                     ["plain", "bad", "plain", "good"], id="the-second-time"),
        pytest.param([exchange(None), attempted(reason="refused_connection"), finished(outcome="unanswered")],
                     ["StasisStart", "refused connection in 250 ms"], ["plain", "bad"], id="nobody-there"),
        pytest.param([exchange(None)], ["event", "no answer in 250 ms"], ["plain", "bad"], id="nothing-more-is-known"),
        pytest.param([exchange(200), attempted(), finished(outcome="unanswered", reason="refused_answer")],
                     ["StasisStart", "200: refused answer in 250 ms"], ["plain", "bad"], id="refused"),
        pytest.param([exchange(200, seconds=2.5), attempted()], ["StasisStart", "200 in 2.5 s"], ["plain", "good"], id="slow"),
        pytest.param([exchange(204, url="http://crm/"), attempted(url="http://crm/", route="crm", kind="notify"),
                      finished(route="crm", kind="notify", outcome="delivered", actions=("x",))],
                     ["StasisStart (for crm)", "204 in 250 ms (for crm)"], ["plain", "good"], id="notified"),
    ],
)  # fmt: skip
def test_a_delivery_is_a_request_and_an_answer(entries: list[Entry], labels: list[str], kinds: list[str]) -> None:
    """Each knows the entry that holds the bodies, and which part of it it is."""
    found = steps(entries, CALL)
    assert [step.label for step in found] == labels
    assert [step.kind for step in found] == kinds
    assert [step.path for step in found] == [("router", "endpoint"), ("endpoint", "router")] * (len(found) // 2)
    assert [step.part for step in found] == ["request", "answer"] * (len(found) // 2)
    assert all(step.entry is not None and entries[step.entry].what == "Exchanged" for step in found)
    assert found[0].at == pytest.approx(entries[0].at - entries[0].fields["seconds"])


def test_steps_are_in_the_order_of_time() -> None:
    """A request counts from when it was sent, and its entry from when the answer was there."""
    found = steps([event("Dial", at=1.8, peer=LEG), exchange(200), attempted()], CALL)
    assert [step.label for step in found] == ["StasisStart", "Dial · PJSIP/bob-2", "200 in 250 ms"]


def test_whose_lifelines_there_are() -> None:
    """The four that are always there, and legs where they say or are told something; in their order."""
    assert lines_of([]) == ["caller", "Asterisk", "router", "endpoint"]
    assert lines_of([Step(1.0, ("router", "Asterisk", "legs"), "")]) == list(ORDER)


def test_a_long_label_is_cut() -> None:
    """Whoever wrote it."""
    (found,) = steps([Entry(1.0, "Warned", {"message": "a" * 500})], CALL)
    assert len(found.label) < 130


@given(st.sampled_from(sorted(KINDS, key=lambda kind: kind.__name__)), st.data())
def test_whatever_was_recorded_is_drawn(kind: type[f.Fact], data: st.DataObject) -> None:
    """A fact of any kind, as the record gives it back, with fields of any value."""
    fact = data.draw(st.builds(kind, raw=st.binary(max_size=40)) if "raw" in kind.__struct_fields__ else st.builds(kind))
    try:
        entries = read_parts([write_part([(1.0, type(fact).__name__, fact)])])
    except (UnicodeEncodeError, OverflowError):  # no text, or a number beyond MessagePack's: neither can come
        return
    for step in steps(entries, CALL):
        assert set(step.path) <= set(ORDER)
        assert len(step.label) < 130
