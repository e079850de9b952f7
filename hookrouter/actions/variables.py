"""setVariable and getVariable: channel variables and dialplan functions of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, fail_with
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description="A variable or function, such as `CALLERID(name)`.",
        extra=in_language(Kind.VARIABLE),
    ),
]
_EITHER = "give either `variable` or `variables`"


class SetVariable(Action, frozen=True, tag="setVariable"):
    """Sets channel variables, or functions that can be written. It waits behind a running prompt of this channel.

    A value has room for 65,000 bytes; each byte that is no letter and no digit counts as three."""

    variable: Name | None = None
    value: (
        Annotated[str, Meta(description="The value; empty removes the variable.", extra=in_language(Kind.VALUE))] | None
    ) = None
    variables: (
        Annotated[
            dict[str, str],
            Meta(min_length=1, description="Several at once, in order.", extra=in_language(Kind.VARIABLES)),
        ]
        | None
    ) = None
    group: ClassVar[str] = "dialplan"
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "setVariable", "variable": "CALLERID(name)", "value": "Reception"}',
        '{"action": "setVariable", "variables": {"LANG": "de", "VIP": "1"}}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.variable is None) == (self.variables is None):
            yield "/variable", _EITHER
        if self.variables is not None and self.value is not None:
            yield "/value", "belongs to `variable`; with `variables` each has its own value"

    def run(self) -> Run:
        return SetVariableRun()


class SetVariableRun(Run, tag="setVariable"):
    done: int = 0

    def start(self, do: Do) -> None:
        action = do.action
        pairs = list(action.variables.items()) if action.variables else [(action.variable, action.value or "")]
        if self.done == len(pairs):
            do.finish()
            return
        variable, value = pairs[self.done]
        removes = not value and not variable.endswith(")")  # a function is written to, and an empty text is one
        given: dict[str, Any] = {} if removes else {"value": value}
        do.request("channels.setChannelVar", channelId=do.channel, variable=variable, **given)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if 200 <= reply.status < 300:
            self.done += 1
            self.start(do)
        else:
            fail_with(do, reply, "setVariable")


class GetVariable(Action, frozen=True, tag="getVariable"):
    """Reads channel variables or functions. One that is not set is null."""

    variable: Name | None = None
    variables: Annotated[list[Name], Meta(min_length=1, max_length=100, description="Several at once.")] | None = None
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None
    result: ClassVar[str | None] = "VariableRead"
    group: ClassVar[str] = "dialplan"
    completes: ClassVar[str] = "When all of them have been read: `VariableRead` {values: {name: value or null}}."
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "getVariable", "variables": ["CALLERID(num)", "CHANNEL(language)"]}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.variable is None) == (self.variables is None):
            yield "/variable", _EITHER

    def run(self) -> Run:
        return GetVariableRun()


class GetVariableRun(Run, tag="getVariable"):
    values: dict[str, str | None] = {}

    def start(self, do: Do) -> None:
        action = do.action
        for name in action.variables or [action.variable]:
            if name not in self.values:
                do.request("channels.getChannelVar", name, channelId=do.channel, variable=name)
                return
        do.finish({"values": self.values})

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if reply.status == 200:
            found: dict[str, Any] = msgspec.json.decode(reply.body, type=dict[str, Any])
            self.values = self.values | {name: found.get("value")}
        elif reply.status == 404:  # not set; were the channel gone, its StasisEnd would be here soon
            self.values = self.values | {name: None}
        else:
            fail_with(do, reply, "getVariable")
            return
        self.start(do)
