"""What every store promises to calls."""

from __future__ import annotations

from hookrouter.store import Store


async def test_the_last_snapshot_of_a_batch_is_kept(store: Store) -> None:
    """Of several snapshots of one call only the newest is there afterwards."""
    for number in range(5):
        store.save_call("1.1", "main", b"%d" % number)
    store.save_call("1.2", "other", b"x")
    await store.settled()
    assert {(c.call_id, c.asterisk, c.snapshot) for c in await store.load_calls()} == {
        ("1.1", "main", b"4"),
        ("1.2", "other", b"x"),
    }


async def test_a_snapshot_may_be_a_function_that_sees_the_newest_state(store: Store) -> None:
    """What is on disk is at least as new as it was when `committed` was asked."""
    state = ["planned"]
    store.save_call("1.1", "main", lambda: state[0].encode())
    state[0] = "sent"
    await store.settled()
    assert [c.snapshot for c in await store.load_calls()] == [b"sent"]


async def test_a_dropped_call_is_gone(store: Store) -> None:
    """Dropping forgets the snapshot, whether it was on disk or only buffered, and may be done twice."""
    store.save_call("1.1", "main", b"a")
    await store.settled()
    store.save_call("1.2", "main", b"b")
    store.drop_call("1.1")
    store.drop_call("1.2")
    store.drop_call("1.2")
    await store.settled()
    assert await store.load_calls() == []


async def test_callbacks_come_in_order_and_without_an_error(store: Store) -> None:
    """`committed` calls back in the order of asking, even when asked while a write runs."""
    order: list[object] = []
    for number in range(20):
        store.save_call(f"1.{number}", "main", b"x")
        store.committed(lambda error, n=number: order.append((n, error)))
        if number == 7:
            await store.settled()
    await store.settled()
    assert order == [(number, None) for number in range(20)]


async def test_a_callback_may_hand_over_more(store: Store) -> None:
    """Saving and asking again from within a callback works, and what it saved is kept."""
    rounds: list[int] = []

    def again(error: object) -> None:
        rounds.append(len(rounds))
        if len(rounds) < 5:
            store.save_call("1.1", "main", b"%d" % len(rounds))
            store.committed(again)

    store.save_call("1.1", "main", b"0")
    store.committed(again)
    while len(rounds) < 5:
        await store.settled()
    assert [c.snapshot for c in await store.load_calls()] == [b"4"]


async def test_nothing_to_write_calls_back_at_once(store: Store) -> None:
    """Where everything is on disk already, nobody waits."""
    called: list[object] = []
    store.committed(called.append)
    assert called == [None]


async def test_meta_values_are_kept_by_key(store: Store) -> None:
    """A value is replaced, found by prefix, and forgotten with None."""
    store.put_meta("asterisk.main.startup", b"one")
    store.put_meta("asterisk.main.startup", b"two")
    store.put_meta("asterisk.other.startup", b"three")
    store.put_meta("else", b"four")
    await store.settled()
    store.put_meta("asterisk.other.startup", None)
    assert await store.load_meta("asterisk.") == {"asterisk.main.startup": b"two"}
    assert await store.load_meta() == {"asterisk.main.startup": b"two", "else": b"four"}


async def test_a_timeline_outlives_its_call(store: Store) -> None:
    """Entries stay in order when the call is finished, and the call is among the recent ones."""
    store.save_call("1.1", "main", b"a")
    for number in range(3):
        store.log("1.1", 10.0 + number, "event", b"%d" % number)
    store.log("1.2", 11.0, "event")
    store.finish_call("1.1", "main", 20.0, b'{"reason":"hangup"}')
    store.finish_call("1.2", "main", 21.0, b"{}")
    assert [(e.at, e.kind, e.detail) for e in await store.timeline("1.1")] == [
        (10.0, "event", b"0"),
        (11.0, "event", b"1"),
        (12.0, "event", b"2"),
    ]
    assert [(c.call_id, c.summary) for c in await store.recent_calls(1)] == [("1.2", b"{}")]
    assert [c.call_id for c in await store.recent_calls()] == ["1.2", "1.1"]
    store.drop_call("1.1")
    assert await store.load_calls() == []
    assert await store.timeline("nobody") == []
