"""One call on a table: the pure machine under the test's hand, its state written and read back between any two inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from hookrouter.actions.base import Member
from hookrouter.actions.decode import decode_answer
from hookrouter.ari.client import Reply
from hookrouter.ari.events import Event, make_event
from hookrouter.calls.call import Call, Outgoing, decode_call, encode_call
from hookrouter.calls.doer import Doer
from hookrouter.calls.effects import Arm, Effect, Gone, Missing, Perform, Recorded, Report, Send, Signal, Tell
from hookrouter.calls.machine import Turn
from hookrouter.delivery.outcome import Unanswered
from hookrouter.facts import Fact
from hookrouter.policy.policy import Policy
from hookrouter.routing.endpoint import Endpoint, Fallback, Route

URL = "http://127.0.0.1/hook"
EVENTS = frozenset({"StasisStart", "StasisEnd", "ChannelDtmfReceived", "CallEnded", "PlayCompleted"})


class Others:
    """What the call may know of others: settable."""

    def __init__(self) -> None:
        self.calls: dict[str, Any] = {}
        self.rooms: dict[str, list[Member]] = {}
        self.types: set[str] = set()
        self.no_routes: set[str] = set()
        self.begun = 0
        self.things: dict[tuple[str, str], str] = {}
        self.recordings: dict[str, tuple[str, str]] = {}

    def peer(self, call_id: str) -> Any:
        return self.calls.get(call_id)

    def members(self, room: str) -> Sequence[Member]:
        return self.rooms.get(room, [])

    def tenant_of(self, kind: str, id: str) -> str | None:
        """`things`: (kind, id) → the tenant of the other call that has it."""
        if kind == "stored recording" and id in self.recordings:
            return self.recordings[id][0]
        return self.things.get((kind, id))

    def like(self, channel: str) -> str | None:
        wanted = channel.lower()
        return next((tenant for (_, id), tenant in self.things.items() if id.lower().startswith(wanted)), None)

    def maker(self, recording: str) -> str:
        return self.recordings.get(recording, ("", ""))[1]

    def controls(self, route: str, tenant: str) -> bool:
        return route not in self.no_routes

    def begins(self, route: str, most: int, now: float) -> bool:
        """Counts for ever."""
        self.begun += 1
        return self.begun <= most

    def taken(self, kind: str, id: str) -> bool:
        return (kind, id) in self.things

    def wanted(self, type: str) -> bool:
        return type in self.types


class Table:
    """`asked` is every ARI request in order, `sent` every delivery, `facts` every fact."""

    def __init__(self, *, up: bool = False, **route: Any) -> None:
        fallback = route.pop("fallback", Fallback())
        route.setdefault("policy", Policy(endpoints=("*", "Local/*"), hosts=("*",)))
        self.route = Route("ivr", Endpoint(URL), events=route.pop("events", EVENTS), fallback=fallback, **route)
        self.others = Others()
        self.now = 1000.0
        self.call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=self.now, up=up)
        self.asked: list[Perform] = []
        self.sent: list[Outgoing] = []
        self.facts: list[Fact] = []
        self.signals: list[Signal] = []
        self.told: list[Tell] = []
        self.gone = False
        self.missing = False
        self._count = 0
        self._in: set[str] = set()

    def _judge(self, asked: Perform) -> None:
        """No bridge of ours is destroyed with the caller in it: a sound asked for right behind that is lost."""
        bridge, whom = asked.params.get("bridgeId", ""), asked.params.get("channel", [])
        if asked.operation == "bridges.addChannel" and self.call.channel in whom:
            self._in.add(bridge)
        elif asked.operation == "bridges.removeChannel" and self.call.channel in whom:
            self._in.discard(bridge)
        elif asked.operation == "bridges.destroy" and bridge.startswith("hr-") and not self.call.ended:
            assert bridge not in self._in, f"{bridge} is destroyed with the caller in it"

    def turn(self, name: str, *args: Any, **more: Any) -> list[Effect]:
        """One input, on a call that was written to disk and read back before."""
        self.call = decode_call(encode_call(self.call))
        turn = Turn(self.call, self.route, self.others, self.now, Doer)
        getattr(turn, name)(*args, **more)
        unanswered: list[str] = []
        for effect in turn.effects:
            match effect:
                case Perform(operation="~length"):
                    unanswered.append(effect.key)
                case Perform():
                    self.asked.append(effect)
                    self._judge(effect)
                case Send():
                    self.sent.append(effect.outgoing)
                case Report():
                    self.facts.append(effect.fact)
                case Signal():
                    self.signals.append(effect)
                case Tell():
                    self.told.append(effect)
                case Gone():
                    self.gone = True
                case Missing():
                    self.missing = True
                case Recorded():
                    self.others.recordings[effect.name] = ("", "") if effect.gone else (self.call.tenant, self.call.maker)
                case Arm():
                    assert effect.at >= self.now
        for key in unanswered:  # nobody has the file here: Asterisk's own seconds have to do
            self.turn("on_reply", key, Reply(404))
        return turn.effects

    # ---- inputs, in short ----

    def event(self, type: str, channel: str = "1", state: str = "Up", **more: Any) -> Event:
        self._count += 1
        body = {"type": type, "timestamp": f"2026-11-23T01:21:20.{self._count:03d}+0000", **more}
        if channel:
            body["channel"] = {"id": channel, "state": state}
        return make_event("main", msgspec.json.encode(body))

    def start(self, answer: Any = None) -> Table:
        """The call begins, and the endpoint answers."""
        self.turn("begin", self.event("StasisStart", state="Ring"))
        if answer is not None:
            self.answer(answer)
        return self

    def answer(self, answer: Any) -> list[Effect]:
        return self.turn("answered", self.call.in_flight, decode_answer(json.dumps(answer).encode()))

    def unanswered(self, reason: str = "timeout", status: int | None = None) -> list[Effect]:
        return self.turn("unanswered", self.call.in_flight, Unanswered(reason, status, url=URL))

    def happen(self, type: str, channel: str = "1", **more: Any) -> list[Effect]:
        return self.turn("on_event", self.event(type, channel, **more))

    def press(self, digits: str, channel: str = "1") -> None:
        for digit in digits:
            self.happen("ChannelDtmfReceived", channel, digit=digit)

    def hangup(self) -> list[Effect]:
        return self.happen("StasisEnd")

    def infer_end(self) -> list[Effect]:
        """The router has found out that the channel is gone."""
        event = self.event("StasisEnd")
        event.inferred = True
        return self.turn("on_event", event)

    def playback(self, state: str = "done") -> list[Effect]:
        """The playback that was asked for last has ended."""
        id = next(p.params["playbackId"] for p in reversed(self.asked) if "playWithId" in p.operation)
        return self.happen("PlaybackFinished", "", playback={"id": id, "state": state})

    def reply(self, operation: str = "", status: int = 204, body: Any = None, fate: str = "replied") -> list[Effect]:
        """Asterisk's reply to the oldest open request (of that operation)."""
        key = next(k for k, p in self.call.requests.items() if not operation or p.operation == operation)
        raw = b"" if body is None else msgspec.json.encode(body)
        return self.turn("on_reply", key, Reply(status, raw, fate))  # type: ignore[arg-type]

    def settle(self) -> None:
        """Everything that was asked is done; no id that an answer chose is taken."""
        while self.call.requests:
            taken = next(iter(self.call.requests.values())).name == "taken"
            self.reply(status=404 if taken else 200)

    def later(self, seconds: float) -> None:
        """Time goes by: what is due comes due, in order."""
        until = self.now + seconds
        while self.call.timers and (key := min(self.call.timers, key=lambda k: self.call.timers[k])):
            at = self.call.timers[key]
            if at > until:
                break
            self.now = max(self.now, at)
            self.turn("on_timer", key)
        self.now = until

    # ---- what came of it ----

    @property
    def owned(self) -> dict[str, str]:
        """Id → role of all that the call has, whatever kind it is of."""
        return {id: role for things in self.call.owned.values() for id, role in things.items()}

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.asked]

    @property
    def types(self) -> list[str]:
        return [out.type for out in self.sent]

    def data(self, index: int = -1) -> Any:
        return json.loads(self.sent[index].data)

    def outcomes(self) -> list[tuple[str, str]]:
        from hookrouter.facts import ActionFinished

        return [(fact.verb, fact.outcome) for fact in self.facts if isinstance(fact, ActionFinished)]

    def finish(self) -> None:
        """Hangs up and lets everything come to its end; nothing may be left."""
        if not self.call.ended:
            self.hangup()
        if not self.call.ended:  # it was lent to the dialplan
            self.happen("ChannelDestroyed", cause=16)
        for _ in range(200):
            if self.gone:
                break
            if self.missing and not self.call.ended:
                self.infer_end()
            elif self.call.requests:
                self.reply(status=404)
            elif self.call.in_flight:
                self.answer([])
            else:
                self.later(20)
        assert self.gone
        assert not self.call.programs
        assert not self.call.owned
        assert not self.call.claimed
