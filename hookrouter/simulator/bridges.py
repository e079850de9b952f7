"""A bridge: who is in it, what is played and recorded to all of them.

Source: Asterisk's bridge.c, res_stasis; event order as seen on 22.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hookrouter.simulator.line import Line

if TYPE_CHECKING:
    from hookrouter.simulator.channels import Channel
    from hookrouter.simulator.pbx import Pbx


_ON_THE_WAY_OUT = 0.01
"""Seconds; Asterisk lost 9 of 1,500 sounds that were asked for right behind `DELETE /bridges/ID`, here all are lost."""


class Bridge:
    """One bridge. `leaving`: as a channel has it, which is on its way out of one."""

    leaving = 0

    def __init__(self, pbx: Pbx, id: str, type: str, name: str) -> None:
        self.pbx = pbx
        self.id = id
        self.name = name
        self.kind = "holding" if "holding" in type else "mixing"
        self.members: list[Channel] = []
        self.created = pbx.timing.stamp()
        self.variables: dict[str, str] = {}
        self.absorbing: set[str] = set()
        self.line = Line()
        self.line.start()
        pbx.bridges[id] = self

    @property
    def topic(self) -> str:
        return f"bridge:{self.id}"

    @property
    def hears_audio(self) -> bool:
        return True

    def described(self) -> dict[str, Any]:
        technology = "holding_bridge" if self.kind == "holding" else "simple_bridge"
        if self.kind == "mixing" and len(self.members) > 2:
            technology = "softmix"
        return {
            "id": self.id,
            "technology": technology,
            "bridge_type": self.kind,
            "bridge_class": "stasis",
            "creator": "Stasis",
            "name": self.name,
            "channels": [channel.id for channel in self.members],
            "creationtime": self.created,
            "video_mode": "talker",
        }

    def add(self, channel: Channel, *, absorb: bool = False) -> None:
        if channel.bridge is not None:
            channel.bridge.remove(channel)
        self.members.append(channel)
        channel.bridge = self
        if absorb:
            self.absorbing.add(channel.id)
        if channel.stasis_app:
            self.pbx.app(channel.stasis_app).subscribe(self.topic)
        self._tell("ChannelEnteredBridge", channel)

    def remove(self, channel: Channel) -> None:
        if channel not in self.members:
            return
        self.members.remove(channel)
        self.absorbing.discard(channel.id)
        channel.bridge = None
        self._tell("ChannelLeftBridge", channel)
        if channel.stasis_app:
            self.pbx.app(channel.stasis_app).unsubscribe(self.topic)

    def _tell(self, type: str, channel: Channel) -> None:
        self.pbx.emit(type, self.topic, channel.topic, bridge=self.described(), channel=channel.described())

    def pass_digit(self, source: Channel, digit: str, duration: int) -> None:
        if self.kind == "holding" or source.id in self.absorbing:
            return
        for channel in list(self.members):
            if channel is not source:
                channel.send_digit(digit, duration)

    def notice(self, what: str, detail: str = "") -> None:
        for channel in self.members:
            channel.notice(what, detail)

    def destroy(self) -> None:
        for channel in list(self.members):
            self.remove(channel)
            channel.on_its_way_out(_ON_THE_WAY_OUT)
        self.line.stop()
        self.pbx.bridges.pop(self.id, None)
        self.pbx.emit("BridgeDestroyed", self.topic, bridge=self.described())
        self.pbx.forget_topic(self.topic)
