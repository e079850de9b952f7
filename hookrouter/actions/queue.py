"""enqueue and dequeue: callers who wait, and agents who take them.

Rules:
- A queue is its waiting callers: the highest `priority` first, then who came first. It is known from their own runs, so
  a restart keeps every place.
- `dequeue` claims the first who is not claimed, so two agents never get the same caller; an agent who rejects (or hangs
  up) gives the place back.
- Every `every` seconds position, size and waiting time go to `waitUrl` (event `QueueWaiting`); the actions of the answer
  play to the waiting caller, between the music.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Member, Outcome, Reply, Run, dissolve, error_message
from hookrouter.actions.bridge import shared_id
from hookrouter.actions.legs import BRIDGE_TYPE
from hookrouter.actions.nested import Prompt, Steps
from hookrouter.actions.play import Digits
from hookrouter.ari.events import Event

Name = Annotated[
    str,
    Meta(min_length=1, max_length=100, description="A name of your choice; the queue exists as soon as it is used."),
]
_JOIN_TIMEOUT = 8.0
_GONE_DELAY = 0.25  # seconds in which a hangup is known, when a request has failed because of it


def queue_room(app: str, tenant: str, name: str) -> str:
    """The id of a queue: no two of them are the same, whatever an app, a tenant or a queue is called."""
    return shared_id("queue", app, tenant, name)


def waiting(members: Sequence[Member]) -> list[Member]:
    """Who waits, the next one first."""
    callers = [member for member in members if "priority" in member.data]
    return sorted(callers, key=lambda member: (-int(member.data["priority"]), member.since))


class Enqueue(Action, frozen=True, tag="enqueue"):
    """Lets the caller wait until an agent's `dequeue` takes them, and then talks until one hangs up."""

    queue: Name
    priority: Annotated[int, Meta(ge=-1000, le=1000, description="Higher comes first.")] = 0
    moh: Annotated[str, Meta(description="Music class.")] | None = None
    wait_url: Annotated[str, Meta(description="Gets `QueueWaiting` {queue, position, size, waitSeconds}.")] | None = (
        None
    )
    every: Annotated[float, Meta(ge=1, le=3600, description="Seconds from one `QueueWaiting` to the next.")] = 30.0
    timeout: Annotated[float, Meta(gt=0, le=86_400, description="Seconds after which the program goes on.")] | None = (
        None
    )
    exit_on: Annotated[Digits, Meta(description="Keys that leave the queue.")] = ""
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "QueueCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the wait is over, or the talk with an agent: "
        "`QueueCompleted` {reason: `answered` `timeout` `exit` `hangup`, waitSeconds, talkSeconds, call and state of the "
        "agent}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "enqueue", "queue": "support", "priority": 1, "timeout": 300, "exitOn": "*"}',
    )

    def run(self) -> Run:
        return EnqueueRun()


class Dequeue(Action, frozen=True, tag="dequeue"):
    """Takes the next caller of a queue for this call (the agent's), and talks until one hangs up."""

    queue: Name
    confirm: Annotated[
        Steps | None, Meta(description="Actions that run for the agent first; a `hangup` in them rejects the caller.")
    ] = None
    whisper: Annotated[Prompt | None, Meta(description="What the agent hears before they are joined.")] = None
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "QueueCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the talk with the caller is over, or none waits: "
        "`QueueCompleted` {reason: `answered` `empty` `rejected` `abandoned` `hangup`, waitSeconds, talkSeconds, call and "
        "state of the caller}; `CallerTaken` tells which caller it is before they are joined."
    )
    examples: ClassVar[tuple[str, ...]] = ('{"action": "dequeue", "queue": "support", "whisper": "sound:beep"}',)

    def run(self) -> Run:
        return DequeueRun()


class EnqueueRun(Run, tag="enqueue"):
    """`agent`: the call that has claimed this one; `bridge`: the one that both are in, or are to be."""

    queue: str = ""
    priority: int = 0
    since: float = 0.0
    agent: str = ""
    bridge: str = ""
    agent_state: bytes = b"null"
    joined_at: float = 0.0

    def room(self) -> tuple[str, dict[str, Any]] | None:
        if not self.queue or self.bridge:
            return None
        return self.queue, {"priority": self.priority, "claimed": bool(self.agent), "since": self.since}

    def in_bridge(self, do: Do) -> tuple[str, ...]:
        return (do.channel,) if self.joined_at else ()

    def start(self, do: Do) -> None:
        action: Enqueue = do.action
        self.queue, self.priority = queue_room(do.call.app, do.call.tenant, action.queue), action.priority
        self.since = do.now
        do.own("queue", self.queue)
        self._limit(do)
        self._moh(do)
        if action.wait_url:
            self._ask(do)

    def _limit(self, do: Do) -> None:
        if do.action.timeout is not None:
            do.after(max(0.0, self.since + do.action.timeout - do.now), "timeout")

    def _moh(self, do: Do) -> None:
        params = {"mohClass": do.action.moh} if do.action.moh else {}
        do.cast("channels.startMoh", channelId=do.channel, **params)

    def _ask(self, do: Do) -> None:
        callers = waiting(do.members(self.queue))
        position = next((i + 1 for i, member in enumerate(callers) if member.channel == do.channel), len(callers) or 1)
        data = {"queue": do.action.queue, "position": position, "size": len(callers)}
        do.ask("QueueWaiting", data | {"waitSeconds": round(do.now - self.since, 3)}, "wait", url=do.action.wait_url)
        do.after(do.action.every, "every")

    def on_answer(self, name: str, steps: Sequence[bytes] | None, do: Do) -> None:
        if steps and not self.bridge:
            do.cast("channels.stopMoh", channelId=do.channel)
            do.spawn(steps, "wait")

    def on_child(self, name: str, outcome: Outcome, do: Do) -> None:
        if not self.bridge and outcome != "left":
            self._moh(do)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "every":
            self._ask(do)
        elif name == "timeout" and not self.agent:
            self._finish("timeout", do)
        elif name == "timeout":
            do.after(1.0, "timeout")  # an agent is being asked
        elif name == "left":
            self._finish("answered", do)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        mine = head.channel is not None and head.channel.id == do.channel
        if self.bridge and head.bridge is not None and head.bridge.id == self.bridge:
            if head.type == "ChannelEnteredBridge" and mine:
                self.joined_at = do.now
            elif head.type == "BridgeDestroyed" or (head.type == "ChannelLeftBridge" and mine):
                do.after(0.2, "left")

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        if channel != do.channel or self.bridge or key not in do.action.exit_on:
            return False
        self._finish("exit", do)
        return True

    def on_signal(self, name: str, data: Mapping[str, Any], do: Do) -> None:
        if name == "claim":
            good = not self.agent and not self.bridge
            if good:
                self.agent = str(data["agent"])
            answer = {"ok": good, "call": do.call.id, "channel": do.channel, "state": do.call.state_json.decode(),
                      "caller": do.call.caller, "waitSeconds": round(do.now - self.since, 3)}  # fmt: skip
            do.signal(str(data["agent"]), "claimed", answer)
        elif name == "release" and data.get("agent") == self.agent and not self.joined_at:
            was_joining = bool(self.bridge)
            do.disown("room", self.bridge)
            self.agent, self.bridge = "", ""
            if was_joining:
                self._limit(do)
                if do.action.wait_url:
                    do.after(do.action.every, "every")
            if not do.running("wait"):
                self._moh(do)
        elif name == "connect" and data.get("agent") == self.agent:
            self.bridge = str(data["bridge"])
            self.agent_state = str(data["state"]).encode()
            do.own("room", self.bridge)
            do.kill("wait")
            do.cancel("timeout")
            do.cancel("every")
            do.cast("channels.stopMoh", channelId=do.channel)
        elif name == "gone" and data.get("agent") == self.agent and self.bridge:
            self._finish("answered", do)

    def _finish(self, reason: str, do: Do) -> None:
        self._release(do)
        until = self.joined_at or do.now
        data: dict[str, Any] = {"reason": reason, "waitSeconds": round(until - self.since, 3), "queue": do.action.queue}
        data["talkSeconds"] = round(do.now - self.joined_at, 3) if self.joined_at else 0.0
        if self.agent:
            data |= {"call": self.agent, "state": msgspec.Raw(self.agent_state)}
        do.finish(data)

    def _release(self, do: Do) -> None:
        do.kill("wait")
        if not self.bridge and not do.call.ended:
            do.cast("channels.stopMoh", channelId=do.channel)
        if self.agent:
            do.signal(self.agent, "caller gone", {"call": do.call.id})
        do.disown("queue", self.queue)
        do.disown("room", self.bridge)

    def stop(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._finish("answered" if self.joined_at else "hangup", do)


class DequeueRun(Run, tag="dequeue"):
    """`phase`: `claiming`, `asking` (confirm or whisper), `joining`, `talking`. `refused`: why the two cannot be joined.

    `caller`: the caller's call; `theirs`: who is on its line now.
    """

    channels: ClassVar[tuple[str, ...]] = ("theirs", "missing")
    phase: str = ""
    caller: str = ""
    theirs: str = ""
    state: str = "null"
    waited: float = 0.0
    bridge: str = ""
    joined_at: float = 0.0
    missing: list[str] = []
    refused: tuple[str, int] | None = None
    gone: bool = False

    def in_bridge(self, do: Do) -> tuple[str, ...]:
        return (do.channel, self.theirs) if self.joined_at else ()

    def start(self, do: Do) -> None:
        callers = waiting(do.members(queue_room(do.call.app, do.call.tenant, do.action.queue)))
        caller = next((member for member in callers if not member.data.get("claimed")), None)
        if caller is None:
            do.finish({"reason": "empty", "queue": do.action.queue})
            return
        self.phase, self.caller = "claiming", caller.call
        do.signal(self.caller, "claim", {"agent": do.call.id})
        do.after(_JOIN_TIMEOUT, "claim")

    def on_signal(self, name: str, data: Mapping[str, Any], do: Do) -> None:
        if data.get("call") != self.caller:
            return
        if name == "claimed" and self.phase == "claiming":
            do.cancel("claim")
            if not data["ok"]:
                self.start(do)
                return
            self.theirs = str(data["channel"])
            self.state, self.waited = str(data["state"]), float(data["waitSeconds"])
            about = {"call": self.caller, "state": msgspec.Raw(self.state.encode()), "caller": data["caller"]}
            do.tell("CallerTaken", about | {"queue": do.action.queue, "waitSeconds": self.waited})
            self.phase = "asking"
            self._ask(do)
        elif name == "caller gone":
            self.gone = True
            self._finish("hangup" if self.joined_at else "abandoned", do)

    def _ask(self, do: Do) -> None:
        action: Dequeue = do.action
        if action.whisper:
            do.spawn(list(action.whisper), "whisper")
        else:
            self._confirm(do)

    def _confirm(self, do: Do) -> None:
        if do.action.confirm:
            do.spawn(list(do.action.confirm), "confirm")
        else:
            self._join(do)

    def on_child(self, name: str, outcome: Outcome, do: Do) -> None:
        if name == "whisper":
            self._confirm(do)
        elif outcome == "done":
            self._join(do)
        else:
            self._give_back(do)
            self._finish("rejected", do)

    def _give_back(self, do: Do) -> None:
        do.signal(self.caller, "release", {"agent": do.call.id})

    def _join(self, do: Do) -> None:
        self.phase = "joining"
        self.bridge = do.new_id("bridge")
        do.own("bridge", self.bridge)
        do.signal(self.caller, "connect",
                  {"agent": do.call.id, "bridge": self.bridge, "state": do.call.state_json.decode()})  # fmt: skip
        do.borrow(self.theirs)  # a caller who waits in a queue is given to the one who takes them
        self.missing = [do.channel, self.theirs]
        do.after(_JOIN_TIMEOUT, "join")
        do.request("bridges.createWithId", "create", undo=("bridges.destroy", {"bridgeId": self.bridge}),
                   bridgeId=self.bridge, type=BRIDGE_TYPE, name=f"queue {do.action.queue}")  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if not 200 <= reply.status < 300:
            self.refused = (error_message(reply), reply.status)
            do.after(_GONE_DELAY, "join")  # it may be that the caller has just hung up
        elif name == "create":
            do.request("bridges.addChannel", "add", bridgeId=self.bridge, channel=self.missing)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.bridge is None or head.bridge.id != self.bridge:
            return
        channel = head.channel.id if head.channel else ""
        if head.type == "ChannelEnteredBridge" and channel in self.missing:
            self.missing = [other for other in self.missing if other != channel]
            if not self.missing:
                do.cancel("join")
                self.phase, self.joined_at = "talking", do.now
        elif head.type == "BridgeDestroyed" or (
            head.type == "ChannelLeftBridge" and self.joined_at and channel in (do.channel, self.theirs)
        ):
            do.after(0.1, "over")

    def on_timer(self, name: str, do: Do) -> None:
        if name == "claim":
            self.start(do)
        elif name == "join":
            self._give_back(do)
            self._release(do)
            message, status = self.refused or (f"the caller did not enter the bridge within {_JOIN_TIMEOUT:g} s", 0)
            do.fail("not_joined", message, status)
        else:
            self._finish("hangup", do)

    def _finish(self, reason: str, do: Do) -> None:
        who, state = self.caller, self.state
        talked = round(do.now - self.joined_at, 3) if self.joined_at else 0.0
        if self.joined_at:
            reason = "answered"
            if not self.gone:
                do.signal(self.caller, "gone", {"agent": do.call.id})
        self._release(do)
        data: dict[str, Any] = {"reason": reason, "queue": do.action.queue, "waitSeconds": self.waited}
        if who:
            data["call"] = who
        do.finish(data | {"talkSeconds": talked, "state": msgspec.Raw(state.encode())})

    def _release(self, do: Do) -> None:
        do.kill("whisper")
        do.kill("confirm")
        caller = do.peer(self.caller)
        dissolve(do, self.bridge, *([caller.channel] if caller else []))

    def stop(self, do: Do) -> None:
        if not self.joined_at:
            self._give_back(do)
        else:
            do.signal(self.caller, "gone", {"agent": do.call.id})
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        if not self.joined_at:
            self._give_back(do)
        self._finish("hangup", do)
