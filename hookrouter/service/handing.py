"""An Asterisk goes from the router that owns it to another one that lives, as somebody asks for it.

Rules:
- All that can be known is asked before anything moves: a refusal has changed nothing.
- Who gives stops first, and writes all of it down, as at its end (entries.py). It holds the lease until the other one takes it,
  which that does under the epoch that it was told: whoever asks late finds another one.
- What the other one has not taken up in time is taken back under a new epoch: the command says what is true then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hookrouter import __version__
from hookrouter.ari.client import AriClient
from hookrouter.cluster.keeper import Keeper
from hookrouter.cluster.leases import SILENT, Known, Leases
from hookrouter.cluster.peers import Asked, Silent
from hookrouter.cluster.terms import Peer
from hookrouter.errors import HandOverRefused, NotHere, StoreError
from hookrouter.facts import AriConnected, EntryHandedOver, EntryLost, Warned
from hookrouter.telemetry.phrases import duration

if TYPE_CHECKING:
    from hookrouter.service.service import Service

Shown = tuple[tuple[str, str], ...]
"""What has let the request in, as headers: all routers know the same tokens."""

_LOOKED = 2.0  # seconds in which a router says whether it could
_CONNECTED = 5.0  # and in which it has connected, or gives it back
_TAKEN = _CONNECTED + 2.0
_AGAIN = 0.25


class Place(msgspec.Struct, frozen=True):
    """What a router says of an Asterisk that it may be given."""

    router: str
    version: str
    state: str
    reached: bool


class _Given(msgspec.Struct, frozen=True):
    epoch: int
    of: str = ""


class Handing:
    """Of one router: what it gives, and what it is given."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._moves: set[asyncio.Task[dict[str, Any]]] = set()

    def moving(self) -> bool:
        """Whether anything is on its way to another router now."""
        return bool(self._moves)

    async def stop(self) -> None:
        """What is on its way is given back with the rest."""
        for task in self._moves:
            task.cancel()
        await asyncio.gather(*self._moves, return_exceptions=True)

    # ---- what others ask

    async def look(self, name: str) -> Place:
        """Whether this router knows and reaches the Asterisk. Raises HandOverRefused."""
        _, leases = self._shared(name)
        reached = await self._service.entries.reaches(name)
        return Place(leases.identity.name, __version__, self._service.ready()[name], reached)

    async def take(self, name: str, body: bytes) -> dict[str, Any]:
        """Takes up what its owner gives, and has connected when this returns. Raises HandOverRefused, ValueError."""
        keeper, leases = self._shared(name)
        given = msgspec.json.decode(body, type=_Given)
        try:
            epoch = await keeper.take_given(name, given.epoch, given.of)
            if epoch is None:
                raise HandOverRefused(
                    409, f"[asterisk.{name}] is not {given.of}'s to give any more, or cannot be taken up"
                )
            if not await self._connects(name):
                state = self._service.ready()[name]
                await keeper.give_back(name, epoch)
                raise HandOverRefused(504, f"{leases.identity.name} has not connected within {_CONNECTED:g} s: {state}")
        except StoreError as error:
            raise HandOverRefused(503, str(error)) from error
        return {"router": leases.identity.name, "epoch": epoch}

    async def _connects(self, name: str) -> bool:
        """Whether it is served here, now or within some seconds."""
        came = asyncio.Event()

        def connected(fact: AriConnected) -> None:
            if fact.asterisk == name:
                came.set()

        unsubscribe = self._service.facts.subscribe(connected, frozenset({AriConnected}).__contains__)
        client = self._service.clients.get(name)
        try:
            if client is None or not client.ready:
                async with asyncio.timeout(_CONNECTED):
                    await came.wait()
        except TimeoutError:
            return False
        finally:
            unsubscribe()
        return True

    # ---- what is given

    async def hand_over(self, name: str, to: str, shown: Shown) -> dict[str, Any]:
        """Gives the Asterisk to the router `to`, or to whoever says first that it could take it; who has it, and after how many
        seconds. Raises HandOverRefused, and NotHere: it is another router's.
        """
        keeper, leases = self._shared(name)
        if keeper.given(name):
            raise HandOverRefused(409, f"[asterisk.{name}] is being handed over already")
        if name not in keeper.terms.held:
            raise NotHere(f"[asterisk.{name}] is another router's")
        try:
            await self._service.store.settled()
            taker = await self._taker(name, to, await leases.routers(), leases.identity.name, shown)
        except StoreError as error:
            raise HandOverRefused(503, f"nothing was moved: {error}") from error
        client = self._service.clients.get(name)
        if client is None or not client.ready:
            state = self._service.ready()[name]
            raise HandOverRefused(409, f"[asterisk.{name}] is not connected here ({state}): try again when it is")
        epoch = keeper.give(name)
        if epoch is None:
            raise HandOverRefused(409, f"[asterisk.{name}] has gone to another router meanwhile")
        self._service.entries.stand_still(name)
        moving = self._move(keeper, client, epoch, leases.identity.name, taker, shown)
        task = asyncio.create_task(moving, name=f"hand-over {name}")
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)
        return await asyncio.shield(task)  # it is brought to its end, also where nobody waits for the answer

    def _shared(self, name: str) -> tuple[Keeper, Leases]:
        """Raises HandOverRefused."""
        names = [settings.name for settings in self._service.config.asterisks]
        keeper, leases = self._service.entries.keeper, self._service.store.leases
        if name not in names:
            raise HandOverRefused(404, f"no [asterisk.{name}] in routes.toml; known: {', '.join(names)}")
        if keeper is None or leases is None:
            said = "this router is the only one: several share a database on PostgreSQL (docs/cluster.md)"
            raise HandOverRefused(409, said)
        return keeper, leases

    async def _taker(self, name: str, to: str, known: Sequence[Known], me: str, shown: Shown) -> Known:
        """Who takes it. Raises HandOverRefused."""
        others = [router for router in known if router.name != me]
        if to == me:
            raise HandOverRefused(409, f"{me} has [asterisk.{name}] already")
        if to and to not in [router.name for router in others]:
            there_are = ", ".join(router.name for router in others) or "no others"
            raise HandOverRefused(422, f"no router `{to}` has ever used this database; there are: {there_are}")
        asked = [router for router in others if router.name == to or (not to and router.seconds < SILENT)]
        if not asked:
            raise HandOverRefused(409, "no other router is running: start one first")
        refused = []
        asking = [asyncio.ensure_future(self._fits(router, name, shown)) for router in asked]
        try:
            for answer in asyncio.as_completed(asking):
                router, why = await answer
                if not why:
                    return router
                refused.append(f"{router.name} {why}")
        finally:
            for task in asking:
                task.cancel()
        raise HandOverRefused(409, "; ".join(sorted(refused)))

    async def _fits(self, router: Known, name: str, shown: Shown) -> tuple[Known, str]:
        """Why it could not take it; "": it could."""
        if router.seconds >= SILENT:
            return router, f"was seen last {duration(router.seconds)} ago: start it first"
        if not router.address:
            return router, "has no `address` in [cluster], by which it could be asked: give it one, and restart it"
        status, body = await self._ask(router, "GET", f"/v1/cluster/{name}", b"", shown, _LOOKED)
        match status:
            case 200:
                try:
                    place = msgspec.json.decode(body, type=Place)
                except msgspec.MsgspecError:
                    return router, f"is not what answers at {router.address}: look at `address` of its [cluster]"
                if place.router != router.name:
                    return router, f"is not at {router.address}, where {place.router} answers: look at its `address`"
                url = self._service.asterisks()[name].url
                return router, "" if place.reached else f"does not reach {url}: look at the network between the two"
            case 0:
                return router, f"does not answer at {router.address}: does it run, and is that its `address`?"
            case 401 | 403:
                return router, f"does not let us in (status {status}): all routers need the same `token` of [server]"
            case 404 if router.version == __version__:
                return router, f"knows no [asterisk.{name}]: all routers need the same routes.toml"
        return router, f"(version {router.version}) answers {status}: is it older, or has it no [asterisk.{name}]?"

    async def _ask(
        self, router: Known, method: str, path: str, body: bytes, shown: Shown, timeout: float
    ) -> tuple[int, bytes]:
        """Status and body; 0: there is no answer."""
        asked = Asked(method, path, shown, body)
        reply = await self._service.peers.ask(Peer(router.name, router.address), asked, timeout)
        return (0, b"") if isinstance(reply, Silent) else (reply.status, reply.body)

    async def _move(
        self, keeper: Keeper, client: AriClient, epoch: int, me: str, taker: Known, shown: Shown
    ) -> dict[str, Any]:
        service, name, began = self._service, client.name, time.monotonic()
        try:
            if client.invitation is not None:  # from now on Asterisk keeps what comes
                await client.stop()
            why = await self._given_to(taker, name, _Given(epoch, me), shown)
            if not why:
                seconds = round(time.monotonic() - began, 4)
                await keeper.gone(name)
                service.facts.emit(EntryHandedOver(name, taker.name, seconds))
                return {"asterisk": name, "router": taker.name, "address": taker.address, "seconds": seconds}
            mine = await self._take_back(keeper, name, epoch)
        finally:
            service.entries.close(client)
        if not mine:
            service.facts.emit(EntryLost(name))
            raise HandOverRefused(504, f"{why}; another router has [asterisk.{name}] now: see `hookrouter cluster`")
        service.facts.emit(Warned("cluster", f"[asterisk.{name}] was to go to {taker.name}, and was taken back: {why}"))
        raise HandOverRefused(504, f"{why}; {me} has taken [asterisk.{name}] back")

    async def _given_to(self, taker: Known, name: str, given: _Given, shown: Shown) -> str:
        """Why it has not taken it; "": it has."""
        await self._service.entries.recorded()
        try:
            await self._service.store.settled()
        except StoreError as error:
            return str(error)
        body = msgspec.json.encode(given)
        status, said = await self._ask(taker, "POST", f"/v1/cluster/{name}/take", body, shown, _TAKEN)
        return "" if status == 200 else _detail(said) or f"{taker.name} has not answered within {_TAKEN:g} s"

    async def _take_back(self, keeper: Keeper, name: str, epoch: int) -> bool:
        """When the database answers; whether it is ours again."""
        while True:
            try:
                await self._service.store.settled()
                if not await keeper.take_back(name, epoch):
                    return False
            except StoreError:
                await asyncio.sleep(_AGAIN)
            else:
                await self._connects(name)
                return True


def _detail(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["detail"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


__all__ = ["Handing", "Place"]
