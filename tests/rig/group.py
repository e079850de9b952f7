"""Several router processes on one database and one Asterisk; a proxy before each, so that every request has a sender."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from lab.asterisk import Asterisk
from lab.postgres import Cluster, cluster

from hookrouter.ari.owner import SORCERY
from rig.cable import Cable
from rig.endpoint import Endpoint
from rig.ledger import asked
from rig.load import EVENTS
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.proxy import Proxy, Seen
from rig.router import route


class Member:
    """One of the routers, with its proxy, and its way to the database where that can be cut."""

    def __init__(self, name: str, router: RouterProcess, proxy: Proxy, cable: Cable | None = None) -> None:
        self.name, self.router, self.proxy, self.cable = name, router, proxy, cable

    @property
    def pid(self) -> int:
        assert self.router.process is not None
        return self.router.process.pid

    def stop(self) -> None:
        """Stands still: SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def acts(self, since: float = 0.0) -> list[str]:
        """What it asked of Asterisk since then (monotonic) that is not only looking."""
        return [f"{method} {path}" for seen, method, path, _ in asked(self.proxy) if seen.at >= since]

    def answered(self) -> list[tuple[Seen, int]]:
        """Its requests, and the status of each one's reply; 0: none has come."""
        found: list[tuple[Seen, int]] = []
        open_: dict[str, int] = {}
        for seen in self.proxy.seen:
            match seen.type:
                case "HTTP":
                    found.append((seen, seen.status))
                case "RESTRequest":
                    open_[seen.body["request_id"]] = len(found)
                    found.append((seen, 0))
                case "RESTResponse" if (place := open_.pop(seen.body["request_id"], None)) is not None:
                    found[place] = (found[place][0], seen.body["status_code"])
        return found

    def accepted(self, since: float) -> list[str]:
        """What it asked since then that is not only looking, and Asterisk has carried out."""
        return [
            f"{seen.body['method']} {seen.body['uri']}: {status}" for seen, status in self.answered()
            if seen.body["method"] != "GET" and seen.at >= since and 200 <= status < 300
        ]  # fmt: skip

    def refused(self) -> list[Seen]:
        """Its requests that Asterisk has refused as not the owner's."""
        return [seen for seen, status in self.answered() if status == 401]

    def logged(self, line: str) -> int:
        return self.router.log.read_text().count(f" {line} ")


class Group:
    """`async with Group(...)`: a database, an Asterisk and `count` routers, the first of which owns the Asterisk.

    `fence`: the Asterisk keeps users in memory, and so refuses a former owner. `cables`: each router's way to the database
    can be cut.
    """

    def __init__(
        self, app: str, endpoint: Endpoint, folder: Path, count: int = 2, events: str = EVENTS, fence: bool = True,
        cables: bool = False,
    ) -> None:  # fmt: skip
        self.app, self.endpoint, self.folder, self.count, self.events = app, endpoint, folder, count, events
        self.cables = cables
        self.sorcery = "[res_pjsip]\n" + SORCERY * fence

    async def __aenter__(self) -> Group:
        self._stack = contextlib.AsyncExitStack()
        async with self._stack:
            self.database: Cluster = self._stack.enter_context(cluster())
            self.store = self.database.database()
            self.asterisk = self._stack.enter_context(Asterisk(files={"sorcery.conf": self.sorcery}))
            self.pbx = await self._stack.enter_async_context(Pbx(self.asterisk.url))
            self.members: list[Member] = []
            for index in range(self.count):
                await self._add("abc"[index])
            self._stack = self._stack.pop_all()
        return self

    async def _add(self, name: str) -> None:
        folder = self.folder / name
        folder.mkdir()
        proxy = await self._stack.enter_async_context(Proxy(self.asterisk.http_port))
        routes = f'[cluster]\nname = "{name}"\n' + route(self.endpoint.url, events=self.events)
        cable, store = None, self.store
        if self.cables:
            cable = await self._stack.enter_async_context(Cable(self.database.port))
            store = store.replace(f":{self.database.port}/", f":{cable.port}/")
        router = RouterProcess(folder, proxy.url, self.app, routes, store=store)
        text = router.config.read_text()
        router.config.write_text(text.replace("[cluster]\n", f'[cluster]\naddress = "http://127.0.0.1:{router.port}"\n'))
        await self._stack.enter_async_context(router)
        self.members.append(Member(name, router, proxy, cable))

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def owner(self, timeout: float = 10.0) -> Member:
        """The one that serves the Asterisk now."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for member in self.members:
                if member.router.process is not None:
                    states = await member.router.get("/readyz")
                    if states["asterisk"]["main"] == "connected":
                        return member
            await asyncio.sleep(0.02)
        status = self.asterisk.process.poll() if self.asterisk.process is not None else None
        raise AssertionError(f"nobody owns it; Asterisk {'runs' if status is None else f'ended: {status}'}\n{self.lines()}")

    def other(self, member: Member) -> Member:
        return next(one for one in self.members if one is not member)

    @property
    def seen(self) -> list[Seen]:
        """What passed all proxies, in order, but for requests that Asterisk has refused as not the owner's."""
        refused = {id(seen) for member in self.members for seen in member.refused()}
        passed = (seen for member in self.members for seen in member.proxy.seen if id(seen) not in refused)
        return sorted(passed, key=lambda seen: seen.at)

    def epoch(self) -> int:
        (row,) = self.database.execute("SELECT epoch FROM hookrouter.leases WHERE entry = 'main'", self.store)
        return int(str(row[0]))

    async def acquainted(self) -> None:
        """Waits until the owner has renewed its lease, and so heard of all routers that there are now."""
        (now,) = self.database.execute("SELECT now()", self.store)
        query = f"SELECT expires_at > '{now[0]}'::timestamptz + interval '5 seconds' FROM hookrouter.leases WHERE entry = 'main'"
        async with asyncio.timeout(5):
            while not (await asyncio.to_thread(self.database.execute, query, self.store))[0][0]:
                await asyncio.sleep(0.02)

    def expire(self) -> None:
        """The lease is over by the database's clock, whatever its holder believes."""
        self.database.execute("UPDATE hookrouter.leases SET expires_at = now() WHERE entry = 'main'", self.store)

    def versions(self, epoch: int) -> dict[str, int]:
        """The calls' rows that were written under an epoch, by their keys."""
        rows = self.database.execute(f"SELECT call_id, version FROM hookrouter.calls WHERE epoch = {epoch}", self.store)
        return {str(call): int(str(version)) for call, version in rows}

    async def again(self, *gone: Member) -> None:
        """The next run: those who are `gone` are started, and what has passed is forgotten."""
        for member in gone:
            member.router.start()
            await member.router.ready()
        for member in self.members:
            member.proxy.seen.clear()
        self.endpoint.received.clear()
        self.pbx.events.clear()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """What fails within says what the routers have logged."""
        try:
            yield
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error}\n{self.lines()}") from error

    def lines(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {m.name}\n{m.router.log.read_text()[-4000:]}" for m in self.members)
