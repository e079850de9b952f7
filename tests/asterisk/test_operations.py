"""Each of the 109 operations is sent once to the real Asterisk, so that no name and no parameter is wrong."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lab.asterisk import Asterisk
from rig.pbx import Caller, Pbx

from hookrouter.ari.operations import Request, build, check, operations

OK = (200, 201, 204)
_NO_MAILBOXES = "the package has no res_mwi_external, and so no res_ari_mailboxes"
REFUSED: dict[str, tuple[int, str]] = {
    "asterisk.addLog": (409, "the log channel exists"),
    "asterisk.deleteLog": (404, "no such log channel"),
    "asterisk.getObject": (404, "no such object"),
    "asterisk.updateObject": (400, "no such field"),
    "asterisk.deleteObject": (404, "no such object"),
    "asterisk.loadModule": (409, "it is loaded"),
    "asterisk.unloadModule": (409, "it is in use"),
    "bridges.getBridgeVar": (404, "not set"),
    "bridges.getBridgeVars": (404, "not set"),
    "channels.rtpstatistics": (403, "a Local channel has no RTP"),
    "endpoints.refer": (404, "no such endpoint"),
    "endpoints.referToEndpoint": (404, "no such endpoint"),
    "endpoints.sendMessage": (404, "no such endpoint"),
    "endpoints.sendMessageToEndpoint": (404, "no such endpoint"),
    "mailboxes.list": (404, _NO_MAILBOXES),
    "mailboxes.get": (404, _NO_MAILBOXES),
    "mailboxes.update": (404, _NO_MAILBOXES),
    "mailboxes.delete": (404, _NO_MAILBOXES),
    "events.eventWebsocket": (426, "it wants an upgrade"),
    "events.claimChannel": (404, "no broadcast waits for that channel"),
}
"""Those that cannot succeed here, with the status of their refusal and why."""

PARAMS: dict[str, dict[str, Any]] = {
    "applications.filter": {"filter": {"allowed": []}},
    "asterisk.getInfo": {"only": ["status", "system"]},
    "asterisk.addLog": {"configuration": "notice"},
    "asterisk.getGlobalVar": {"variable": "EPOCH"},
    "asterisk.setGlobalVar": {"variable": "LAB", "value": "1"},
    "asterisk.updateObject": {"fields": [{"attribute": "x", "value": "y"}]},
    "bridges.create": {"type": "mixing"},
    "bridges.setBridgeVars": {"variables": {"A": "1"}},
    "channels.setChannelVars": {"variables": {"A": "1"}},
    "channels.sendDTMF": {"dtmf": "1"},
    "channels.mute": {"direction": "in"},
    "channels.unmute": {"direction": "in"},
    "channels.snoopChannel": {"spy": "both"},
    "channels.snoopChannelWithId": {"spy": "both"},
    "channels.redirect": {"endpoint": "Local/wait@callers"},
    "channels.externalMedia": {"external_host": "127.0.0.1:9999", "format": "ulaw"},
    "channels.transfer_progress": {"states": "channel_progress"},
    "deviceStates.update": {"deviceName": "Stasis:lab", "deviceState": "INUSE"},
    "deviceStates.delete": {"deviceName": "Stasis:lab"},
    "endpoints.refer": {"to": "pjsip:nobody", "from": "sip:a@127.0.0.1", "refer_to": "sip:b@127.0.0.1"},
    "endpoints.referToEndpoint": {
        "tech": "PJSIP",
        "resource": "nobody",
        "from": "sip:a@127.0.0.1",
        "refer_to": "sip:b@127.0.0.1",
    },
    "endpoints.sendMessage": {"to": "pjsip:nobody", "from": "sip:a@127.0.0.1"},
    "endpoints.sendMessageToEndpoint": {"tech": "PJSIP", "resource": "nobody", "from": "sip:a@127.0.0.1"},
    "endpoints.listByTech": {"tech": "PJSIP"},
    "endpoints.get": {"tech": "PJSIP", "resource": "far"},
    "events.userEvent": {"eventName": "lab"},
    "mailboxes.update": {"oldMessages": 1, "newMessages": 2},
    "playbacks.control": {"operation": "pause"},
    "recordings.copyStored": {},
    "sounds.get": {"soundId": "hello-world"},
}


class Scene:
    """A call in an app of the test's, a bridge, a playback, a recording, and ids for what is to be made."""

    def __init__(self, pbx: Pbx, app: str, call: Caller) -> None:
        self.pbx, self.app, self.call = pbx, app, call
        self.tag = secrets.token_hex(4)

    async def send(self, name: str, params: dict[str, Any]) -> tuple[int, Any]:
        http = build(Request(name, params))
        headers = {"content-type": "application/json"} if http.body else {}
        url = f"{self.pbx.url}/ari{http.target}"
        async with self.pbx.session.request(http.method, _encoded(url), data=http.body or None, headers=headers) as reply:
            return reply.status, (await reply.read()).decode("utf-8", "replace")

    async def prepare(self, name: str) -> dict[str, Any]:
        """Parameters with which `name` makes sense here."""
        found = operations()[name]
        known = {parameter.name for parameter in found.parameters}
        values: dict[str, Any] = {
            "applicationName": self.app, "app": self.app, "application": self.app, "channelId": self.call.id,
            "bridgeId": f"lab-{self.tag}", "playbackId": f"play-{self.tag}", "snoopId": f"snoop-{self.tag}",
            "name": f"rec-{self.tag}", "recordingName": f"rec-{self.tag}", "destinationRecordingName": f"copy-{self.tag}",
            "format": "wav", "media": ["sound:vm-options"], "variable": "LAB", "variables": ["LAB"], "value": "1",
            "endpoint": "Local/wait@callers", "eventSource": [f"channel:{self.call.id}"], "channel": [self.call.id],
            "moduleName": "res_ari.so", "logChannelName": "messages", "configClass": "res_pjsip", "objectType": "endpoint",
            "id": "nobody", "deviceName": "Stasis:lab", "mailboxName": f"{self.tag}@default",
        }  # fmt: skip
        params = {key: value for key, value in values.items() if key in known and _needed(found, key)}
        params |= PARAMS.get(name, {})
        if name in ("channels.originate", "channels.originateWithId", "channels.create"):
            params |= {"endpoint": "Local/wait@callers", "app": self.app, "channelId": f"new-{self.tag}"}
        if name == "channels.externalMedia":
            params["channelId"] = f"new-{self.tag}"
        if name == "channels.dial":
            status, _ = await self.send(
                "channels.create", {"endpoint": "Local/wait@callers", "app": self.app, "channelId": f"new-{self.tag}"}
            )
            assert status == 200
            params["channelId"] = f"new-{self.tag}"
            ready = {"channelId": params["channelId"], "variable": "A", "value": "1"}
            async with asyncio.timeout(5):  # it is in the app a moment after the reply: until then 409
                while (await self.send("channels.setChannelVar", ready))[0] != 204:
                    await asyncio.sleep(0.01)
        if "bridgeId" in known and name not in ("bridges.create", "bridges.createWithId"):
            await self.send("bridges.createWithId", {"bridgeId": params["bridgeId"], "type": "mixing"})
            inside = ("bridges.removeChannel", "bridges.setVideoSource", "bridges.play", "bridges.playWithId",
                      "bridges.record", "bridges.startMoh", "bridges.stopMoh")  # fmt: skip
            if name in inside:
                await self.send("bridges.addChannel", {"bridgeId": params["bridgeId"], "channel": [self.call.id]})
            if name == "bridges.stopMoh":
                await self.send("bridges.startMoh", {"bridgeId": params["bridgeId"]})
        if name.startswith("playbacks."):
            await self.send("channels.playWithId", {"channelId": self.call.id, "playbackId": params["playbackId"],
                                                    "media": ["sound:vm-options"]})  # fmt: skip
            async with asyncio.timeout(5):  # what has not begun cannot be paused
                while '"playing"' not in (await self.send("playbacks.get", {"playbackId": params["playbackId"]}))[1]:
                    await asyncio.sleep(0.01)
        if name.startswith("recordings."):
            await self._record(params, stored="Stored" in name)
        if name == "deviceStates.delete":
            await self.send("deviceStates.update", PARAMS["deviceStates.update"])
        if name in ("mailboxes.get", "mailboxes.delete"):
            await self.send("mailboxes.update", {"mailboxName": params["mailboxName"], **PARAMS["mailboxes.update"]})
        if name == "applications.unsubscribe":
            await self.send("applications.subscribe", params)
        return params

    async def _record(self, params: dict[str, Any], *, stored: bool) -> None:
        name = params.get("recordingName", f"rec-{self.tag}")
        status, body = await self.send("channels.record", {"channelId": self.call.id, "name": name, "format": "wav"})
        assert status == 201, body
        if stored:
            status, _ = await self.send("recordings.stop", {"recordingName": name})
            assert status == 204
            async with asyncio.timeout(5):
                while (await self.send("recordings.getStored", {"recordingName": name}))[0] != 200:
                    await asyncio.sleep(0.02)
        else:
            async with asyncio.timeout(5):  # a recording that has not begun can be stopped, but not paused or muted
                while '"recording"' not in (await self.send("recordings.getLive", {"recordingName": name}))[1]:
                    await asyncio.sleep(0.01)


def _encoded(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


def _needed(found: Any, key: str) -> bool:
    return any(p.name == key and (p.required or key in ("channelId", "bridgeId", "snoopId", "playbackId"))
               for p in found.parameters)  # fmt: skip


@pytest.fixture
async def scene(asterisk: Asterisk, app: str, pbx: Pbx) -> AsyncIterator[Scene]:
    url = f"ws{asterisk.url.removeprefix('http')}/ari/events?app={app}"
    async with pbx.session.ws_connect(url) as socket:
        call = await pbx.call(app)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT and message.json()["type"] == "StasisStart":
                break
        assert (await pbx.ari("POST", f"channels/{call.id}/answer"))[0] == 204
        yield Scene(pbx, app, call)
        for id in await pbx.channels():
            await pbx.ari("DELETE", f"channels/{id}")
        for id in await pbx.bridges():
            await pbx.ari("DELETE", f"bridges/{id}")


@pytest.mark.parametrize("name", sorted(operations()))
async def test_it_is_sent_and_taken(scene: Scene, name: str) -> None:
    """Asterisk takes it, or refuses it for the reason that the table tells."""
    params = await scene.prepare(name)
    assert not check(name, params), check(name, params)
    status, body = await scene.send(name, params)
    if name == "recordings.cancel":  # for a moment after its beginning that fails with 500
        async with asyncio.timeout(5):
            while status == 500:
                await asyncio.sleep(0.01)
                status, body = await scene.send(name, params)
    expected, why = REFUSED.get(name, (0, ""))
    if expected:
        assert status == expected, (why, status, body)
    else:
        assert status in OK, (status, body)
        assert bool(body.strip()) == operations()[name].returns, body[:200]


async def test_the_table_is_what_the_running_asterisk_says_of_itself(pbx: Pbx) -> None:
    """Names, methods, paths and parameters agree with the live api-docs; what only newer ones have is told."""
    known = operations()
    found: dict[str, Any] = {}
    for resource in sorted({name.partition(".")[0] for name in known}):
        status, document = await pbx.ari("GET", f"api-docs/{resource}.json")
        assert status == 200
        for api in document["apis"]:
            for operation in api["operations"]:
                parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
                found[f"{resource}.{operation['nickname']}"] = (operation["httpMethod"], api["path"], parameters)
    ours = {name: (op.method, op.path, {p.name for p in op.parameters}) for name, op in known.items()}
    assert {name: value for name, value in ours.items() if name in found} == found
    assert set(found) == set(ours)
