"""Whose an `[asterisk.NAME]` is: what this router may do, given what the database has said and when. Pure.

Rules:
- An entry has one owner at most: the router that its lease names, under the lease's epoch. The epoch only grows.
- A lease that is not renewed for `LEASE` seconds of the database's clock may be taken by another router.
- A router trusts its own lease for `LEASE - MARGIN` seconds of its own clock, counted from before it asked for the
  renewal: while it does, nobody else can have taken the entry. Its clock must go on while the process is stopped.
- A holder whose session with the database has ended, and whose address refuses connections, is dead: its process is no more,
  and nobody waits for its lease.
- Time decides only who may be suspected. What fences is the epoch: whoever writes under an old one is refused.
- An owner that does not reach its Asterisk, which neither its socket nor a question tells, offers its lease, and trusts it no
  more until it has taken that back. A router that has reached the Asterisk for `STEADY` seconds meanwhile may take it. Where
  nobody reaches it, it stays whose it is.
- While the database does not answer, a router that was the only one goes on: there is nobody who could take over.
  Where there are others it waits, and so it does once somebody else has turned up at its Asterisk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

LEASE = 5.0
BEAT = 1.0
LOOK = 0.25
AGAIN = 0.05
"""Seconds until who seems to have died is looked for again: whoever only connects anew is back by then."""
MARGIN = 1.0
ALONE = 10.0
"""Seconds for which the only router goes on after it has asked a database that does not answer; it asks more often."""
AWAY = 0.5
"""Seconds without a word from its Asterisk after which an owner asks it whether it can be reached."""
STEADY = 0.75
"""Seconds for which another router must have reached what is offered: an Asterisk that comes back is its owner's."""
HOUSE = "~house"
"""The entry of what belongs to no Asterisk: its owner sees to what is old, and to deliveries without an Asterisk."""


class Lease(msgspec.Struct, frozen=True):
    """A lease as the database has it. `router`: the word of its holder's start; `left`: seconds until it is over, by the
    database's clock; `gone`: its holder's session has ended; `offered`: its holder does not reach the Asterisk; `until`:
    when it is over, in seconds since the epoch, by that clock; `format`: the newest one in which its calls may be written.
    """

    entry: str
    epoch: int
    router: str
    name: str
    address: str
    left: float
    released: bool = False
    gone: bool = False
    offered: bool = False
    until: float = 0.0
    format: int = 0

    @property
    def over(self) -> bool:
        """Whether another router may take it."""
        return self.released or self.left <= 0.0


class Peer(msgspec.Struct, frozen=True):
    """Another router. `address`: where its HTTP is reached, empty: nowhere that is known."""

    name: str
    address: str


class Seen(msgspec.Struct, frozen=True):
    """All leases at one moment, and how many other routers there were. `peers`: those of them that run."""

    leases: Sequence[Lease] = ()
    others: int = 0
    peers: Sequence[Peer] = ()


class Term(msgspec.Struct, frozen=True):
    """What this router holds. `trusted_until`: by its own clock."""

    epoch: int
    trusted_until: float


class Terms:
    """What one router holds. `word`: of this start; `entries`: those that it may own. All instants are of its own clock."""

    def __init__(self, word: str, entries: Iterable[str]) -> None:
        self.word = word
        self.entries = (*entries, HOUSE)
        self.seen = Seen()
        self._held: dict[str, Term] = {}
        self._doubted: set[str] = set()
        self._gone: set[str] = set()
        self._offers: dict[str, int] = {}  # of those that it holds: how often offered and taken back
        self._reached: dict[str, tuple[int, float]] = {}  # of what others offer: its epoch, since when it is reached
        self._alone_until = float("-inf")

    @property
    def held(self) -> dict[str, int]:
        """Entry → epoch."""
        return {entry: term.epoch for entry, term in self._held.items()}

    def holds(self, entry: str, epoch: int) -> bool:
        term = self._held.get(entry)
        return term is not None and term.epoch == epoch

    def trusts(self, entry: str, now: float) -> bool:
        """Whether it may act for the entry: nobody else can have it."""
        term = self._held.get(entry)
        if term is None or self.offers(entry):
            return False
        return now < term.trusted_until or (now < self._alone_until and entry not in self._doubted)

    def free(self) -> list[Lease]:
        """What it may try to take, as the database had it last; an epoch of 0: nobody has had it yet."""
        known = {lease.entry: lease for lease in self.seen.leases}
        found = [known.get(entry, Lease(entry, 0, "", "", "", 0.0, released=True)) for entry in self.entries]
        return [lease for lease in found if lease.over and lease.entry not in self._held]

    def suspects(self) -> list[Lease]:
        """Of others, and not over yet: their holders have lost their session, now and when it was looked before."""
        return [
            lease
            for lease in self.seen.leases
            if lease.gone and not lease.over and lease.router in self._gone and lease.entry in self.entries
        ]

    def offers(self, entry: str) -> bool:
        """Whether others may have it, as it does not reach the Asterisk."""
        return self._offers.get(entry, 0) % 2 == 1

    def to_probe(self, away: Mapping[str, float]) -> list[str]:
        """Entries of which it must know whether it reaches their Asterisk. `away`: for how many seconds what it holds is
        silent.
        """
        mine = [
            entry
            for entry in self._held
            if entry != HOUSE and (self.offers(entry) or (self.seen.others and away.get(entry, 0.0) >= AWAY))
        ]
        return mine + [lease.entry for lease in self._offered_by_others()]

    def probed(self, entry: str, reached: bool, now: float) -> int | None:
        """Whether it reaches the Asterisk. Returns the number under which the database must be told of it; None: it knows.

        What it holds and does not reach it trusts no more, from now on; what it reaches again, once the database knows
        (`kept`).
        """
        if entry not in self._held:
            epoch = next((lease.epoch for lease in self._offered_by_others() if lease.entry == entry), 0)
            since = self._reached.get(entry)
            if not reached:
                self._reached.pop(entry, None)
            elif since is None or since[0] != epoch:
                self._reached[entry] = epoch, now
            return None
        number = self._offers.get(entry, 0)
        if reached:
            return number + 1 if number % 2 else None
        if number % 2 == 0:
            self._offers[entry] = number + 1
            return number + 1
        said = any(lease.entry == entry and lease.router == self.word and lease.offered for lease in self.seen.leases)
        return None if said else number

    def kept(self, entry: str, number: int) -> None:
        """The database has taken note of what `probed` returned."""
        if entry in self._held and number % 2 == 0:
            self._offers[entry] = number

    def better(self, now: float) -> list[Lease]:
        """What others offer, and this one has reached for long enough to take it."""
        return [
            lease
            for lease in self._offered_by_others()
            if (since := self._reached.get(lease.entry)) and since[0] == lease.epoch and now - since[1] >= STEADY
        ]

    def _offered_by_others(self) -> list[Lease]:
        return [lease for lease in self.of_others() if lease.offered and not lease.over]

    @property
    def owners(self) -> int:
        """How many routers own an Asterisk, as the database had it last; at least 1."""
        found = {lease.router for lease in self.seen.leases if lease.entry != HOUSE and not lease.over}
        return max(1, len(found))

    def missing(self) -> bool:
        """Whether a holder has lost its session since it was looked before: it is looked again soon."""
        return any(
            lease.gone and not lease.over and lease.router not in self._gone and lease.entry in self.entries
            for lease in self.of_others()
        )

    def of_others(self) -> list[Lease]:
        """Leases of other routers that this one could take."""
        return [lease for lease in self.seen.leases if lease.entry in self.entries and lease.router != self.word]

    def next_over(self) -> float:
        """Seconds until the first of them is over, if that is not renewed."""
        return min((lease.left for lease in self.of_others()), default=LEASE)

    def took(self, entry: str, epoch: int, sent_at: float) -> None:
        """The database has granted it; `sent_at`: from before it was asked."""
        self._held[entry] = Term(epoch, sent_at + LEASE - MARGIN)
        self._doubted.discard(entry)
        self._offers.pop(entry, None)
        self._reached.pop(entry, None)

    def answered(self, seen: Seen, sent_at: float, asked: Iterable[str] = ()) -> list[str]:
        """What the database has said. `asked`: the entries that it was to renew. Returns those that are lost."""
        self._gone = {lease.router for lease in self.seen.leases if lease.gone} - {self.word}
        self.seen = seen
        self._alone_until = float("-inf")
        mine = {x.entry: x.epoch for x in seen.leases if x.router == self.word and not x.released}
        lost = [entry for entry, term in self._held.items() if mine.get(entry) != term.epoch]
        for entry in asked:
            term = self._held.get(entry)
            if term is not None and entry not in lost:
                self._held[entry] = Term(term.epoch, max(term.trusted_until, sent_at + LEASE - MARGIN))
                self._doubted.discard(entry)
        return self.lose(lost)

    def forgotten(self, seen: Seen) -> float:
        """Seconds of what the database had said before that it does not know any more: a standby that lagged has been
        promoted, or an older state restored. Leases are only ever lengthened.
        """
        known = {lease.entry: lease.until for lease in self.seen.leases}
        return max((known.get(lease.entry, lease.until) - lease.until for lease in seen.leases), default=0.0)

    def silent(self, sent_at: float) -> None:
        """The database did not answer what was asked at `sent_at`."""
        if not self.seen.others:
            self._alone_until = sent_at + ALONE

    def doubt(self, entry: str) -> None:
        """Somebody else has turned up at the entry's Asterisk: only the database can say whose it is."""
        term = self._held.get(entry)
        if term is not None:
            self._held[entry] = Term(term.epoch, float("-inf"))
            self._doubted.add(entry)

    def lose(self, entries: Iterable[str]) -> list[str]:
        """It has them no more. Returns those that it had."""
        gone = [entry for entry in entries if self._held.pop(entry, None) is not None]
        self._doubted.difference_update(gone)
        for entry in gone:
            self._offers.pop(entry, None)
        return gone


__all__ = [
    "AGAIN",
    "ALONE",
    "AWAY",
    "BEAT",
    "HOUSE",
    "LEASE",
    "LOOK",
    "MARGIN",
    "STEADY",
    "Lease",
    "Peer",
    "Seen",
    "Term",
    "Terms",
]
