"""A candidate beside a route's endpoint: it is asked about whole calls, compared, and nothing of it is ever heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionStarted, AnswerCompared, CallFinished, DeliveryFinished

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
KEY = {"action": "gather", "prompt": "sound:beep", "maxDigits": 1, "timeout": 10}
OTHER = [ANSWER, {"action": "play", "media": "sound:vm-goodbye"}, HANGUP]
EVENTS = '["StasisStart", "DigitsCollected", "StasisEnd"]'


def shadowed(endpoint: Endpoint) -> str:
    base = endpoint.url.removesuffix("/hook")
    return route(
        f"{base}/own", events=EVENTS, more=f'secret = "0123456789abcdef"\nshadow = {{ url = "{base}/next" }}\ntimeout = 1.0'
    )


async def test_a_candidate_sees_the_whole_call_and_does_nothing(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint
) -> None:
    """Each event, signed, with the same body and a header that says so; differences are told, counted and kept."""
    endpoint.answers["/own StasisStart"] = endpoint.answers["/next StasisStart"] = lambda d: [ANSWER, KEY]
    endpoint.answers["/own DigitsCollected"] = lambda d: {"actions": [HANGUP], "state": {"key": d.data["digits"]}}
    endpoint.answers["/next DigitsCollected"] = lambda d: {"actions": OTHER, "state": {"key": d.data["digits"]}}
    async with Router(pbx_url, app_name, shadowed(endpoint)) as router:
        await router.ready()
        call = await pbx.call(app_name)
        await router.fact(ActionStarted, call=call.id, verb="gather")
        await call.press("7")
        await router.fact(CallFinished, call=call.id)
        for type in ("StasisStart", "DigitsCollected", "StasisEnd"):
            await router.fact(AnswerCompared, call=call.id, type=type)
        facts = {fact.type: fact for fact in router.of(AnswerCompared)}
        metrics = router.service.metrics().decode()
        record = await router.service.record(call.id)
        await call.hangup()
        await pbx.gone(call.id, call.far)
    assert {type: fact.outcome for type, fact in facts.items()} == {
        "StasisStart": "same", "DigitsCollected": "different", "StasisEnd": "same",
    }  # fmt: skip
    assert facts["DigitsCollected"].differences == ("/actions/0/action", "/actions/1", "/actions/2")
    assert 'hookrouter_shadow_answers_total{outcome="different",route="ivr"} 1.0' in metrics
    own, other = ([d for d in endpoint.received if d.path == path] for path in ("/own", "/next"))
    assert [d.type for d in own] == [d.type for d in other] == ["StasisStart", "DigitsCollected", "StasisEnd"]
    assert [(d.raw, d.headers["webhook-id"]) for d in own] == [(d.raw, d.headers["webhook-id"]) for d in other]
    assert [d.headers.get("hookrouter-shadow") for d in (own[0], other[0])] == [None, "true"]
    assert all(d.headers["webhook-signature"].startswith("v1,") for d in other)
    assert "vm-goodbye" not in str([entry for entry in (record or {})["entries"] if entry["what"] == "AriRequested"])
    kept = [entry for entry in (record or {})["entries"] if entry["what"] == "AnswerCompared"]
    assert [entry["outcome"] for entry in kept] == ["same", "different", "same"]
    assert "vm-goodbye" in kept[1]["answer"]
    assert (record or {})["call"]["outcome"] == "good"


async def never(delivery: Any) -> list[Any]:
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(never, "no_answer", id="hangs"),
        pytest.param(lambda d: web.Response(status=500, text="oops"), "different", id="broken"),
        pytest.param(lambda d: web.Response(body=b"\xff{" * 70_000), "different", id="nonsense"),
        pytest.param(lambda d: [{"action": "channels.hangup", "channelId": "another"}], "different", id="forbidden"),
    ],
)
async def test_whatever_a_candidate_does_the_call_goes_its_way(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, answer: Any, outcome: str
) -> None:
    """The own endpoint's answers run at once; the candidate's end is told when it comes."""
    endpoint.answers["/own StasisStart"] = lambda d: [ANSWER, HANGUP]
    endpoint.answers["/next StasisStart"] = endpoint.answers["/next StasisEnd"] = answer
    async with Router(pbx_url, app_name, shadowed(endpoint)) as router:
        await router.ready()
        call = await pbx.call(app_name)
        finished = await router.fact(DeliveryFinished, call=call.id, type="StasisEnd")
        started = await router.fact(DeliveryFinished, call=call.id, type="StasisStart")
        if answer is never:
            assert not router.of(AnswerCompared)
        fact = await router.fact(AnswerCompared, call=call.id, type="StasisStart")
        await call.hangup()
        await pbx.gone(call.id, call.far)
    assert (started.outcome, finished.outcome, fact.outcome) == ("answered", "answered", outcome)


async def test_without_a_candidate_nothing_is_sent(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint) -> None:
    """A share that leaves this call out is as no `shadow`."""
    endpoint.answers["StasisStart"] = [[HANGUP]]
    which = shadowed(endpoint).replace("/next", '/next", share = 0.000001, ignore = ["/state')
    which = which.replace('["/state"', '["/state"]')
    async with Router(pbx_url, app_name, which) as router:
        await router.ready()
        call = await pbx.call(app_name)
        await endpoint.wait("StasisEnd", call=call.id)
        await pbx.gone(call.id, call.far)
        assert not router.of(AnswerCompared)
    assert {d.path for d in endpoint.received} == {"/own"}
