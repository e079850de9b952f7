"""Calls as the simulator and the real Asterisk have them: coming, answering, pressing keys, leaving, ending."""

from __future__ import annotations

import asyncio

import pytest
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from wire.pbx_facts import call_up, shape, start, types, until


async def test_a_call_comes_with_its_arguments(pbx: Pbx, app: Pbx) -> None:
    """StasisStart has the arguments, the caller, the dialplan, and the very fields of Asterisk's."""
    call = await pbx.call(app.hand, args="x,y", number='"Ann" <+491>')
    event = await start(app, call.id)
    assert event["args"] == ["x", "y"]
    assert event["application"] == app.hand
    channel = event["channel"]
    assert channel["caller"] == {"name": "Ann", "number": "+491"}
    assert channel["state"] == "Ring"
    assert channel["dialplan"] == {
        "context": "in", "exten": f"call-{app.hand}", "priority": 2,
        "app_name": "Stasis", "app_data": f"{app.hand},x,y",
    }  # fmt: skip
    text = dict.fromkeys(("name", "number"), "str")
    assert shape(channel) == {
        "id": "str", "name": "str", "state": "str", "protocol_id": "str", "caller": text, "connected": text,
        "accountcode": "str", "creationtime": "str", "language": "str",
        "dialplan": {"context": "str", "exten": "str", "priority": "int", "app_name": "str", "app_data": "str"},
    }  # fmt: skip
    await call.hangup()


async def test_answer_dtmf_and_hangup(pbx: Pbx, app: Pbx) -> None:
    """A whole call, in the order of its events."""
    call = await call_up(pbx, app)
    await call.press("1#")
    second = await app.event("ChannelDtmfReceived", call.id, count=2)
    assert (second["digit"], second["duration_ms"]) == ("#", 100)
    await call.hangup()
    await app.event("StasisEnd", call.id)
    assert types(app, call.id) == [
        "StasisStart", "ChannelStateChange", "ChannelDtmfReceived", "ChannelDtmfReceived",
        "ChannelHangupRequest", "StasisEnd",
    ]  # fmt: skip
    await pbx.gone(call.id, call.far)


async def test_the_app_hangs_up(pbx: Pbx, app: Pbx) -> None:
    """The other half goes with the cause that was given."""
    call = await call_up(pbx, app)
    assert (await app.ari("DELETE", f"channels/{call.id}", reason="busy"))[0] == 204
    await app.event("StasisEnd", call.id)
    destroyed = await pbx.event("ChannelDestroyed", call.far)
    assert (destroyed["cause"], destroyed["cause_txt"]) == (17, "User busy")
    assert (await app.ari("DELETE", f"channels/{call.id}"))[0] == 404


async def test_variables(pbx: Pbx, app: Pbx) -> None:
    """What is set can be read; functions are evaluated; what is not there is 404."""
    call = await call_up(pbx, app)
    path = f"channels/{call.id}/variable"
    assert (await app.ari("POST", path, variable="A", value="b"))[0] == 204
    assert await app.ari("GET", path, variable="A") == (200, {"value": "b"})
    assert await app.ari("GET", path, variable="NONE") == (404, {"message": "Provided variable was not found"})
    assert await app.ari("GET", path, variable="DIALPLAN_EXISTS(callers,wait,1)") == (200, {"value": "1"})
    assert await app.ari("GET", path, variable="DIALPLAN_EXISTS(callers,nobody,1)") == (200, {"value": "0"})
    assert await app.ari("GET", path, variable="CHANNEL(state)") == (200, {"value": "Up"})
    await call.hangup()


async def test_an_unanswered_app_is_passed_over(pbx: Pbx) -> None:
    """A call for an application that nobody listens to goes on in the dialplan."""
    call = await pbx.call("nobody-listens")
    await call.answered()
    assert await call.variable("WENT_ON") == "FAILED"
    await call.hangup()


async def test_continue_leaves_the_app(pbx: Pbx, app: Pbx) -> None:
    """StasisEnd comes, and the call is where it was sent."""
    call = await call_up(pbx, app)
    where = {"context": "went-on", "extension": "back", "priority": "1"}
    assert (await app.ari("POST", f"channels/{call.id}/continue", **where))[0] == 204
    await app.event("StasisEnd", call.id)
    assert await call.variable("CAME_BY") == "back"
    assert await app.ari("POST", f"channels/{call.id}/answer") == (409, {"message": "Channel not in Stasis application"})
    await call.hangup()


async def test_continue_to_nowhere_hangs_up(pbx: Pbx, app: Pbx) -> None:
    """Asterisk says 204, and then the call is over."""
    call = await call_up(pbx, app)
    assert (await app.ari("POST", f"channels/{call.id}/continue", context="nowhere"))[0] == 204
    await pbx.event("ChannelDestroyed", call.far)


async def test_move_to_itself_is_a_new_start(pbx: Pbx, app: Pbx) -> None:
    """StasisEnd, then StasisStart with the new arguments."""
    call = await call_up(pbx, app)
    assert (await app.ari("POST", f"channels/{call.id}/move", app=app.hand, appArgs="again"))[0] == 204
    assert (await app.event("StasisStart", call.id, count=2))["args"] == ["again"]
    assert types(app, call.id)[-2:] == ["StasisEnd", "StasisStart"]
    await call.hangup()


async def test_move_to_nobody_fails(pbx: Pbx, app: Pbx) -> None:
    """The call stays, and the application is told."""
    call = await call_up(pbx, app)
    assert (await app.ari("POST", f"channels/{call.id}/move", app="nobody-listens"))[0] == 204
    assert (await app.event("ApplicationMoveFailed", call.id))["destination"] == "nobody-listens"
    assert (await app.ari("POST", f"channels/{call.id}/answer"))[0] == 204
    await call.hangup()


@pytest.mark.parametrize(
    ("extension", "statuses", "cause"),
    [("busy", ["", "BUSY"], 0), ("ring", ["", "RINGING"], 19)],
)
async def test_originate_where_nobody_answers(
    app: Pbx, app_name: str, extension: str, statuses: list[str], cause: int
) -> None:
    """No StasisStart, but Dial and ChannelDestroyed tell why."""
    where = {"endpoint": f"Local/{extension}@callers/n", "app": app.hand, "timeout": "1"}
    assert (await app.ari("POST", f"channels/{app_name}", **where))[0] == 200
    destroyed = await app.event("ChannelDestroyed", app_name)
    assert destroyed["cause"] == cause
    dials = [e["dialstatus"] for e in app.events if e["type"] == "Dial" and e["peer"]["id"] == app_name]
    assert dials == statuses
    assert "StasisStart" not in types(app, app_name)


async def test_originate_to_nobody(app: Pbx) -> None:
    """An endpoint that cannot be reached is refused at once."""
    status, body = await app.ari("POST", "channels", endpoint="PJSIP/nobody", app=app.hand)
    assert (status, body) == (500, {"error": "Allocation failed"})


async def test_create_and_dial(app: Pbx, app_name: str) -> None:
    """A created channel is in the app while it is still down; dialled, it rings and is answered."""
    params = {"endpoint": "Local/answer-hangup@callers/n", "app": app.hand, "channelId": app_name}
    assert (await app.ari("POST", "channels/create", **params))[0] == 200
    assert (await start(app, app_name))["channel"]["state"] == "Down"
    assert (await app.ari("POST", f"channels/{app_name}/dial", timeout="5"))[0] == 204
    await app.event("ChannelDestroyed", app_name)
    states = [e["channel"]["state"] for e in app.events if e["type"] == "ChannelStateChange"]
    assert states == ["Up"]
    dials = [e["dialstatus"] for e in app.events if e["type"] == "Dial"]
    assert sorted(dials) == ["", "ANSWER"]  # one that answers at once may be told of before the dialling is


async def test_the_same_id_twice(app: Pbx, app_name: str) -> None:
    """A second originate with an id in use is 409."""
    params = {"endpoint": "Local/wait@callers/n", "app": app.hand}
    assert (await app.ari("POST", f"channels/{app_name}", **params))[0] == 200
    await start(app, app_name)
    assert (await app.ari("POST", f"channels/{app_name}", **params))[0] == 409
    await app.ari("DELETE", f"channels/{app_name}")


async def test_dtmf_crosses_a_bridge(pbx: Pbx, app: Pbx, app_name: str) -> None:
    """What one caller presses, the app and the other caller hear."""
    first, second = await call_up(pbx, app), await call_up(pbx, app)
    status, bridge = await app.ari("POST", f"bridges/{app_name}", type="mixing,dtmf_events")
    assert (status, bridge["bridge_type"], bridge["technology"]) == (200, "mixing", "simple_bridge")
    assert (await app.ari("POST", f"bridges/{app_name}", type="mixing"))[0] == 409
    joined = await app.ari("POST", f"bridges/{app_name}/addChannel", channel=f"{first.id},{second.id}")
    assert joined[0] == 204
    await app.event("ChannelEnteredBridge", first.id)
    entered = await app.event("ChannelEnteredBridge", second.id)
    assert sorted(entered["bridge"]["channels"]) == sorted([first.id, second.id])
    await first.press("7")
    assert await second.heard_digit() == "7"
    await app.event("ChannelDtmfReceived", first.id)
    assert (await app.ari("DELETE", f"bridges/{app_name}"))[0] == 204
    await app.event("ChannelLeftBridge", first.id)
    await app.event("ChannelLeftBridge", second.id)
    await asyncio.gather(first.hangup(), second.hangup())


async def test_a_snoop_ends_with_what_it_listens_to(pbx: Pbx, app: Pbx, app_name: str) -> None:
    """It is a channel of the app, and goes when the spied one does."""
    call = await call_up(pbx, app)
    status, snoop = await app.ari("POST", f"channels/{call.id}/snoop/{app_name}", app=app.hand, spy="both")
    assert (status, snoop["state"]) == (200, "Up")
    await start(app, app_name)
    await call.hangup()
    await app.event("StasisEnd", app_name)


async def test_the_newest_socket_wins(pbx_url: str, app: Pbx) -> None:
    """The older one is told so, and hears no more."""
    async with Pbx(pbx_url) as other:
        socket = await other.session.ws_connect(f"ws{pbx_url.removeprefix('http')}/ari/events?app={app.hand}")
        replaced = await until(app, lambda event: event["type"] == "ApplicationReplaced")
        assert replaced["application"] == app.hand
        call = await other.call(app.hand)
        message = await socket.receive_json(timeout=5)
        assert message["type"] == "StasisStart"
        assert types(app, call.id) == []
        await call.hangup()
        await socket.close()


async def test_the_filter_takes_and_leaves(pbx: Pbx, app: Pbx) -> None:
    """What is not allowed does not come."""
    allowed = [{"type": "StasisStart"}, {"type": "StasisEnd"}]
    status, body = await app.ari("PUT", f"applications/{app.hand}/eventFilter", {"allowed": allowed})
    assert (status, body["events_allowed"]) == (200, allowed)
    call = await call_up(pbx, app)
    await call.hangup()
    await app.event("StasisEnd", call.id)
    assert types(app, call.id) == ["StasisStart", "StasisEnd"]


async def test_a_router_on_it(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint) -> None:
    """A whole program: answer, play, hang up."""
    play = {"action": "play", "media": "sound:beep"}
    endpoint.answers["StasisStart"] = [[{"action": "answer"}, play, {"action": "hangup"}]]
    async with Router(pbx_url, app_name, route(endpoint.url)) as running:
        await running.ready()
        call = await pbx.call(app_name)
        await endpoint.wait("StasisEnd")
        await pbx.gone(call.id, call.far)
