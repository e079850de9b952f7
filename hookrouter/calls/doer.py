"""`Do` for one program in one turn: what a run asks for, turned into changes of the call and effects. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.actions.base import Member, Peer
from hookrouter.calls.call import Call, Program, Things
from hookrouter.calls.effects import Announce, Push, Recorded, Watch
from hookrouter.calls.machine import Turn
from hookrouter.policy.authority import OURS, ROLES, token, unfit
from hookrouter.policy.parameters import Kind
from hookrouter.timestamps import rfc3339_now


def _in_roles(things: Things, roles: Sequence[str]) -> list[str]:
    return [id for role in roles for id, found in things.get(ROLES[role].value, {}).items() if found == role]


class Doer:
    """See `hookrouter.actions.base.Do`, which this implements."""

    __slots__ = ("_program", "_turn", "error")

    def __init__(self, turn: Turn, program: Program) -> None:
        self._turn = turn
        self._program = program
        self.error: tuple[str, str, int] = ("", "", 0)

    @property
    def call(self) -> Call:
        return self._turn.call

    @property
    def now(self) -> float:
        return self._turn.now

    @property
    def channel(self) -> str:
        return self._program.channel

    @property
    def action(self) -> Any:
        return self._turn.action(self._program)

    @property
    def raw(self) -> bytes:
        return self._program.steps[self._program.index]

    @property
    def handed(self) -> Mapping[str, Any] | None:
        return self._turn.handed

    def owned(self, *roles: str) -> Sequence[str]:
        return _in_roles(self._turn.call.owned, roles)

    def claimed(self, *roles: str) -> Sequence[str]:
        return _in_roles(self._turn.call.claimed, roles)

    def owns(self, role: str, id: str) -> bool:
        return self._turn.call.owned.get(ROLES[role].value, {}).get(id) == role

    def new_id(self, kind: str) -> str:
        call = self._turn.call
        call.counter += 1
        return f"{OURS}{kind}-{call.id}-{call.numbered}"

    def arguments(self, kind: str, channel: str) -> str:
        return ",".join((kind, token(self._turn.call.secret, channel), channel))

    def own(self, role: str, id: str) -> None:
        call, kind = self._turn.call, ROLES[role]
        self.disclaim(role, id)
        call.owned.setdefault(kind.value, {})[id] = role
        self._turn.effects.append(Watch(kind.value, id))
        if kind is Kind.RECORDING:
            self._turn.effects.append(Recorded(id))

    def claim(self, role: str, id: str, *, ours: bool = False) -> str | None:
        turn, kind = self._turn, ROLES[role]
        if not ours and (why := unfit(kind, id)):
            return why
        if turn.owns(kind, id) or turn.claims(kind, id) or turn.world.taken(kind.value, id):
            return f"there is a {kind.value} `{id}` already"
        turn.call.claimed.setdefault(kind.value, {})[id] = role
        turn.effects.append(Watch(kind.value, id))
        return None

    def disclaim(self, role: str, id: str) -> None:
        if self._turn.claims(ROLES[role], id):
            self.disown(role, id)

    def recorded(self, name: str, *, gone: bool = False) -> None:
        self._turn.effects.append(Recorded(name, gone))

    def disown(self, role: str, id: str) -> None:
        self._turn.forget(ROLES[role], id)

    def borrow(self, channel: str) -> None:
        if channel not in self._program.lent:
            self._program.lent.append(channel)

    def refusal(self, operation: str, params: Mapping[str, Any]) -> str | None:
        return self._turn.judge(self._program, operation, params, raw=True)

    def request(
        self, operation: str, name: str = "", /, *, undo: tuple[str, dict[str, Any]] | None = None, **params: Any
    ) -> None:
        self._turn.request(self._program, name, operation, params, undo)

    def cast(self, operation: str, /, **params: Any) -> None:
        self._turn.send(self._program, operation, params)

    def after(self, delay: float, name: str = "") -> None:
        self._turn.arm(f"{self._program.id}:{name}", delay)

    def cancel(self, name: str = "") -> None:
        self._turn.disarm(f"{self._program.id}:{name}")

    def spawn(self, steps: Sequence[bytes], name: str, *, channel: str | None = None) -> None:
        self._turn.spawn_child(self._program, steps, name, channel)

    def beside(self, step: bytes) -> None:
        self._turn.spawn_beside(step)

    def kill(self, name: str) -> None:
        self._turn.kill_child(self._program, name)

    def running(self, name: str) -> bool:
        return self._turn.child(self._program, name) is not None

    def finish(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        then: Sequence[bytes] | None = None,
        told: bool = False,
        type: str | None = None,
    ) -> None:
        self._turn.finish(self._program, data, then, told, type)

    def fail(self, reason: str, message: str, status: int = 0) -> None:
        self._turn.fail(self._program, reason, message, status)

    def tell(self, type: str, data: Mapping[str, Any]) -> None:
        self._turn.emit(type, self._result(data))

    def ask(self, type: str, data: Mapping[str, Any], name: str, *, url: str | None = None) -> None:
        self._turn.ask(self._program, type, self._result(data), name, url or "")

    def _result(self, data: Mapping[str, Any]) -> bytes:
        encoded = msgspec.json.encode(data)
        return b'{"action":' + self.raw + (b"," + encoded[1:] if data else b"}")

    def take_digits(self) -> str:
        call = self._turn.call
        if self._program.channel != call.channel:
            return ""
        digits, call.digits = call.digits, ""
        return digits

    def expect_closing(self, key: str, within: float) -> None:
        self._turn.expect_closing(self._program, key, within)

    def peer(self, call_id: str) -> Peer | None:
        found = self._turn.world.peer(call_id)
        if found is None or found.id == self.call.id:
            return None
        route = self._turn.route
        if found.tenant != self.call.tenant:
            return None
        return found if route.scope == "any" or found.route == route.name else None

    def is_nobodys(self, kind: Kind, id: str) -> bool:
        return not self._turn.owns(kind, id) and self._turn.tenant_of(kind, id) is None

    def is_others(self, kind: Kind, id: str) -> bool:
        return self._turn.is_others(kind, id)

    def may_touch(self, kind: Kind, id: str) -> bool:
        return self._turn.reaches(self._program, kind, id)

    def members(self, room: str) -> Sequence[Member]:
        """Those of this call as they are now; the others as they are known to the board."""
        call = self._turn.call
        own = [
            Member(call.id, program.channel, program.step_at, said[1])
            for program in call.programs.values()
            if program.run is not None and (said := program.run.room()) is not None and said[0] == room
        ]
        others = [member for member in self._turn.world.members(room) if member.call != call.id]
        return sorted(own + others, key=lambda member: member.since)

    def give_back(self, digits: str) -> None:
        if self._program.channel == self.call.channel:
            self._turn.call.digits = digits + self._turn.call.digits

    def signal(self, target: str, name: str, data: Mapping[str, Any] | None = None) -> None:
        self._turn.signal(target, name, data or {})

    def notify(self, url: str | None, route: str | None, body: bytes) -> None:
        turn = self._turn
        timestamp = rfc3339_now(turn.now)
        turn.effects.append(Push(turn.next_event_id(), turn.resolve(url or ""), route or "", body, timestamp))

    def set_state(self, state: bytes) -> None:
        self._turn.call.state = state

    def originate_call(
        self, channel: str, route: str, steps: Sequence[bytes], state: bytes | None, to: str = ""
    ) -> None:
        call = self.call
        proof = token(call.secret, channel) if route else ""
        self._turn.effects.append(Announce(channel, route, tuple(steps), state, call.tenant, call.maker, proof, to))

    def controls(self, route: str) -> bool:
        return self._turn.world.controls(route, self.call.tenant)
