"""One notify endpoint's lane: which delivery goes next and when, as a state machine that knows neither clock nor disk.

Rules:
- The backlog stays on disk. In memory are only new deliveries while the endpoint works (`most_fresh` of them) and a
  window of the backlog; everything else is `spilled`, which is a reason to load, never a loss.
- New deliveries go before the backlog, which is paced to `backlog_rate` and has a share of the requests in flight: what
  was waiting comes as an even stream, and what happens now is told now. Of several routers each has its part of the pace.
- First attempts of a call go one at a time and in order (`chain`); in a strict lane a failed one holds up the call's
  later ones, for at most `STRICT_HOLD` from its first attempt.
- After `open_after` failures in a row one request at a time finds out whether the endpoint is back (`probe_delay`).
- Instants are seconds since the epoch; every method that needs one is given it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from hookrouter.delivery.queue import StoredDelivery, Window
from hookrouter.delivery.schedule import Verdict

STRICT_HOLD = 900.0
PROBE_WINDOW = 4
_CATCH_UP = 0.05  # seconds of pace that a late timer may make up for


class LaneSettings(msgspec.Struct, frozen=True):
    """Limits of one lane: requests in flight, rows in memory, deliveries a second of the backlog."""

    concurrency: int = 16
    backlog_share: int = 8
    backlog_rate: float = 200.0
    window: int = 200
    most_fresh: int = 1_000
    most_fresh_bytes: int = 8 * 1024 * 1024
    open_after: int = 5


def probe_delay(failures: int) -> float:
    """Seconds until a failing endpoint is tried again: 1 for the first minute, then growing to 10."""
    return min(10.0, max(1.0, failures / 60))


class Lane:
    """See the module. `strict`: the order of its route."""

    def __init__(self, settings: LaneSettings, *, strict: bool = False) -> None:
        self._settings = settings
        self.strict = strict
        self.sharers = 1  # routers that send to the same endpoints
        self.stopped_url = ""
        self.paused_until = 0.0
        self.failures = 0
        self.is_open = False
        self._probe_at = 0.0
        self._pace_at = 0.0
        self._fresh: deque[StoredDelivery] = deque()
        self._backlog: deque[StoredDelivery] = deque()
        self._chains: dict[str, deque[tuple[StoredDelivery, bool]]] = {}  # by call; the head is ready or in flight
        self._held: dict[str, int | None] = {}  # ids in memory or in flight; for new ones the size of the body
        self._fresh_count = 0
        self._fresh_bytes = 0
        self._flying: dict[str, bool] = {}  # ids in flight, and whether they are of the backlog
        self._spilled = False
        self._on_disk = False  # whether the disk may hold more of this lane than is in memory (strict lanes)
        self._load_at: float | None = None
        self._loading = False
        self._gone: set[str] = set()  # ids that were done while a window was being loaded

    # -- what comes in

    def offer(self, delivery: StoredDelivery, predecessor: str | None, now: float) -> None:
        """A new delivery, which the queue has; `predecessor` as the queue tells it."""
        if delivery.id in self._held:
            return  # a window of the backlog brought it already
        limits = self._settings
        full = self._fresh_count >= limits.most_fresh or self._fresh_bytes >= limits.most_fresh_bytes
        blocked = self.stopped_url or self.is_open or self.paused_until > now
        if full or blocked or (predecessor is not None and predecessor not in self._held):
            self.spill()
            return
        self._hold(delivery, backlog=False)

    def spill(self) -> None:
        """The disk has something that is due and is not in memory."""
        self._spilled = self._on_disk = True

    def unload(self) -> None:
        """What waits in memory may be another's by now: the disk says what is still ours."""
        self._let_go()
        self.spill()

    def load_at(self, at: float) -> None:
        """The disk has something that will be due then."""
        self._load_at = at if self._load_at is None else min(self._load_at, at)
        self._on_disk = True

    def wanted(self, now: float) -> int:
        """How many of the backlog to load now; 0 for none. After a number, `loaded` or `not_loaded` must follow."""
        if self._loading or self.stopped_url or self.paused_until > now:
            return 0
        if not self._spilled and (self._load_at is None or self._load_at > now):
            return 0
        if self.is_open:
            limit = PROBE_WINDOW if now >= self._probe_at and not self._flying and not self._ready else 0
        else:
            limit = self._settings.window if self._has_room else 0
        if limit:
            self._loading, self._spilled, self._load_at = True, False, None
        return limit

    def held(self) -> frozenset[str]:
        """The ids that are in memory: not to be loaded again."""
        return frozenset(self._held)

    def loaded(self, window: Window, limit: int) -> None:
        """What the disk answered to `wanted`."""
        self._loading = False
        gone, self._gone = self._gone, set()
        if len(window.due) >= limit:
            self.spill()
        if window.next_at is not None:
            self.load_at(window.next_at)
        for delivery in window.due:
            if delivery.id not in self._held and delivery.id not in gone:
                self._hold(delivery, backlog=True)
        self._on_disk = bool(window.due) or window.next_at is not None or bool(self._held)

    def not_loaded(self, again_at: float) -> None:
        """The disk did not answer."""
        self._loading = False
        self._gone = set()
        self.load_at(again_at)

    def _chained(self, delivery: StoredDelivery) -> bool:
        return bool(delivery.call) and (self.strict or delivery.first_at is None)

    def _hold(self, delivery: StoredDelivery, *, backlog: bool) -> None:
        self._held[delivery.id] = None if backlog else len(delivery.body)
        if not backlog:
            self._fresh_count += 1
            self._fresh_bytes += len(delivery.body)
        if self._chained(delivery):
            chain = self._chains.setdefault(delivery.call, deque())
            chain.append((delivery, backlog))
            if len(chain) > 1:
                return
        (self._backlog if backlog else self._fresh).append(delivery)

    # -- what goes out

    def _forget(self, delivery_id: str) -> None:
        size = self._held.pop(delivery_id)
        if size is not None:
            self._fresh_count -= 1
            self._fresh_bytes -= size

    @property
    def _ready(self) -> bool:
        return bool(self._fresh or self._backlog)

    @property
    def _has_room(self) -> bool:
        return len(self._backlog) <= self._settings.window // 2

    @property
    def _may_launch_backlog(self) -> bool:
        flying, limits = self._flying, self._settings
        return len(flying) < limits.concurrency and sum(flying.values()) < limits.backlog_share

    def take(self, now: float) -> StoredDelivery | None:
        """The delivery to attempt now, which is then in flight until `finished` or `abandoned`; None: see `wake_at`."""
        if self.stopped_url or self.paused_until > now or not self._ready:
            return None
        if self.is_open:
            if self._flying or now < self._probe_at:
                return None
            return self._launch(self._fresh or self._backlog, backlog=not self._fresh)
        if self._fresh:
            full = len(self._flying) >= self._settings.concurrency
            return None if full else self._launch(self._fresh, backlog=False)
        if not self._may_launch_backlog:
            return None
        if self._pace_at > now + 1.0:
            self._pace_at = now  # the clock was set back
        if now < self._pace_at:
            return None
        self._pace_at = max(self._pace_at, now - _CATCH_UP) + self.sharers / self._settings.backlog_rate
        return self._launch(self._backlog, backlog=True)

    def _launch(self, source: deque[StoredDelivery], *, backlog: bool) -> StoredDelivery:
        delivery = source.popleft()
        self._flying[delivery.id] = backlog
        return delivery

    def wake_at(self, now: float) -> float | None:
        """When `take` or `wanted` may have something if nothing happens before; None: not before something does."""
        if self.stopped_url:
            return None
        if self.paused_until > now:
            return self.paused_until
        if self.is_open:
            return None if self._flying or self._loading else min(self._probe_moments(), default=None)
        moments = []
        if self._load_at is not None and not self._loading and self._has_room:
            moments.append(self._load_at)
        if self._backlog and not self._fresh and self._may_launch_backlog:
            moments.append(self._pace_at)
        return min(moments, default=None)

    def _probe_moments(self) -> Iterator[float]:
        if self._ready or self._spilled:
            yield self._probe_at
        elif self._load_at is not None:
            yield max(self._probe_at, self._load_at)

    # -- what became of it

    def finished(self, delivery: StoredDelivery, verdict: Verdict, url: str, first_at: float, now: float) -> None:
        """An attempt ended; `first_at`: the delivery's first one. What is to be tried again is on disk, due later."""
        self._land(delivery)
        if verdict.status == "pending":
            self.load_at(now + verdict.delay)
        if verdict.stop:
            self.stopped_url = url
        if verdict.pause is not None:
            self.paused_until = max(self.paused_until, now + verdict.pause)
        self._judge(healthy=verdict.healthy, now=now)
        if self.stopped_url or self.is_open or self.paused_until > now:
            self._let_go()
        elif self._chained(delivery):
            holds = self.strict and verdict.status == "pending" and now < first_at + STRICT_HOLD
            self._next_of(delivery.call, hold_until=first_at + STRICT_HOLD if holds else None)

    def abandoned(self, delivery: StoredDelivery) -> None:
        """The attempt was broken off and says nothing about the endpoint; the delivery is still due."""
        self._land(delivery)
        self.spill()
        if self._chained(delivery):
            self._drop_chain(delivery.call)

    def pause(self, until: float) -> None:
        """Begins nothing before that; what is in flight comes to its end."""
        self.paused_until = max(self.paused_until, until)
        self._let_go()

    def resume(self) -> None:
        """Sends again to an endpoint that was stopped, paused or failing."""
        self.stopped_url = ""
        self.paused_until = 0.0
        self.failures = 0
        self.is_open = False
        self.spill()

    def _land(self, delivery: StoredDelivery) -> None:
        del self._flying[delivery.id]
        self._forget(delivery.id)
        if self._loading:
            self._gone.add(delivery.id)

    def _judge(self, *, healthy: bool, now: float) -> None:
        if healthy:
            if self.is_open:
                self.spill()
            self.failures, self.is_open = 0, False
            return
        self.failures += 1
        if self.failures >= self._settings.open_after:
            self.is_open = True
            self._probe_at = now + probe_delay(self.failures)

    def _next_of(self, call: str, hold_until: float | None) -> None:
        """The chain's head is done: the next one is ready, unless the head holds it up."""
        if hold_until is not None:
            self._drop_chain(call)
            self.load_at(hold_until)
            return
        if self.strict and self._on_disk:
            self._spilled = True  # what the disk held back behind it may go now
        chain = self._chains[call]
        chain.popleft()
        if not chain:
            del self._chains[call]
            return
        delivery, backlog = chain[0]
        (self._backlog if backlog else self._fresh).append(delivery)

    def _drop_chain(self, call: str) -> None:
        """Leaves a call's waiting deliveries to the disk. The head is in flight or done."""
        chain = self._chains.pop(call, deque())
        for delivery, _ in list(chain)[1:]:
            self._forget(delivery.id)
            self._on_disk = True

    def _let_go(self) -> None:
        """Leaves all that waits to the disk; what is in flight stays."""
        for delivery_id in [held for held in self._held if held not in self._flying]:
            self._forget(delivery_id)
            self._spilled = self._on_disk = True
        self._fresh.clear()
        self._backlog.clear()
        heads = {call: chain[0] for call, chain in self._chains.items() if chain[0][0].id in self._flying}
        self._chains = {call: deque([head]) for call, head in heads.items()}
