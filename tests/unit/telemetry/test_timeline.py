"""What is told of a call: the same while it lives and when it is over."""

from __future__ import annotations

from hookrouter.clock import SystemClock
from hookrouter.facts import (
    ActionFinished,
    CallFinished,
    CallStarted,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Fact,
    FallbackTaken,
    Warned,
)
from hookrouter.store.memory import MemoryStore
from hookrouter.telemetry.timeline import Timelines, read_summary

FACTS: list[Fact] = [
    CallStarted("1.1", "main", "app", "ivr", "100", "200"),
    EventReceived("main", "StasisStart", "evt_1", "1.1"),
    DeliveryAttempted("evt_1", "StasisStart", "1.1", "ivr", "http://ivr/", 1, None, "timeout", 0.25),
    DeliveryFinished("evt_1", "StasisStart", "1.1", "ivr", "control", "answered", 1, 0.5, "", ("answer", "hangup")),
    FallbackTaken("1.1", "ivr", "evt_1", "timeout", "continue"),
    ActionFinished("1.1", "p1", 0, "answer", "done", 0.0),
    Warned("call", "something", "1.1"),
]


async def test_a_finished_call_is_told_as_it_was_while_it_lived() -> None:
    """Every kind of fact comes back from the journal with its name, its fields, and without what is empty."""
    store = MemoryStore()
    timelines = Timelines(store, SystemClock())
    for fact in (*FACTS, EventReceived("main", "ChannelVarset", "evt_2", "1.2")):
        timelines.observe(fact)
    live = timelines.of("1.1")
    timelines.observe(CallFinished("1.1", "main", "ivr", "hangup", 1.0))
    (finished,) = await store.recent_calls()
    told = read_summary(finished.summary)
    assert [entry["what"] for entry in live] == [type(fact).__name__ for fact in FACTS]
    assert live[2] | {"at": 0} == {
        "at": 0, "what": "DeliveryAttempted", "event": "evt_1", "type": "StasisStart", "route": "ivr",
        "url": "http://ivr/", "attempt": 1, "reason": "timeout", "seconds": 0.25, "kind": "control",
    }  # fmt: skip
    assert told["timeline"] == [entry | ({"actions": ["answer", "hangup"]} if "actions" in entry else {}) for entry in live]
    assert {name: told[name] for name in ("id", "route", "reason", "ended")} == {
        "id": "1.1", "route": "ivr", "reason": "hangup", "ended": True,
    }  # fmt: skip
    assert timelines.of("1.1") == []
