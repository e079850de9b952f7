"""Call detail records on the real Asterisk: what is billed is what Asterisk did, also over a restart of the router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import route

EVENTS = '["StasisStart", "CallEnded"]'
TALKS = "Local/dtmf-9@callers/n"
BUSY = "Local/busy@callers/n"
CLOSE = 0.05
DIAL = {"action": "dial", "to": [[BUSY], [TALKS]]}


def seconds(instant: str | None) -> float:
    return datetime.fromisoformat(instant or "").timestamp()


class Witness:
    """Another ARI client, which is sent the events of every channel and bridge."""

    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx

    async def begin(self) -> Witness:
        for source in ("channel:", "bridge:"):
            status, body = await self._pbx.ari("POST", f"applications/{self._pbx.hand}/subscription", eventSource=source)
            assert status == 200, body
        return self

    async def at(self, type: str, channel: str, fits: Callable[[dict[str, Any]], bool] = lambda event: True) -> float:
        """The instant of the first event of that kind of that channel, past or to come."""

        def found() -> list[dict[str, Any]]:
            events = (event for event in self._pbx.events if event["type"] == type and fits(event))
            return [event for event in events if event.get("channel", {}).get("id") == channel]

        try:
            async with asyncio.timeout(10), self._pbx.changed:
                await self._pbx.changed.wait_for(lambda: bool(found()))
        except TimeoutError:
            raise TimeoutError(f"no {type} of {channel}") from None
        return seconds(found()[0]["timestamp"])


def is_up(event: dict[str, Any]) -> bool:
    return bool(event["channel"]["state"] == "Up")


@pytest.mark.parametrize("killed", [pytest.param(False, id="in one life"), pytest.param(True, id="killed in mid-talk")])
async def test_a_record_is_true_to_what_asterisk_did(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, killed: bool
) -> None:
    """Instants and seconds, of the call and of each leg, beside the events that somebody else was sent."""
    endpoint.answers["StasisStart"] = [[DIAL, {"action": "hangup"}]]
    witness = await Witness(pbx).begin()
    async with RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        call = await pbx.call(app, number="+4930123456")
        assert await call.heard_digit() == "9"
        bridges = [found["channels"] for found in (await pbx.ari("GET", "bridges"))[1]]
        (leg,) = next(set(channels) - {call.id} for channels in bridges if call.id in channels)
        if killed:
            router.kill()
            router.start()
            await router.ready()
        await call.hangup()
        record = (await endpoint.wait("CallEnded", timeout=20)).data
    began = seconds(endpoint.of("StasisStart")[0].data["timestamp"])
    answered = await witness.at("ChannelStateChange", call.id, is_up)
    left = await witness.at("ChannelDestroyed", call.id)
    leg_up, leg_gone = await witness.at("ChannelStateChange", leg, is_up), await witness.at("ChannelDestroyed", leg)
    joined = max([await witness.at("ChannelEnteredBridge", id) for id in (call.id, leg)])
    parted = min([await witness.at("ChannelLeftBridge", id) for id in (call.id, leg)])
    assert seconds(record["startedAt"]) == pytest.approx(began, abs=CLOSE)
    assert seconds(record["answeredAt"]) == pytest.approx(answered, abs=CLOSE)
    assert seconds(record["endedAt"]) == pytest.approx(left, abs=CLOSE)
    assert record["answeredSeconds"] == pytest.approx(left - answered, abs=CLOSE)
    assert record["talkSeconds"] == pytest.approx(parted - joined, abs=CLOSE)
    assert record["talkSeconds"] > 0.5
    busy, talked = record["legs"]
    assert (busy["to"], busy["result"], busy["answeredAt"], busy["seconds"]) == (BUSY, "busy", None, 0)
    gone = [e for e in pbx.events if e["type"] == "ChannelDestroyed" and e["channel"]["name"].startswith("Local/busy@")]
    assert any(seconds(e["timestamp"]) == seconds(busy["endedAt"]) and busy["cause"] == (e["cause"] or None) for e in gone)
    (told,) = [e for e in pbx.events if e["type"] == "ChannelDestroyed" and e["channel"]["id"] == leg]
    assert (talked["to"], talked["result"], talked["cause"]) == (TALKS, "answered", told["cause"] or None)
    assert seconds(talked["answeredAt"]) == pytest.approx(leg_up, abs=CLOSE)
    assert talked["seconds"] == pytest.approx(leg_gone - leg_up, abs=CLOSE)
    assert (record["caller"], record["called"], record["direction"]) == ("+4930123456", f"call-{app}", "in")
    assert (record["route"], record["tenant"], record["reason"]) == ("ivr", "", "hangup")


async def test_a_leg_that_hangs_up_while_the_router_is_away_is_billed_until_it_is_missed(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path
) -> None:
    """Nobody told its end: the record has the moment in which it was found out, and no second more."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": TALKS}, {"action": "play", "media": "tone:ring"}]]
    witness = await Witness(pbx).begin()
    async with RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        call = await pbx.call(app)
        assert await call.heard_digit() == "9"
        bridges = [found["channels"] for found in (await pbx.ari("GET", "bridges"))[1]]
        (leg,) = next(set(channels) - {call.id} for channels in bridges if call.id in channels)
        router.kill()
        await pbx.ari("DELETE", f"channels/{leg}")
        gone = await witness.at("ChannelDestroyed", leg)
        router.start()
        missed = seconds((await endpoint.wait("DialCompleted", timeout=20)).body["timestamp"])
        await call.hangup()
        record = (await endpoint.wait("CallEnded", timeout=20)).data
    up = await witness.at("ChannelStateChange", leg, is_up)
    (told,) = record["legs"]
    assert gone - up <= told["seconds"] <= missed - up + CLOSE
    assert told["seconds"] - CLOSE <= record["talkSeconds"] + 0.5
    assert record["talkSeconds"] <= missed - up + CLOSE
