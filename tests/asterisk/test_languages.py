"""Little languages on the real Asterisk: what was written reads back as exactly this, whatever a caller or an endpoint says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, CallFinished, DeliveryFinished
from hookrouter.text.calling import caller_id, number
from hookrouter.text.dialplan import arguments

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS, more=more))


async def test_a_number_that_names_a_recording_plays_none(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """An INVITE from `1,recording:NAME` reaches an endpoint that reads its caller's number out: the answer is refused."""

    def read_out(delivery: Delivery) -> Any:
        return [ANSWER, {"action": "play", "media": "digits:" + delivery.data["channel"]["caller"]["number"]}, HANGUP]

    endpoint.answers["StasisStart"] = read_out
    more = 'fallback = {actions = [{action = "hangup"}]}'
    async with router(asterisk, app, endpoint, more) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await phone.invite(f"app-{app}", caller="1%2crecording%3avoicemail")
        await call.ended()
        started = await endpoint.wait("StasisStart")
        assert started.data["channel"]["caller"]["number"] == "1,recording:voicemail"
        refused = await running.fact(DeliveryFinished, outcome="unanswered")
        assert "a comma begins another medium" in refused.detail
        await running.fact(CallFinished)


@pytest.mark.parametrize("way", ["play", "channels.play", "setVariable", "originate"])
async def test_a_language_is_no_way_to_another_folder(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, way: str
) -> None:
    """Asterisk puts it before a sound's name as it is, and would play what another call has recorded."""
    wav = b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00\x80>\x00\x00\x02\x00\x10\x00data"
    (asterisk.folder / "spool/recording/theirs.wav").write_bytes(wav + b"\xa0\x0f\x00\x00" + bytes(4000))
    lang = f"../../../..{asterisk.inside}/spool/recording"
    play = {"action": "play", "media": "sound:theirs"}
    answers: dict[str, list[Any]] = {
        "play": [ANSWER, play | {"lang": lang}],
        "channels.play": [ANSWER, {"action": "channels.play", "media": "sound:theirs", "lang": lang}],
        "setVariable": [ANSWER, {"action": "setVariable", "variable": 'CHANNEL("language")', "value": lang}, play],
        "originate": [ANSWER, {"action": "originate", "to": "Local/wait@callers/n", "variables": {"CHANNEL(language)": lang},
                               "actions": [play]}],
    }  # fmt: skip
    endpoint.answers["StasisStart"] = [answers[way]]
    endpoint.answers["PlayCompleted"] = endpoint.answers["OriginateCompleted"] = [HANGUP]
    async with router(asterisk, app, endpoint, 'fallback = {actions = [{action = "hangup"}]}') as running:
        await running.ready()
        await pbx.call(app)
        refused = await running.fact(DeliveryFinished, outcome="unanswered")
        assert "is not the name of a language" in refused.detail
        await running.fact(CallFinished)


async def test_a_number_reaches_the_callee_as_a_number(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`CEO of Bank <110>` is no name and another number, and makes no second header."""
    async with UA(asterisk.sip_port) as phone, UA(asterisk.sip_port, "callee") as callee:
        endpoint.answers["StasisStart"] = [[ANSWER, {"action": "dial", "to": f"PJSIP/far/{callee.address}", "timeout": 5}, HANGUP]]
        async with router(asterisk, app, endpoint) as running:
            await running.ready()
            await (await phone.invite(f"app-{app}", caller="CEO%20of%20Bank%20%3C110%3E")).answered()
            incoming = await callee.incoming()
            said = f"{incoming.remote} {incoming.headers}" if hasattr(incoming, "headers") else str(vars(incoming))
            assert "CEO of Bank" not in said
            assert "sip:110@" not in said
            assert "CEOofBank110" in said
            incoming.reject(486, "Busy Here")
            await endpoint.wait("DialCompleted")
            await phone.calls[next(iter(phone.calls))].hangup()
            await running.fact(CallFinished)


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("", "CEO of Bank <110>"),
        ("Anna", "+49 30 1"),
        ('say "hi" <110>', "1,2"),
        ("back\\slash, comma", "100"),
        ("Jürgen 日本", "sip:a@h"),
        ("\x1b[1mred\r\nX: 1", "1\r\nX: 1"),
    ],
)
async def test_a_caller_id_is_read_back_as_it_was_written(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, name: str, digits: str
) -> None:
    """One name and one number, both cleaned."""
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        status, channel = await pbx.ari(
            "POST", "channels", endpoint="Local/wait@callers/n", app=app, callerId=caller_id(name, digits)
        )
        assert status == 200
        clean = "".join(c for c in name if c.isprintable() and c not in "<>").strip()
        assert channel["caller"] == {"name": clean, "number": number(digits)}
        await pbx.ari("DELETE", f"channels/{channel['id']}")


async def test_arguments_are_read_back_as_they_were_written(asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint) -> None:
    """With commas, quotes, brackets and backslashes in them."""
    items = ["plain", "a,b", 'say "hi"', "(a", "b)", "[x,", "back\\slash", "", "e"]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        _, channel = await pbx.ari(
            "POST", "channels", endpoint="Local/wait@callers/n", app=app, appArgs=arguments(items)
        )
        started = await endpoint.wait("StasisStart")
        assert started.data["args"] == items
        await pbx.ari("DELETE", f"channels/{channel['id']}")
        await running.fact(CallFinished)


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ({"action": "dial", "to": [{"endpoint": "PJSIP/far", "headers": {"X-Id": "1\r\nX-Evil: 2"}}]}, "/0/to/0/headers/X-Id"),
        ({"action": "setVariable", "variables": {"PJSIP_HEADER(add,X-Id)": "1\r\nX-Evil: 2"}}, "/0/variables/PJSIP_HEADER(add,X-Id)"),
        ({"action": "play", "media": "sound:../../../tmp/x"}, "/0/media"),
        ({"action": "play", "media": "sound:/etc/asterisk/x"}, "/0/media"),
        ({"action": "continue", "context": "went-on", "extension": "s,1)x"}, "/0/extension"),
        ({"action": "dial", "to": "PJSIP/far&PJSIP/other"}, "/0/to"),
        ({"action": "channels.play", "media": "sound:a,recording:b/../../c"}, "/0/media"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_written_is_refused_at_its_place(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, action: dict[str, Any], place: str
) -> None:
    """Nothing of the answer runs; the caller gets the fallback."""
    endpoint.answers["StasisStart"] = [[action, HANGUP]]
    async with router(asterisk, app, endpoint, 'fallback = {actions = [{action = "hangup"}]}') as running:
        await running.ready()
        call = await pbx.call(app)
        refused = await running.fact(DeliveryFinished, outcome="unanswered")
        assert refused.detail.startswith(place + ": ")
        await running.fact(CallFinished)
        assert not [fact for fact in running.of(ActionFinished) if fact.verb == json.loads(json.dumps(action))["action"]]
        await pbx.gone(call.id, call.far)
