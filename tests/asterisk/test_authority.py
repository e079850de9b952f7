"""Authority on the real Asterisk: whatever an endpoint answers, it reaches its own call and nothing else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Caller, Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, CallFinished

ANSWER: dict[str, Any] = {"action": "answer"}
STAY: dict[str, Any] = {"action": "pause", "seconds": 60}
EVENTS = '["StasisStart", "ChannelDtmfReceived", "ActionFailed", "RecordingCompleted", "PlayCompleted", "CallEnded"]'


@pytest.fixture
async def victim() -> AsyncIterator[Endpoint]:
    """The endpoint of somebody else."""
    async with Endpoint() as running:
        yield running


@dataclass
class Scene:
    """Two routes of one app: a caller with the argument `evil` belongs to the one, all others to the other."""

    router: Router
    app: str
    pbx: Pbx
    evil: Endpoint
    victim: Endpoint
    callers: list[Caller] = field(default_factory=list)

    async def __aenter__(self) -> Scene:
        await self.router.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Everybody hangs up, and what was made for them goes."""
        for caller in self.callers:
            await self.pbx.ari("DELETE", f"channels/{caller.far}")
        for caller in self.callers:
            await self.router.fact(CallFinished, call=caller.id)

    async def calls(self, who: Endpoint, caller: str = "", *, actions: list[Any] | None = None) -> tuple[Caller, Delivery]:
        """Somebody calls (`caller`: what they do); what their endpoint is told."""
        if actions is not None:
            who.answers["StasisStart"] = lambda delivery: actions
        before = len(who.of("StasisStart"))
        called = await self.pbx.call(self.app, caller, args="evil" if who is self.evil else "")
        self.callers.append(called)
        return called, await who.wait("StasisStart", before + 1)

    async def fails(self, caller: Caller) -> str:
        """The reason with which the evil program has failed."""
        async with asyncio.timeout(8):
            while True:
                for told in self.evil.of("ActionFailed"):
                    if told.call == caller.id:
                        return str(told.data["error"]["reason"])
                await asyncio.sleep(0.02)


def two(evil: Endpoint, victim: Endpoint, more_evil: str = "", more_victim: str = "") -> str:
    evils = route(evil.url, name="evil", events=EVENTS, more=f'match = {{ args = ["evil"] }}\n{more_evil}')
    return evils + route(victim.url, name="victim", events=EVENTS, more=more_victim)


@pytest.fixture
async def scene(asterisk: Asterisk, app: str, endpoint: Endpoint, victim: Endpoint, pbx: Pbx) -> AsyncIterator[Scene]:
    async with (
        Router(asterisk.url, app, two(endpoint, victim)) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,
    ):
        yield scene


Way = Callable[[str, str, str], list[dict[str, Any]]]
WAYS: dict[str, Way] = {
    "a recording named like their channel": lambda channel, bridge, file: [
        {"action": "record", "name": channel, "wait": False},
        {"action": "channels.hangup", "channelId": channel},
    ],
    "a recording beside, named like it": lambda channel, bridge, file: [
        {"action": "startRecording", "name": channel},
        {"action": "channels.hangup", "channelId": channel},
    ],
    "a bridge of that id": lambda channel, bridge, file: [
        {"action": "bridges.createWithId", "bridgeId": channel, "onError": "continue"},
        {"action": "channels.hangup", "channelId": channel},
    ],
    "a recording named like an operation": lambda channel, bridge, file: [
        {"action": "record", "name": "asterisk.setGlobalVar", "wait": False},
        {"action": "asterisk.setGlobalVar", "variable": "EVIL", "value": channel},
    ],
    "into their room": lambda channel, bridge, file: [
        {"action": "record", "name": bridge.replace("hr-", "x-"), "wait": False},
        {"action": "bridges.addChannel", "bridgeId": bridge, "channel": "1"},
    ],
    "their room's end": lambda channel, bridge, file: [{"action": "bridges.destroy", "bridgeId": bridge}],
    "their recording's end": lambda channel, bridge, file: [{"action": "recordings.cancel", "recordingName": file}],
    "their events": lambda channel, bridge, file: [
        {"action": "applications.subscribe", "applicationName": "x", "eventSource": f"channel:{channel}"}
    ],
    "their voice": lambda channel, bridge, file: [{"action": "spy", "call": channel}],
    "within a list": lambda channel, bridge, file: [
        {"action": "play", "media": "sound:no-such-sound", "onError": [{"action": "channels.hangup", "channelId": channel}]}
    ],
}


@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_to_another_call(scene: Scene, way: str) -> None:
    """It is refused, and the other call goes on as if nothing had been."""
    file = f"theirs-{secrets.token_hex(4)}"
    recorded = {"action": "startRecording", "name": file}
    theirs, _ = await scene.calls(scene.victim, actions=[ANSWER, recorded, {"action": "bridge", "name": "private"}])
    bridge = await scene.pbx.together(theirs.id)
    await scene.pbx.recorded(file)
    mine, _ = await scene.calls(scene.evil, actions=[ANSWER, *WAYS[way](theirs.id, bridge, file)])
    assert await scene.fails(mine) == "forbidden"
    assert theirs.id in await scene.pbx.channels()
    assert await scene.pbx.together(theirs.id) == bridge
    status, _ = await scene.pbx.ari("GET", f"recordings/live/{file}")
    assert status == 200
    assert (await scene.pbx.ari("GET", "asterisk/variable", variable="EVIL"))[1]["value"] == ""
    assert not [over for over in scene.router.of(CallFinished) if over.call == theirs.id]


async def test_a_new_channel_always_begins_its_call(scene: Scene) -> None:
    """Although a recording, a playback and a bridge of that name are there before it."""
    id = f"future-{secrets.token_hex(4)}"
    claims = [
        {"action": "startRecording", "name": f"{id}-in"},
        {"action": "bridges.createWithId", "bridgeId": f"{id}-in", "onError": "continue"},
        {"action": "channels.playWithId", "playbackId": f"{id}-in", "media": "tone:ring", "wait": False},
    ]
    mine, _ = await scene.calls(scene.evil, actions=[ANSWER, *claims, STAY])
    await scene.router.fact(ActionFinished, call=mine.id, verb="bridges.createWithId")
    scene.victim.answers["StasisStart"] = [[ANSWER, STAY]]
    status, body = await scene.pbx.ari(
        "POST", f"channels/{id}-far", endpoint=f"Local/call-{scene.app}@in/n", app=scene.pbx.hand, otherChannelId=f"{id}-in"
    )
    assert status == 200, body
    assert (await scene.victim.wait("StasisStart")).call == f"{id}-in"
    await scene.pbx.event("ChannelStateChange", f"{id}-far")
    await scene.pbx.ari("DELETE", f"channels/{id}-far")


async def test_keys_of_another_call_are_not_told(scene: Scene) -> None:
    """Not to who has something of that name."""
    theirs, _ = await scene.calls(scene.victim, actions=[ANSWER, STAY])
    claims = [
        {"action": "startRecording", "name": theirs.id},
        {"action": "bridges.createWithId", "bridgeId": theirs.id, "onError": "continue"},
    ]
    mine, _ = await scene.calls(scene.evil, actions=[ANSWER, *claims, STAY])
    await scene.router.fact(ActionFinished, call=mine.id, verb="bridges.createWithId")
    await theirs.press("7")
    await scene.victim.wait("ChannelDtmfReceived")
    assert scene.evil.of("ChannelDtmfReceived") == []


async def test_what_asterisk_has_already_is_not_made_again(scene: Scene) -> None:
    """A channel or bridge of anybody's: of some, a second one would end Asterisk."""
    theirs, _ = await scene.calls(scene.victim, actions=[ANSWER, STAY])
    foreign = f"foreign-{secrets.token_hex(4)}"
    assert (await scene.pbx.ari("POST", f"bridges/{foreign}", type="mixing"))[0] == 200
    media = {"app": scene.app, "external_host": "127.0.0.1:9", "format": "ulaw"}
    for action in (
        {"action": "bridges.createWithId", "bridgeId": foreign},
        {"action": "bridges.create", "bridgeId": foreign},
        {"action": "channels.create", "channelId": theirs.far, "endpoint": "Local/wait@callers", "app": scene.app},
        {"action": "channels.externalMedia", "channelId": theirs.far, **media},
        {"action": "channels.externalMedia", "channelId": theirs.far.upper(), **media},
        {"action": "channels.originateWithId", "channelId": theirs.id, "endpoint": "Local/wait@callers", "app": scene.app},
    ):
        mine, _ = await scene.calls(scene.evil, actions=[ANSWER, action])
        assert await scene.fails(mine) in ("forbidden", "conflict"), action
        await scene.pbx.ari("DELETE", f"channels/{mine.far}")
    assert {theirs.id, theirs.far} <= await scene.pbx.channels()
    assert foreign in await scene.pbx.bridges()
    await scene.pbx.ari("DELETE", f"bridges/{foreign}")


async def test_a_recording_is_for_who_made_it(
    asterisk: Asterisk, app: str, endpoint: Endpoint, victim: Endpoint, pbx: Pbx
) -> None:
    """Another call's is neither played nor replaced; one of before the router is granted by `allow`, and by nothing else."""
    name = f"folder-{secrets.token_hex(4)}/theirs"
    play = [ANSWER, {"action": "play", "media": f"recording:{name}"}, STAY]
    async with (
        Router(asterisk.url, app, two(endpoint, victim)) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,
    ):
        record = {"action": "record", "name": name, "maxDurationSeconds": 1}
        recorded = [ANSWER, record, {"action": "play", "media": f"recording:{name}"}, STAY]
        theirs, _ = await scene.calls(victim, "talk", actions=recorded)
        victim.answers["RecordingCompleted"] = []
        await router.fact(ActionFinished, call=theirs.id, verb="play", outcome="done")  # its own
        over = [ANSWER, {"action": "record", "name": name, "ifExists": "overwrite"}]
        to = {"destinationRecordingName": f"{name}-copy"}
        copy = [ANSWER, {"action": "recordings.copyStored", "recordingName": name, **to}]
        for actions in (play, over, copy):
            mine, _ = await scene.calls(endpoint, actions=actions)
            assert await scene.fails(mine) == "forbidden"
    async with (
        Router(asterisk.url, app, two(endpoint, victim, 'scope = "any"')) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,  # which knows of nobody who made it
    ):
        mine, _ = await scene.calls(endpoint, actions=play)
        assert await scene.fails(mine) == "forbidden"
    grant = f'allow = ["recording:{name.partition("/")[0]}/*"]'
    async with (
        Router(asterisk.url, app, two(endpoint, victim, grant)) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,
    ):
        mine, _ = await scene.calls(endpoint, actions=play)
        await router.fact(ActionFinished, call=mine.id, verb="play", outcome="done")


async def test_who_has_made_a_recording_is_known_after_a_restart(
    asterisk: Asterisk, app: str, endpoint: Endpoint, victim: Endpoint, pbx: Pbx, tmp_path: Any
) -> None:
    """It is in the journal: a call of the same tenant that may touch others' plays it, another tenant's does not."""
    name = f"kept-{secrets.token_hex(4)}"
    store = f"sqlite:///{tmp_path}/state.db"
    async with (
        Router(asterisk.url, app, two(endpoint, victim, "", 'tenant = "a"'), store=store) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,
    ):
        recorded = {"action": "record", "name": name, "maxDurationSeconds": 1}
        theirs, _ = await scene.calls(victim, "talk", actions=[ANSWER, recorded])
        await victim.wait("RecordingCompleted")
        await pbx.ari("DELETE", f"channels/{theirs.far}")
        await router.fact(CallFinished, call=theirs.id)
    play = [ANSWER, {"action": "play", "media": f"recording:{name}"}, STAY]
    for tenant, good in (("a", True), ("b", False)):
        more = f'scope = "any"\ntenant = "{tenant}"\nallow = ["recording:*"]'
        async with (
            Router(asterisk.url, app, two(endpoint, victim, more, 'tenant = "a"'), store=store) as router,
            Scene(router, app, pbx, endpoint, victim) as scene,
        ):
            mine, _ = await scene.calls(endpoint, actions=play)
            if good:
                await router.fact(ActionFinished, call=mine.id, verb="play", outcome="done")
            else:
                assert await scene.fails(mine) == "forbidden"
            await pbx.ari("DELETE", f"channels/{mine.far}")
            await router.fact(CallFinished, call=mine.id)


async def test_tenants_do_not_meet(asterisk: Asterisk, app: str, endpoint: Endpoint, victim: Endpoint, pbx: Pbx) -> None:
    """In a room, a conference or a queue of the same name, by `bridge` or `spy`; also with `scope = "any"`."""
    routes = two(endpoint, victim, 'tenant = "a"\nscope = "any"', 'tenant = "b"\nscope = "any"')
    async with (
        Router(asterisk.url, app, routes) as router,
        Scene(router, app, pbx, endpoint, victim) as scene,
    ):
        for room in ({"action": "bridge", "name": "team"}, {"action": "conference", "name": "team"}):
            theirs, _ = await scene.calls(victim, actions=[ANSWER, room])
            mine, _ = await scene.calls(endpoint, actions=[ANSWER, room])
            assert await pbx.together(theirs.id) != await pbx.together(mine.id)
        theirs, _ = await scene.calls(victim, actions=[ANSWER, {"action": "enqueue", "queue": "sales"}])
        await pbx.event("ChannelStateChange", theirs.far)
        mine, _ = await scene.calls(endpoint, actions=[ANSWER, {"action": "dequeue", "queue": "sales"}])
        await router.fact(ActionFinished, call=mine.id, verb="dequeue", outcome="done")
        for action in ({"action": "bridge", "with": theirs.id}, {"action": "spy", "call": theirs.id},
                       {"action": "channels.hangup", "channelId": theirs.id}):  # fmt: skip
            mine, _ = await scene.calls(endpoint, actions=[ANSWER, action])
            assert await scene.fails(mine) == "forbidden"
        assert theirs.id in await pbx.channels()
