"""RESOURCE.OPERATION: any of Asterisk's own operations, by the name in its api-docs, with all its parameters checked.

Rules: the call's channel is the default `channelId`; what is not the call's is refused (hookrouter.policy.authority).
What a creating operation makes belongs to the call once Asterisk has made it, and goes when the call does. Where the
answer chose its id, Asterisk is asked first whether there is such a thing already: of some it would make two.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from hookrouter.actions.base import Action, Do, Reply, Run, fail_with
from hookrouter.actions.messages import MESSAGES, MessageRun
from hookrouter.ari import operations
from hookrouter.policy.lists import without_others

CREATES = {
    "channels.originate": ("leg", "channelId"),
    "channels.originateWithId": ("leg", "channelId"),
    "channels.create": ("leg", "channelId"),
    "channels.snoopChannel": ("snoop", "snoopId"),
    "channels.snoopChannelWithId": ("snoop", "snoopId"),
    "channels.externalMedia": ("leg", "channelId"),
    "bridges.create": ("bridge", "bridgeId"),
    "bridges.createWithId": ("bridge", "bridgeId"),
    "channels.play": ("playback", "playbackId"),
    "channels.playWithId": ("playback", "playbackId"),
    "bridges.play": ("playback", "playbackId"),
    "bridges.playWithId": ("playback", "playbackId"),
    "channels.record": ("recording", "name"),
    "bridges.record": ("recording", "name"),
    "recordings.copyStored": ("file", "destinationRecordingName"),
}
"""Operation → what it makes (a role), and the parameter that says what it is to be called."""
UNDOES = {
    "leg": ("channels.hangup", "channelId"),
    "snoop": ("channels.hangup", "channelId"),
    "bridge": ("bridges.destroy", "bridgeId"),
    "playback": ("playbacks.stop", "playbackId"),
    "recording": ("recordings.stop", "recordingName"),
}
"""What takes back a thing that was made when the action that asked for it had been replaced."""


class OperationAction(Action, frozen=True, tag="RESOURCE.OPERATION"):
    """One ARI operation as it is. `params` are those of the api-docs, beside `action` in the JSON."""

    operation: str = ""
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    result: ClassVar[str | None] = "OperationCompleted"
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "operations"
    completes: ClassVar[str] = "When Asterisk has replied: `OperationCompleted` {status, body} if it returns something."

    @property
    def verb(self) -> str:
        return self.operation

    def run(self) -> Run:
        return MessageRun() if self.operation in MESSAGES else OperationRun()

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        """The operation and its parameters."""
        return self.operation, self.complete(channel)

    def complete(self, channel: str) -> dict[str, Any]:
        """The parameters with the call's channel filled in where a `channelId` is wanted and none is given."""
        found = operations.operation(self.operation)
        assert found is not None
        creates = CREATES.get(self.operation, ("", ""))[1]
        params = dict(self.params)
        for parameter in found.parameters:
            if parameter.name == "channelId" and parameter.required and creates != "channelId":
                params.setdefault("channelId", channel)
        return params


class OperationRun(Run, tag="operation"):
    """`made`: what it makes; `chosen`: the answer has said what it is to be called; `other`: a Local channel's far half."""

    raw: ClassVar[bool] = True
    begins_calls: ClassVar[bool] = True
    made: str = ""
    chosen: bool = False
    other: str = ""

    def start(self, do: Do) -> None:
        action: OperationAction = do.action
        role, key = CREATES.get(action.operation, ("", ""))
        if key:
            self.chosen = bool(action.params.get(key))
            self.made = action.params[key] if self.chosen else do.new_id(role)
        if self.chosen and (why := do.claim(role, self.made)):
            do.fail("forbidden", why)
            return
        if (other := action.params.get("otherChannelId")) and (why := do.claim("leg", other)):
            self._release(do)
            do.fail("forbidden", why)
            return
        self.other = other or ""
        if self.made and not self.chosen:
            do.claim(role, self.made, ours=True) if role in ("recording", "file") else do.own(role, self.made)
        params = self.params(do)
        if why := do.refusal(action.operation, params):
            self._release(do)
            do.fail("forbidden", why)
        elif self.chosen and (question := operations.proof_request(operations.Request(action.operation, params))):
            do.request(question.operation, "taken", **question.params)
        else:
            self._send(do)

    def params(self, do: Do) -> dict[str, Any]:
        key = CREATES.get(do.action.operation, ("", ""))[1]
        params: dict[str, Any] = do.action.complete(do.channel)
        return params | {key: self.made} if key else params

    def _send(self, do: Do) -> None:
        operation = do.action.operation
        undo = None
        if self.chosen and (undoing := UNDOES.get(CREATES[operation][0])):
            undo = (undoing[0], {undoing[1]: self.made})
        do.request(operation, "done", undo=undo, **self.params(do))

    def _release(self, do: Do) -> None:
        if self.made:
            do.disown(CREATES[do.action.operation][0], self.made)
        if self.other:
            do.disown("leg", self.other)

    def stop(self, do: Do) -> None:
        if self.chosen:  # what was made is the call's by now
            do.disclaim(CREATES[do.action.operation][0], self.made)
        if self.other:
            do.disclaim("leg", self.other)

    def on_limit(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self.stop(do)
        super().on_hangup(do)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "taken" and reply.fate != "forbidden":
            if reply.status == 404:
                self._send(do)
            else:
                self._release(do)
                do.fail("forbidden", f"Asterisk has a `{self.made}` already, which this call has not made")
            return
        if not 200 <= reply.status < 300:
            if self.chosen or reply.fate != "unknown":  # else it may be there
                self._release(do)
            fail_with(do, reply, do.action.operation)
            return
        self._done(do)
        if not reply.body.strip():
            do.finish(told=True)
            return
        body: Any
        try:
            body = msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = reply.body.decode("utf-8", "replace")
        do.finish({"status": reply.status, "body": without_others(do.action.operation, body, do.is_others)})

    def _done(self, do: Do) -> None:
        """Whose the thing is now."""
        action: OperationAction = do.action
        role = CREATES.get(action.operation, ("", ""))[0]
        if self.other:
            do.own("leg", self.other)
        if role == "file":
            do.disown(role, self.made)
            do.recorded(self.made)
        elif role:
            do.own(role, self.made)
        elif action.operation == "recordings.deleteStored":
            do.recorded(action.params["recordingName"], gone=True)
