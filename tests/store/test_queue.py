"""What every store promises to notify deliveries."""

from __future__ import annotations

from collections.abc import Callable

from hookrouter.delivery.queue import AttemptEntry, Filter, LaneMark, NewDelivery, Progress
from hookrouter.store import Store

Make = Callable[..., NewDelivery]
Add = Callable[..., object]


def failed(id: str, number: int, at: float, next_at: float, lane: str = "crm", first_at: float = 100.0) -> Progress:
    entry = AttemptEntry(number, at, "status_503", 503, 0.5, "busy")
    return Progress(id, lane, "pending", number, at, first_at, next_at, "status_503", entry)


def dead(id: str, at: float = 200.0, lane: str = "crm") -> Progress:
    return Progress(id, lane, "dead", 1, at, at, 0.0, "status_410", AttemptEntry(1, at, "status_410", 410))


async def test_the_same_delivery_twice_is_one(store: Store, delivery: Make, add: Add) -> None:
    """The second one is not new, also after the first was delivered; another lane is another delivery."""
    first = await add(store, delivery("a"), delivery("b"))
    assert first.new == {("a", "crm"), ("b", "crm")}
    assert first.error is None
    store.record(Progress("a", "crm", "delivered", 1, 101.0, 101.0))
    again = await add(store, delivery("a"), delivery("b"), delivery("a", route="erp"), delivery("a", url="http://x/"))
    assert again.new == {("a", "erp"), ("a", "crm\nhttp://x/")}
    assert await store.backlog() == {"crm": 1, "erp": 1, "crm\nhttp://x/": 1}


async def test_due_are_the_most_overdue_first_with_their_exact_bytes(store: Store, delivery: Make, add: Add) -> None:
    """A window is in order of time, bounded, without what is skipped, and says when the next one is due."""
    await add(store, *(delivery(f"d{n}", at=100.0 + n) for n in range(6)))
    window = await store.due("crm", 103.5, 2, {"d0"})
    assert [d.id for d in window.due] == ["d1", "d2"]
    assert window.due[0].body == b'{"id":"d1"}'
    assert window.next_at == 104.0
    assert (window.due[0].attempts, window.due[0].first_at, window.due[0].next_at) == (0, None, 101.0)
    assert (await store.due("nobody", 500.0, 2, ())).due == []


async def test_a_failed_attempt_moves_the_next_one(store: Store, delivery: Make, add: Add) -> None:
    """Count, times, reason and the attempt itself are kept."""
    await add(store, delivery("a"))
    store.record(failed("a", 1, 101.0, 106.0, first_at=101.0))
    store.record(failed("a", 2, 107.0, 137.0, first_at=101.0))
    assert (await store.due("crm", 120.0, 5, ())).next_at == 137.0
    (kept,) = (await store.due("crm", 137.0, 5, ())).due
    assert (kept.attempts, kept.first_at, kept.next_at, kept.reason) == (2, 101.0, 137.0, "status_503")
    history = await store.history("a", "crm")
    assert [(e.number, e.at, e.reason, e.status, e.detail) for e in history] == [
        (1, 101.0, "status_503", 503, "busy"),
        (2, 107.0, "status_503", 503, "busy"),
    ]


async def test_reads_see_what_was_recorded_just_before(store: Store, delivery: Make, add: Add) -> None:
    """A delivered one is never handed out again, even when its record is not on disk yet."""
    await add(store, delivery("a"), delivery("b"))
    store.record(Progress("a", "crm", "delivered", 1, 101.0, 101.0))
    assert [d.id for d in (await store.due("crm", 500.0, 5, ())).due] == ["b"]


async def test_a_predecessor_is_the_last_one_never_attempted(store: Store, delivery: Make, add: Add) -> None:
    """In call order a retry holds nobody up; other calls, other lanes and events of no call have no predecessor."""
    added = await add(store, delivery("a", call="1"), delivery("b", call="1"), delivery("x"), delivery("y"))
    assert added.predecessors == {("b", "crm"): "a"}
    store.record(failed("a", 1, 101.0, 106.0))
    store.record(failed("b", 1, 101.0, 106.0))
    added = await add(store, delivery("c", call="1"), delivery("d", call="2"), delivery("e", call="1", route="erp"))
    assert added.predecessors == {}


async def test_in_strict_order_every_pending_one_is_a_predecessor(store: Store, delivery: Make, add: Add) -> None:
    """A delivery that waits for its retry holds up the later ones of its call."""
    await add(store, delivery("a", call="1"), strict=True)
    store.record(failed("a", 1, 101.0, 106.0))
    added = await add(store, delivery("b", call="1"), strict=True)
    assert added.predecessors == {("b", "crm"): "a"}
    store.record(Progress("a", "crm", "delivered", 2, 110.0, 101.0))
    store.record(Progress("b", "crm", "delivered", 1, 111.0, 111.0))
    assert (await add(store, delivery("c", call="1"), strict=True)).predecessors == {}


async def test_strict_due_leaves_out_what_is_held_up(store: Store, delivery: Make, add: Add) -> None:
    """The head of a call blocks the rest until it is done, or its first attempt is `hold` seconds ago."""
    await add(store, delivery("a", call="1"), delivery("b", call="1"), delivery("c", call="2"), delivery("d"))

    async def due(now: float) -> list[str]:
        return [d.id for d in (await store.due("crm", now, 9, (), hold=900.0)).due]

    assert await due(101.0) == ["a", "c", "d"]
    store.record(failed("a", 1, 101.0, 5000.0, first_at=101.0))
    assert await due(102.0) == ["c", "d"]
    assert await due(1001.5) == ["b", "c", "d"]
    store.record(Progress("a", "crm", "dead", 2, 103.0, 101.0))
    assert await due(104.0) == ["b", "c", "d"]


async def test_lane_marks_are_kept_until_they_say_nothing(store: Store) -> None:
    """A stop or a pause is there after a while; a mark without either is none."""
    store.mark_lane(LaneMark("crm", stopped_url="http://gone/"))
    store.mark_lane(LaneMark("erp", paused_until=4e9))
    assert sorted((m.lane, m.stopped_url, m.paused_until) for m in await store.lane_marks()) == [
        ("crm", "http://gone/", 0.0),
        ("erp", "", 4e9),
    ]
    store.mark_lane(LaneMark("crm"))
    assert [m.lane for m in await store.lane_marks()] == ["erp"]


async def test_what_waited_too_long_expires(store: Store, delivery: Make, add: Add) -> None:
    """Only what has been due since before the limit, and only of that lane."""
    await add(store, delivery("old", at=10.0), delivery("new", at=90.0), delivery("old", route="erp", at=10.0))
    assert await store.expire("crm", 50.0, 100.0) == 1
    assert [(d.id, d.lane, d.reason) for d in await store.find(Filter(status="dead"))] == [("old", "crm", "expired")]
    assert await store.backlog() == {"crm": 1, "erp": 1}


async def test_find_goes_by_every_field(store: Store, delivery: Make, add: Add) -> None:
    """All given fields must hold, the newest comes first, pages follow each other."""
    await add(store, delivery("a", call="1"), delivery("b", call="2", at=150.0), delivery("a", route="erp", at=160.0))
    store.record(dead("b"))

    async def keys(which: Filter, limit: int = 100, after: int = 0) -> list[tuple[str, str]]:
        return [(d.id, d.route) for d in await store.find(which, limit, after)]

    assert await keys(Filter()) == [("a", "erp"), ("b", "crm"), ("a", "crm")]
    assert await keys(Filter(), 1, 1) == [("b", "crm")]
    assert await keys(Filter(ids=("a", "zz"))) == [("a", "erp"), ("a", "crm")]
    assert await keys(Filter(ids=("a",), route="erp")) == [("a", "erp")]
    assert await keys(Filter(call="2")) == [("b", "crm")]
    assert await keys(Filter(type="StasisEnd")) == []
    assert await keys(Filter(reason="status_410")) == [("b", "crm")]
    assert await keys(Filter(status="dead", route="erp")) == []
    assert await keys(Filter(status="pending")) == [("a", "erp"), ("a", "crm")]
    assert await keys(Filter(created_after=150.0, created_before=160.0)) == [("b", "crm")]


async def test_a_dead_letter_keeps_its_bytes_and_is_sent_again(store: Store, delivery: Make, add: Add) -> None:
    """Revived ones have the same id and bytes and a schedule from its start; the others are left alone."""
    await add(store, delivery("a"), delivery("b"), delivery("c"))
    store.record(dead("a"))
    store.record(dead("b"))
    store.record(Progress("c", "crm", "delivered", 1, 101.0, 101.0))
    assert await store.revive(Filter(ids=("a", "c")), 300.0) == {"crm": 1}
    (kept,) = (await store.due("crm", 300.0, 9, ())).due
    assert (kept.id, kept.body, kept.attempts, kept.replayed) == ("a", b'{"id":"a"}', 1, 1)
    assert (kept.first_at, kept.next_at, kept.status) == (None, 300.0, "pending")
    assert [e.number for e in await store.history("a", "crm")] == [1]
    assert await store.revive(Filter(status="delivered"), 300.0) == {}
    assert await store.revive(Filter(route="erp"), 300.0) == {}
    assert await store.revive(Filter(), 300.0) == {"crm": 1}


async def test_of_a_delivered_one_the_body_goes(store: Store, delivery: Make, add: Add) -> None:
    """The head stays for a while, to know it again."""
    await add(store, delivery("a"))
    store.record(Progress("a", "crm", "delivered", 1, 101.0, 101.0, reason="status_200"))
    (kept,) = await store.find(Filter(status="delivered"))
    assert (kept.id, kept.body, kept.next_at, kept.reason) == ("a", b"", 101.0, "status_200")


async def test_a_record_of_nobody_is_ignored(store: Store) -> None:
    """Nothing appears, nothing fails."""
    store.record(dead("nobody"))
    assert await store.find(Filter()) == []
