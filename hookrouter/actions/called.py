"""Watches a call that `POST /v1/calls` has asked for, until it is there or has failed; only its failure is told.

Rule: who answers is a call of its own, whose StasisStart tells that. Only the router makes this action.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from hookrouter.actions.base import Action, Do, Reply, Run
from hookrouter.actions.originate import OriginateRun


class Called(Action, frozen=True, tag="~called"):
    """`channel` rings, for `timeout` seconds; `by`: the action that would have asked for it."""

    channel: str
    timeout: float
    by: msgspec.Raw

    result: ClassVar[str | None] = "OriginateCompleted"
    callless: ClassVar[bool] = True
    internal: ClassVar[bool] = True

    def run(self) -> Run:
        return CalledRun()


class CalledRun(OriginateRun, tag="called"):
    """Nothing is asked for here: that has been done."""

    def start(self, do: Do) -> None:
        self.call = self.channel = do.action.channel
        do.own("originated", self.channel)  # before Asterisk has agreed: it may be answered before the reply is here
        do.after(do.action.timeout + 5, "lost")

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        return

    def on_signal(self, name: str, data: Any, do: Do) -> None:
        if name == "refused":  # who asked for it has been told
            do.disown("originated", self.channel)
            do.finish(told=True)

    def _done(self, status: str, cause: int, do: Do, *, already: bool = False, message: str = "") -> None:
        if status == "answered":
            do.disown("originated", self.channel)
            do.finish(told=True)
        else:
            super()._done(status, cause, do)
