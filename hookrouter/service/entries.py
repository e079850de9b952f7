"""The Asterisks that this router has in hand: all of routes.toml, or where several routers share a database, those it owns.

Rules:
- First the row that says so, then what the journal knows, then the socket: what is read of an entry comes after its epoch.
- What is lost is let go in one turn of the loop: its calls, its socket, what was to be written and delivered for it.
- Who gives an entry back stops first: nothing more is sent, all is written, then the row; the socket stays open until the
  next owner has taken it or a moment has passed, so that no call that comes meanwhile is refused. One that Asterisk was
  invited to open is closed first: then it keeps calls and events for the next owner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Head, make_event
from hookrouter.ari.invitation import Invitation
from hookrouter.ari.reaching import reaches
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.calls.board import Live
from hookrouter.calls.effects import Announce
from hookrouter.calls.journal import StoredCall
from hookrouter.cluster.keeper import Keeper
from hookrouter.cluster.terms import HOUSE, Lease, Peer
from hookrouter.errors import StoreError
from hookrouter.facts import Warned
from hookrouter.service.reading import readable_call
from hookrouter.service.recorded import ended_calls, resumed
from hookrouter.service.starts import count_start, start_number

if TYPE_CHECKING:
    from hookrouter.service.service import Service

_KINDS = ("startup", "announced", "recording")
_HANDED_OVER = 1.5  # seconds in which the next owner should have come
_RECORDED = 0.25


class Entries:
    """See the module. `clients`: those that are in hand now, by name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.clients: dict[str, AriClient] = {}
        self.keeper: Keeper | None = None
        self._meta: Mapping[str, bytes] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    # ---- beginning and end

    async def read(self) -> list[str] | None:
        """What the journal knows, where it is ours alone, and the ids of the calls that may go on. Raises StoreError.

        None: each Asterisk's part is read when it is ours.
        """
        service = self._service
        if (leases := service.store.leases) is not None:
            names = [settings.name for settings in service.config.asterisks]
            keeper = self.keeper = Keeper(
                leases, names, self._own, self._let_go, service.facts, away=self._away, reaches=self.reaches
            )
            service.runner.permitted = keeper.permitted
            service.notifier.sharers = lambda: keeper.terms.owners
            service.runner.shared = lambda: keeper.terms.seen.others > 0
            return None
        self._meta = await service.store.load_meta()
        number = await count_start(service.store, self._meta, service.clock.now())
        service.runner.epochs = {settings.name: number for settings in service.config.asterisks}
        self._take_up(await service.store.load_calls(), self._meta)
        return [live.call.id for live in service.board]

    async def connect(self) -> None:
        """Begins with all that is ours. Raises StoreError."""
        if self.keeper is not None:
            await self.keeper.start()
            return
        for settings in self._service.config.asterisks:
            self.clients[settings.name] = self._client(settings, self._meta)
        self._service.choose_events()
        for client in self.clients.values():
            await client.start()

    async def stop(self) -> None:
        """After the runner: gives back what is ours and closes the sockets."""
        if self.keeper is not None:
            await self.keeper.stop()
            for name, client in self.clients.items():
                self._service.flow.hold(name)
                if client.invitation is not None:
                    await client.stop()
            await self.recorded()
            with contextlib.suppress(StoreError):
                await self._service.store.settled()
            sockets = [client for client in self.clients.values() if client.invitation is None]
            if await self.keeper.release() and sockets:
                waiting = [asyncio.ensure_future(client.replaced.wait()) for client in sockets]
                await asyncio.wait(waiting, timeout=_HANDED_OVER)
                for task in waiting:
                    task.cancel()
        for client in self.clients.values():
            await client.stop()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    # ---- one entry

    async def _own(self, name: str, epoch: int) -> None:
        """Takes it up where its last owner has left it. Raises StoreError."""
        service, keeper = self._service, self.keeper
        assert keeper is not None
        settings = next(settings for settings in service.config.asterisks if settings.name == name)
        calls = await service.store.load_calls(name)
        meta: dict[str, bytes] = {}
        for kind in _KINDS:
            found = await service.store.load_meta(f"{kind}/{name}")
            meta |= {key: value for key, value in found.items() if key.split("/")[1] == name}
        if not keeper.terms.holds(name, epoch):
            return
        service.runner.epochs[name] = start_number(epoch)
        ids = [_id_of(stored.call_id) for stored in calls]
        service.recorder.take_up(name, epoch, ids, partial(ended_calls, service.store))
        self._take_up(calls, meta)
        for live in service.board:
            if live.call.asterisk == name and not live.call.channelless:
                service.facts.emit(resumed(live.call))
        client = self.clients[name] = self._client(settings, meta)
        service.choose_events()
        await client.start()
        await service.notifier.take_over()

    def _away(self, name: str) -> float:
        client = self.clients.get(name)
        return client.away if client is not None else 0.0

    async def reaches(self, name: str) -> bool:
        """Whether this machine reaches the Asterisk now."""
        settings = next(settings for settings in self._service.config.asterisks if settings.name == name)
        return await reaches(settings, self._service.ari_http)

    def _let_go(self, name: str) -> None:
        service = self._service
        client = self.clients.pop(name, None)
        if client is not None:
            client.let_go()
            if not self.given(name):
                self.close(client)
        service.recorder.let_go(name)
        service.runner.let_go(name)
        service.flow.forget(name)
        service.resumer.forget(name)
        service.notifier.let_go()

    async def recorded(self) -> None:
        """What was said in the calls until now is written, if that does not take long: what comes later is not taken."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECORDED):
                await self._service.recorder.settled()

    def given(self, name: str) -> bool:
        """Whether it is on its way to another router."""
        return self.keeper is not None and self.keeper.given(name)

    def stand_still(self, name: str) -> None:
        """Nothing more is done for it here; what Asterisk tells waits. Its socket is left open, until `close`."""
        self._service.flow.hold(name)
        self._service.runner.let_go(name)

    def close(self, client: AriClient) -> None:
        task = asyncio.get_running_loop().create_task(client.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _client(self, settings: AsteriskSettings, meta: Mapping[str, bytes]) -> AriClient:
        name, service, keeper = settings.name, self._service, self.keeper

        def on_event(raw: bytes, head: Head) -> None:
            service.flow.on_event(make_event(name, raw, head))

        async def on_connected(connected: Connected) -> None:
            await service.resumer.on_connected(client, connected)
            service.store.put_meta(f"startup/{name}", connected.startup_time.encode())

        def on_link() -> None:
            service.flow.hold(name)

        invitation = None
        if settings.mode == "invite":
            invitation = Invitation(settings, service.ari_http, partial(service.invited_to, settings))
        client = AriClient(
            settings,
            on_event=on_event,
            on_link=on_link,
            on_connected=on_connected,
            facts=service.facts,
            clock=service.clock,
            random=service.rng,
            http=service.ari_http,
            startup_time=meta.get(f"startup/{name}", b"").decode("utf-8", "replace"),
            permitted=partial(keeper.permitted, name) if keeper is not None else None,
            on_replaced=partial(keeper.doubt, name) if keeper is not None else lambda: None,
            invitation=invitation,
        )
        return client

    def _take_up(self, calls: list[StoredCall], meta: Mapping[str, bytes]) -> None:
        service = self._service
        names = {settings.name for settings in service.config.asterisks}
        for stored in calls:
            try:
                call = readable_call(stored.snapshot)
            except Exception as error:  # noqa: BLE001  one row that cannot be read costs no other call, and no start
                what = f"{type(error).__name__}: {error}"[:300]
                service.facts.emit(
                    Warned("journal", f"call {stored.call_id} cannot be read: {what}", str(stored.call_id))
                )
                if self.keeper is None:  # else another router may read it
                    service.store.drop_call(stored.call_id)
                continue
            if call.asterisk not in names:
                said = f"[asterisk.{call.asterisk}] is no longer in routes.toml: its call is forgotten"
                service.facts.emit(Warned("journal", said, call.id))
                service.store.drop_call(stored.call_id)
                continue
            live = service.runner.take_up(call, service.route_of(call.route, call.tenant))
            service.resumer.took_up(live)
        for key, value in meta.items():
            try:
                self._take_up_fact(key, value)
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                service.facts.emit(Warned("journal", f"{key} cannot be read, and is forgotten: {error}"))
                service.store.put_meta(key, None)

    def _take_up_fact(self, key: str, value: bytes) -> None:
        """A small fact of the journal. Raises what tells that it cannot be read."""
        flow = self._service.flow
        if key.startswith("announced/"):
            asterisk, announced = msgspec.msgpack.decode(value, type=tuple[str, Announce])
            flow.expected.calls[(asterisk, key.removeprefix(f"announced/{asterisk}/"))] = announced
        elif key.startswith("recording/"):
            _, asterisk, name = key.split("/", 2)
            flow.know_recording(asterisk, name, msgspec.msgpack.decode(value, type=tuple[str, str]))

    # ---- what others ask

    def missing(self, live: Live) -> None:
        """A live call's channel is gone, and no StasisEnd has said so."""
        client = self.clients.get(live.call.asterisk)
        if client is not None and client.ready:  # else the calls are looked at when it is connected again
            self._service.resumer.missing(live)

    def states(self) -> dict[str, str]:
        """Of every Asterisk of routes.toml: that of the connection, or whose it is."""
        found, owned = {}, {lease.entry for lease in self.others() if not lease.over}
        for settings in self._service.config.asterisks:
            client = self.clients.get(settings.name)
            away = "standby" if settings.name in owned else "nobody's"
            found[settings.name] = client.state if client is not None else away
            if client is None or self.keeper is None:
                continue
            if self.keeper.terms.offers(settings.name):
                found[settings.name] = "no_answer"
            elif self.given(settings.name):
                found[settings.name] = "is being handed over"
            elif not self.keeper.acts(settings.name):
                found[settings.name] = "waits for the database"
        return found

    def keep_house(self) -> bool:
        """Whether what belongs to no Asterisk is this router's to do."""
        return self.keeper is None or HOUSE in self.keeper.terms.held

    def others(self) -> list[Lease]:
        """What other routers own or have owned last, as far as is known."""
        if self.keeper is None:
            return []
        terms = self.keeper.terms
        return [
            x for x in terms.seen.leases if x.entry != HOUSE and x.router != terms.word and x.entry not in self.clients
        ]

    def running(self) -> Sequence[Peer]:
        """The other routers that run, as far as is known."""
        return self.keeper.terms.seen.peers if self.keeper is not None else ()


def _id_of(key: str) -> str:
    """Of a call, from the key that it is kept by (`Board.free_key`)."""
    return key.partition("/")[2].partition("#")[0]


__all__ = ["Entries"]
