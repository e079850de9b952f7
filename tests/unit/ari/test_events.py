"""The head of an event, its id, and Asterisk's way to write the time."""

from __future__ import annotations

import msgspec
import pytest

from hookrouter.ari.events import decode_head, event_id, make_event, rfc3339

RAW = b'{"type":"ChannelDtmfReceived","digit":"1","channel":{"id":"1.1"},"new":{"in":["a","later","Asterisk"]}}'


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("2026-11-23T01:21:20.227+0000", "2026-11-23T01:21:20.227Z"),
        ("2026-11-23T02:21:20.227+0100", "2026-11-23T02:21:20.227+01:00"),
        ("2026-11-22T20:21:20.227-0530", "2026-11-22T20:21:20.227-05:30"),
        ("2026-11-23T02:21:20.227+01:00", "2026-11-23T02:21:20.227+01:00"),
        ("2026-11-23T01:21:20.227Z", "2026-11-23T01:21:20.227Z"),
        ("", ""),
        ("+0100", "+0100"),
    ],
)
def test_the_time_is_written_as_rfc_3339(told: str, written: str) -> None:
    """What is so already, or is no time, stays as it is."""
    assert rfc3339(told) == written


def test_the_same_event_has_the_same_id_and_no_other_has() -> None:
    """On every router and after every restart; the same bytes of another Asterisk are another event."""
    event = make_event("main", RAW)
    assert event.id == make_event("main", RAW).id == event_id("main", RAW)
    others = {make_event("second", RAW).id, make_event("main", RAW.replace(b'"1"', b'"2"')).id}
    assert len({event.id, *others}) == 3
    assert len(event.id) <= 64
    assert "." not in event.id
    assert make_event("a" * 100, RAW).id != event.id  # a name may be longer than the key of the hash


def test_what_is_unknown_passes_through() -> None:
    """The bytes stay as they are; the head is what the router looks into."""
    event = make_event("main", RAW)
    assert (event.raw, event.type, event.head.digit, event.inferred) == (RAW, "ChannelDtmfReceived", "1", False)
    assert make_event("main", b"{}", decode_head(RAW), inferred=True).inferred


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"type":1}', b"[" * 100_000])
def test_what_is_no_event_is_said_to_be_none(raw: bytes) -> None:
    """The client reports it and goes on."""
    with pytest.raises(msgspec.DecodeError):
        decode_head(raw)


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        pytest.param(b'{"type":"CallBroadcast","caller":"100","channel":{"id":"1"}}', {"channel": "1"}, id="a name for an object"),
        pytest.param(b'{"type":"X","channel":{"id":"1","caller":"Ann","state":null}}', {"channel": "1"}, id="below an object"),
        pytest.param(b'{"type":"X","channel":"1","digit":"5"}', {"digit": "5"}, id="the others are there"),
        pytest.param(b'{"type":"X","digit":null,"cause":"16"}', {"digit": "", "cause": 16}, id="nothing, and a number as text"),
        pytest.param(b'{"type":"X","channel":{"id":17.5},"args":{"a":1}}', {"channel": "17.5", "args": []}, id="a number for a name"),
        pytest.param(b'{"type":"X","channel":{"id":"1","name":"\xff"}}', {"channel": "1"}, id="no UTF-8"),
        pytest.param(b'{"type":"X","channel":{"id":"1"},"value":"\\ud800"}', {"value": "?"}, id="half a surrogate pair"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_costs_the_field_and_not_the_event(raw: bytes, head: dict[str, object]) -> None:
    """Asterisk's own CallBroadcast has a caller that is a name; what comes next year nobody knows."""
    found = decode_head(raw)
    assert found.type == ("CallBroadcast" if b"Broadcast" in raw else "X")
    for name, value in head.items():
        given = getattr(found, name)
        assert (given.id if name == "channel" else given) == value
