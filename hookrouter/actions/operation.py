"""RESOURCE.OPERATION: any of Asterisk's own operations, by the name in its api-docs, with all its parameters checked.

Rules: the call's channel is the default `channelId`; ids of another call are refused unless the route says
`scope = "any"`; operations that concern no call need that scope too, or an entry in the route's `allow`.
What a creating operation makes belongs to the call, and goes when the call does.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from hookrouter.actions.base import OURS, Action, Do, Reply, Run, fail_with
from hookrouter.ari import operations

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
}
OWNED = ("channelId", "bridgeId", "playbackId", "recordingName", "channel")


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
        return OperationRun()

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
    made: str = ""

    def start(self, do: Do) -> None:
        action: OperationAction = do.action
        params = action.complete(do.channel)
        operation = action.operation
        kind, key = CREATES.get(operation, ("", ""))
        if key and not params.get(key):
            params[key] = do.new_id(kind)
        touched = [value for name in OWNED if name != key for value in _ids(params.get(name))]
        if not touched and not kind and not do.may_touch(operation):
            do.fail(
                "forbidden",
                f'`{operation}` concerns no call; the route needs `scope = "any"` or `allow = ["{operation}"]`',
            )
            return
        for id in touched:
            if not do.may_touch(id) and not do.may_touch(operation):
                do.fail(
                    "forbidden", f'`{id}` does not belong to this call; the route needs `scope = "any"` to reach it'
                )
                return
        if key:
            self.made = params[key]
            do.own(kind, self.made)
        do.request(operation, **params)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if not 200 <= reply.status < 300:
            if self.made and (reply.fate != "unknown" or not self.made.startswith(OURS)):  # else it may be there
                do.disown(self.made)
            fail_with(do, reply, do.action.operation)
            return
        if not reply.body.strip():
            do.finish(told=True)
            return
        body: Any
        try:
            body = msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = reply.body.decode("utf-8", "replace")
        do.finish({"status": reply.status, "body": body})


def _ids(value: Any) -> list[str]:
    if isinstance(value, str):
        return [id.strip() for id in value.split(",")]
    return [id for id in value if isinstance(id, str)] if isinstance(value, list) else []
