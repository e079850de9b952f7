"""Calls that are expected: each change is told to whoever keeps it, and the id stays on whatever channel."""

from __future__ import annotations

from hookrouter.calls.effects import Announce
from hookrouter.expected import Expected

CALL = Announce("hr-call-1.", "ivr", (), None, by="a")


class Kept(Expected):
    """What a journal would have at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.disk: dict[tuple[str, str], Announce] = {}
        self.on_changed = self._keep

    def _keep(self, asterisk: str, channel: str, announced: Announce | None) -> None:
        if announced is None:
            del self.disk[(asterisk, channel)]
        else:
            self.disk[(asterisk, channel)] = announced


def test_whatever_happens_the_journal_has_it_too() -> None:
    """Asked for, forwarded twice, asked for again by somebody else, come."""
    expected = Kept()
    expected.expect("main", CALL)
    assert expected.disk == expected.calls == {("main", "hr-call-1."): CALL}
    assert expected.move("main", "hr-call-1.", "2")
    assert expected.move("main", "2", "3")
    assert not expected.move("main", "2", "4")
    assert expected.disk == expected.calls == {("main", "3"): CALL}
    assert expected.of_call("hr-call-1.") == expected.of_call("hr-call-1.", "main") == ("main", "3", CALL)
    assert expected.of_call("hr-call-1.", "other") is expected.of_call("3") is None
    assert expected.no_more("main", "3") is CALL
    assert expected.no_more("main", "3") is None
    assert not expected.disk
    assert not expected.calls


def test_who_has_asked_first_alone_takes_it_back() -> None:
    """As the actions of calls say it."""
    expected = Kept()
    gone = {by: Announce("hr-call-1.", "", (), None, by=by) for by in "ab"}
    expected.announce("main", CALL)
    expected.announce("main", gone["b"])
    expected.announce("main", Announce("hr-call-1.", "other", (), None, by="b"))
    assert expected.disk == {("main", "hr-call-1."): CALL}
    expected.announce("main", gone["a"])
    assert not expected.disk
