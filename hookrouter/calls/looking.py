"""After a loss: what runs is told what it cannot have heard, once the fate of its own requests is known. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from hookrouter.actions.base import Reply, Run
from hookrouter.ari.events import make_event
from hookrouter.calls import detail, going_on
from hookrouter.calls.call import Program
from hookrouter.calls.outbox import as_json
from hookrouter.calls.programs import Programs
from hookrouter.policy.parameters import Kind


def _members(bridge: bytes) -> list[str]:
    found: list[str] = msgspec.json.decode(bridge, type=dict[str, Any]).get("channels", [])
    return found


class Looking(Programs):
    """Looks again at what may have gone on unseen."""

    def _look_again(self, program: Program) -> None:
        """`on_resume`, once the fate of its own requests is known."""
        if program.run is None or program.id not in self.call.programs:
            return
        program.look_again = any(pending.program == program.id for pending in self.call.requests.values())
        if program.look_again:
            return
        bridge = getattr(program.run, "bridge", "")
        program.run.on_resume(self._doer(self, program))
        if bridge and self.owns(Kind.BRIDGE, bridge):
            self._request(program.id, "~bridge", "bridges.get", {"bridgeId": bridge}, None)

    def _look_at_bridge(self, program: Program, run: Run, bridge: str, reply: Reply) -> None:
        """Who has come into the bridge, and who has left it, while nobody told us."""
        if reply.status not in (200, 404):
            return
        going_on.looked(self.call, f"bridge {bridge}", reply.status, reply.body)
        believed = run.in_bridge(self._doer(self, program))
        inside = _members(reply.body) if reply.status == 200 else []
        happened = [("ChannelEnteredBridge", id) for id in inside]
        happened += [("ChannelLeftBridge", id) for id in believed if id and id not in inside]
        if reply.status == 404:
            happened = [("BridgeDestroyed", "")]
        for type, channel in happened:
            if program.run is run and program.id in self.call.programs:
                about: dict[str, Any] = {"type": type, "bridge": {"id": bridge, "channels": inside}}
                if channel:
                    about["channel"] = {"id": channel}
                event = make_event(self.call.asterisk, as_json(about), inferred=True)
                detail.told(self.call, event.head, self.now)
                run.on_event(event, self._doer(self, program))
