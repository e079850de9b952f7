"""Several router processes on one database and one Asterisk or more; proxies between, so that every request has a sender."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.asterisk import Asterisk
from lab.postgres import Cluster, cluster

from hookrouter.ari.invitation import SORCERY as INVITING
from hookrouter.ari.owner import SORCERY
from rig.cable import Cable
from rig.endpoint import Endpoint
from rig.ledger import asked
from rig.load import EVENTS
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.proxy import Proxy, Seen
from rig.router import route

_SECOND = """
[asterisk.{entry}]
url = "{url}"
username = "hookrouter"
password = "hookrouter"
apps = ["{app}"]
"""


def inviting(*, fence: bool = True) -> str:
    """The sorcery.conf of an Asterisk that can be invited; `fence`: and keeps users in memory."""
    found = ["[res_pjsip]"]
    for name, lines in INVITING.items():
        found += [f"[{name}]", *(line for line in lines if fence or not line.startswith("user="))]
    return "\n".join(found) + "\n"


@dataclass
class Member:
    """One of the routers, with its proxy to each Asterisk. `cable`: its way to the database, `door`: the way of the other
    routers to its HTTP, where those can be cut; `invited`: by which the first Asterisk comes, in mode invite.
    """

    name: str
    router: RouterProcess
    proxies: dict[str, Proxy]
    cable: Cable | None = None
    door: Cable | None = None
    invited: Proxy | None = None

    @property
    def seen(self) -> list[Seen]:
        """What passed between it and the first Asterisk."""
        return self.passed("main")

    def passed(self, entry: str) -> list[Seen]:
        """The same of any, whoever opened the connection, in order."""
        came = self.invited.seen if self.invited is not None and entry == "main" else []
        return sorted([*self.proxies[entry].seen, *came], key=lambda seen: seen.at)

    @property
    def proxy(self) -> Proxy:
        """To the first Asterisk."""
        return self.proxies["main"]

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
        return [f"{method} {path}" for seen, method, path, _ in asked(self) if seen.at >= since]

    def answered(self, entry: str = "main") -> list[tuple[Seen, int]]:
        """Its requests, and the status of each one's reply; 0: none has come."""
        found: list[tuple[Seen, int]] = []
        open_: dict[str, int] = {}
        for seen in self.passed(entry):
            match seen.type:
                case "HTTP":
                    found.append((seen, seen.status))
                case "RESTRequest":
                    open_[seen.body["request_id"]] = len(found)
                    found.append((seen, 0))
                case "RESTResponse" if (place := open_.pop(seen.body["request_id"], None)) is not None:
                    found[place] = (found[place][0], seen.body["status_code"])
        return found

    def accepted(self, since: float, entry: str = "main") -> list[str]:
        """What it asked since then that is not only looking, and Asterisk has carried out."""
        return [
            f"{seen.body['method']} {seen.body['uri']}: {status}" for seen, status in self.answered(entry)
            if seen.body["method"] != "GET" and seen.at >= since and 200 <= status < 300
        ]  # fmt: skip

    def refused(self, entry: str = "main") -> list[Seen]:
        """Its requests that Asterisk has refused as not the owner's."""
        return [seen for seen, status in self.answered(entry) if status == 401]

    def logged(self, line: str) -> int:
        return self.router.log.read_text().count(f" {line} ")


@dataclass
class Way:
    """What has passed on the ways to one Asterisk, in order."""

    seen: list[Seen]


class Group:
    """`async with Group(...)`: a database, `len(entries)` Asterisks and `count` routers, the first of which owns them.

    `fence`: each Asterisk keeps users in memory, and so refuses a former owner. `cables`: each router's way to the database
    can be cut. `doors`: the ways between the routers can. `followed`: the database has an asynchronous standby,
    behind a cable. `more`: of routes.toml. `mode`: of all routers.
    """

    def __init__(
        self, app: str, endpoint: Endpoint, folder: Path, count: int = 2, events: str = EVENTS, fence: bool = True,
        cables: bool = False, doors: bool = False, entries: Sequence[str] = ("main",), more: str = "", mode: str = "connect",
        followed: bool = False,
    ) -> None:  # fmt: skip
        self.app, self.endpoint, self.folder, self.count, self.events = app, endpoint, folder, count, events
        self.cables, self.doors, self.entries, self.more = cables, doors, entries, more
        self.mode, self.followed = mode, followed
        self.sorcery = inviting(fence=fence) if mode == "invite" else "[res_pjsip]\n" + SORCERY * fence

    async def __aenter__(self) -> Group:
        self._stack = contextlib.AsyncExitStack()
        async with self._stack:
            self.database: Cluster = self._stack.enter_context(cluster())
            self.store = self.database.database()
            if self.followed:
                self.line = await self._stack.enter_async_context(Cable(self.database.port))
                self.standby = await asyncio.to_thread(self._stack.enter_context, cluster(self.line.port))
                here = f"127.0.0.1:{self.database.port}"
                self.store = self.store.replace(here, f"{here},127.0.0.1:{self.standby.port}")
            files = {"sorcery.conf": self.sorcery}
            self.asterisks = {entry: self._stack.enter_context(Asterisk(files=files)) for entry in self.entries}
            self.asterisk = self.asterisks["main"]
            self.pbx = await self._stack.enter_async_context(Pbx(self.asterisk.url))
            self.members: list[Member] = []
            for index in range(self.count):
                await self._add("abc"[index])
            self._stack = self._stack.pop_all()
        return self

    async def _add(self, name: str) -> None:
        folder = self.folder / name
        folder.mkdir()
        proxies = {
            entry: await self._stack.enter_async_context(Proxy(asterisk.http_port))
            for entry, asterisk in self.asterisks.items()
        }
        routes = f'[cluster]\nname = "{name}"\n' + route(self.endpoint.url, events=self.events) + self.more
        for entry in self.entries[1:]:
            routes += _SECOND.format(entry=entry, url=proxies[entry].url, app=self.app)
        cable = door = None
        store = self.store
        if self.cables:
            cable = await self._stack.enter_async_context(Cable(self.database.port))
            store = store.replace(f":{self.database.port}/", f":{cable.port}/")
        invited = await self._stack.enter_async_context(Proxy(0)) if self.mode == "invite" else None
        told = f'advertise = "{invited.url}"' if invited is not None else ""
        router = RouterProcess(folder, proxies["main"].url, self.app, routes, store=store, mode=self.mode, more=told)
        if invited is not None:
            invited.target = router.port
        if self.doors:
            door = await self._stack.enter_async_context(Cable(router.port))
        address = f"http://127.0.0.1:{door.port if door else router.port}"
        text = router.config.read_text()
        router.config.write_text(text.replace("[cluster]\n", f'[cluster]\naddress = "{address}"\n'))
        await self._stack.enter_async_context(router)
        self.members.append(Member(name, router, proxies, cable, door, invited))

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def owner(self, entry: str = "main", timeout: float = 10.0) -> Member:
        """The one that serves the Asterisk now."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for member in self.members:
                if member.router.process is not None:
                    states = await member.router.get("/readyz")
                    if states["asterisk"][entry] == "connected":
                        return member
            await asyncio.sleep(0.02)
        process = self.asterisks[entry].process
        status = process.poll() if process is not None else None
        raise AssertionError(f"nobody owns it; Asterisk {'runs' if status is None else f'ended: {status}'}\n{self.lines()}")

    async def taken(self, by: Member, epoch: int, entry: str = "main") -> float:
        """Waits until `by` owns the Asterisk, has connected and looked at all calls; when that was (monotonic)."""
        with self.explained():
            async with asyncio.timeout(20):
                while (await by.router.get("/readyz"))["asterisk"][entry] != "connected":
                    await asyncio.sleep(0.02)
            at = time.monotonic()
            assert await asyncio.to_thread(self.epoch, entry) > epoch
        return at

    async def taken_over(self, entry: str, before: Member) -> None:
        """Waits until another router than `before` owns the Asterisk and has connected."""
        others = [member for member in self.members if member is not before]
        with self.explained():
            async with asyncio.timeout(20):
                while True:
                    for member in others:
                        if (await member.router.get("/readyz"))["asterisk"][entry] == "connected":
                            return
                    await asyncio.sleep(0.02)

    def other(self, member: Member) -> Member:
        return next(one for one in self.members if one is not member)

    @property
    def seen(self) -> list[Seen]:
        """What passed to the first Asterisk."""
        return self.way("main").seen

    def way(self, entry: str) -> Way:
        """What passed all proxies, but for requests that Asterisk has refused as not the owner's."""
        refused = {id(seen) for member in self.members for seen in member.refused(entry)}
        passed = (seen for member in self.members for seen in member.passed(entry) if id(seen) not in refused)
        return Way(sorted(passed, key=lambda seen: seen.at))

    def epoch(self, entry: str = "main") -> int:
        (row,) = self.database.execute(f"SELECT epoch FROM hookrouter.leases WHERE entry = '{entry}'", self.store)
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
            for proxy in (*member.proxies.values(), *([member.invited] if member.invited is not None else [])):
                proxy.seen.clear()
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
