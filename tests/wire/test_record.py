"""The record of real calls: what of it is never kept."""

from __future__ import annotations

from pathlib import Path

from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import CallFinished

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "ChannelVarset", "ChannelDtmfReceived"]'


async def test_digits_of_card_data_are_never_kept(pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """The endpoint gets them; the record has neither them nor what was said of them, and says so."""
    card = "41112222"
    gather = {"action": "gather", "maxDigits": 8, "sensitive": True, "timeout": 10, "interDigitTimeout": 5}
    endpoint.answers["StasisStart"] = [[ANSWER, gather]]
    endpoint.answers["DigitsCollected"] = lambda d: {"state": {"card": d.data["digits"]}, "actions": [HANGUP], "tags": {"paid": 1}}
    async with Router(pbx_url, app_name, route(endpoint.url, events=EVENTS), store=f"sqlite:///{tmp_path}/state.db") as router:
        await router.ready()
        call = await pbx.call(app_name)
        await endpoint.wait("StasisStart")
        await call.press(card)
        told = await endpoint.wait("DigitsCollected")
        assert told.data["digits"] == card
        await router.fact(CallFinished, call=call.id)
        found = await router.service.record(call.id)
        await pbx.gone(call.id, call.far)
    assert found is not None
    assert found["call"]["tags"] == {"paid": "1"}
    kept = [e for e in found["entries"] if e.get("type") == "ChannelDtmfReceived" and e["what"] == "EventReceived"]
    assert len(kept) == len(card)
    assert all('"digit":"(left out)"' in e["raw"] for e in kept)
    assert card not in str(found)
    assert card.encode() not in (tmp_path / "record.db").read_bytes()
