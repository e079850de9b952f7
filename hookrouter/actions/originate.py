"""originate: calls somebody, who becomes a call of their own.

Rules: the new call belongs to `route` (default: this call's), or runs `actions` first; its Stasis
arguments begin with `hookrouter-call`; the same `id` twice is one call.
Complete when it is answered or has failed, and then this call knows no more of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import CALL, Action, Do, Reply, Run, error_message, fail_with, state_fault
from hookrouter.actions.endings import DIALSTATUS, status_of
from hookrouter.actions.json_text import given_state
from hookrouter.actions.legs import CallerId, Endpoint, RingSeconds
from hookrouter.actions.nested import Steps
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

PREFIX = "hr-call-"


_PLAIN = re.compile("[A-Za-z0-9_-]{1,64}")


def own_id(id: str, tenant: str = "") -> str:
    """The channel id of a call whose id somebody chose; its end keeps Asterisk from taking `a` for the living `ab`.

    The same id of two tenants is two calls; so are ids that differ in anything, whatever they are made of.
    """
    if not tenant and _PLAIN.fullmatch(id):
        return f"{PREFIX}{id}."
    digest = blake2b(msgspec.json.encode([tenant, id]), digest_size=12).hexdigest()
    return f"{PREFIX}{re.sub('[^A-Za-z0-9_-]', '_', id)[:32]}.{digest}."


class Originate(Action, frozen=True, tag="originate"):
    """Calls an endpoint and makes it a call of its own when it answers."""

    to: Endpoint
    route: (
        Annotated[str, Meta(description="The control route that owns the new call; default: this call's.")] | None
    ) = None
    actions: Annotated[Steps | None, Meta(description="What the new call does first, instead of a StasisStart.")] = None
    caller_id: CallerId | None = None
    timeout: RingSeconds = 30
    variables: Annotated[
        dict[str, str], Meta(description="Channel variables of the new call.", extra=in_language(Kind.VARIABLES))
    ] = {}
    state: Annotated[
        msgspec.Raw | msgspec.UnsetType, Meta(description="The new call's state.", extra_json_schema={})
    ] = msgspec.UNSET
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    subject = "to"
    result: ClassVar[str | None] = "OriginateCompleted"
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When it is answered or not: `OriginateCompleted` {call, status: `answered` `busy` `noAnswer` `rejected` "
        "`unavailable`, cause}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "originate", "to": "PJSIP/alice", "id": "callback-4711", "wait": false}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        return state_fault(self.state)

    def run(self) -> Run:
        return OriginateRun()


class OriginateRun(Run, tag="originate"):
    """`call`: the new call's id, which stays when its phone is picked up elsewhere, or forwards."""

    begins_calls: ClassVar[bool] = True
    channels: ClassVar[tuple[str, ...]] = ("channel",)
    call: str = ""
    channel: str = ""
    status: str = ""

    def start(self, do: Do) -> None:
        action: Originate = do.action
        route = action.route or do.call.route
        if not do.controls(route):
            do.fail("no_such_route", f"there is no control route `{route}` for the new call")
            return
        self.call = self.channel = own_id(action.id, do.call.tenant) if action.id else do.new_id("call")
        if do.claim("originated", self.channel, ours=True):
            do.finish({"call": self.call, "status": "answered", "cause": None, "already": True})  # the same id
            return
        state = given_state(action.state)
        do.originate_call(self.channel, route, list(action.actions or []), state, action.to)
        params: dict[str, Any] = {"timeout": action.timeout}
        if action.caller_id:
            params["callerId"] = action.caller_id
        if action.variables:
            params["variables"] = action.variables
        do.request("channels.originateWithId", "originate", channelId=self.channel, endpoint=action.to, app=do.call.app,
                   appArgs=do.arguments(CALL, self.channel), **params)  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if 200 <= reply.status < 300:
            do.own("originated", self.channel)
        if 200 <= reply.status < 300 or reply.fate == "unknown":
            do.after(do.action.timeout + 5, "lost")
        elif reply.status == 409:
            self._done("answered", 0, do, already=True)  # the same id: it is called already
        elif reply.fate == "forbidden":
            self.on_limit(do)
            fail_with(do, reply)
        else:
            do.originate_call(self.channel, "", (), None)
            self._done("unavailable", 0, do, message=error_message(reply))

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.type == "Dial" and head.peer is not None and head.peer.id == self.channel:
            self.status = DIALSTATUS.get(head.dialstatus, self.status)
        elif head.channel is not None and head.channel.id == self.channel:
            if head.type == "StasisStart":
                self._done("answered", 0, do)
            elif head.type == "ChannelDestroyed":
                do.originate_call(self.channel, "", (), None)
                self._done(status_of(self.status, head.cause), head.cause, do)

    def on_timer(self, name: str, do: Do) -> None:
        do.originate_call(self.channel, "", (), None)
        self._done(self.status or "noAnswer", 0, do)

    def _done(self, status: str, cause: int, do: Do, *, already: bool = False, message: str = "") -> None:
        do.disown("originated", self.channel)
        data: dict[str, Any] = {"call": self.call, "status": status, "cause": cause or None}
        if already:
            data["already"] = True
        if message:
            data["message"] = message
        do.finish(data)

    def on_limit(self, do: Do) -> None:
        do.originate_call(self.channel, "", (), None)
        do.disown("originated", self.channel)

    def on_hangup(self, do: Do) -> None:
        do.disown("originated", self.channel)
        do.finish(told=True)
