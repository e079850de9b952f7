"""What went wrong in the last hour is counted by what it is and where, and forgotten after it."""

from __future__ import annotations

from hookrouter import facts as f
from hookrouter.telemetry.lookout import HOUR, MOST_FACTS, MOST_TROUBLES, Lookout


class _Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def _attempt(status: int | None, url: str = "http://a.test/ivr", reason: str = "response") -> f.DeliveryAttempted:
    return f.DeliveryAttempted("evt", "StasisStart", "1.0", "ivr", url, 1, status, reason, 0.01, "control")


def test_the_same_trouble_is_one_with_a_count() -> None:
    """Since when it happened within the hour; another status or place is another; what is good is none."""
    clock, facts = _Clock(), f.Facts()
    lookout = Lookout(facts, clock)
    for _ in range(3):
        facts.emit(_attempt(404))
        clock.at += 60
    facts.emit(_attempt(None, reason="timeout"))
    facts.emit(_attempt(200))
    first, second = lookout.troubles()
    assert (first.what, first.where, first.count(clock.at)) == ("404", "http://a.test/ivr", 3)
    assert first.since(clock.at) == 1_000_000.0
    assert (second.what, second.count(clock.at)) == ("timeout", 1)
    clock.at += HOUR - 150
    assert first.count(clock.at) == 1
    clock.at += 180
    assert lookout.troubles() == []


def test_the_last_good_answer_and_the_last_fault_stand_beside_each_other() -> None:
    """Of each route's endpoint; the breaker is the URL's."""
    facts = f.Facts()
    lookout = Lookout(facts, _Clock())
    facts.emit(_attempt(200))
    facts.emit(_attempt(500))
    facts.emit(f.BreakerChanged("http://a.test/ivr", "open"))
    (health,) = lookout.health()
    assert health.good is not None
    assert health.fault is not None
    assert (health.good[1].status, health.fault[1].status, lookout.breaker(health.url)) == (200, 500, "open")


def test_what_is_kept_is_bounded() -> None:
    """The last facts, and the last kinds of trouble."""
    facts = f.Facts()
    lookout = Lookout(facts, _Clock())
    for number in range(MOST_FACTS + 10):
        facts.emit(_attempt(404, f"http://a.test/{number}"))
    assert len(lookout.troubles()) == MOST_TROUBLES
    told = list(lookout.told())
    assert (len(told), told[0].number) == (MOST_FACTS, MOST_FACTS + 10)
