"""notify, deviceState, mailbox, sendMessage: what is said to others beside the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, RequestAction, Run

Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class Notify(Action, frozen=True, tag="notify"):
    """Tells somebody something, durably: an event `Notify` with `body` as its data, delivered as a notify event is."""

    body: Annotated[msgspec.Raw, Meta(description="Any JSON.", extra_json_schema={})]
    url: Annotated[str, Meta(description="Relative to the route's `url`.")] | None = None
    route: Annotated[str, Meta(description="A route of routes.toml, instead of `url`.")] | None = None
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "notify", "url": "/log", "body": {"said": "yes"}}',)

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.url is None) == (self.route is None):
            yield "/url", "give either `url` or `route`"

    def run(self) -> Run:
        return NotifyRun()


class NotifyRun(Run, tag="notify"):
    def start(self, do: Do) -> None:
        do.notify(do.action.url, do.action.route, bytes(do.action.body))
        do.finish()


class DeviceState(RequestAction, frozen=True, tag="deviceState"):
    """Sets the state of a device of ours (`Stasis:NAME`): a lamp on the phones that watch it."""

    device: Annotated[str, Meta(pattern=r"^Stasis:.+$", description="Begins with `Stasis:`.")]
    state: Annotated[
        Literal["NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD"],
        Meta(description="In Asterisk's words."),
    ]
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "deviceState", "device": "Stasis:reception", "state": "BUSY"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "deviceStates.update", {"deviceName": self.device, "deviceState": self.state}


class Mailbox(RequestAction, frozen=True, tag="mailbox"):
    """Says how many messages wait: the message lamp of the phones that watch the mailbox."""

    mailbox: Annotated[str, Meta(min_length=1, description="Such as `100@default`.")]
    new_messages: Annotated[Count, Meta(description="How many were not heard.")]
    old_messages: Annotated[Count, Meta(description="How many were.")] = 0
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "mailbox", "mailbox": "100@default", "newMessages": 2}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params = {"oldMessages": self.old_messages, "newMessages": self.new_messages}
        return "mailboxes.update", {"mailboxName": self.mailbox, **params}


class SendMessage(RequestAction, frozen=True, tag="sendMessage"):
    """Sends a text message to an endpoint, out of any call."""

    to: Annotated[str, Meta(min_length=1, description="Such as `pjsip:alice`.")]
    from_: Annotated[str, Meta(min_length=1, description="Such as `sip:reception@example.com`.")] = msgspec.field(
        name="from"
    )
    body: Annotated[str, Meta(max_length=8192, description="The text.")] = ""
    variables: Annotated[dict[str, str], Meta(description="Headers of the message.")] | None = None
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "sendMessage", "to": "pjsip:alice", "from": "sip:pbx@127.0.0.1", "body": "You have a call"}',
    )

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {"to": self.to, "from": self.from_, "body": self.body}
        return "endpoints.sendMessage", params | ({"variables": self.variables} if self.variables else {})
