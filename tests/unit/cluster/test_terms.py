"""Who may act for an entry: a table of what the database can say, and a machine of routers that stop at any moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hookrouter.cluster.terms import ALONE, AWAY, HOUSE, LEASE, MARGIN, STEADY, Lease, Seen, Terms

TRUST = LEASE - MARGIN


def lease(router: str = "me", epoch: int = 7, left: float = LEASE, **more: Any) -> Lease:
    return Lease("main", epoch, router, router, "", left, **more)


def mine(sent_at: float = 100.0) -> Terms:
    terms = Terms("me", ["main"])
    terms.took("main", 7, sent_at)
    return terms


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ([lease()], []),
        ([lease(left=-1.0)], []),  # over, and nobody has taken it
        ([lease("other", 8)], ["main"]),
        ([lease("me", 8)], ["main"]),  # another time of ours, that this one knows nothing of
        ([lease("me", 6)], ["main"]),  # the database has gone back in time
        ([lease(released=True)], ["main"]),
        ([], ["main"]),
    ],
)
def test_what_the_database_says_is_what_it_holds(said: list[Lease], lost: list[str]) -> None:
    """Its own epoch under its own word, or it is lost."""
    terms = mine()
    assert terms.answered(Seen(said), 101.0, ["main"]) == lost
    assert terms.held == ({} if lost else {"main": 7})
    assert terms.trusts("main", 101.0) == (not lost)


def test_trust_counts_from_before_the_question() -> None:
    """An answer that was long on its way gives less of it, and one that was not to renew gives none."""
    terms = mine(100.0)
    assert terms.trusts("main", 100.0 + TRUST - 0.01)
    assert not terms.trusts("main", 100.0 + TRUST)
    terms.answered(Seen([lease()]), 102.0)
    assert not terms.trusts("main", 100.0 + TRUST), "it was only looked at"
    terms.answered(Seen([lease()]), 102.0, ["main"])
    assert terms.trusts("main", 102.0 + TRUST - 0.01)
    assert not terms.trusts("main", 102.0 + TRUST)


@pytest.mark.parametrize(
    ("said", "free"),
    [
        ([], {"main": 0, HOUSE: 0}),
        ([lease("other", 7, 0.1)], {HOUSE: 0}),
        ([lease("other", 7, 0.0)], {"main": 7, HOUSE: 0}),
        ([lease("other", 7, released=True)], {"main": 7, HOUSE: 0}),
        ([lease("other", 7, gone=True)], {HOUSE: 0}),  # that its session is gone is no proof
        ([Lease("elsewhere", 3, "other", "", "", -1.0)], {"main": 0, HOUSE: 0}),
    ],
)
def test_what_it_may_try_to_take(said: list[Lease], free: dict[str, int]) -> None:
    """What is over or given back, of the entries that it knows; with the epoch that it has seen."""
    terms = Terms("me", ["main"])
    terms.answered(Seen(said), 0.0)
    assert {x.entry: x.epoch for x in terms.free()} == free


def test_what_it_holds_is_not_taken_again() -> None:
    """Also where the lease is over: a renewal is enough."""
    terms = mine()
    terms.answered(Seen([lease(left=-1.0)]), 101.0)
    assert [x.entry for x in terms.free()] == [HOUSE]


def test_without_a_database_the_only_router_goes_on() -> None:
    """As long as it is asked again and again; once it answers, what it says counts."""
    terms = mine(100.0)
    terms.answered(Seen([lease()], others=0), 100.0, ["main"])
    assert not terms.trusts("main", 110.0)
    terms.silent(109.0)
    assert terms.trusts("main", 110.0)
    assert not terms.trusts("main", 109.0 + ALONE)
    terms.silent(120.0)
    assert terms.answered(Seen([lease("other", 8)]), 120.5) == ["main"]
    assert not terms.trusts("main", 120.6)


def test_where_there_are_others_it_waits_for_the_database() -> None:
    """One of them may be able to reach it."""
    terms = mine(100.0)
    terms.answered(Seen([lease()], others=1), 100.0, ["main"])
    terms.silent(109.0)
    assert not terms.trusts("main", 109.5)


def test_who_turns_up_at_its_asterisk_is_asked_about() -> None:
    """Neither its lease nor that it was alone counts until the database has said that it is still the owner."""
    terms = mine(100.0)
    terms.doubt("main")
    terms.silent(100.5)
    assert not terms.trusts("main", 100.6)
    assert terms.answered(Seen([lease()]), 100.7, ["main"]) == []
    assert terms.trusts("main", 100.8)


def test_what_it_does_not_hold_it_does_not_trust_nor_lose() -> None:
    """Nor does anybody's turning up matter."""
    terms = Terms("me", ["main"])
    terms.doubt("main")
    assert not terms.trusts("main", 0.0)
    assert terms.lose(["main", "x"]) == []
    assert not terms.holds("main", 7)


def test_whose_session_is_gone_twice_is_suspected() -> None:
    """Once may be a moment between two connections; what is over needs no suspicion; its own is none of it."""
    terms = Terms("me", ["main"])
    gone = Seen([lease("other", gone=True), Lease("elsewhere", 3, "other", "", "", 2.0, gone=True)])
    for said, suspected in (
        (gone, []),
        (gone, ["main"]),
        (Seen([lease("other")]), []),
        (gone, []),
        (Seen([lease("third", 8, gone=True)]), []),
        (Seen([lease("third", 8, -1.0, gone=True)]), []),
        (Seen([lease("me", 9, gone=True)]), []),
        (Seen([lease("me", 9, gone=True)]), []),
    ):
        terms.answered(said, 0.0)
        assert [found.entry for found in terms.suspects()] == suspected


@pytest.mark.parametrize(
    ("others", "away", "asked"),
    [
        (1, AWAY, ["main"]),
        (1, AWAY / 2, []),
        (0, 60.0, []),  # there is nobody who could have it
    ],
)
def test_which_asterisk_of_its_own_it_asks(others: int, away: float, asked: list[str]) -> None:
    """One that has been silent for a moment, where another router could take it; never what belongs to none."""
    terms = mine()
    terms.took(HOUSE, 3, 100.0)
    terms.answered(Seen([lease()], others), 100.0, ["main"])
    assert terms.to_probe({"main": away, HOUSE: 60.0}) == asked


def test_what_it_does_not_reach_it_offers_and_trusts_no_more() -> None:
    """Before the database knows; renewals change nothing, and it is told once more only if it did not hear of it."""
    terms = mine()
    terms.answered(Seen([lease()], 1), 100.0, ["main"])
    assert terms.probed("main", False, 100.0) == 1
    assert not terms.trusts("main", 100.0)
    terms.kept("main", 1)
    terms.answered(Seen([lease()], 1), 101.0, ["main"])
    assert terms.probed("main", False, 101.0) == 1
    terms.answered(Seen([lease(offered=True)], 1), 102.0, ["main"])
    assert terms.probed("main", False, 102.0) is None
    terms.silent(102.0)
    assert not terms.trusts("main", 102.0)
    assert terms.to_probe({}) == ["main"], "until it is reached, or lost"
    assert terms.probed("main", True, 103.0) == 2
    assert not terms.trusts("main", 103.0), "another may take it before the database knows"
    terms.kept("main", 2)
    assert terms.trusts("main", 103.0)
    assert terms.probed("main", True, 104.0) is None
    assert terms.to_probe({}) == []
    assert terms.probed("main", False, 104.0) == 3


def test_what_is_taken_again_is_not_offered_any_more() -> None:
    """It begins anew under its epoch, whatever it offered under another."""
    terms = mine()
    terms.probed("main", False, 100.0)
    terms.lose(["main"])
    terms.took("main", 8, 101.0)
    assert terms.trusts("main", 101.0)


def test_what_others_offer_is_taken_by_who_reaches_it_for_a_while() -> None:
    """Not what is over, which is free; a miss begins anew, and so does another epoch."""
    terms = Terms("me", ["main"])
    offered = Seen([lease("other", offered=True), Lease("elsewhere", 3, "other", "", "", 2.0, offered=True)], 1)
    terms.answered(Seen([lease("other")], 1), 0.0)
    assert terms.to_probe({}) == []
    terms.answered(offered, 0.0)
    assert terms.to_probe({}) == ["main"]
    assert terms.probed("main", True, 0.0) is None
    assert terms.better(STEADY - 0.01) == []
    assert [found.entry for found in terms.better(STEADY)] == ["main"]
    terms.probed("main", False, STEADY)
    assert terms.better(9.0) == []
    terms.probed("main", True, 9.0)
    terms.answered(Seen([lease("other", 8, offered=True)], 1), 9.0)
    assert terms.better(99.0) == []
    terms.probed("main", True, 99.0)
    assert terms.better(99.0) == []
    assert [found.epoch for found in terms.better(99.0 + STEADY)] == [8]
    terms.answered(Seen([lease("other", 8, -1.0, offered=True)], 1), 99.0)
    assert terms.better(99.0 + STEADY) == []


def test_what_the_database_has_forgotten() -> None:
    """A lease that is over earlier than was said before; not one that was only given back, nor one that is new."""
    terms = Terms("me", ["main"])
    assert terms.forgotten(Seen([lease(until=50.0)])) == 0.0
    terms.answered(Seen([lease(until=50.0)]), 0.0)
    assert terms.forgotten(Seen([lease(until=51.0)])) < 0.0
    assert terms.forgotten(Seen([lease(until=50.0), Lease("x", 1, "", "", "", 1.0, until=3.0)])) == 0.0
    assert terms.forgotten(Seen([lease(until=50.0, released=True)])) == 0.0
    assert terms.forgotten(Seen([lease("other", 6, until=47.5)])) == 2.5


def test_how_many_own_an_asterisk() -> None:
    """Who owns what belongs to none, or owned one, does not count; nor does a router twice."""
    terms = Terms("me", ["main"])
    assert terms.owners == 1
    of = [("main", "a", 2.0), ("x", "a", 2.0), ("y", "b", 2.0), ("z", "c", 0.0), (HOUSE, "d", 2.0)]
    terms.answered(Seen([Lease(entry, 7, router, router, "", left) for entry, router, left in of]), 0.0)
    assert terms.owners == 2


def test_when_the_next_lease_is_over() -> None:
    """Of those that it could take; its own are no reason to look."""
    terms = mine()
    assert terms.next_over() == LEASE
    terms.answered(Seen([lease("other", 7, 1.5), Lease("elsewhere", 1, "other", "", "", 0.1)]), 0.0)
    assert terms.next_over() == 1.5


DELAYS = st.sampled_from([0.0, 0.0, 0.0, 0.5, 3.0])


class Routers(RuleBasedStateMachine):
    """Three routers and a database. What is asked and what is answered may each be on its way for any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.routers = [Terms(word, ["main"]) for word in "abc"]
        self.row = lease("", 0, 0.0, released=True)
        self.over_at = 0.0
        self.under_way: list[tuple[int, str, float, Any, dict[str, int], float]] = []
        self.offers = (0, 0)  # the epoch, and the number
        self.written: list[int] = []

    def said(self) -> Seen:
        offered = self.offers[0] == self.row.epoch and self.offers[1] % 2 == 1
        left = self.over_at - self.now
        row = lease(self.row.router, self.row.epoch, left, released=self.row.released, offered=offered)
        return Seen([row] if self.row.epoch else [], others=2)

    @initialize()
    def everybody_has_looked(self) -> None:
        for terms in self.routers:
            terms.answered(self.said(), self.now)

    @rule(seconds=st.sampled_from([0.5, 2.0, TRUST, LEASE]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    def pass_on(self, index: int, what: str, pairs: dict[str, int], there: float, back: float) -> None:
        """A question that is so long on its way, and its answer likewise. Others go on meanwhile: see `comes`."""
        sent_at = self.now
        self.now += there
        answer = self.ask(index, what, pairs)
        self.under_way.append((index, what, sent_at, answer, pairs, self.now + back))
        self.comes()

    @rule(index=st.integers(0, 2), there=DELAYS, back=DELAYS)
    def one_goes_its_round(self, index: int, there: float, back: float) -> None:
        """Renews what it has; then it tries to take what it saw free, if its answer has come by then."""
        if not self.waits(index):
            self.pass_on(index, "renew", self.routers[index].held, there, back)
        free = {found.entry: found.epoch for found in self.routers[index].free() if found.entry == "main"}
        if free and not self.waits(index):
            self.pass_on(index, "take", free, there, back)

    @rule(index=st.integers(0, 2), reached=st.booleans(), there=DELAYS, back=DELAYS)
    def one_asks_the_asterisk(self, index: int, reached: bool, there: float, back: float) -> None:
        """Its own as silent as it may be, and what others offer; what follows for the database, if nothing is under way."""
        terms = self.routers[index]
        if self.waits(index) or terms.to_probe({"main": AWAY}) != ["main"]:
            return
        number = terms.probed("main", reached, self.now)
        if number is not None:
            self.pass_on(index, "offer", {"main": terms.held["main"], "number": number}, there, back)
        elif better := terms.better(self.now):
            self.pass_on(index, "take offered", {"main": better[0].epoch}, there, back)

    @rule(index=st.integers(0, 2), other=st.integers(0, 2), there=DELAYS, back=DELAYS)
    def one_is_cut_off_and_another_is_not(self, index: int, other: int, there: float, back: float) -> None:
        self.one_asks_the_asterisk(index, False, there, back)
        self.one_goes_its_round(other, 0.0, 0.0)
        for _ in range(2):
            self.one_asks_the_asterisk(other, True, 0.0, 0.0)
            self.time_passes(STEADY)

    def waits(self, index: int) -> bool:
        """One thing at a time, as the keeper has it."""
        return any(entry[0] == index for entry in self.under_way)

    def ask(self, index: int, what: str, pairs: dict[str, int]) -> Any:
        word = self.routers[index].word
        if what == "offer":
            told = (pairs["main"], pairs["number"])
            if (self.row.router, self.row.epoch) != (word, pairs["main"]) or self.row.released or told < self.offers:
                return False
            self.offers = told
            return True
        if what.startswith("take"):
            free = self.row.released or self.over_at <= self.now
            if what == "take offered":
                free = self.offers[0] == self.row.epoch and self.offers[1] % 2 == 1
            if not free or self.row.epoch != pairs["main"]:
                return 0
            self.row, self.over_at = lease(word, self.row.epoch + 1), self.now + LEASE
            return self.row.epoch
        if self.row.router == word and self.row.epoch == pairs.get("main") and not self.row.released:
            self.over_at = self.now + LEASE
        return self.said()

    @rule()
    def comes(self) -> None:
        """The answers whose time has come."""
        for entry in [entry for entry in self.under_way if entry[5] <= self.now]:
            self.under_way.remove(entry)
            index, what, sent_at, answer, pairs, _ = entry
            if what == "renew":
                self.routers[index].answered(answer, sent_at, pairs)
            elif what == "offer":
                self.routers[index].kept("main", pairs["number"]) if answer else self.routers[index].lose(["main"])
            elif answer:
                self.routers[index].took("main", answer, sent_at)

    @rule(index=st.integers(0, 2))
    def the_database_goes_silent_for_one(self, index: int) -> None:
        self.routers[index].silent(self.now)

    @rule(index=st.integers(0, 2))
    def one_gives_it_back(self, index: int) -> None:
        """It stops acting first; the row follows at once here, later would only be safer."""
        terms = self.routers[index]
        epoch = terms.held.get("main")
        if terms.lose(["main"]) and self.row.epoch == epoch and self.row.router == terms.word:
            self.row = lease(terms.word, epoch, released=True)

    @rule(index=st.integers(0, 2))
    def one_writes(self, index: int) -> None:
        epoch = self.routers[index].held.get("main")
        if epoch is not None and epoch == self.row.epoch:
            self.written.append(epoch)

    @invariant()
    def one_at_most_acts(self) -> None:
        assert sum(terms.trusts("main", self.now) for terms in self.routers) <= 1

    @invariant()
    def who_acts_is_the_owner(self) -> None:
        for terms in self.routers:
            if terms.trusts("main", self.now):
                assert (self.row.router, self.row.epoch) == (terms.word, terms.held["main"])

    @invariant()
    def epochs_only_grow(self) -> None:
        assert self.written == sorted(self.written)


TestRouters = Routers.TestCase
TestRouters.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
