"""A lane's decisions at given moments."""

from __future__ import annotations

import pytest

from hookrouter.delivery.lane import Lane, LaneSettings, probe_delay
from hookrouter.delivery.queue import StoredDelivery, Window
from hookrouter.delivery.schedule import Verdict


def stored(id: str, call: str = "", size: int = 1) -> StoredDelivery:
    return StoredDelivery(id, "crm", "T", b"x" * size, 0.0, call)


def with_backlog(*ids: str) -> Lane:
    lane = Lane(LaneSettings(backlog_rate=10.0))
    lane.spill()
    limit = lane.wanted(0.0)
    lane.loaded(Window([stored(id) for id in ids]), limit)
    return lane


def test_the_backlog_is_paced() -> None:
    """Ten a second: the next one a tenth of a second later, and `wake_at` says when."""
    lane = with_backlog("a", "b")
    assert lane.take(100.0) is not None
    assert lane.take(100.0) is None
    wake_at = lane.wake_at(100.0)
    assert wake_at is not None
    assert 100.0 < wake_at <= 100.1
    assert lane.take(wake_at) is not None


def test_of_several_routers_each_has_its_part_of_the_pace() -> None:
    """Two together send as fast as one alone."""
    lane = with_backlog("a", "b")
    lane.sharers = 2
    assert lane.take(100.0) is not None
    assert lane.take(100.1) is None
    assert lane.wake_at(100.1) == pytest.approx(100.2, abs=0.06)


def test_a_clock_that_is_set_back_does_not_stop_the_backlog() -> None:
    """The pace begins anew instead of waiting for the old time to come again."""
    lane = with_backlog("a", "b")
    assert lane.take(10_000.0) is not None
    assert lane.take(100.0) is not None


def test_new_deliveries_are_bounded_by_their_bytes_too() -> None:
    """Beyond it they stay on disk, which is then asked for them."""
    lane = Lane(LaneSettings(most_fresh_bytes=10))
    lane.offer(stored("a", size=10), None, 0.0)
    lane.offer(stored("b"), None, 0.0)
    assert lane.held() == {"a"}
    assert lane.wanted(0.0) == LaneSettings().window


def test_one_load_at_a_time() -> None:
    """While a window is on its way no second one is asked for; what ends meanwhile is not taken in again."""
    lane = Lane(LaneSettings())
    delivery = stored("a")
    lane.offer(delivery, None, 0.0)
    assert lane.take(0.0) is delivery
    lane.spill()
    limit = lane.wanted(0.0)
    lane.spill()
    assert lane.wanted(0.0) == 0
    lane.finished(delivery, Verdict("delivered", "status_200", healthy=True), "http://crm/", 0.0, 0.0)
    lane.loaded(Window([delivery]), limit)
    assert lane.held() == frozenset()
    assert lane.wanted(0.0) == limit


def test_a_load_that_failed_is_repeated_later() -> None:
    """Not before the moment that is given."""
    lane = Lane(LaneSettings())
    lane.spill()
    assert lane.wanted(0.0) > 0
    lane.not_loaded(1.0)
    assert lane.wanted(0.5) == 0
    assert lane.wake_at(0.5) == 1.0
    assert lane.wanted(1.0) > 0


def test_an_attempt_that_is_broken_off_leaves_its_call_to_the_disk() -> None:
    """Neither the delivery nor what waits behind it is in memory any more."""
    lane = Lane(LaneSettings())
    first = stored("a", "call")
    lane.offer(first, None, 0.0)
    lane.offer(stored("b", "call"), "a", 0.0)
    assert lane.take(0.0) is first
    assert lane.take(0.0) is None
    lane.abandoned(first)
    assert lane.held() == frozenset()
    assert lane.wanted(0.0) > 0


@pytest.mark.parametrize(("failures", "delay"), [(5, 1.0), (60, 1.0), (120, 2.0), (10_000, 10.0)])
def test_the_probe_s_delay(failures: int, delay: float) -> None:
    """A second for the first minute, then slowly longer, ten at most."""
    assert probe_delay(failures) == delay
