"""Every Asterisk that Debian still gives: what works with it, and that what does not is told in words.

What was found stands in versions.json, from which the table of docs/versions.md is made: a run that finds something else fails.
`make versions` writes it anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from asterisk.conftest import need_asterisk
from click.testing import CliRunner
from lab.asterisk import Asterisk, free_port
from lab.installing import SUITES, installed, version
from lab.layouts import laid_out
from rig.endpoint import Endpoint
from rig.group import inviting
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import Router, route
from rig.stage import ANSWER, BOT, CASES, EVENTS, GATHER, HANGUP, HELLO, YES, Case, Failed, Stage
from rig.talk import says_something
from rig.versions import agree

from hookrouter.ari.operations import operations
from hookrouter.ari.versions import OUTBOUND_SOCKET, version_of
from hookrouter.checking.live import check_live
from hookrouter.cli import main
from hookrouter.config import load, parse
from hookrouter.facts import ActionFinished, AriRequested, Facts, Warned
from hookrouter.service.service import Service

PORT = free_port()


@pytest.fixture(scope="module", params=list(SUITES))
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lab(suite: str) -> Iterator[Asterisk]:
    """One that can be invited, and comes by itself for the app `entered`, if it is not too old for that."""
    need_asterisk(suite)
    root = installed(suite)
    assert root is not None
    opens = OUTBOUND_SOCKET.there(version_of(version(root)))
    with Asterisk(
        suite=suite, files={"sorcery.conf": inviting()}, listen={"entered": f"ws://127.0.0.1:{PORT}/ari/main"} if opens else {},
        media_clients={"bot": f"ws://127.0.0.1:{BOT}/"},
    ) as running:  # fmt: skip
        yield running


Found = Callable[[Mapping[str, str]], None]


@pytest.fixture
def is_as_recorded(suite: str, lab: Asterisk, request: pytest.FixtureRequest) -> Found:
    """Call it with what was found."""
    return lambda found: agree(suite, version(lab.root), found, write=request.config.getoption("--versions"))


async def test_actions(lab: Asterisk, app: str, endpoint: Endpoint, is_as_recorded: Found) -> None:
    """Each does what it says, or fails with a reason and in words; some at the same time."""
    async with Pbx(lab.url) as pbx, Router(lab.url, app, route(endpoint.url, events=EVENTS)) as router:
        await router.ready(30)
        stage = Stage(lab, router, endpoint, pbx, app, {})
        endpoint.answers["StasisStart"] = stage.answer

        few = asyncio.Semaphore(5)

        async def tried(title: str, one: Case) -> str:
            try:
                async with few:
                    await one(stage)
            except Failed as failed:
                assert len(failed.message) > 20, title
                return str(failed)
            except (TimeoutError, AssertionError) as error:
                error.add_note(title)
                raise
            return YES

        found = await asyncio.gather(*(tried(*item) for item in CASES.items()))
        is_as_recorded(dict(zip(CASES, found, strict=True)))


async def test_what_is_not_there_is_told_in_words(lab: Asterisk, app: str, endpoint: Endpoint) -> None:
    """At once, with its name and where to look; and beforehand, by the check."""
    (lacking,) = [line for line in await checked(lab, endpoint) if "does not have" in line] or [""]
    assert ("channels.progress" in lacking) is ("the verb `progress`" in lacking) is not lab.listen
    async with Router(lab.url, app, route(endpoint.url, events=EVENTS)) as router, Pbx(lab.url) as pbx:
        await router.ready()
        for action in ({"action": "progress"}, {"action": "channels.getChannelVars", "variables": ["A"]}):
            endpoint.answers["StasisStart"] = [[action]]
            call = await pbx.call(app)
            if lab.listen:
                finished = await router.fact(ActionFinished, call=call.id, verb=action["action"])
                assert "not_supported" not in finished.detail  # it may say that there is no such variable
            else:
                error = (await endpoint.wait("ActionFailed", call=call.id)).data["error"]
                assert error["reason"] == "not_supported"
                assert f"has no channels.{str(action['action']).removeprefix('channels.')}" in error["message"]
                assert "check --live" in error["message"]
            await call.hangup()


async def checked(lab: Asterisk, endpoint: Endpoint, mode: str = "connect", app: str = "checked") -> list[str]:
    """What `check --live` says."""
    endpoint.answers["StasisStart"] = [ANSWER, HANGUP]
    text = f"""
[asterisk.main]
url = "{lab.url}"
username = "{lab.username}"
password = "{lab.password}"
apps = ["{app}"]
mode = "{mode}"
[server]
listen = "127.0.0.1:1"
[[routes]]
url = "{endpoint.url}"
"""
    said: list[str] = []
    await check_live(parse(text, {}), said.append)
    return said


async def test_the_check_is_true_of_it(lab: Asterisk, endpoint: Endpoint, is_as_recorded: Found) -> None:
    """In each mode: nothing is wrong, or the one thing that is: it is too old. Also, what it lacks."""
    found = {}
    for mode, app in (("connect", "checked"), ("listen", "entered"), ("invite", "checked")):
        said = await checked(lab, endpoint, mode, app)
        wrong = [line for line in said if line.startswith("  ✗")]
        old = [line for line in wrong if f"mode {mode} needs Asterisk 22.5" in line and 'say mode = "connect"' in line]
        assert wrong == old, said
        found[f"`check --live`, mode {mode}"] = "too old" if old else "nothing wrong"
        assert not (old and [line for line in said if "module load" in line or "sorcery.conf" in line])
    said = await checked(lab, endpoint)
    (lacks,) = [line for line in said if "does not have" in line] or [""]
    missing = [name for name in operations() if re.search(rf"\b{name}\b", lacks)]
    found["operations of ARI, of the router's list"] = f"{len(operations()) - len(missing)} of {len(operations())}"
    features = [m[1] for line in said if (m := re.search(r"modules: (.*) will fail", line))]
    found["said to fail, for want of a module in Debian's package"] = ", ".join(features) or "nothing"
    is_as_recorded(found)


async def test_modes(lab: Asterisk, app: str, endpoint: Endpoint, is_as_recorded: Found) -> None:
    """Who connects, which way requests go, and which events come."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "setVariable", "variables": {"A": "1"}}, HANGUP]]
    found = {}
    for mode, name in (("connect", app), ("listen", "entered"), ("invite", f"{app}-i")):
        if mode != "connect" and not lab.listen:
            found[f"mode `{mode}`"] = "no"
            continue
        listen = f"127.0.0.1:{PORT if mode == 'listen' else 0}"
        async with Router(lab.url, name, route(endpoint.url), mode=mode, serve=True, listen=listen) as router, Pbx(lab.url) as pbx:
            await router.ready(30)
            call = await pbx.call(name)
            await endpoint.wait("StasisEnd", call=call.id)
            found[f"mode `{mode}`"] = YES
            ways = {asked.transport for asked in router.of(AriRequested) if asked.call == call.id}
            status, body = await pbx.ari("GET", f"applications/{name}")
            assert status == 200
            assert {"type": "StasisStart"} in body["events_allowed"]
            assert {"type": "ChannelVarset"} not in body["events_allowed"]
        if mode == "connect":
            found["requests go over"] = " and ".join({"ws": "the event socket", "http": "HTTP"}[way] for way in sorted(ways))
            found["the event filter"] = YES
            told = [warned.message for warned in router.of(Warned)]
            assert bool(told) == (found["requests go over"] == "HTTP")
    is_as_recorded(found)


async def test_the_router_is_killed_and_comes_back(
    lab: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path, is_as_recorded: Found
) -> None:
    """Mode connect: who is in the app goes on, who calls meanwhile goes on in the dialplan. Where Asterisk connects, it keeps them."""
    endpoint.answers["StasisStart"] = [[ANSWER, GATHER | {"timeout": 30}, HANGUP]]
    async with Pbx(lab.url) as pbx, RouterProcess(tmp_path, lab.url, app, route(endpoint.url, events=EVENTS)) as router:
        lives = await pbx.call(app)
        await lives.answered()
        router.kill()
        turned_away = await pbx.call(app)
        await turned_away.answered()
        assert await turned_away.variable("WENT_ON") == "FAILED"
        router.start()
        await router.ready(30)
        await lives.press("7")
        assert (await endpoint.wait("DigitsCollected", call=lives.id)).data["digits"] == "7"
        await endpoint.wait("CallEnded", call=lives.id)
    found = {
        "the router is killed: calls in the app": "go on when it is back",
        "the router is away, mode connect: new calls": "go on in the dialplan",
        "the router is away, mode listen or invite: new calls": "no such mode",
    }
    if lab.listen:
        listening = {"mode": "listen", "serve": True, "listen": f"127.0.0.1:{PORT}"}
        async with Pbx(lab.url) as pbx:
            async with Router(lab.url, "entered", route(endpoint.url), **listening) as first:
                await first.ready(30)
            kept = await pbx.call("entered")
            async with Router(lab.url, "entered", route(endpoint.url), **listening):
                await endpoint.wait("StasisStart", call=kept.id)
                await kept.hangup()
        found["the router is away, mode listen or invite: new calls"] = "wait for it"
    is_as_recorded(found)


async def test_setup_of_debians_own_files(
    suite: str, lab: Asterisk, tmp_path: Path, endpoint: Endpoint, is_as_recorded: Found
) -> None:
    """What it writes works; what this Asterisk is too old for it does not write, and says so."""
    mine = laid_out("debian", suite)
    endpoint.answers["StasisStart"] = [ANSWER, HELLO, HANGUP]
    try:
        conf = mine.etc / "asterisk.conf"
        inside = conf.read_text()
        conf.write_text(inside.replace("astmoddir => /", f"astmoddir => {mine.root}/"))  # as it is seen from here
        before = {path.name: path.read_bytes() for path in mine.etc.iterdir()}
        found = {}
        for mode in ("listen", "invite"):
            command = ["setup", str(mine.etc), "-c", str(tmp_path / f"{mode}.toml"), "--mode", mode]
            done = CliRunner().invoke(main, [*command, "--write"] if not lab.listen else command)
            found[f"`setup --mode {mode}`"] = {0: YES, 1: "refused, with the reason"}[done.exit_code]
            assert ("needs Asterisk 22.5" in done.output) == (not lab.listen), done.output
            assert {path.name: path.read_bytes() for path in mine.etc.iterdir()} == before
        conf.write_text(inside)
        routes = tmp_path / "routes.toml"
        done = CliRunner().invoke(main, ["setup", str(mine.etc), "-c", str(routes), "--endpoint", endpoint.url, "--write"])
        assert done.exit_code == 0, done.output
        config = load(routes, {})
        mine.password = config.asterisks[0].password
        mine.start()
        said: list[str] = []
        findings = await check_live(config, said.append, mine.etc)
        assert findings.wrong_count == 0, "\n".join(said)
        service = Service(config, facts=Facts(), store_url="memory:")
        await service.start()
        try:
            async with asyncio.timeout(30):
                while not all(client.ready for client in service.clients.values()):
                    await asyncio.sleep(0.02)
            await says_something(mine, "1000")
        finally:
            await service.stop()
        is_as_recorded({"`setup`, mode connect": YES, **found})
    finally:
        mine.stop()
