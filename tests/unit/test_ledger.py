"""The ledger and the report of the faults find what they are there to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rig import report
from rig.endpoint import Delivery
from rig.ledger import changed_bodies, done_twice, incomplete, lost, silent, twice
from rig.proxy import Proxy, Seen

from hookrouter.ari.events import event_id


def _proxy(*seen: Seen) -> Proxy:
    found = Proxy(0)
    found.seen = list(seen)
    return found


def _event(at: float, type: str, call: str) -> Seen:
    body = {"type": type, "channel": {"id": call}}
    return Seen(at, type, json.dumps(body).encode(), body)


def _request(at: float, uri: str, **params: str) -> Seen:
    query = [{"name": name, "value": value} for name, value in params.items()]
    return Seen(at, "RESTRequest", b"", {"method": "POST", "uri": uri, "query_strings": query})


def _delivery(id: str, type: str, call: str, raw: bytes = b"") -> Delivery:
    return Delivery("/hook", {"webhook-id": id}, raw, 0.0, {"type": type, "call": {"id": call}})


def test_what_no_endpoint_got_is_lost() -> None:
    """By the id of the event: another event of the same call does not stand for it."""
    start, end = _event(0, "StasisStart", "a"), _event(1, "StasisEnd", "a")
    told = [_delivery(event_id("main", start.raw), "StasisStart", "a")]
    assert lost(_proxy(start, end), told, ["StasisStart", "StasisEnd"]) == ["StasisEnd of a"]
    assert not lost(_proxy(start, end), told, ["StasisStart"])


def test_told_never_or_under_two_ids_is_incomplete() -> None:
    """The same id twice is a retry."""
    told = [_delivery("1", "StasisEnd", "a"), _delivery("1", "StasisEnd", "a"), _delivery("2", "StasisEnd", "b"),
            _delivery("3", "StasisEnd", "b")]  # fmt: skip
    assert not incomplete(told, ["a"], ["StasisEnd"])
    assert len(incomplete(told, ["b", "c"], ["StasisEnd"])) == 2


def test_a_retry_with_other_bytes_is_found() -> None:
    """Signed bytes are the same in every attempt."""
    assert not changed_bodies([_delivery("1", "T", "a", b"x"), _delivery("1", "T", "a", b"x")])
    assert changed_bodies([_delivery("1", "T", "a", b"x"), _delivery("1", "T", "a", b"y")])


def test_what_is_made_twice_under_one_id_is_found() -> None:
    """In requests, and in what Asterisk began."""
    play = _request(0, "channels/a/play", media="sound:x", playbackId="p1")
    assert not twice(_proxy(play, _request(1, "channels/a/play", media="sound:x", playbackId="p2")))
    assert twice(_proxy(play, play)) == ["('play', 'playbackId', 'p1') times 2"]
    began: dict[str, Any] = {"type": "PlaybackStarted", "playback": {"id": "p1"}}
    assert not done_twice([began])
    assert done_twice([began, began]) == ["p1 began 2 times"]


@pytest.mark.parametrize(("at", "broken"), [(2.2, False), (2.3, True), (None, True)])
def test_a_call_without_an_action_is_silent(at: float | None, broken: bool) -> None:
    """Until the deadline + 250 ms there must be one."""
    action = [] if at is None else [_request(at, "channels/a/answer")]
    assert bool(silent(_proxy(_event(0, "StasisStart", "a"), *action), 2.0)) is broken


def test_the_report_keeps_rows_of_this_machine_and_drops_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of a test that failed is no claim; one of another machine says so, and a whole run there begins anew."""
    path = tmp_path / "reliability.md"
    path.write_text("head\n<!-- measured -->\n<!-- /measured -->\ntail\n")
    monkeypatch.setattr(report, "where", lambda: "here")
    report.write(path, {(1, "a::b"): "one", (2, "c::d[x]"): "two"}, "2026-01-01, 1")
    report.write(path, {(3, "e::f"): "three"}, "2026-01-02, 7", failed={"a::b"})
    rows = [line for line in path.read_text().splitlines() if line.startswith("| ") and "|--" not in line][1:]
    assert [row.split(" | ")[2:4] for row in rows] == [["two", "2026-01-01, 1"], ["three", "2026-01-02, 7"]]
    monkeypatch.setattr(report, "where", lambda: "elsewhere")
    report.write(path, {(4, "g::h"): "four"}, "2026-01-03, 1")
    text = path.read_text()
    assert "here\n" in text
    assert "two | " in text
    assert "four (on another machine: elsewhere) | " in text
    report.write(path, {(3, "e::f"): "new", (4, "g::h"): "four"}, "2026-01-04, 1")
    text = path.read_text()
    assert "elsewhere\n" in text
    assert "here\n" not in text.replace("elsewhere", "")
    assert "two" not in text
    assert "four | 2026-01-04" in text
    assert text.startswith("head\n")
    assert text.endswith("tail\n")
