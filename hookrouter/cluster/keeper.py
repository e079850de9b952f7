"""Keeps what a router owns: renews its leases, takes what is free, and says what it may do meanwhile.

Rules:
- One thing at a time: what the database has answered is taken note of before it is asked again.
- Whoever knows that an Asterisk is silent asks it: an owner that gets no answer offers its lease before another takes it.
- An entry that is lost is let go in the same turn of the loop in which that is known: nothing is sent for it any more.
- The clock goes on while the process or its machine is stopped: who wakes up after a pause has no trust left.
- What is given to another router is still held while it moves: nothing is done for it, and nobody else may take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from hookrouter.cluster.leases import Leases
from hookrouter.cluster.terms import AGAIN, BEAT, HOUSE, LEASE, LOOK, Lease, Terms
from hookrouter.errors import StoreError
from hookrouter.facts import EntryLost, EntryTaken, Facts, Warned

Own = Callable[[str, int], Awaitable[None]]

_FORGOTTEN = (
    "the database has forgotten the last {:.1f} s of what it had confirmed: a standby that lagged was promoted, or an older state "
    "restored. What calls did in that time may happen again, and what was to be told to notify routes may be lost"
)
_NEWER = (
    "[asterisk.{}] was served by a newer hookrouter, and has calls in its format ({}; this one reads up to {}): start a router of "
    "the newer version, or wait until these calls are over: this one takes it then"
)
_ASKED = 0.3  # seconds for a connection that is refused, or is not
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


async def _nowhere(entry: str) -> bool:
    return False


class Keeper:
    """`own` takes an entry up under an epoch; `let_go` drops one at once, and must not fail. `entries`: those of routes.toml.

    `away`: for how many seconds an entry that is held has been silent; `reaches`: asks its Asterisk, within half a second.
    """

    def __init__(
        self, leases: Leases, entries: list[str], own: Own, let_go: Callable[[str], None], facts: Facts,
        now: Callable[[], float] = boot_time, away: Callable[[str], float] = lambda entry: 0.0,
        reaches: Callable[[str], Awaitable[bool]] = _nowhere,
    ) -> None:  # fmt: skip
        self._leases = leases
        self.terms = Terms(leases.word, entries)
        self._own = own
        self._let_go = let_go
        self._facts = facts
        self._now = now
        self._away = away
        self._reaches = reaches
        self._news = asyncio.Event()  # set, and a new one made, whenever the database has been asked
        self._nudge = asyncio.Event()
        self._stopped = False
        self._turn = asyncio.Lock()  # one question to the database at a time, with what follows from its answer
        self._given: set[str] = set()  # what is being handed over
        self._left: dict[
            str, float
        ] = {}  # what was given back as it did not work here: until when it is left to others
        self._told: set[str] = set()
        self._owning: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._renewed_at = float("-inf")
        self._answered = True
        leases.watch(self._refused)

    # ---- beginning and end

    async def start(self) -> None:
        """Owns what is free when this returns, if the database answers."""
        await self._round()
        while self._owning:
            await asyncio.gather(*self._owning)
        self._task = asyncio.create_task(self._run(), name="leases")

    async def stop(self) -> None:
        """Asks no more; what is held stays held until `release`, or until its time is over."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        async with self._turn:  # whoever has asked for something has its answer
            owning = list(self._owning)
        for task in owning:
            task.cancel()
        await asyncio.gather(*owning, return_exceptions=True)

    async def release(self) -> bool:
        """Gives all of it back: another router may take it at once. Nothing may be done for it any more.

        Returns whether there is another router.
        """
        held = self.terms.held
        self.terms.lose(held)
        self._leases.hold({})
        with contextlib.suppress(StoreError):  # then its time is over soon
            await self._leases.release(held)
            self.terms.seen = await self._leases.look()
        return self.terms.seen.others > 0

    # ---- what may be done

    def acts(self, entry: str) -> bool:
        """Whether something may be done for the entry now."""
        return entry not in self._given and self.terms.trusts(entry, self._now())

    async def permitted(self, entry: str, *, or_offered: bool = False) -> bool:
        """Waits until something may be done for the entry: for ever, where that is never again.

        False, with `or_offered`: its Asterisk is not reached, and others may have it, or it is on its way to another router.
        """
        while not self.acts(entry):
            if or_offered and (self.terms.offers(entry) or entry in self._given):
                return False
            await self._news.wait()
        return True

    def doubt(self, entry: str) -> None:
        """Somebody else has turned up at the entry's Asterisk."""
        self.terms.doubt(entry)
        self._nudge.set()

    # ---- from one router to another, as somebody asks for it

    def give(self, entry: str) -> int | None:
        """From now on nothing is done for the entry here. Its epoch; None: it is not held, or is given already."""
        epoch = self.terms.held.get(entry)
        if epoch is None or entry in self._given or self._stopped:
            return None
        self._given.add(entry)
        return epoch

    def given(self, entry: str) -> bool:
        """Whether it is on its way to another router."""
        return entry in self._given

    async def gone(self, entry: str) -> None:
        """Who was to take what is given has it: it is let go, and known whose it is when this returns."""
        if entry in self._given:
            self._drop(self.terms.lose([entry]))
        await self._round()

    async def take_given(self, entry: str, epoch: int, of: str) -> int | None:
        """Takes up what its owner `of` gives under this epoch; the new one. None: it is no longer the owner's to give, or it
        could not be taken up. Raises StoreError.
        """
        async with self._turn:
            granted = await self._grant(Lease(entry, epoch, "", of, "", LEASE), "handed over", suspected=True)
        await asyncio.gather(*self._owning)
        return granted if granted is not None and self.terms.holds(entry, granted) else None

    async def take_back(self, entry: str, epoch: int) -> bool:
        """Takes up anew what was given under this epoch and nobody has, so that nobody can take it under that any more.
        False: another router has it. Raises StoreError.
        """
        async with self._turn:
            seen = await self._leases.look()
            lease = next(lease for lease in seen.leases if lease.entry == entry)
            mine = lease.router == self.terms.word and not lease.released
            if mine and lease.epoch != epoch:
                return True  # it was free for a moment
            self._drop(self.terms.lose([entry]))
            if not (mine or lease.over) or await self._grant(lease, "taken back", suspected=mine) is None:
                return False
        await asyncio.gather(*self._owning)
        return entry in self.terms.held

    async def give_back(self, entry: str, epoch: int) -> None:
        """Of what was taken under this epoch and is of no use here: others may have it, and this router leaves it alone."""
        async with self._turn:
            if self.terms.holds(entry, epoch):
                self._left[entry] = self._now() + LEASE
                self._drop(self.terms.lose([entry]))
                await self._leases.release({entry: epoch})

    # ---- the loop

    async def _run(self) -> None:
        while True:
            await self._rest(min(self._pace(), max(0.01, self.terms.next_over() + 0.01)))
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  the keeping of leases must go on, whatever happens
                self._facts.emit(Warned("cluster", f"the leases: {type(error).__name__}: {error}"[:500]))

    async def _rest(self, seconds: float) -> None:
        """Until it is time, or something is to be looked into."""
        while seconds > 0 and not self._nudge.is_set():
            step = min(seconds, LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step):
                    await self._nudge.wait()
            seconds -= step
            if self._to_probe():
                return

    def _to_probe(self) -> list[str]:
        return self.terms.to_probe(
            {entry: self._away(entry) for entry in self.terms.held if entry != HOUSE and entry not in self._given}
        )

    def _pace(self) -> float:
        """Seconds until the database is asked again, if no lease is over before."""
        if self.terms.missing():
            return AGAIN
        return LOOK if self.terms.free() or self.terms.of_others() else BEAT

    async def _round(self) -> None:
        async with self._turn:
            await self._ask()
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _ask(self) -> None:
        urgent = self._nudge.is_set()
        self._nudge.clear()
        sent_at, held = self._now(), self.terms.held
        due = urgent or sent_at - self._renewed_at >= BEAT - LOOK / 2
        try:
            seen = await (self._leases.renew(held) if due else self._leases.look())
        except StoreError as error:
            self.terms.silent(sent_at)
            self._said(error)
        else:
            if due:
                self._renewed_at = sent_at
            if (seconds := self.terms.forgotten(seen)) > 0.0:
                self._facts.emit(Warned("cluster", _FORGOTTEN.format(seconds)))
            self._drop(self.terms.answered(seen, sent_at, held if due else ()))
            self._said(None)
            await self._probe()
            await self._take()
            self._say_what_is_newer()

    def _said(self, error: StoreError | None) -> None:
        """Of a database that goes and comes back, once each."""
        if error is not None and self._answered and self.terms.seen.others:
            what = f"{error}; until it answers nothing is done for what this router owns, as another may take it over"
            self._facts.emit(Warned("cluster", what))
        self._answered = error is None

    async def _probe(self) -> None:
        entries = self._to_probe()
        for entry, reached in zip(entries, await asyncio.gather(*map(self._reaches, entries)), strict=True):
            number, epoch = self.terms.probed(entry, reached, self._now()), self.terms.held.get(entry)
            if number is None or epoch is None:
                continue
            try:
                mine = await self._leases.offer(entry, epoch, number)
            except StoreError:
                return  # it is told again
            if mine:
                self.terms.kept(entry, number)
            else:
                self._drop(self.terms.lose([entry]))

    async def _take(self) -> None:
        dead = [lease for lease in self.terms.suspects() if await self._refuses(lease.address)]
        better = self.terms.better(self._now())
        for lease in [*self.terms.free(), *dead, *better]:
            if self._left.get(lease.entry, 0.0) > self._now():
                continue
            try:
                await self._grant(lease, _why(lease), suspected=lease in dead, offered=lease in better)
            except StoreError:
                return  # it is looked again

    def _say_what_is_newer(self) -> None:
        """Of what is free and has calls that only a newer router reads, once each."""
        for lease in self.terms.free():
            if lease.format > self._leases.format and lease.entry not in self._told:
                self._told.add(lease.entry)
                self._facts.emit(Warned("cluster", _NEWER.format(lease.entry, lease.format, self._leases.format)))

    async def _grant(self, lease: Lease, why: str, *, suspected: bool = False, offered: bool = False) -> int | None:
        """Takes it, if nobody was first, and begins to take up what is there; its new epoch. Raises StoreError."""
        if self._stopped:
            return None
        sent_at = self._now()
        epoch = await self._leases.take(lease.entry, lease.epoch, suspected=suspected, offered=offered)
        if epoch is None:
            return None
        self.terms.took(lease.entry, epoch, sent_at)
        self._leases.hold(self.terms.held)
        if lease.entry != HOUSE:
            task = asyncio.create_task(self._take_up(lease, epoch, why))
            self._owning.add(task)
            task.add_done_callback(self._owning.discard)
        return epoch

    async def _refuses(self, address: str) -> bool:
        """Whether nobody listens there, and the machine says so."""
        parts = urlsplit(address)
        if not parts.hostname:
            return False
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_ASKED):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        writer.close()
        return False

    async def _take_up(self, lease: Lease, epoch: int, why: str) -> None:
        began = self._now()
        try:
            await self._own(lease.entry, epoch)
        except Exception as error:  # noqa: BLE001  whatever it is, another router or the next try may do better
            if not self.terms.holds(lease.entry, epoch):
                return
            self._facts.emit(Warned("cluster", f"[asterisk.{lease.entry}] could not be taken over: {error}"[:500]))
            self._drop(self.terms.lose([lease.entry]))
            with contextlib.suppress(StoreError):
                await self._leases.release({lease.entry: epoch})
        else:
            seconds = round(self._now() - began, 4)
            self._facts.emit(EntryTaken(lease.entry, epoch, why, lease.name, seconds))

    def _refused(self, entries: list[str]) -> None:
        """A write was, as they are another router's."""
        self._drop(self.terms.lose(entries))

    def _drop(self, entries: list[str]) -> None:
        if not entries:
            return
        self._leases.hold(self.terms.held)
        for entry in entries:
            self._leases.forget(entry)
            if entry != HOUSE:
                self._let_go(entry)
                if entry not in self._given:
                    self._facts.emit(EntryLost(entry))
        self._given.difference_update(entries)


def _why(lease: Lease) -> str:
    """Why it was taken, by what was seen of it."""
    if not lease.epoch:
        return "free"
    if lease.over:
        return "given back" if lease.released else "over"
    return "offered" if lease.offered else "dead"


__all__ = ["Keeper", "boot_time"]
