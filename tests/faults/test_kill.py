"""Fault 9: kill -9 at any moment. The media lives in Asterisk, so only our memory dies, and it is on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Caller, Pbx
from rig.process import RouterProcess
from rig.router import route

EVENTS = '["StasisStart", "StasisEnd", "PlayCompleted", "ChannelDtmfReceived", "CallEnded"]'
ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
SOON = {"action": "pause", "seconds": 0.3}  # the test has subscribed by then
LONG = {"action": "play", "media": "sound:vm-options"}  # some seconds
HELLO = {"action": "play", "media": "sound:hello-world"}


def played(pbx: Pbx, call: Caller, type: str = "PlaybackStarted") -> list[str]:
    target = f"channel:{call.id}"
    return [e["playback"]["media_uri"] for e in pbx.events if e["type"] == type and e["playback"]["target_uri"] == target]


async def until(condition: Any, timeout: float = 15.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)


def process(tmp_path: Path, asterisk: Asterisk, app: str, endpoint: Endpoint) -> RouterProcess:
    return RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS))


async def test_a_prompt_that_plays_is_waited_for_and_not_played_again(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path
) -> None:
    """Killed in mid-prompt and started again, the call goes on with the next action when the prompt has ended."""
    endpoint.answers["StasisStart"] = [[ANSWER, SOON, LONG, HELLO, HANGUP]]
    async with process(tmp_path, asterisk, app, endpoint) as router:
        call = await pbx.call(app)
        await pbx.subscribe(call.id)
        await until(lambda: len(played(pbx, call)) == 1)
        router.kill()
        router.start()
        await router.ready()
        assert len(played(pbx, call)) == 1
        await endpoint.wait("CallEnded", timeout=25)
        await pbx.gone(call.id, call.far)
    assert played(pbx, call) == ["sound:vm-options", "sound:hello-world"]
    assert [d.type for d in endpoint.received] == [
        "StasisStart", "PlayCompleted", "PlayCompleted", "StasisEnd", "CallEnded",
    ]  # fmt: skip


async def test_a_prompt_that_ended_while_we_were_dead_is_followed_by_the_next_action(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path
) -> None:
    """Its end was never told; asking finds out."""
    endpoint.answers["StasisStart"] = [[ANSWER, SOON, HELLO, {"action": "pause", "seconds": 0.2}, HANGUP]]
    async with process(tmp_path, asterisk, app, endpoint) as router:
        call = await pbx.call(app)
        await pbx.subscribe(call.id)
        await until(lambda: len(played(pbx, call)) == 1)
        router.kill()
        await until(lambda: len(played(pbx, call, "PlaybackFinished")) == 1)
        router.start()
        await endpoint.wait("CallEnded")
        await pbx.gone(call.id)
    assert played(pbx, call) == ["sound:hello-world"]
    assert len(endpoint.of("PlayCompleted")) == 1


async def test_an_answer_that_was_on_its_way_is_asked_for_again_with_the_same_id(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path
) -> None:
    """Killed while the function thinks: the same delivery comes again, and one program runs."""
    thinking = asyncio.Event()

    async def slow(delivery: Any) -> Any:
        if not thinking.is_set():
            thinking.set()
            await asyncio.Event().wait()
        return [ANSWER, HELLO, HANGUP]

    endpoint.answers["StasisStart"] = slow
    async with process(tmp_path, asterisk, app, endpoint) as router:
        call = await pbx.call(app)
        await pbx.subscribe(call.id)
        await thinking.wait()
        router.kill()
        router.start()
        await endpoint.wait("CallEnded")
    starts = endpoint.of("StasisStart")
    assert len(starts) == 2
    assert starts[0].headers["webhook-id"] == starts[1].headers["webhook-id"]
    assert starts[0].raw == starts[1].raw
    assert played(pbx, call) == ["sound:hello-world"]


async def test_who_hung_up_meanwhile_is_told_once_as_inferred(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path
) -> None:
    """Two restarts in a row tell it once: what is delivered again has the same id and bytes."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG]]
    async with process(tmp_path, asterisk, app, endpoint) as router:
        call = await pbx.call(app)
        await call.answered()
        router.kill()
        await call.hangup()
        await pbx.gone(call.id)
        router.start()
        ended = await endpoint.wait("CallEnded")
        assert ended.data["reason"] == "hangup"
        router.kill()
        router.start()
        await router.ready()
    ends = endpoint.of("StasisEnd")
    assert len({end.headers["webhook-id"] for end in ends}) == 1
    assert len({end.raw for end in ends}) == 1
    assert ends[0].body["inferred"] is True


async def test_a_call_that_came_while_we_were_dead_is_not_lost_in_listen_mode(
    app: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Asterisk keeps taking calls and queues their events; they are answered after our return."""
    router = RouterProcess(tmp_path, "", app, route(endpoint.url, events=EVENTS), mode="listen")
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    with Asterisk(listen={app: f"ws://127.0.0.1:{router.port}/ari/main"}) as asterisk:
        async with Pbx(asterisk.url) as pbx, router:
            first = await pbx.call(app)
            await endpoint.wait("CallEnded", call=first.id)
            router.kill()
            calls = [await pbx.call(app) for _ in range(3)]
            router.start()
            for call in calls:
                await endpoint.wait("CallEnded", call=call.id)
            assert not [d for d in endpoint.received if d.body.get("inferred")]


@pytest.mark.parametrize("mode", ["connect", "listen"])
async def test_sigterm_leaves_calls_and_exits_within_five_seconds(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str
) -> None:
    """Fault 10 with few calls: nobody is dropped, and each call ends as it should under the new process."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG, HANGUP]]
    url = ""
    router = RouterProcess(tmp_path, url, app, route(endpoint.url, events=EVENTS), mode="listen")
    listen = {app: f"ws://127.0.0.1:{router.port}/ari/main"} if mode == "listen" else {}
    with Asterisk(listen=listen) as asterisk:
        if mode == "connect":
            router = RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS))
        async with Pbx(asterisk.url) as pbx, router:
            calls = [await pbx.call(app) for _ in range(5)]
            for call in calls:
                await call.answered()
            assert router.terminate() == 0
            assert {call.id for call in calls} <= await pbx.channels()
            router.start()
            for call in calls:
                await endpoint.wait("CallEnded", call=call.id, timeout=25)
    assert len(endpoint.of("PlayCompleted")) == 5
