"""`POST /v1/listen`: events of live calls to somebody without an open port, whose answers are compared, or are the call's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import Router, route

from hookrouter.facts import AnswerCompared, CallFinished, DeliveryFinished, Warned

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
GOODBYE = [ANSWER, {"action": "play", "media": "sound:vm-goodbye"}, HANGUP]
ALL, ACME, LOOK = (f"{name}-0123456789abcdef" for name in ("all", "acme", "look"))
SERVER = f"""token = "{ALL}"
[[server.tokens]]
token = "{ACME}"
tenant = "acme"
[[server.tokens]]
token = "{LOOK}"
access = "read"
"""


class Ear:
    """Somebody who listens. `heard` is what they were told."""

    def __init__(self, router: Router, token: str = ALL) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=router.service.address, headers=headers, trust_env=False, timeout=20)
        self.heard: list[dict[str, Any]] = []
        self.changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listens(self, **wanted: Any) -> AsyncIterator[Ear]:
        async with self.http, self.http.stream("POST", "/v1/listen", json=wanted) as response:
            assert response.status_code == 200, await response.aread()
            reading = asyncio.create_task(self._read(response))
            self.id = (await self.told("listening"))["id"]
            yield self
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, response: httpx.Response) -> None:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                self.heard.append(json.loads(line.removeprefix("data: ")))
                self.changed.set()
        self.heard.append({"what": "ended"})
        self.changed.set()

    async def told(self, what: str, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(15):
            while True:
                self.changed.clear()
                for one in self.heard:
                    if one["what"] == what and all(one[name] == value for name, value in fields.items()):
                        return one
                await self.changed.wait()

    async def answer(self, asked: dict[str, Any], body: Any = (), **query: str) -> int:
        path = f"/v1/listen/{self.id}/{asked['number']}"
        reply = await self.http.post(path, params=query or {"status": "200"}, content=json.dumps(body))
        return reply.status_code


def routes(endpoint: Endpoint, more: str = "timeout = 1.0\n") -> str:
    return route(endpoint.url, more=more)


async def test_a_shadow_is_compared(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint) -> None:
    """The own endpoint's answers run; what differs is told to who listens, and kept in the record."""
    endpoint.answers["StasisStart"] = lambda d: [ANSWER, HANGUP]
    async with Router(pbx_url, app_name, routes(endpoint), serve=True, extra=SERVER) as router:
        await router.ready()
        async with Ear(router).listens(match={"caller": "+4930*"}) as ear:
            other, call = await pbx.call(app_name, number="+4940"), await pbx.call(app_name, number="+493012")
            asked = await ear.told("asked", type="StasisStart")
            assert (asked["call"], asked["route"], json.loads(asked["body"])["call"]["id"]) == (call.id, "ivr", call.id)
            assert await ear.answer(asked, GOODBYE) == 204
            compared = await ear.told("compared", type="StasisStart")
            assert compared["outcome"] == "different"
            told = '/actions/1/action: "hangup" by the route\'s endpoint, "play" by the candidate'
            assert told in compared["differences"]
            assert await ear.answer(await ear.told("asked", type="StasisEnd")) == 204
            assert (await ear.told("compared", type="StasisEnd"))["outcome"] == "same"
            assert {one["call"] for one in ear.heard if "call" in one} == {call.id}
        fact = await router.fact(AnswerCompared, call=call.id, type="StasisStart")
        for one in (other, call):
            await router.fact(CallFinished, call=one.id)
            await one.hangup()
            await pbx.gone(one.id, one.far)
    assert fact.url == "listen"


async def test_who_takes_is_in_charge(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint) -> None:
    """Their answers run, the own endpoint hears nothing of the call, and the record has all of it."""
    async with Router(pbx_url, app_name, routes(endpoint), serve=True, extra=SERVER) as router:
        await router.ready()
        async with Ear(router).listens(match={"route": "ivr"}, take=True) as ear:
            call = await pbx.call(app_name)
            assert await ear.answer(await ear.told("asked", type="StasisStart"), [ANSWER, HANGUP]) == 204
            assert await ear.answer(await ear.told("asked", type="StasisEnd")) == 204
            await router.fact(CallFinished, call=call.id)
            record = await router.service.record(call.id)
            await call.hangup()
            await pbx.gone(call.id, call.far)
    assert endpoint.received == []
    assert record is not None
    assert record["call"]["outcome"] == "good"
    exchanged = [entry for entry in record["entries"] if entry["what"] == "Exchanged"]
    assert [(entry["url"], entry["status"]) for entry in exchanged] == [("listen", 200)] * 2
    assert json.loads(exchanged[0]["answer"]) == [ANSWER, HANGUP]
    finished = [fact for fact in router.of(DeliveryFinished) if fact.type == "StasisStart"]
    assert [(fact.outcome, fact.actions) for fact in finished] == [("answered", ("answer", "hangup"))]


@pytest.mark.parametrize("way", ["late", "ends", "refused", "broken"])
async def test_else_the_own_endpoint_is(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, way: str) -> None:
    """Within the same deadline, and for the rest of the call; what comes too late is told so."""
    endpoint.answers["StasisStart"] = lambda d: [ANSWER, HANGUP]
    more = "timeout = 0.4\ndeadline = 5\n" if way == "late" else "timeout = 4\ndeadline = 5\n"
    async with Router(pbx_url, app_name, routes(endpoint, more), serve=True, extra=SERVER) as router:
        await router.ready()
        async with Ear(router).listens(take=True) as ear:
            call = await pbx.call(app_name)
            asked = await ear.told("asked", type="StasisStart")
            if way == "refused":
                assert await ear.answer(asked, [{"action": "plai"}]) == 204
            elif way == "broken":
                assert await ear.answer(asked, reason="refused_connection", detail="nobody is there") == 204
            elif way == "late":
                why = (await ear.told("lost"))["why"]
                assert "no answer within 0.4 s" in why
                assert await ear.answer(asked, GOODBYE) == 404
            if way != "ends":
                why = (await ear.told("lost", call=call.id))["why"]
                assert {"refused": "unknown action `plai`", "broken": "nobody is there"}.get(way, "") in why
                await endpoint.wait("StasisEnd", call=call.id)
                assert [one["type"] for one in ear.heard if one["what"] == "asked"] == ["StasisStart"]
        await endpoint.wait("StasisEnd", call=call.id)
        await router.fact(CallFinished, call=call.id)
        await call.hangup()
        await pbx.gone(call.id, call.far)
        assert (await router.fact(Warned, subject="listen", call=call.id)).message.startswith("StasisStart: ")
    finished = [fact for fact in router.of(DeliveryFinished) if fact.call == call.id]
    assert [fact.outcome for fact in finished] == ["answered", "answered"]


@pytest.fixture
async def quiet() -> AsyncIterator[Router]:
    """A router without an Asterisk."""
    async with Router("http://127.0.0.1:9", "app", route("http://127.0.0.1:9/"), serve=True, extra=SERVER) as router:
        yield router


async def test_a_token_that_may_only_look_may_not(quiet: Router) -> None:
    """Neither listen nor answer; nor does somebody else's token answer."""
    async with Ear(quiet).listens(take=True) as ear:
        for token, status in ((LOOK, 403), (ACME, 404)):
            async with Ear(quiet, token).http as http:
                reply = await http.post(f"/v1/listen/{ear.id}/1?status=200", content=b"[]")
                assert reply.status_code == status
                if token == LOOK:
                    assert (await http.post("/v1/listen", json={})).status_code == 403


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"match": {"colour": "red"}}, "unknown in `match`: colour; known: route, caller, called, app, asterisk"),
        ({"match": {"caller": 3}}, "Expected `str`"),
        ({"mtach": {}}, "unknown field `mtach`"),
        ([], "Expected `object`"),
    ],
)
async def test_what_is_wrong_is_told(quiet: Router, body: Any, said: str) -> None:
    """With what would be right."""
    async with Ear(quiet).http as http:
        reply = await http.post("/v1/listen", json=body)
        assert (reply.status_code, said in reply.json()["detail"]) == (422, True), reply.text


async def test_at_most_eight_listen(quiet: Router) -> None:
    """The ninth is told to come later, and finds room when one has gone."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(7):
            await stack.enter_async_context(Ear(quiet).listens())
        async with Ear(quiet).listens() as last, Ear(quiet).http as http:
            assert (await http.post("/v1/listen", json={})).status_code == 503
            assert (await http.post(f"/v1/listen/{last.id}/1?status=20", content=b"")).status_code == 422
        async with asyncio.timeout(10):
            while len(quiet.service.listening._ears) == 8:
                await asyncio.sleep(0.01)
        await stack.enter_async_context(Ear(quiet).listens())


class Command:
    """`hookrouter listen` as a process, and what it has said."""

    def __init__(self, router: RouterProcess, to: str, *more: str) -> None:
        self._args = ("listen", "-c", str(router.config), "--to", to, *more)
        self.lines: list[str] = []

    async def __aenter__(self) -> Command:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hookrouter", *self._args, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        await self.says("Listening: ")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.communicate()

    async def says(self, words: str) -> str:
        """The next line with these words in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if words in line:
                    return line
        raise AssertionError(f"it has ended without {words!r}: {self.lines}")


@pytest.mark.parametrize("take", [False, True], ids=["shadow", "take"])
async def test_the_command(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, tmp_path: Path, take: bool
) -> None:
    """The laptop's endpoint gets the events, signed; what it answers is compared, or done."""
    laptop = endpoint.url.removesuffix("/hook") + "/laptop"
    endpoint.answers["/hook StasisStart"] = lambda d: [ANSWER, HANGUP]
    endpoint.answers["/laptop StasisStart"] = lambda d: GOODBYE
    which = route(endpoint.url, more='secret = "0123456789abcdef"\n')
    async with RouterProcess(tmp_path, pbx_url, app_name, which) as router:
        await router.ready()
        more = ["--take"] if take else ["--match", "route=iv*"]
        async with Command(router, laptop, *more) as command:
            call = await pbx.call(app_name)
            await command.says("StasisEnd")
        await call.hangup()
        await pbx.gone(call.id, call.far)
    lines = command.lines
    seen = {path: [d for d in endpoint.received if d.path == path] for path in ("/hook", "/laptop")}
    assert all(d.headers["webhook-signature"] for d in seen["/laptop"])
    if take:
        assert [d.type for d in seen["/laptop"]] == ["StasisStart", "StasisEnd"]
        assert seen["/hook"] == []
        assert any(line.startswith(f"→ StasisStart {call.id}: 200 in ") for line in lines)
    else:
        assert [d.raw for d in seen["/laptop"]] == [d.raw for d in seen["/hook"]]
        assert seen["/laptop"][0].headers["hookrouter-shadow"] == "true"
        assert f"≠ StasisStart {call.id}\n" in lines
        assert any(line.startswith('    /actions/1/action: "hangup" by the route') for line in lines)


async def test_the_command_comes_back(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The router is killed: its own endpoint has the call that was taken, the next one is taken again, once it is back."""
    laptop = endpoint.url.removesuffix("/hook") + "/laptop"
    endpoint.answers["/laptop StasisStart"] = lambda d: [ANSWER, {"action": "play", "media": "sound:vm-goodbye"}]
    async with RouterProcess(tmp_path, pbx_url, app_name, route(endpoint.url)) as router:
        async with Command(router, laptop, "--take") as command:
            first = await pbx.call(app_name)
            await command.says(f"→ StasisStart {first.id}: 200")
            router.kill()
            gone = await command.says("has gone away")
            away = await command.says("does not answer")
            await first.hangup()
            router.start()
            await router.ready()
            await command.says("Listening: ")
            await endpoint.wait("StasisEnd", call=first.id)
            second = await pbx.call(app_name)
            await command.says(f"→ StasisStart {second.id}: 200")
            await second.hangup()
            await command.says(f"→ StasisEnd {second.id}: ")
            assert router.terminate() == 0
            await command.says("it has closed the connection")
            router.config.write_text(router.config.read_text().replace("[server]", f'[server]\ntoken = "{ALL}"'))
            router.start()
            refused = await command.says("does not let us listen")
            status = await command.process.wait()
        for call in (first, second):
            await pbx.gone(call.id, call.far)
    assert gone.startswith(f"✗ the router at http://127.0.0.1:{router.port} has gone away (")
    assert "meanwhile the routes' own endpoints are in charge; trying again in " in gone
    assert "; trying again in " in away
    assert "is back, and does not let us listen: send the header `authorization: Bearer TOKEN`" in refused
    assert status == 1
    paths = {(d.call, d.type, d.path) for d in endpoint.received}
    assert (first.id, "StasisStart", "/laptop") in paths
    assert (first.id, "StasisEnd", "/hook") in paths
    assert {path for call, _, path in paths if call == second.id} == {"/laptop"}
