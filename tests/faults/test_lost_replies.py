"""Fault 8: an ARI request was carried out, and its reply is lost. Nothing is done a second time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.ledger import asked, done_twice, twice
from rig.pbx import Pbx
from rig.proxy import Fate, Proxy, Seen
from rig.router import Router, route

Measured = Callable[[int, str], None]
EVENTS = """["StasisStart", "PlayCompleted", "RecordingCompleted", "BridgeCompleted", "DialCompleted", "OriginateCompleted",
             "CallEnded", "ActionFailed"]"""
ANSWER, HANGUP, PAUSE = {"action": "answer"}, {"action": "hangup"}, {"action": "pause", "seconds": 0.5}
PROGRAMS: dict[str, tuple[dict[str, Any], str]] = {
    "play": ({"action": "play", "media": "sound:vm-options"}, "PlayCompleted"),
    "record": ({"action": "record", "maxDurationSeconds": 14}, "RecordingCompleted"),
    "bridge": ({"action": "bridge", "name": "alone", "timeLimit": 14}, "BridgeCompleted"),
    "dial": ({"action": "dial", "to": "Local/wait@callers", "timeLimit": 14}, "DialCompleted"),
    "originate": (
        {"action": "originate", "to": "Local/wait@callers", "timeout": 14, "actions": [PAUSE, HANGUP]}, "OriginateCompleted",
    ),
}
LOST = {"play": ("/play",), "record": ("/record",), "bridge": ("bridges/", "/addChannel"), "dial": ("channels/hr-leg",),
        "originate": ("channels/hr-call",)}  # fmt: skip


class Thief:
    """Takes away the first reply to each request that is named."""

    def __init__(self, proxy: Proxy, cut: bool) -> None:
        self.proxy, self.cut = proxy, cut
        self.marked: dict[str, str] = {}  # id of the request -> its URI
        self.stolen: list[str] = []
        proxy.judge = self.judge

    def judge(self, seen: Seen) -> Fate:
        if seen.type == "RESTRequest" and seen.body["method"] == "POST":
            uri = str(seen.body["uri"]).partition("?")[0]
            key = next((key for keys in LOST.values() for key in keys if key in f"/{uri}"), "")
            if key and uri not in [*self.marked.values(), *self.stolen]:
                self.marked[str(seen.body["request_id"])] = uri
        elif seen.type == "RESTResponse" and str(seen.body["request_id"]) in self.marked:
            self.stolen.append(self.marked.pop(str(seen.body["request_id"])))
            return "cut" if self.cut else "drop"
        return "pass"


@pytest.mark.parametrize("cut", [False, True], ids=["dropped", "socket cut"])
async def test_what_was_done_is_not_done_again(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, cut: bool, measured: Measured
) -> None:
    """The reply never comes, or the socket breaks in its place; each program goes to its end, each thing is done once."""
    endpoint.answers["StasisStart"] = lambda delivery: [ANSWER, PAUSE, PROGRAMS[delivery.data["args"][0]][0], HANGUP]
    endpoint.answers["ActionFailed"] = [HANGUP]
    async with Proxy(asterisk.http_port) as proxy:
        thief = Thief(proxy, cut)
        async with Router(proxy.url, app, route(endpoint.url, events=EVENTS)) as router:
            await router.ready()
            calls = {kind: await pbx.call(app, args=kind) for kind in PROGRAMS}
            for call in calls.values():
                await pbx.subscribe(call.id)
            for kind, call in calls.items():
                await endpoint.wait("CallEnded", call=call.id, timeout=60)
                assert len(endpoint.of(PROGRAMS[kind][1], call.id)) == 1, kind
            assert not endpoint.of("ActionFailed")
            status = endpoint.of("DialCompleted")[0].data["status"]
            assert status in (("answered", "unavailable") if cut else ("answered",))  # without a socket there is no app to enter
        assert len(thief.stolen) >= (2 if cut else 7), thief.stolen
        assert cut or not twice(proxy)  # a request that was cut off with its socket never arrived, and comes again
        assert not done_twice(pbx.events)
        made = Counter(path for _, method, path, _ in asked(proxy) if method == "POST" and "/hr-" in f"/{path}")
    measured(8, f"{'socket cut' if cut else 'reply dropped'}: {', '.join(PROGRAMS)}; {len(made)} things made, each once")
