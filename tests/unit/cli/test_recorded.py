"""A recorded call in the terminal: the same steps as in the console, and their bodies on request."""

from __future__ import annotations

from hookrouter.cli.recorded import drawn
from hookrouter.record.entries import Entry
from hookrouter.record.finding import Row

ROW = Row(1, "1.1", "main", "app", "ivr", "", "+49", "1000", 100.0, 103.0, "failed", "hangup", "", "{}", 0, 0)
RAW = b'{"type":"StasisStart","channel":{"id":"1.1","dialplan":{"exten":"1000"}}}'
ENTRIES = [
    Entry(100.0, "EventReceived", {"type": "StasisStart", "raw": RAW}),
    Entry(100.5, "Exchanged", {"event_id": "e", "url": "u", "attempt": 1, "seconds": 0.5, "status": 200, "request": b'{"id":"e"}',
                               "answer": b'[{"action":"answer"}]'}),
    Entry(100.5, "DeliveryAttempted", {"event_id": "e", "url": "u", "attempt": 1, "type": "StasisStart", "kind": "control"}),
    Entry(100.6, "AnswerCompared", {"type": "StasisStart", "outcome": "different", "differences": ["/tags"], "answer": b"[]"}),
    Entry(100.7, "AriRequested", {"operation": "channels.answer", "status": 204, "params": {"channelId": "1.1"}}),
    Entry(101.0, "EventReceived", {"type": "StasisStart", "raw": b'{"channel":{"id":"leg","name":"PJSIP/bob-1"}}'}),
    Entry(102.0, "CallFinished", {"reason": "hangup"}),
]  # fmt: skip


def test_the_ladder() -> None:
    """Each step on its lifelines, at its time."""
    text = drawn(ROW, ENTRIES).text()
    lines = text.splitlines()
    assert "caller" in lines[0]
    assert lines[0].index("hookrouter") < lines[0].index("endpoint")
    for piece in ("0.000  ├─ StasisStart 1000 ─", "200 in 500 ms", "candidate, StasisStart:", "answer", "StasisStart ·", "2.000"):
        assert piece in text


def test_the_bodies() -> None:
    """Below their arrows: requests, answers, events and what Asterisk was asked."""
    text = "\n".join(line.text for line in drawn(ROW, ENTRIES).lines(verbose=True))
    for body in ('"exten": "1000"', '"id": "e"', '"action": "answer"', '"channelId": "1.1"', "[]"):
        assert body in text


def test_of_nothing() -> None:
    """A call of which only its line is kept has a heading and no step; neither has one without bodies any."""
    assert len(drawn(ROW, []).text().splitlines()) == 1
    bare = [Entry(100.0, "EventReceived", {"type": "StasisEnd"}), Entry(100.5, "Exchanged", {"event_id": "e", "attempt": 1})]
    assert all(rung.exchange is None for rung in drawn(ROW, bare).rungs)
