"""hangup, continue, move, redirect: how a call leaves us.

Rules: each is complete when Asterisk has taken it; nothing of the program runs afterwards, and what ends the call is its
StasisEnd. `continue` and `move` are never repeated blindly: a call that has left is proved by its StasisEnd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Do, Reply, RequestAction, Run, fail_with
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language
from hookrouter.text.dialplan import arguments, place

_MOVE_TIMEOUT = 3.0
_FOLLOW_GRACE = 2.0  # seconds in which a phone that follows hangs up, once it has said that it is done
_FOLLOW_TIMEOUT = 120.0

Reason = Literal[
    "normal", "busy", "congestion", "no_answer", "timeout", "rejected", "unallocated", "normal_unspecified",
    "number_incomplete", "codec_mismatch", "interworking", "failure", "answered_elsewhere",
]  # fmt: skip


class Hangup(RequestAction, frozen=True, tag="hangup"):
    """Ends the call. The caller's phone is told `reason`, or the Q.850 cause `reason_code`."""

    reason: Annotated[Reason, Meta(description="In Asterisk's words.")] | None = None
    reason_code: (
        Annotated[str, Meta(description="A Q.850 cause, as a number or a name, instead of `reason`.")]
        | (Annotated[int, Meta(ge=0, le=127)])
        | None
    ) = msgspec.field(default=None, name="reason_code")
    leaves: ClassVar[bool] = True
    completes: ClassVar[str] = "When the call has ended."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "hangup"}', '{"action": "hangup", "reason": "busy"}')

    def check(self) -> Iterator[tuple[str, str]]:
        if self.reason is not None and self.reason_code is not None:
            yield "/reason_code", "give either `reason` or `reason_code`"

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params = {"channelId": channel}
        if self.reason_code is not None:
            params["reason_code"] = str(self.reason_code)
        elif self.reason is not None:
            params["reason"] = self.reason
        return "channels.hangup", params

    def run(self) -> Run:
        return LeaveRun()


class LeaveRun(Run, tag="leave"):
    """A call that is gone already has left all the same."""

    def start(self, do: Do) -> None:
        operation, params = do.action.request(do.channel)
        do.request(operation, **params)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if 200 <= reply.status < 300 or reply.status == 404:
            do.finish()
        else:
            fail_with(do, reply)


class Continue(RequestAction, frozen=True, tag="continue"):
    """Gives the call back to the dialplan: where it came from, or at `context`, `extension`, `priority`."""

    context: (
        Annotated[
            str, Meta(min_length=1, description="Default: where the call came from.", extra=in_language(Kind.CONTEXT))
        ]
        | None
    ) = None
    extension: (
        Annotated[str, Meta(min_length=1, description="Default: the one it had.", extra=in_language(Kind.EXTENSION))]
        | None
    ) = None
    priority: Annotated[int, Meta(ge=1, le=1_000_000, description="Default: the next one.")] | None = None
    label: (
        Annotated[
            str, Meta(min_length=1, description="A label instead of `priority`.", extra=in_language(Kind.EXTENSION))
        ]
        | None
    ) = None
    leaves: ClassVar[bool] = True
    group: ClassVar[str] = "dialplan"
    completes: ClassVar[str] = (
        "When the call has left the app. A place that does not exist fails with reason `no_such_extension`."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "continue"}',
        '{"action": "continue", "context": "default", "extension": "100", "priority": 1}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if self.label is not None and self.priority is not None:
            yield "/label", "give either `label` or `priority`"

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {"channelId": channel}
        for name in ("context", "extension", "priority", "label"):
            if (value := getattr(self, name)) is not None:
                params[name] = value
        return "channels.continueInDialplan", params

    def run(self) -> Run:
        return ContinueRun()


class ContinueRun(Run, tag="continue"):
    """Asks first whether the place exists: Asterisk answers 204 to one that does not, and hangs the call up."""

    def start(self, do: Do) -> None:
        action = do.action
        if action.context is None or action.extension is None:
            self._go(do)
            return
        there = place(action.context, action.extension, action.label or action.priority or 1)
        variable = f"DIALPLAN_EXISTS({there})"
        do.request("channels.getChannelVar", "exists", channelId=do.channel, variable=variable)

    def _go(self, do: Do) -> None:
        operation, params = do.action.request(do.channel)
        do.request(operation, "go", **params)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "exists":
            if reply.status == 200 and msgspec.json.decode(reply.body, type=dict[str, Any]).get("value") == "0":
                action = do.action
                where = f"label `{action.label}`" if action.label else f"priority {action.priority or 1}"
                do.fail(
                    "no_such_extension",
                    f"the dialplan has no extension `{action.extension}` with {where} in context `{action.context}`",
                )
            else:
                self._go(do)
        elif 200 <= reply.status < 300:
            do.finish()
        else:
            fail_with(do, reply)


class Move(RequestAction, frozen=True, tag="move"):
    """Hands the call to another Stasis app. One that is not there fails."""

    app: Annotated[
        str, Meta(min_length=1, description="The name of the other app.", extra=in_language(Kind.APPLICATION))
    ]
    args: (
        Annotated[list[str], Meta(description="The arguments in its `StasisStart`.", extra=in_language(Kind.ARGUMENTS))]
        | None
    ) = None
    leaves: ClassVar[bool] = True
    group: ClassVar[str] = "dialplan"
    completes: ClassVar[str] = "When the call has left the app."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "move", "app": "other", "args": ["from-ivr"]}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {"channelId": channel, "app": self.app}
        return "channels.move", params if not self.args else params | {"appArgs": arguments(self.args)}

    def run(self) -> Run:
        return MoveRun()


class MoveRun(Run, tag="move"):
    """Asks first whether the app is there: a call moved to nobody would be lost."""

    def start(self, do: Do) -> None:
        do.request("applications.get", "exists", applicationName=do.action.app)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "exists":
            if reply.status == 404:
                do.fail("no_such_app", f"no Stasis app `{do.action.app}` is registered with this Asterisk", 404)
            else:
                operation, params = do.action.request(do.channel)
                do.request(operation, "move", **params)
        elif 200 <= reply.status < 300:
            do.after(_MOVE_TIMEOUT, "moved")  # its StasisEnd ends the call here, ApplicationMoveFailed keeps it
        else:
            fail_with(do, reply)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.type == "ApplicationMoveFailed" and head.channel is not None and head.channel.id == do.channel:
            do.fail("no_such_app", f"no program is connected as the Stasis app `{do.action.app}` now")

    def on_timer(self, name: str, do: Do) -> None:
        do.finish()


class Redirect(RequestAction, frozen=True, tag="redirect"):
    """Sends the caller's phone elsewhere (SIP 302 before the answer, REFER after it).

    A phone that follows hangs up by itself. One that is still here when it has said what came of it, fails with
    `not_followed`: it did not reach the other, or it waits for a `hangup`. Asterisk does not tell which.
    """

    to: Annotated[
        str,
        Meta(
            min_length=1,
            description="An endpoint, such as `PJSIP/alice` or `SIP/sip:100@example.com`.",
            extra=in_language(Kind.ENDPOINT),
        ),
    ]
    leaves: ClassVar[bool] = True
    group: ClassVar[str] = "dialplan"
    completes: ClassVar[str] = "When the phone has followed, and the call has left the app."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "redirect", "to": "PJSIP/sip:100@127.0.0.1"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.redirect", {"channelId": channel, "endpoint": self.to}

    def run(self) -> Run:
        return RedirectRun()


class RedirectRun(LeaveRun, tag="redirect"):
    """Asterisk replies before the phone is asked. What is asked for next, it answers when the phone has had its last word."""

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        good = 200 <= reply.status < 300
        if name == "word" and good:
            do.after(_FOLLOW_GRACE, "stays")
        elif name != "word" and good:
            do.after(_FOLLOW_TIMEOUT, "late")
            do.request("channels.setChannelVar", "word", channelId=do.channel, variable="HOOKROUTER_REDIRECTED")
        elif name != "word" or reply.fate != "unknown":  # else: the timer tells
            super().on_reply(name, reply, do)

    def on_timer(self, name: str, do: Do) -> None:
        why = "is still here" if name == "stays" else f"has not said within {_FOLLOW_TIMEOUT:g} s what came of it"
        do.fail("not_followed", f"the phone was asked to call {do.action.to} and {why}")
