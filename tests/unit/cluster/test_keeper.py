"""What the keeper does with what the database says: takes, loses, gives back, and takes from the dead at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

import pytest

from hookrouter.cluster.keeper import Keeper
from hookrouter.cluster.leases import Identity, Known
from hookrouter.cluster.terms import AGAIN, AWAY, HOUSE, LEASE, LOOK, STEADY, Lease, Seen
from hookrouter.errors import StoreError
from hookrouter.facts import EntryLost, EntryTaken, Fact, Facts, Warned


class Database:
    """Leases in memory; `silent`: it does not answer. See `hookrouter.cluster.leases.Leases`."""

    word = "me"
    identity = Identity("me")
    format = 3
    held_back = 0.0

    def __init__(self, *leases: Lease) -> None:
        self.leases = {lease.entry: lease for lease in leases}
        self.silent = False
        self.written: Mapping[str, int] = {}
        self.forgotten: list[str] = []
        self.lost: Callable[[list[str]], None] = lambda entries: None

    async def routers(self) -> list[Known]:
        return []

    async def look(self) -> Seen:
        if self.silent:
            raise StoreError("it does not answer")
        return Seen(list(self.leases.values()), others=1)

    async def renew(self, held: Mapping[str, int]) -> Seen:
        return await self.look()

    async def take(self, entry: str, seen: int, *, suspected: bool = False, offered: bool = False) -> int | None:
        had = self.leases.get(entry)
        if had is not None and (had.epoch != seen or not (had.over or suspected or (offered and had.offered))):
            return None
        self.leases[entry] = Lease(entry, seen + 1, self.word, self.word, "", LEASE)
        return seen + 1

    async def offer(self, entry: str, epoch: int, number: int) -> bool:
        if self.silent:
            raise StoreError("it does not answer")
        had = self.leases[entry]
        if (had.router, had.epoch) != (self.word, epoch):
            return False
        self.leases[entry] = Lease(entry, epoch, self.word, self.word, "", LEASE, offered=number % 2 == 1)
        return True

    async def release(self, held: Mapping[str, int]) -> None:
        for entry, epoch in held.items():
            self.leases[entry] = Lease(entry, epoch, self.word, self.word, "", LEASE, released=True)

    def hold(self, held: Mapping[str, int]) -> None:
        self.written = held

    def forget(self, entry: str) -> None:
        self.forgotten.append(entry)

    def watch(self, lost: Callable[[list[str]], None]) -> None:
        self.lost = lost


class Hall:
    """A keeper, and what it has said."""

    def __init__(self, database: Database, fails: Exception | None = None) -> None:
        self.database, self.fails = database, fails
        self.owned: list[tuple[str, int]] = []
        self.let_go: list[str] = []
        self.facts: list[Fact] = []
        self.now = 100.0
        self.away = 0.0
        self.reached = True
        self.keeper = Keeper(
            database, ["main"], self._own, self.let_go.append, Facts(self.facts.append), lambda: self.now,
            away=lambda entry: self.away, reaches=self._reaches,
        )  # fmt: skip

    async def _reaches(self, entry: str) -> bool:
        return self.reached

    async def _own(self, entry: str, epoch: int) -> None:
        if self.fails is not None:
            raise self.fails
        self.owned.append((entry, epoch))

    async def round(self) -> None:
        await self.keeper._round()
        await asyncio.gather(*self.keeper._owning)


def other(left: float = LEASE, address: str = "", *, gone: bool = False) -> Database:
    return Database(Lease("main", 7, "other", "other", address, left, gone=gone))


async def test_what_is_free_is_taken_at_the_start_and_given_back_at_the_end() -> None:
    """The store writes under what it holds, and under nothing afterwards."""
    hall = Hall(Database())
    await hall.keeper.start()
    assert hall.owned == [("main", 1)]
    assert hall.database.written == {"main": 1, HOUSE: 1}
    assert [fact.why for fact in hall.facts if isinstance(fact, EntryTaken)] == ["free"]
    assert hall.keeper.acts("main")
    await hall.keeper.stop()
    assert await hall.keeper.release()
    assert hall.database.written == {}
    assert not hall.keeper.acts("main")
    assert all(lease.released for lease in hall.database.leases.values())
    assert hall.let_go == []


@pytest.mark.parametrize("by", ["what it sees", "a write that is refused"])
async def test_what_is_lost_is_let_go(by: str) -> None:
    """Once, and all of it: its calls, what waits to be written, and the right to write."""
    hall = Hall(Database())
    await hall.round()
    if by == "what it sees":
        hall.database.leases["main"] = Lease("main", 2, "other", "other", "", LEASE)
        await hall.round()
    else:
        hall.database.lost(["main"])
        hall.database.lost(["main"])
    assert (hall.let_go, hall.database.forgotten, hall.database.written) == (["main"], ["main"], {HOUSE: 1})
    assert [fact.asterisk for fact in hall.facts if isinstance(fact, EntryLost)] == ["main"]


async def test_who_waits_to_act_goes_on_with_the_answer() -> None:
    """A pause has used up its trust: nothing is done until the database says that it is the owner still."""
    hall = Hall(Database())
    await hall.round()
    hall.now += 60.0
    waiting = asyncio.create_task(hall.keeper.permitted("main"))
    hall.database.silent = True
    await hall.round()
    await asyncio.sleep(0)
    assert not waiting.done()
    assert [fact.subject for fact in hall.facts if isinstance(fact, Warned)] == ["cluster"]
    hall.database.silent = False
    await hall.round()
    await waiting


async def test_what_cannot_be_taken_up_is_given_back() -> None:
    """Another router may be able to."""
    hall = Hall(Database(), fails=StoreError("the calls cannot be read"))
    await hall.round()
    assert hall.database.leases["main"].released
    assert hall.database.written == {HOUSE: 1}
    assert "the calls cannot be read" in str([fact for fact in hall.facts if isinstance(fact, Warned)])


async def test_the_lease_of_a_dead_router_is_not_waited_for() -> None:
    """Its session is gone, when it is looked twice, and its machine says that nobody listens at its address."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
        hall = Hall(other(address=address, gone=True))
        await hall.round()
        assert hall.owned == [], "it may be connecting again"
        assert hall.keeper._pace() == AGAIN
        await hall.round()
        assert hall.owned == [("main", 8)]
        assert [fact.why for fact in hall.facts if isinstance(fact, EntryTaken)] == ["dead"]


async def test_who_has_gone_and_cannot_be_asked_is_looked_at_as_often_as_anybody() -> None:
    """Once more soon, and then at the usual pace, until the lease is over."""
    hall = Hall(other(gone=True))
    await hall.round()
    assert hall.keeper._pace() == AGAIN
    await hall.round()
    assert hall.keeper._pace() == LOOK
    assert hall.owned == []


@pytest.mark.parametrize("what", ["listens", "has no address", "has its session", "has an address that is none"])
async def test_of_who_may_live_it_is_waited_for(what: str) -> None:
    """Only a refused connection and a session that is gone together are a proof."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if what == "listens":
            place.listen()
        address = {"has no address": "", "has an address that is none": "http:"}.get(
            what, f"http://127.0.0.1:{place.getsockname()[1]}"
        )
        hall = Hall(other(address=address, gone=what != "has its session"))
        for _ in range(3):
            await hall.round()
        assert hall.owned == []


async def test_an_asterisk_that_is_not_reached_is_offered_until_it_is() -> None:
    """A busy one that answers is not; meanwhile nothing is done, and who would wait is told that it is in vain."""
    hall = Hall(Database())
    await hall.round()
    hall.away = AWAY
    await hall.round()
    assert not hall.database.leases["main"].offered
    hall.reached = False
    await hall.round()
    assert hall.database.leases["main"].offered
    assert not hall.keeper.acts("main")
    assert not await hall.keeper.permitted("main", or_offered=True)
    waiting = asyncio.create_task(hall.keeper.permitted("main"))
    hall.reached, hall.away = True, 0.0
    await hall.round()
    assert not hall.database.leases["main"].offered
    assert await waiting
    assert hall.let_go == []


async def test_a_database_that_does_not_answer_is_told_later_what_is_offered() -> None:
    """Nothing is done meanwhile."""
    hall = Hall(Database())
    await hall.round()
    hall.away, hall.reached = AWAY, False
    told, hall.database.offer = hall.database.offer, _silent  # type: ignore[method-assign]
    await hall.round()
    assert not hall.database.leases["main"].offered
    assert not hall.keeper.acts("main")
    hall.database.offer = told  # type: ignore[method-assign]
    await hall.round()
    assert hall.database.leases["main"].offered


async def _silent(entry: str, epoch: int, number: int) -> bool:
    raise StoreError("it does not answer")


async def test_what_was_offered_and_is_anothers_now_is_let_go() -> None:
    """It hears of it when it would take it back."""
    hall = Hall(Database())
    await hall.round()
    hall.away, hall.reached = AWAY, False
    await hall.round()
    seen = await hall.database.look()
    hall.database.leases["main"] = Lease("main", 2, "other", "other", "", LEASE)
    hall.database.look = lambda: _said(seen)  # type: ignore[method-assign]
    hall.reached = True
    await hall.round()
    assert hall.let_go == ["main"]


async def _said(seen: Seen) -> Seen:
    return seen


async def test_what_another_offers_is_taken_once_it_has_been_reached_for_a_while() -> None:
    """Not by who does not reach it either."""
    hall = Hall(Database(Lease("main", 7, "other", "other", "", LEASE, offered=True)))
    hall.reached = False
    await hall.round()
    hall.now += STEADY
    await hall.round()
    hall.reached = True
    await hall.round()
    assert hall.owned == []
    hall.now += STEADY
    await hall.round()
    assert hall.owned == [("main", 8)]
    assert [fact.why for fact in hall.facts if isinstance(fact, EntryTaken)] == ["offered"]


async def test_a_rest_ends_when_an_asterisk_falls_silent() -> None:
    """It is asked within a moment, and not with the next beat."""
    hall = Hall(Database())
    await hall.round()
    hall.away = AWAY
    async with asyncio.timeout(5):
        await hall.keeper._rest(60.0)


async def test_that_the_database_has_gone_back_in_time_is_told_once() -> None:
    """With how much of it is gone."""
    hall = Hall(Database(Lease("main", 7, "other", "other", "", LEASE, until=103.5)))
    await hall.round()
    hall.database.leases["main"] = Lease("main", 7, "other", "other", "", LEASE, until=101.0)
    await hall.round()
    await hall.round()
    (warned,) = [fact for fact in hall.facts if isinstance(fact, Warned)]
    assert "the last 2.5 s" in warned.message


async def _at(hall: Hall, epoch: int) -> None:
    """It owns the Asterisk under this epoch."""
    hall.database.leases["main"] = Lease("main", epoch - 1, "", "", "", 0.0, released=True)
    await hall.round()
    assert hall.owned == [("main", epoch)]


async def test_what_is_given_is_held_until_another_has_it_and_nothing_is_done_for_it() -> None:
    """Who would wait is told that it is in vain; that it has gone is no alarm."""
    hall = Hall(Database())
    await _at(hall, 5)
    assert hall.keeper.give("main") == 5
    assert hall.keeper.give("main") is None
    assert not hall.keeper.acts("main")
    assert not await hall.keeper.permitted("main", or_offered=True)
    hall.away, hall.reached = AWAY, False
    await hall.round()
    assert not hall.database.leases["main"].offered
    assert hall.let_go == []
    hall.database.leases["main"] = Lease("main", 6, "other", "other", "", LEASE)
    await hall.keeper.gone("main")
    assert (hall.let_go, hall.database.written) == (["main"], {HOUSE: 1})
    assert not [fact for fact in hall.facts if isinstance(fact, EntryLost)]
    assert not hall.keeper.given("main")


async def test_what_another_gives_is_taken_under_the_epoch_that_it_was_told() -> None:
    """A lease that is not over; who asks late comes to nothing."""
    hall = Hall(other())
    assert await hall.keeper.take_given("main", 6, "other") is None
    assert await hall.keeper.take_given("main", 7, "other") == 8
    assert hall.owned == [("main", 8)]
    assert [(fact.why, fact.of) for fact in hall.facts if isinstance(fact, EntryTaken)] == [("handed over", "other")]
    hall = Hall(other(), fails=StoreError("the calls cannot be read"))
    assert await hall.keeper.take_given("main", 7, "other") is None


async def test_what_nobody_has_taken_is_taken_back_under_another_epoch() -> None:
    """So that who was asked to take it cannot any more; also where it was taken, and given back."""
    hall = Hall(Database())
    await _at(hall, 5)
    hall.keeper.give("main")
    assert await hall.keeper.take_back("main", 5)
    assert (hall.owned, hall.let_go) == ([("main", 5), ("main", 6)], ["main"])
    assert hall.keeper.acts("main")
    hall.keeper.give("main")
    hall.database.leases["main"] = Lease("main", 7, "other", "other", "", LEASE, released=True)
    assert await hall.keeper.take_back("main", 6)
    assert hall.owned[-1] == ("main", 8)
    hall.keeper.give("main")
    hall.database.leases["main"] = Lease("main", 9, "other", "other", "", LEASE)
    assert not await hall.keeper.take_back("main", 8)
    assert hall.let_go == ["main", "main", "main"]


async def test_what_was_of_no_use_is_left_to_others_for_a_while() -> None:
    """Else it would be taken again before its former owner looks."""
    hall = Hall(other())
    await hall.keeper.take_given("main", 7, "other")
    await hall.keeper.give_back("main", 8)
    assert hall.database.leases["main"].released
    await hall.round()
    assert hall.owned == [("main", 8)]
    hall.now += LEASE
    await hall.round()
    assert hall.owned == [("main", 8), ("main", 9)]


async def test_who_ends_gives_and_takes_nothing() -> None:
    """What it holds is given back with the rest."""
    hall = Hall(Database())
    await hall.keeper.start()
    await hall.keeper.stop()
    assert hall.keeper.give("main") is None
    hall.database.leases["main"] = Lease("main", 7, "other", "other", "", LEASE)
    assert await hall.keeper.take_given("main", 7, "other") is None


async def test_what_only_a_newer_router_reads_is_told_once() -> None:
    """The database does not give it; what is free and has no such calls is taken without a word."""
    hall = Hall(Database(Lease("main", 7, "newer", "newer", "", 0.0, format=4)))
    hall.database.take = _nothing  # type: ignore[method-assign]
    await hall.round()
    await hall.round()
    (warned,) = [fact for fact in hall.facts if isinstance(fact, Warned)]
    assert "has calls in its format (4; this one reads up to 3)" in warned.message
    assert hall.owned == []


async def _nothing(entry: str, seen: int, *, suspected: bool = False, offered: bool = False) -> int | None:
    return None
