"""The table of repeats against the real Asterisk: what blocks, what a second request does, what a 409 is worth."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.pbx import Pbx
from yarl import URL

from hookrouter.ari.client import AriClient, Reply
from hookrouter.ari.operations import Request, build, operation, operations
from hookrouter.ari.repeating import BLOCKING, DOUBTFUL_409, REPEATS, Repeat
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.clock import SystemClock
from hookrouter.facts import Facts
from hookrouter.http.client import Http


class Line:
    """An answered channel `id` in the app of the test, a bridge that it is in (`into`) or may be, ids to choose."""

    def __init__(self, pbx: Pbx, tag: str) -> None:
        self.pbx, self.tag = pbx, tag
        self.id, self.bridge, self.other = f"ch-{tag}", f"br-{tag}", f"free-{tag}"

    async def send(self, operation: str, /, **params: Any) -> int:
        http = build(Request(operation, params))
        headers = {"content-type": "application/json"} if http.body else {}
        url = URL(f"{self.pbx.url}/ari{http.target}", encoded=True)
        async with self.pbx.session.request(http.method, url, data=http.body or None, headers=headers) as reply:
            await reply.read()
            return reply.status

    async def records(self) -> None:
        """Waits until the recording runs: before that it cannot be paused (409)."""
        async with asyncio.timeout(5):
            while (await self.pbx.ari("GET", f"recordings/live/new-{self.tag}"))[1]["state"] != "recording":
                await asyncio.sleep(0.01)

    def fill(self, params: dict[str, Any]) -> dict[str, Any]:
        """`@app`, `@id` and so on in parameters are this line's."""
        known = {"@app": self.pbx.hand, "@id": self.id, "@bridge": self.bridge, "@other": self.other, "@new": f"new-{self.tag}"}

        def one(value: Any) -> Any:
            if isinstance(value, list):
                return [one(item) for item in value]
            return known.get(value, value) if isinstance(value, str) else value

        return {key: one(value) for key, value in params.items()}


@pytest.fixture
async def line(pbx: Pbx) -> AsyncIterator[Line]:
    made = Line(pbx, secrets.token_hex(4))
    far = {"endpoint": "Local/wait@callers/n", "app": pbx.hand, "otherChannelId": f"{made.id}-far", "timeout": 10}
    assert await made.send("channels.originateWithId", channelId=made.id, **far) == 200
    await pbx.event("StasisStart", made.id)
    for bridge in (made.bridge, made.other):
        assert await made.send("bridges.createWithId", bridgeId=bridge, type="mixing") == 200
    yield made
    for channel in await pbx.channels():
        if made.tag in channel:
            await made.send("channels.hangup", channelId=channel)
    for bridge in await pbx.bridges():
        if made.tag in bridge:
            await made.send("bridges.destroy", bridgeId=bridge)


# ---- what blocks ----------------------------------------------------------------------------------------------------

_ON_ID = ("answer", "ring", "ringStop", "progress", "mute", "unmute", "hold", "unhold", "startMoh", "stopMoh",
          "startSilence", "stopSilence")  # fmt: skip
_BUSY: dict[str, tuple[str, dict[str, Any]]] = {
    "play": ("channels.play", {"media": ["tone:ring"]}),
    "dtmf": ("channels.sendDTMF", {"dtmf": "1" * 20, "duration": 500}),
}
_ON_A_CHANNEL: dict[str, dict[str, Any]] = {
    "channels.get": {},
    "channels.getChannelVar": {"variable": "CHANNEL(state)"},
    "channels.getChannelVars": {"variables": ["CHANNEL(state)"]},
    "channels.setChannelVar": {"variable": "A", "value": "1"},
    "channels.setChannelVars": {"variables": {"A": "1"}},
    **{f"channels.{name}": {} for name in (*_ON_ID, "rtpstatistics", "hangup")},
    "channels.sendDTMF": {"dtmf": "1"},
    "channels.play": {"media": ["sound:hello-world"]},
    "channels.record": {"name": "@new", "format": "wav"},
    "channels.snoopChannel": {"app": "@app", "spy": "both", "snoopId": "@new"},
    "channels.transfer_progress": {"states": "channel_progress"},
    "channels.redirect": {"endpoint": "Local/wait@callers"},
    "channels.move": {"app": "@app"},
    "channels.continueInDialplan": {"context": "callers", "extension": "wait"},
    "bridges.addChannel": {"bridgeId": "@other", "channel": ["@id"]},
    "bridges.removeChannel": {"bridgeId": "@bridge", "channel": ["@id"]},
    "bridges.setVideoSource": {"bridgeId": "@bridge", "channelId": "@id"},
    "bridges.clearVideoSource": {"bridgeId": "@bridge"},
    "bridges.startMoh": {"bridgeId": "@bridge"},
    "bridges.play": {"bridgeId": "@bridge", "media": ["sound:hello-world"]},
    "bridges.record": {"bridgeId": "@bridge", "name": "@new", "format": "wav"},
    "bridges.destroy": {"bridgeId": "@bridge"},
}
_SECONDS = 1.5


@pytest.mark.parametrize("busy", sorted(_BUSY))
async def test_what_blocks(line: Line, pbx: Pbx, busy: str) -> None:
    """Behind a sound or DTMF without end, exactly the operations of the table wait; every other answers at once."""

    names = sorted(_ON_A_CHANNEL)

    async def blocks(name: str) -> bool:
        other = Line(pbx, f"{line.tag}-{names.index(name):02}")
        far = {"endpoint": "Local/wait@callers/n", "app": pbx.hand, "otherChannelId": f"{other.id}-far", "timeout": 10}
        assert await other.send("channels.originateWithId", channelId=other.id, **far) == 200
        await pbx.event("StasisStart", other.id)
        for bridge in (other.bridge, other.other):
            await other.send("bridges.createWithId", bridgeId=bridge, type="mixing")
        await other.send("bridges.addChannel", bridgeId=other.bridge, channel=[other.id])
        running, with_ = _BUSY[busy]
        assert await other.send(running, channelId=other.id, **with_) in (201, 204)
        if busy == "play":
            async with asyncio.timeout(5), pbx.changed:
                await pbx.changed.wait_for(lambda: any(_plays(event, other.id) for event in pbx.events))
        else:
            await asyncio.sleep(0.1)  # no event tells that DTMF is being sent
        params = other.fill(_ON_A_CHANNEL[name])
        known = {parameter.name for parameter in operations()[name].parameters}
        if "channelId" in known:
            params.setdefault("channelId", other.id)
        try:
            async with asyncio.timeout(_SECONDS):
                await other.send(name, **params)
        except TimeoutError:
            return True
        return False

    limit = asyncio.Semaphore(8)

    async def limited(name: str) -> bool:
        async with limit:
            return await blocks(name)

    found = dict(zip(names, await asyncio.gather(*map(limited, names)), strict=True))
    assert {name for name, blocked in found.items() if blocked} == BLOCKING


def _plays(event: dict[str, Any], channel: str) -> bool:
    return event["type"] == "PlaybackStarted" and event["playback"]["target_uri"] == f"channel:{channel}"


async def test_what_is_no_reason_to_block(line: Line) -> None:
    """Music on hold, silence, and a sound that the bridge plays hold nothing up."""
    await line.send("channels.startMoh", channelId=line.id)
    await line.send("channels.startSilence", channelId=line.id)
    await line.send("bridges.addChannel", bridgeId=line.bridge, channel=[line.id])
    await line.send("bridges.play", bridgeId=line.bridge, media=["tone:ring"])
    async with asyncio.timeout(2):
        assert await line.send("channels.setChannelVar", channelId=line.id, variable="A", value="1") == 204
        assert await line.send("channels.answer", channelId=line.id) == 204
        assert await line.send("bridges.removeChannel", bridgeId=line.bridge, channel=[line.id]) == 204


# ---- what a repeat does ---------------------------------------------------------------------------------------------

_IN_BRIDGE = ("bridges.addChannel", {"bridgeId": "@bridge", "channel": ["@id"]})
_RECORDS = ("channels.record", {"channelId": "@id", "name": "@new", "format": "wav"})
_PLAYS = ("channels.playWithId", {"channelId": "@id", "playbackId": "@new", "media": ["tone:ring"]})
_SNOOP = {"channelId": "@id", "snoopId": "@new", "app": "@app", "spy": "both"}
_LEG = {"channelId": "@new", "endpoint": "Local/wait@callers/n", "app": "@app"}
_LIVE = {"recordingName": "@new"}

# what comes before, the parameters, the status of the first, the status of the second
_TWICE: dict[str, tuple[list[tuple[str, dict[str, Any]]], dict[str, Any], int, int]] = {
    **{f"channels.{name}": ([], {"channelId": "@id"}, 204, 204) for name in _ON_ID},
    "channels.setChannelVar": ([], {"channelId": "@id", "variable": "A", "value": "1"}, 204, 204),
    "channels.setChannelVars": ([], {"channelId": "@id", "variables": {"A": "1"}}, 204, 204),
    "channels.transfer_progress": ([], {"channelId": "@id", "states": "channel_progress"}, 204, 204),
    "applications.subscribe": ([], {"applicationName": "@app", "eventSource": ["channel:x"]}, 422, 422),
    "applications.filter": ([], {"applicationName": "@app", "filter": {}}, 200, 200),
    "asterisk.setGlobalVar": ([], {"variable": "LAB", "value": "1"}, 204, 204),
    "asterisk.reloadModule": ([], {"moduleName": "res_musiconhold.so"}, 204, 204),
    "asterisk.addLog": ([], {"logChannelName": "@new", "configuration": "error"}, 204, 409),
    "asterisk.deleteLog": (
        [("asterisk.addLog", {"logChannelName": "@new", "configuration": "error"})],
        {"logChannelName": "@new"}, 204, 404,
    ),
    "asterisk.unloadModule": ([("asterisk.loadModule", {"moduleName": "app_morsecode.so"})],
                              {"moduleName": "app_morsecode.so"}, 204, 404),
    "asterisk.loadModule": ([("asterisk.unloadModule", {"moduleName": "app_morsecode.so"})],
                            {"moduleName": "app_morsecode.so"}, 204, 409),
    "bridges.addChannel": ([], _IN_BRIDGE[1], 204, 204),
    "bridges.removeChannel": ([_IN_BRIDGE], _IN_BRIDGE[1], 204, 422),
    "bridges.setVideoSource": ([_IN_BRIDGE], {"bridgeId": "@bridge", "channelId": "@id"}, 204, 204),
    "bridges.clearVideoSource": ([], {"bridgeId": "@bridge"}, 204, 204),
    "bridges.setBridgeVar": ([], {"bridgeId": "@bridge", "variable": "A", "value": "1"}, 204, 204),
    "bridges.setBridgeVars": ([], {"bridgeId": "@bridge", "variables": {"A": "1"}}, 204, 204),
    "bridges.startMoh": ([], {"bridgeId": "@bridge"}, 204, 204),
    "bridges.stopMoh": ([("bridges.startMoh", {"bridgeId": "@bridge"})], {"bridgeId": "@bridge"}, 204, 409),
    "bridges.destroy": ([], {"bridgeId": "@bridge"}, 204, 404),
    "bridges.create": ([], {"bridgeId": "@new", "type": "mixing"}, 200, 409),
    "bridges.createWithId": ([], {"bridgeId": "@new", "variables": {"A": "1"}}, 200, 409),
    "bridges.play": ([], {"bridgeId": "@bridge", "playbackId": "@new", "media": ["tone:ring"]}, 201, 201),
    "bridges.playWithId": ([], {"bridgeId": "@bridge", "playbackId": "@new", "media": ["tone:ring"]}, 201, 201),
    "bridges.record": ([], {"bridgeId": "@bridge", "name": "@new", "format": "wav"}, 201, 409),
    "channels.play": ([], _PLAYS[1], 201, 201),
    "channels.playWithId": ([], _PLAYS[1], 201, 201),
    "channels.record": ([], _RECORDS[1], 201, 409),
    "channels.originate": ([], _LEG, 200, 409),
    "channels.originateWithId": ([], _LEG, 200, 409),
    "channels.create": ([], _LEG, 200, 409),
    "channels.snoopChannel": ([], _SNOOP, 200, 500),
    "channels.snoopChannelWithId": ([], _SNOOP, 200, 500),
    "channels.externalMedia": ([], {"channelId": "@new", "app": "@app", "external_host": "127.0.0.1:9", "format": "ulaw"},
                               200, 500),
    "channels.hangup": ([], {"channelId": "@id"}, 204, 404),
    "deviceStates.update": ([], {"deviceName": "Stasis:lab2", "deviceState": "INUSE"}, 204, 204),
    "deviceStates.delete": ([], {"deviceName": "Stasis:lab2"}, 204, 204),
    "playbacks.stop": ([_PLAYS], {"playbackId": "@new"}, 204, 404),
    "recordings.pause": ([_RECORDS], _LIVE, 204, 204),
    "recordings.unpause": ([_RECORDS], _LIVE, 204, 204),
    "recordings.mute": ([_RECORDS], _LIVE, 204, 204),
    "recordings.unmute": ([_RECORDS], _LIVE, 204, 204),
    "recordings.stop": ([_RECORDS], _LIVE, 204, 404),
    "recordings.cancel": ([_RECORDS], _LIVE, 204, 404),
    "recordings.deleteStored": ([_RECORDS, ("recordings.stop", _LIVE)], _LIVE, 204, 404),
    "recordings.copyStored": ([_RECORDS, ("recordings.stop", _LIVE)], {**_LIVE, "destinationRecordingName": "@other"}, 200, 409),
}  # fmt: skip
_UNTRIED = {
    "asterisk.updateObject": "no object of the lab can be changed",
    "asterisk.deleteObject": "no object of the lab can be changed",
    "mailboxes.update": "the package has no res_mwi_external",
    "mailboxes.delete": "the package has no res_mwi_external",
}


def test_the_table_is_whole() -> None:
    """All that may be repeated has been tried, or says why not; what is never repeated needs no trying."""
    assert set(_TWICE) | set(_UNTRIED) == {name for name, repeat in REPEATS.items() if repeat is not Repeat.NEVER}


@pytest.mark.parametrize("name", sorted(_TWICE))
async def test_a_repeat(line: Line, name: str) -> None:
    """The second request, once the first is over, answers as the table of repeats counts on."""
    before, params, first, second = _TWICE[name]
    for earlier, with_ in before:
        status = await line.send(earlier, **line.fill(with_))
        assert status in (200, 201, 204, 409), (earlier, status)
    if name.endswith("Stored"):
        await _until(line, "recordings.getStored", line.fill(_LIVE), 200)
    elif name.startswith("recordings."):
        await line.records()
    params = line.fill(params)
    if name == "recordings.cancel":  # for a moment after its beginning that fails with 500
        await _until(line, name, params, first)
    else:
        assert await line.send(name, **params) == first
    found = operation(name)
    assert found is not None
    if found.proof:
        asked = {own: params[source] for own, source in found.proof.params}
        assert await line.send(found.proof.operation, **asked) == 200
    if second in found.done_already:  # for a moment it may say so in another way
        status = await line.send(name, **params)
        assert status in found.done_already | {first}
        await _until(line, name, params, second)
    else:
        assert await line.send(name, **params) == second


async def _until(line: Line, name: str, params: dict[str, Any], status: int) -> None:
    last = 0
    try:
        async with asyncio.timeout(5):
            while (last := await line.send(name, **params)) != status:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"{name} says {last}, never {status}") from None


@pytest.mark.parametrize("name", sorted(name for name, (_, _, _, second) in _TWICE.items() if operations()[name].proof))
async def test_a_proof_of_nothing(line: Line, name: str) -> None:
    """Where nothing was done, the proof says 404."""
    proof = operations()[name].proof
    assert proof is not None
    missing = f"no-{line.tag}"
    assert await line.send(proof.operation, **{own: missing for own, _ in proof.params}) == 404


async def test_a_subscription_is_counted(line: Line, pbx: Pbx) -> None:
    """One `unsubscribe` too many takes away the events of a channel that is in the app: so it is never repeated."""
    source = {"applicationName": pbx.hand, "eventSource": [f"channel:{line.id}"]}

    async def subscribed() -> bool:
        return line.id in (await pbx.ari("GET", f"applications/{pbx.hand}"))[1]["channel_ids"]

    assert await line.send("applications.subscribe", **source) == 200
    assert await line.send("applications.unsubscribe", **source) == 200
    assert await subscribed()
    for _ in range(2):  # one that Asterisk made because the app called it, one because it is in the app
        assert await line.send("applications.unsubscribe", **source) == 200
    assert not await subscribed()
    assert await line.send("applications.unsubscribe", **source) == 422


async def test_a_second_recording_of_a_bridge(line: Line) -> None:
    """Refused with 409, it takes the first one's name away: nothing can stop that any more. So the proof comes first."""
    params = {"bridgeId": line.bridge, "name": f"rec-{line.tag}", "format": "wav"}
    assert await line.send("bridges.record", **params) == 201
    assert await line.send("recordings.getLive", recordingName=params["name"]) == 200
    assert await line.send("bridges.record", **params) == 409
    await _until(line, "recordings.getLive", {"recordingName": params["name"]}, 404)
    assert await line.send("recordings.stop", recordingName=params["name"]) == 404


# ---- what a 409 is worth --------------------------------------------------------------------------------------------


@pytest.fixture
async def client(asterisk: Asterisk) -> AsyncIterator[AriClient]:
    """Our own client, connected."""
    ready = asyncio.Event()

    async def connected(_: object) -> None:
        ready.set()

    settings = AsteriskSettings("lab", asterisk.url, asterisk.username, asterisk.password, (f"app{secrets.token_hex(4)}",))
    http = Http()
    made = AriClient(
        settings, on_event=lambda raw, head: None, on_link=lambda: None, on_connected=connected, facts=Facts(),
        clock=SystemClock(), random=lambda: 0.5, http=http,
    )  # fmt: skip
    await made.start()
    async with asyncio.timeout(10):
        await ready.wait()
    yield made
    await made.stop()
    await http.close()


@pytest.mark.parametrize("name", sorted(DOUBTFUL_409))
async def test_a_409_that_is_none(client: AriClient, line: Line, name: str) -> None:
    """After one id that was taken, the same connection answers 409 for whoever cannot be reached; the client finds out."""
    app = client.apps[0]

    async def call(channel: str, endpoint: str) -> Reply:
        return await client.perform(Request(name, {"channelId": channel, "endpoint": endpoint, "app": app}))

    new = f"new-{line.tag}"
    assert (await call(new, "PJSIP/nobody")).status == 500
    assert (await call(new, "Local/wait@callers/n")).status == 200
    assert (await call(new, "Local/wait@callers/n")).status == 409
    asked = build(Request(name, {"channelId": f"{new}-2", "endpoint": "PJSIP/nobody", "app": app}))
    raw = await client.exchange(asked, operations()[name], None, 5, lambda: None)
    assert raw[0] == 409
    assert (await call(f"{new}-2", "PJSIP/nobody")).status == 500


async def test_ids_that_begin_alike(line: Line, pbx: Pbx) -> None:
    """No channel gets an id that a living one's begins with, in whatever case; one that goes on after it may have it."""
    far = {"endpoint": "Local/wait@callers/n", "app": pbx.hand}

    async def made(id: str) -> int:
        return await line.send("channels.originateWithId", channelId=id, otherChannelId=f"{secrets.token_hex(4)}-{line.tag}", **far)

    assert await line.send("channels.get", channelId=line.id[:-1]) == 404
    assert await made(line.id[:-1]) == 409
    assert await made(line.id.upper()) == 409
    assert await made(f"{line.id}0") == 200
    assert await made(f"{line.id[:-1]}.{line.tag}") == 200
