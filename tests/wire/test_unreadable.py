"""One thing that cannot be read or shown hides no other, and stops no start: rows of the journal, calls, deliveries."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from rig.router import Router, route

from hookrouter.calls.call import Call, Program, encode_call
from hookrouter.calls.effects import Announce
from hookrouter.clock import SystemClock
from hookrouter.delivery.queue import NewDelivery
from hookrouter.facts import Facts, Warned
from hookrouter.service.service import open_store
from hookrouter.store.retention import Retention

NOWHERE = "http://127.0.0.1:9"
CRM = f'[[routes]]\nname = "crm"\nurl = "{NOWHERE}"\nmode = "notify"\nevents = ["StasisStart"]\n'


def call(id: str, *steps: bytes, **more: Any) -> Call:
    made = Call(key=f"main/{id}", id=id, asterisk="main", app="app", route="ivr", started_at=1.0, **more)
    if steps:
        made.programs["p1"] = Program("p1", "main", list(steps), id)
    return made


async def journal(path: Path) -> None:
    """A journal as a router leaves it, with a good call and a good delivery."""
    store = open_store(f"sqlite:///{path}", Facts(), SystemClock(), Retention())
    await store.start()
    good = call("good", b'{"action":"pause","seconds":600}')
    store.save_call(good.key, "main", encode_call(good))
    store.put_meta("announced/main/new", msgspec.msgpack.encode(("main", Announce("new", "ivr", (), None))))
    store.finish_call("done", "main", time.time(), b'{"id":"done","ended":true,"timeline":[]}')
    written: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    store.add([NewDelivery("evt_1", "crm", "StasisStart", b'{"id":"evt_1"}', time.time(), "good", "")], written.set_result)
    await written
    await store.close()


@pytest.fixture
async def damaged(tmp_path: Path) -> Path:
    """The same with a wrong one of everything beside it."""
    path = tmp_path / "journal.db"
    await journal(path)
    connection = sqlite3.connect(path)
    rows: list[tuple[Any, Any]] = [
        ("cut", encode_call(call("cut", b'{"action":"answer"}'))[:-9]),
        ("garbage", b"\xc1\xff" * 20),
        ("empty", b""),
        ("text", "no bytes at all"),
        ("number", 5),
        ("deep", b"\x91" * 5000),
        ("verb", encode_call(call("verb", b'{"action":"yodel"}'))),
        ("step", encode_call(call("step", b"\xff{"))),
    ]
    for id, snapshot in rows:
        connection.execute("INSERT INTO calls (call_id, asterisk, saved_at, snapshot) VALUES (?, 'main', 0, ?)", (id, snapshot))
    for key, value in (("startup/main", b"\xff"), ("announced/main/x", b"\xc1"), ("announced/main/y", b"\x05"), ("other", b"\x00")):
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
    finished = "INSERT INTO finished (call_id, asterisk, ended_at, summary) VALUES ('torn', 'main', ?, ?)"
    connection.execute(finished, (time.time(), b"{"))
    connection.execute(
        "INSERT INTO deliveries (id, lane, route, url, call, type, status, created_at, next_at, body) "
        "SELECT 'evt_2', lane, route, url, call, type, status, 9e999, next_at, X'FFFE' FROM deliveries WHERE id = 'evt_1'"
    )
    connection.commit()
    connection.close()
    return path


async def test_a_damaged_journal_stops_no_start_and_hides_nothing(damaged: Path) -> None:
    """What can be read is taken up; what cannot is told, once each, and let go."""
    async with Router(NOWHERE, "app", route(NOWHERE) + CRM, serve=True, store=f"sqlite:///{damaged}") as router:
        async with httpx.AsyncClient(base_url=router.service.address, trust_env=False) as client:
            live = (await client.get("/v1/calls")).json()["calls"]
            assert [found["id"] for found in live] == ["good"]
            assert (await client.get("/v1/calls/done")).json()["ended"] is True
            torn = await client.get("/v1/calls/torn")
            assert torn.status_code == 200
            assert "unreadable" in torn.json()
            deliveries = (await client.get("/v1/deliveries")).json()["deliveries"]
            assert {found["id"] for found in deliveries} == {"evt_1", "evt_2"}
        told = [fact.message for fact in router.of(Warned) if fact.subject == "journal"]
        for id in ("cut", "garbage", "empty", "text", "number", "deep", "verb", "step", "announced/main/x", "announced/main/y"):
            assert [message for message in told if f"{id} cannot be read" in message], id
        assert ("main", "new") in router.service.flow.expected.calls


async def test_a_call_that_cannot_be_shown_hides_no_other() -> None:
    """It stands in the list, with what is known of it and why there is no more."""
    async with Router(NOWHERE, "app", route(NOWHERE), serve=True) as router:
        service = router.service
        strange = call("strange", state=b'{"x":1e999}', caller="1")
        strange.programs["p1"] = Program("p1", "main", [b"\xff", b'{"action":"answer"}'], "strange")
        worse = call("worse", caller="\ud800")
        for one in (call("good"), strange, worse):
            service.runner.take_up(one, service.config.routes.by_name("ivr"))
        async with httpx.AsyncClient(base_url=service.address, trust_env=False) as client:
            reply = await client.get("/v1/calls")
            assert reply.status_code == 200
            found = {shown["id"]: shown for shown in reply.json()["calls"]}
            assert set(found) == {"good", "strange", "worse"}
            assert found["strange"]["state"] == {"unreadable": '{"x":1e999}'}
            assert found["strange"]["programs"][0]["actions"][1] == {"action": "answer"}
            assert "UnicodeEncodeError" in found["worse"]["unreadable"]
            for id in found:
                assert (await client.get(f"/v1/calls/{id}")).status_code == 200
