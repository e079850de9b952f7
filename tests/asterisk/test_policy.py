"""What an endpoint may do, on the real Asterisk: nothing that is not listed leaves, and Asterisk lives on."""

from __future__ import annotations

from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import AriRequested, CallFinished, DeliveryFinished, FallbackTaken, LimitReached

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
FALLBACK = 'fallback = {actions = [{action = "hangup"}]}\n'
FAR = "Local/wait@callers/n"


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "", policy: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS, more=FALLBACK + more), extra=f"[policy]\n{policy}")


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ({"action": "getVariable", "variable": "REALTIME(x,y)"}, "functions"),
        ({"action": "channels.getChannelVar", "variable": "REALTIME(x,y)"}, "functions"),
        ({"action": "getVariable", "variable": "AST_CONFIG(ari.conf,hookrouter,password)"}, "functions"),
        ({"action": "getVariable", "variable": "EVAL(${CURL(http://127.0.0.1/)})"}, "functions"),
        ({"action": "setVariable", "variable": "GLOBAL(X)", "value": "1"}, "functions"),
        ({"action": "setVariable", "variable": "__CONNECTED_LINE_SEND_SUB", "value": "went-on,s,1"}, "functions"),
        ({"action": "setVariable", "variable": "FORWARD_CONTEXT", "value": "went-on"}, "contexts"),
        ({"action": "dial", "to": FAR}, "endpoints"),
        ({"action": "channels.originate", "endpoint": FAR, "app": "x"}, "endpoints"),
        ({"action": "continue", "context": "went-on"}, "contexts"),
        ({"action": "play", "media": "http://169.254.169.254/latest/x.wav"}, "hosts"),
        ({"action": "stream", "to": "rtp:0x0a000001:4000"}, "hosts"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["action"],
)
async def test_what_is_not_listed_never_reaches_asterisk(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, action: dict[str, Any], key: str
) -> None:
    """The answer is refused with the key to write; Asterisk is asked nothing of it."""
    endpoint.answers["StasisStart"] = [[ANSWER, action, HANGUP]]
    async with router(asterisk, app, endpoint, policy='contexts = ["subs"]') as running:
        await running.ready()
        call = await pbx.call(app)
        refused = await running.fact(DeliveryFinished, outcome="unanswered")
        assert f"write {key} = [" in refused.detail
        await running.fact(CallFinished)
        assert {fact.operation for fact in running.of(AriRequested) if fact.call == call.id} == {"channels.hangup"}
        await pbx.gone(call.id, call.far)
    assert asterisk.answers()


async def test_what_is_listed_works(asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint) -> None:
    """A Local endpoint, a function, a context."""
    program = [
        {"action": "getVariable", "variable": "LEN(abc)"},
        {"action": "dial", "to": "Local/answer-hangup@callers/n"},
        {"action": "continue", "context": "went-on", "extension": "s"},
    ]
    endpoint.answers["StasisStart"] = [program]
    policy = 'endpoints = ["Local/*@callers"]\nfunctions = ["LEN"]\ncontexts = ["went-*"]\n'
    async with router(asterisk, app, endpoint, policy=policy) as running:
        await running.ready()
        await pbx.call(app)
        read = await endpoint.wait("VariableRead")
        assert read.data["values"] == {"LEN(abc)": "3"}
        assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
        assert (await running.fact(CallFinished)).reason == "left"


@pytest.mark.parametrize(
    "action",
    [
        {"action": "sendMessage", "to": "pjsip:far", "from": "sip:pbx@127.0.0.1", "body": "hello"},
        {"action": "endpoints.sendMessage", "to": "PJSIP:far", "from": "sip:pbx@127.0.0.1", "body": "hello"},
        {"action": "endpoints.sendMessageToEndpoint", "tech": "PJSIP", "resource": "far", "from": "sip:pbx@127.0.0.1", "body": "x"},
        {"action": "endpoints.refer", "to": "pjsip:far", "from": "sip:pbx@127.0.0.1", "refer_to": "sip:x@127.0.0.1"},
        {"action": "endpoints.referToEndpoint", "tech": "PJSIP", "resource": "far", "from": "sip:x@h", "refer_to": "sip:x@h"},
    ],
    ids=lambda action: action["action"],
)
async def test_a_message_to_an_endpoint_without_aors_kills_nothing(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, action: dict[str, Any]
) -> None:
    """Asterisk 22.10.1 would crash with every call on it: it is asked first whether the endpoint can be reached."""
    endpoint.answers["StasisStart"] = [[action, HANGUP]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint, 'scope = "any"') as running:
        await running.ready()
        await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["error"]["reason"] == "not_reachable"
        await running.fact(CallFinished)
    assert asterisk.answers()


async def test_legs_over_the_bound_are_not_called(asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint) -> None:
    """The action fails with `limit`; one warning; nothing is left in Asterisk."""
    ring = {"action": "originate", "to": "Local/ring@callers/n", "timeout": 20, "wait": False}
    endpoint.answers["StasisStart"] = [[ring, ring, ring, {"action": "pause", "seconds": 30}]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint, "max_legs = 2", 'endpoints = ["Local/*"]') as running:
        await running.ready()
        call = await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["error"]["reason"] == "limit"
        await running.fact(CallFinished)
        assert [(fact.limit, fact.muted) for fact in running.of(LimitReached)] == [("max_legs", False)]
        asked = [fact for fact in running.of(AriRequested) if fact.operation == "channels.originateWithId"]
        assert len(asked) == 2
        await pbx.gone(call.id, call.far)


async def test_a_route_has_a_bound_of_new_calls(asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint) -> None:
    """By `originate`, and by Asterisk's own operation."""
    call_one = {"action": "originate", "to": "Local/busy@callers/n"}
    raw = {"action": "channels.originate", "endpoint": "Local/wait@callers/n", "app": app}
    endpoint.answers["StasisStart"] = [[call_one, call_one, raw]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint, "max_calls_per_minute = 2", 'endpoints = ["Local/*"]') as running:
        await running.ready()
        await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["error"]["reason"] == "limit"
        assert "max_calls_per_minute" in failed.data["error"]["message"]
        await running.fact(CallFinished)


async def test_a_chain_of_answers_ends(asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint) -> None:
    """The caller gets the fallback."""
    endpoint.answers["StasisStart"] = endpoint.answers["FetchRequested"] = [[{"action": "fetch", "url": "/next"}]]
    async with router(asterisk, app, endpoint, "max_answers = 8") as running:
        await running.ready()
        call = await pbx.call(app)
        taken = await running.fact(FallbackTaken)
        assert taken.reason == "limit"
        await running.fact(CallFinished)
        assert [fact.limit for fact in running.of(LimitReached)] == ["max_answers"]
        await pbx.gone(call.id, call.far)


@pytest.mark.parametrize("trusted", [False, True])
async def test_credentials_go_to_another_origin_only_where_it_is_listed_with_them(
    asterisk: Asterisk, app: str, pbx: Pbx, endpoint: Endpoint, trusted: bool
) -> None:
    """Signature, headers and auth, of a control event and of a durable one."""
    async with Endpoint() as other:
        endpoint.answers["StasisStart"] = [
            [{"action": "notify", "url": other.url, "body": {}}, {"action": "fetch", "url": other.url}]
        ]
        other.answers["FetchRequested"] = [[HANGUP]]
        entry = f'{{url = "{other.url}", credentials = true}}' if trusted else f'"{other.url}"'
        more = (
            f'allow_urls = [{entry}]\nsecret = "0123456789abcdef"\nheaders = {{x-key = "k"}}\n'
            'auth = {type = "bearer", token = "t"}\n'
        )
        async with router(asterisk, app, endpoint, more) as running:
            await running.ready()
            await pbx.call(app)
            sent = [await other.wait("FetchRequested"), await other.wait("Notify")]
            await running.fact(CallFinished)
        wanted = {"webhook-signature", "x-key", "authorization"}
        for delivery in sent:
            assert wanted & delivery.headers.keys() == (wanted if trusted else set())
        assert wanted <= endpoint.of("StasisStart")[0].headers.keys()
