"""transfer: gives the caller to somebody else: at once (`blind`), after a word with them (`attended`), or by SIP (`refer`).

Rules:
- The agent is the leg that the caller talks to now, by `dial`; `transfer` takes over that conversation from it.
- `blind`: the agent's leg is hung up, and the caller waits for the new one.
- `attended`: the caller hears music while agent and the new one talk; when the agent hangs up, the caller is joined with the
  new one. Nobody there, or the agent presses `cancelOn`: the caller is back with the agent.
- `refer`: the caller's own phone is asked to call the new one (SIP REFER, or 302 before the answer), and leaves us; where
  it is not, the caller goes on with the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from hookrouter.actions.base import LEG, Action, Do, Reply, Run, dissolve, error_message, fail_with
from hookrouter.actions.endings import DIALSTATUS, status_of
from hookrouter.actions.legs import BRIDGE_TYPE, Endpoint
from hookrouter.actions.play import Digits
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language
from hookrouter.text.calling import caller_id


class Transfer(Action, frozen=True, tag="transfer"):
    """Hands the caller over to another endpoint.

    With `refer`, `transferred` only says that the phone has been asked. Asterisk tells the result to the dialplan alone: the action
    `dialplan` with a piece that runs `Transfer()` brings back `TRANSFERSTATUS`, and in `TRANSFERSTATUSPROTOCOL` the
    phone's last SIP status.
    """

    to: Endpoint
    mode: Annotated[
        Literal["blind", "attended", "refer"],
        Meta(description="`attended`: the agent talks first; `refer`: the caller's phone is told to call there."),
    ] = "blind"
    moh: Annotated[str, Meta(description="Music class for the caller meanwhile.")] | None = None
    timeout: Annotated[float, Meta(gt=0, le=600, description="Seconds of ringing.")] = 30.0
    caller_id: (
        Annotated[
            str, Meta(description="What the other side sees; default: the caller's.", extra=in_language(Kind.CALLER_ID))
        ]
        | None
    ) = None
    cancel_on: Annotated[Digits, Meta(description="Keys by which the agent takes the caller back (`attended`).")] = "*"
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    takes_over: ClassVar[bool] = True
    talks: ClassVar[bool] = True
    subject = "to"
    result: ClassVar[str | None] = "TransferCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the conversation that follows is over: `TransferCompleted` {status: `transferred` `busy` `noAnswer` "
        "`rejected` `unavailable` `cancelled`, endpoint, talkSeconds, reason}; `refer`: when the phone is asked."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "transfer", "to": "PJSIP/bob", "mode": "attended"}',
        '{"action": "transfer", "to": "PJSIP/sip:200@127.0.0.1", "mode": "refer"}',
    )

    def run(self) -> Run:
        return TransferRun()


class TransferRun(Run, tag="transfer"):
    """`agent`: the leg that the caller talked to; `bridge`: the bridge of the two; `leg`: the new one.

    `phase`: `ringing`, `consulting` (agent and new one talk), `talking` (caller and new one), `back` (caller and agent).
    """

    channels: ClassVar[tuple[str, ...]] = ("agent", "leg")
    agent: str = ""
    bridge: str = ""
    leg: str = ""
    phase: str = "ringing"
    status: str = ""
    since: float = 0.0

    def start(self, do: Do) -> None:
        action: Transfer = do.action
        handed = do.handed or {}
        self.agent, self.bridge = str(handed.get("leg", "")), str(handed.get("bridge", ""))
        if action.mode == "refer":
            do.request("channels.redirect", "refer", channelId=do.channel, endpoint=action.to)
            return
        if action.mode == "attended" and not self.agent:
            do.fail("nobody_to_consult", "the caller is not in a talk that `dial` began; use mode `blind`")
            return
        if not self.bridge:
            self.bridge = do.new_id("bridge")
            do.own("bridge", self.bridge)
            do.cast("bridges.createWithId", bridgeId=self.bridge, type=BRIDGE_TYPE, name=f"transfer {do.call.id}")
        else:
            do.cast("bridges.removeChannel", bridgeId=self.bridge, channel=[do.channel])
        if action.mode == "blind" and self.agent:  # if its REFER was the reason, the phone learns that it is done
            do.cast("channels.transfer_progress", channelId=self.agent, states="channel_answered")
            do.cast("channels.hangup", channelId=self.agent)
            do.disown("leg", self.agent)
            self.agent = ""
        self._moh(do)
        if self.agent:
            do.cast("channels.ring", channelId=self.agent)
        self._ring(do)

    def _moh(self, do: Do) -> None:
        params = {"mohClass": do.action.moh} if do.action.moh else {}
        do.cast("channels.startMoh", channelId=do.channel, **params)

    def _ring(self, do: Do) -> None:
        action: Transfer = do.action
        self.leg = do.new_id("leg")
        do.own("leg", self.leg)
        params: dict[str, Any] = {"timeout": int(action.timeout) + 2}
        if caller := action.caller_id or caller_id("", do.call.caller):
            params["callerId"] = caller
        do.after(action.timeout, "ring")
        do.request("channels.originateWithId", "leg", undo=("channels.hangup", {"channelId": self.leg}),
                   channelId=self.leg, endpoint=action.to, app=do.call.app, appArgs=do.arguments(LEG, self.leg), originator=do.channel,
                   **params)  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        good = 200 <= reply.status < 300
        if name == "refer":
            if good:
                self._release(do)
                do.finish({"status": "transferred", "endpoint": do.action.to, "talkSeconds": 0.0, "reason": "refer"})
            elif self.agent:  # they have never been parted
                self.phase, self.status = "back", "rejected"
            else:
                fail_with(do, reply, "refer")
        elif name == "leg":
            if self.leg and self.phase == "ringing" and not good and reply.fate != "unknown":
                do.disown("leg", self.leg)
                self.leg = ""
                if reply.fate == "forbidden" and not self.agent:
                    self._release(do)
                    fail_with(do, reply)
                else:
                    self._nobody("unavailable", do)
        elif not good and self.phase == "consulting":  # the new one has just hung up, perhaps
            self._let_go("unavailable", do)
        elif not good:
            self._release(do)
            do.fail("not_joined", error_message(reply), reply.status)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        channel = head.channel.id if head.channel else ""
        if head.type == "Dial" and head.peer is not None and head.peer.id == self.leg:
            self.status = DIALSTATUS.get(head.dialstatus, self.status)
        elif head.type == "StasisStart" and channel == self.leg and self.phase == "ringing":
            if head.channel and head.channel.state == "Up":  # after a loss, Asterisk counts one that rings to the app
                self._answered(do)
        elif head.type == "ChannelDestroyed" and channel == self.leg:
            self._leg_gone(head.cause, do)
        elif head.type == "ChannelDestroyed" and channel == self.agent:
            self._agent_gone(do)

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        taken = channel == self.agent and key in do.action.cancel_on and self.phase in ("ringing", "consulting")
        if taken:
            self._let_go("cancelled", do)
        return taken

    def _answered(self, do: Do) -> None:
        do.cancel("ring")
        if self.agent:
            self.phase = "consulting"
            do.cast("channels.ringStop", channelId=self.agent)
            do.request("bridges.addChannel", "join", bridgeId=self.bridge, channel=[self.leg])
        else:
            self._talk(do, [do.channel, self.leg])

    def _talk(self, do: Do, channels: list[str]) -> None:
        self.phase, self.since = "talking", do.now
        do.cast("channels.stopMoh", channelId=do.channel)
        do.request("bridges.addChannel", "join", bridgeId=self.bridge, channel=channels)

    def _agent_gone(self, do: Do) -> None:
        """The agent hangs up: the caller gets the new one, who talks already or still rings."""
        do.disown("leg", self.agent)
        self.agent = ""
        if self.phase == "consulting":
            self._talk(do, [do.channel])
        elif self.phase == "back":
            self._finish("hangup", do)

    def _leg_gone(self, cause: int, do: Do) -> None:
        do.disown("leg", self.leg)
        self.leg = ""
        if self.phase == "talking":
            self._finish("hangup", do)
        elif self.phase == "consulting":
            self._nobody("cancelled", do)
        else:
            self._nobody(status_of(self.status, cause), do)

    def _let_go(self, status: str, do: Do, reason: str = "normal") -> None:
        leg, self.leg = self.leg, ""
        do.cast("channels.hangup", channelId=leg, reason=reason)
        do.disown("leg", leg)
        self._nobody(status, do)

    def on_timer(self, name: str, do: Do) -> None:
        self._let_go("noAnswer", do, "no_answer")  # whether or not its end is told: it may never have been called

    def _nobody(self, status: str, do: Do) -> None:
        """The new one does not come: back to the agent, if there is one."""
        do.cancel("ring")
        self.status = status
        if not self.agent:
            self._finish("nobody", do)
            return
        self.phase = "back"
        do.cast("channels.stopMoh", channelId=do.channel)
        do.cast("channels.ringStop", channelId=self.agent)
        do.request("bridges.addChannel", "join", bridgeId=self.bridge, channel=[do.channel])

    def _finish(self, reason: str, do: Do) -> None:
        talked = round(do.now - self.since, 3) if self.since else 0.0
        status = "transferred" if self.since else (self.status or "cancelled")
        self._release(do)
        do.finish({"status": status, "endpoint": do.action.to, "talkSeconds": talked, "reason": reason})

    def _release(self, do: Do) -> None:
        if not do.call.ended and self.phase in ("ringing", "consulting"):
            do.cast("channels.stopMoh", channelId=do.channel)
        for leg in (self.leg, self.agent):
            if leg and do.owns("leg", leg):
                do.cast("channels.hangup", channelId=leg)
                do.disown("leg", leg)
        dissolve(do, self.bridge)

    def hand_over(self, do: Do) -> Mapping[str, Any] | None:
        """Who talks to the caller, or is to: the new one, who is the agent now, or the agent, who tries somebody else."""
        talking = self.phase == "talking"
        who = self.leg if talking else self.agent
        if not who:
            return None
        handed = {"leg": who, "bridge": self.bridge}
        self.agent = self.bridge = ""
        if talking:
            self.leg = ""
        return handed

    def stop(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._finish("hangup", do)
