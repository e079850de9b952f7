"""notify, deviceState, mailbox, sendMessage: what is said to others beside the call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, RequestAction, RequestRun, Run
from hookrouter.actions.json_text import any_json
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class Notify(Action, frozen=True, tag="notify"):
    """Sends an event `Notify` with `body` as its data; it is kept and tried again as every notify event is."""

    body: Annotated[msgspec.Raw, Meta(description="Any JSON.", extra_json_schema={})]
    url: Annotated[str, Meta(description="Relative to the route's `url`.")] | None = None
    route: Annotated[str, Meta(description="A route of routes.toml, instead of `url`.")] | None = None
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "notify", "url": "/log", "body": {"said": "yes"}}',)

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.url is None) == (self.route is None):
            yield "/url", "give either `url` or `route`"
        try:
            any_json(bytes(self.body))
        except ValueError as error:
            yield "/body", str(error)

    def run(self) -> Run:
        return NotifyRun()


class NotifyRun(Run, tag="notify"):
    def start(self, do: Do) -> None:
        do.notify(do.action.url, do.action.route, any_json(bytes(do.action.body)))
        do.finish()


class DeviceState(RequestAction, frozen=True, tag="deviceState"):
    """Sets the state of a device of ours (`Stasis:NAME`): a lamp on the phones that watch it."""

    device: Annotated[str, Meta(pattern=r"^Stasis:.+(?!\n)$", description="Begins with `Stasis:`.")]
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
    """Says how many messages wait: the message lamp of the phones that watch the mailbox.

    It takes an Asterisk with `res_mwi_external`, `res_stasis_mailbox` and `res_ari_mailboxes`, which cannot be loaded beside
    `app_voicemail`; Debian's package has none of the three.
    """

    mailbox: Annotated[str, Meta(min_length=1, description="Such as `100@default`.")]
    new_messages: Annotated[Count, Meta(description="How many have not been heard.")]
    old_messages: Annotated[Count, Meta(description="How many have been heard.")] = 0
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "mailbox", "mailbox": "100@default", "newMessages": 2}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params = {"oldMessages": self.old_messages, "newMessages": self.new_messages}
        return "mailboxes.update", {"mailboxName": self.mailbox, **params}

    def run(self) -> Run:
        return MailboxRun()


class MailboxRun(RequestRun, tag="mailbox"):
    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if reply.status in (404, 501):  # an unknown mailbox is made: it is the operation that is not there
            remedy = (
                "load `res_mwi_external`, `res_stasis_mailbox` and `res_ari_mailboxes`, and leave out `app_voicemail`"
            )
            do.fail("not_found", f"this Asterisk takes no mailbox from outside: {remedy}", reply.status)
        else:
            super().on_reply(name, reply, do)


class SendMessage(RequestAction, frozen=True, tag="sendMessage"):
    """Sends a text message to an endpoint, out of any call."""

    to: Annotated[str, Meta(min_length=1, description="Such as `pjsip:alice`.", extra=in_language(Kind.ADDRESS))]
    from_: Annotated[
        str,
        Meta(min_length=1, description="Such as `sip:reception@example.com`.", extra=in_language(Kind.ADDRESS)),
    ] = msgspec.field(name="from")
    body: Annotated[str, Meta(max_length=8192, description="The text.")] = ""
    variables: (
        Annotated[dict[str, str], Meta(description="Headers of the message.", extra=in_language(Kind.HEADERS))] | None
    ) = None
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "sendMessage", "to": "pjsip:alice", "from": "sip:pbx@127.0.0.1", "body": "You have a call"}',
    )

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {"to": self.to, "from": self.from_, "body": self.body}
        return "endpoints.sendMessage", params | ({"variables": self.variables} if self.variables else {})

    def run(self) -> Run:
        return MessageRun()


MESSAGES = ("endpoints.sendMessage", "endpoints.sendMessageToEndpoint", "endpoints.refer", "endpoints.referToEndpoint")
"""What sends a request of its own to an endpoint, out of any call."""


class MessageRun(Run, tag="message"):
    """A message or a REFER, by verb or operation. Asks first whether a PJSIP endpoint can be reached.

    Source: trying. Asterisk 22.10.1 crashes, with every call on it, where one without `aors` is to get either.
    """

    def start(self, do: Do) -> None:
        operation, params = self._request(do)
        endpoint = pjsip_endpoint(operation, params)
        if (why := do.refusal(operation, params)) and do.action.verb in MESSAGES:
            do.fail("forbidden", why)
        elif endpoint:
            do.request("endpoints.get", "reachable", tech="PJSIP", resource=endpoint)
        else:
            do.request(operation, "sent", **params)

    def _request(self, do: Do) -> tuple[str, dict[str, Any]]:
        found: tuple[str, dict[str, Any]] = do.action.request(do.channel)
        return found

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        operation, params = self._request(do)
        if name == "sent" or not 200 <= reply.status < 300:
            super().on_reply(name, reply, do)
        elif msgspec.json.decode(reply.body, type=dict[str, Any]).get("state") == "offline":
            endpoint = pjsip_endpoint(operation, params)
            do.fail(
                "not_reachable",
                f"no phone of the endpoint `{endpoint}` is registered, and it has no address of its own",
            )
        else:
            do.request(operation, "sent", **params)


def pjsip_endpoint(operation: str, params: Mapping[str, Any]) -> str:
    """The PJSIP endpoint that a message goes to by its name alone; empty where it goes to an address."""
    if operation.endswith("ToEndpoint"):
        technology, endpoint = str(params.get("tech", "")), str(params.get("resource", ""))
    else:
        technology, _, endpoint = str(params.get("to", "")).partition(":")
    return endpoint if technology.lower() == "pjsip" and "/" not in endpoint and ":" not in endpoint else ""
