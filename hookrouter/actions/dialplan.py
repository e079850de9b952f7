"""dialplan: borrows a piece of the dialplan (AMD(), VoiceMail(), …), and goes on when the call comes back.

Rules: the piece ends with `Stasis(${HOOKROUTER_APP})`, which we set before; the variables that `read` names are brought
back. Meanwhile the call is not ours: nothing else of the program runs, and a hangup is seen because the channel was
subscribed.
Source: Asterisk's channels.continueInDialplan; StasisEnd and StasisStart tell of leaving and coming back.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, fail_with
from hookrouter.ari.events import Event, entered_app
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language
from hookrouter.text.dialplan import place


class Dialplan(Action, frozen=True, tag="dialplan"):
    """Runs a piece of the dialplan and comes back with its variables."""

    context: Annotated[str, Meta(min_length=1, description="The context that runs.", extra=in_language(Kind.CONTEXT))]
    extension: Annotated[
        str, Meta(min_length=1, description="Where in it the call begins.", extra=in_language(Kind.EXTENSION))
    ] = "s"
    priority: Annotated[int, Meta(ge=1, le=1_000_000, description="Where in the extension.")] = 1
    read: Annotated[
        list[str], Meta(max_length=100, description="Variables to bring back.", extra=in_language(Kind.VARIABLE))
    ] = []
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "DialplanCompleted"
    group: ClassVar[str] = "dialplan"
    completes: ClassVar[str] = "When the call re-enters the app: `DialplanCompleted` {values}."
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "dialplan", "context": "subs", "extension": "greet", "read": ["GREETED", "DIGITS"]}',
    )

    def run(self) -> Run:
        return DialplanRun()


class DialplanRun(Run, tag="dialplan"):
    """`away`: the call is in the dialplan now, or on its way there: its StasisEnd is no end."""

    away: bool = False
    values: dict[str, str | None] = {}

    def start(self, do: Do) -> None:
        action = do.action
        there = place(action.context, action.extension, action.priority)
        do.request("channels.getChannelVar", "exists", channelId=do.channel, variable=f"DIALPLAN_EXISTS({there})")

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        action = do.action
        if name == "exists":
            found = msgspec.json.decode(reply.body, type=dict[str, Any]).get("value") if reply.status == 200 else None
            if found == "0":
                missing = f"extension `{action.extension}` in context `{action.context}`"
                do.fail("no_such_extension", f"the dialplan has no {missing}")
                return
            do.cast("applications.subscribe", applicationName=do.call.app, eventSource=[f"channel:{do.channel}"])
            do.request(
                "channels.setChannelVar", "app", channelId=do.channel, variable="HOOKROUTER_APP", value=do.call.app
            )
        elif name == "app":
            self.away = True
            do.request("channels.continueInDialplan", "go", channelId=do.channel, context=action.context,
                       extension=action.extension, priority=action.priority)  # fmt: skip
        elif name == "go":
            if not 200 <= reply.status < 300 and reply.fate != "unknown":
                self.away = False
                fail_with(do, reply, "dialplan")
        elif name == "where":
            found = msgspec.json.decode(reply.body, type=dict[str, Any]) if reply.status == 200 else None
            if self.away and entered_app(found) == do.call.app:
                self.away = False
                self._read(do)
        else:
            value = msgspec.json.decode(reply.body, type=dict[str, Any]).get("value") if reply.status == 200 else None
            self.values = self.values | {name.removeprefix("read "): value}
            self._read(do)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if self.away and head.type == "StasisStart" and head.channel is not None and head.channel.id == do.channel:
            self.away = False
            self._read(do)

    def _read(self, do: Do) -> None:
        for name in do.action.read:
            if name not in self.values:
                do.request("channels.getChannelVar", f"read {name}", channelId=do.channel, variable=name)
                return
        do.finish({"values": self.values})

    def stop(self, do: Do) -> None:
        self.away = False

    def on_resume(self, do: Do) -> None:
        if self.away:  # it may have come back while nobody listened
            do.request("channels.get", "where", channelId=do.channel)
