"""What the simulator and the real Asterisk answer to requests that are wrong."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from rig.pbx import Pbx
from wire.pbx_facts import call_up

WRONG: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET", "no-such-thing", {}, 404, "Resource not found"),
    ("PATCH", "channels", {}, 405, "Invalid method"),
    ("GET", "channels/x", {}, 404, "Channel not found"),
    ("DELETE", "channels/x", {}, 404, "Channel not found"),
    ("POST", "channels/x", {}, 400, "Endpoint must be specified"),
    ("POST", "channels/x", {"endpoint": "Local/a@b"}, 400, "Application or extension must be specified"),
    ("POST", "channels/x", {"endpoint": "bogus", "app": "a"}, 400, "Invalid endpoint specified"),
    ("POST", "channels/create", {}, 400, "Endpoint must be specified"),
    ("POST", "channels/x/snoop", {}, 400, "Direction must be specified for at least spy or whisper"),
    ("GET", "channels/x/variable", {}, 400, "Variable name is required"),
    ("POST", "channels/x/dtmf", {}, 404, "Channel not found"),
    ("POST", "channels/x/move", {}, 404, "Channel not found"),
    ("GET", "bridges/x", {}, 404, "Bridge not found"),
    ("DELETE", "bridges/x", {}, 404, "Bridge not found"),
    ("POST", "bridges/x/addChannel", {}, 404, "Bridge not found"),
    ("GET", "playbacks/x", {}, 404, "Playback not found"),
    ("GET", "recordings/stored/x", {}, 404, "Recording not found"),
    ("GET", "recordings/stored/x/file", {}, 404, "Recording not found"),
    ("DELETE", "recordings/live/x", {}, 404, "Recording not found"),
    ("GET", "applications/x", {}, 404, "Application not found"),
    ("POST", "applications/x/subscription", {}, 400, "Missing parameter eventSource"),
    ("PUT", "applications/x/eventFilter", {}, 404, "Application not found"),
    ("POST", "events/user/u", {}, 400, "Missing parameter application"),
    ("POST", "events/user/u", {"application": "x"}, 404, "Application not found"),
    ("POST", "events/claim", {}, 400, "channelId parameter is required"),
    ("PUT", "deviceStates/x", {"deviceState": "INUSE"}, 409, "Uncontrolled device specified"),
    ("PUT", "deviceStates/Stasis:x", {"deviceState": "bogus"}, 500, "Unknown device"),
    ("GET", "asterisk/variable", {}, 400, "Variable name is required"),
    ("GET", "sounds/x", {}, 404, "Sound not found"),
    ("GET", "endpoints/PJSIP/x", {}, 404, "Endpoint not found"),
    ("GET", "asterisk/modules/x", {}, 404, "Module could not be found in running modules"),
    ("POST", "channels/externalMedia", {}, 400, "app cannot be empty"),
]


@pytest.mark.parametrize(("method", "path", "params", "status", "message"), WRONG)
async def test_what_is_wrong_is_said(
    app: Pbx, method: str, path: str, params: dict[str, str], status: int, message: str
) -> None:
    """Status and message are Asterisk's."""
    assert await app.ari(method, path, **params) == (status, {"message": message})


async def test_who_asterisk_is(app: Pbx) -> None:
    """The start's time tells a restart; ping answers."""
    status, info = await app.ari("GET", "asterisk/info", only="status,system")
    assert status == 200
    assert set(info) == {"status", "system"}
    assert info["system"]["version"].startswith("22.")
    assert info["status"]["startup_time"][-5:] == "+0000"
    assert (await app.ari("GET", "asterisk/ping"))[1]["ping"] == "pong"


async def test_device_states(app: Pbx) -> None:
    """What is set is read back; the rest is unknown."""
    device = f"deviceStates/Stasis:{app.hand}"
    assert (await app.ari("PUT", device, deviceState="INUSE"))[0] == 204
    assert await app.ari("GET", device) == (200, {"name": f"Stasis:{app.hand}", "state": "INUSE"})
    assert (await app.ari("DELETE", device))[0] == 204


async def test_nobody_enters_without_the_password(pbx_url: str) -> None:
    """401 for a request and for a socket."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{pbx_url}/ari/channels") as reply:
            assert reply.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"ws{pbx_url.removeprefix('http')}/ari/events?app=a")
        assert refused.value.status == 401


async def test_rest_over_the_socket(pbx_url: str, app: Pbx) -> None:
    """A request on the event socket is answered there."""
    async with app.session.ws_connect(f"ws{pbx_url.removeprefix('http')}/ari/events?app=rest-{app.hand}") as socket:
        asked: dict[str, Any] = {"type": "RESTRequest", "request_id": "7", "method": "GET", "uri": "channels/none"}
        await socket.send_json(asked)
        reply = await socket.receive_json(timeout=5)
        assert (reply["type"], reply["request_id"], reply["status_code"]) == ("RESTResponse", "7", 404)


async def test_whether_a_module_runs(app: Pbx) -> None:
    """What fetches sounds from the web does; one that is not there is 404."""
    status, body = await app.ari("GET", "asterisk/modules/res_http_media_cache.so")
    assert (status, body["status"], body["support_level"]) == (200, "Running", "core")
    assert (await app.ari("GET", "asterisk/modules/res_nothing.so"))[0] == 404


async def test_a_variable_without_a_value_is_removed(pbx: Pbx, app: Pbx) -> None:
    """An empty one is there; a function is written to."""
    call = await call_up(pbx, app)

    async def read(name: str) -> tuple[int, Any]:
        return await app.ari("GET", f"channels/{call.id}/variable", variable=name)

    path = f"channels/{call.id}/variable"
    assert (await app.ari("POST", path, variable="A", value="x"))[0] == 204
    assert await read("A") == (200, {"value": "x"})
    assert (await app.ari("POST", path, variable="A", value=""))[0] == 204
    assert await read("A") == (200, {"value": ""})
    assert (await app.ari("POST", path, variable="A"))[0] == 204
    assert (await read("A"))[0] == 404
    await call.hangup()
