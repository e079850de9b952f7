"""Tags in an answer: words of the endpoint's own by which the call is found."""

from __future__ import annotations

from rig.table import Table

from hookrouter.calls.call import tagged
from hookrouter.calls.effects import Effect, Report
from hookrouter.facts import CallTagged


def told(effects: list[Effect]) -> list[dict[str, str]]:
    return [e.fact.tags for e in effects if isinstance(e, Report) and isinstance(e.fact, CallTagged)]


def test_tags_stay_with_the_call() -> None:
    """Those of later answers are added, also in the answer to its end; only what is new is told."""
    table = Table().start()
    assert told(table.answer({"tags": {"customer": "4711"}, "actions": [{"action": "pause", "seconds": 5}]})) == [
        {"customer": "4711"}
    ]
    table.hangup()
    assert told(table.answer({"tags": {"cost": 12}})) == [{"cost": "12"}]
    assert table.call.tags == {"customer": "4711", "cost": "12"}


def test_the_oldest_tags_go_where_there_are_too_many() -> None:
    """A call that goes on for days stays small."""
    tags: dict[str, str] = {}
    for number in range(60):
        tags = tagged(tags, [(str(number), "x")])
    assert list(tags) == [str(number) for number in range(10, 60)]
