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


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"type":1}', b'{"type":"X","channel":"1"}'])
def test_what_is_no_event_is_said_to_be_none(raw: bytes) -> None:
    """The client reports it and goes on."""
    with pytest.raises(msgspec.DecodeError):
        decode_head(raw)
