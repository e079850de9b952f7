"""fetch, setState, userEvent: what concerns the function rather than the sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, RequestAction, Run, state_fault
from hookrouter.actions.json_text import state_json


class Fetch(Action, frozen=True, tag="fetch"):
    """Asks `url` for the actions that replace the rest of this program; the event that it gets is `FetchRequested`."""

    url: Annotated[str, Meta(min_length=1, description="Relative to the route's `url`.")]
    result: ClassVar[str | None] = "FetchRequested"
    callless: ClassVar[bool] = True
    group: ClassVar[str] = "function"
    completes: ClassVar[str] = (
        "When the answer has come. If none comes, the rest of the program goes on, or the fallback where there is no rest."
    )
    examples: ClassVar[tuple[str, ...]] = ('{"action": "fetch", "url": "/menu"}',)

    def run(self) -> Run:
        return FetchRun()


class FetchRun(Run, tag="fetch"):
    def start(self, do: Do) -> None:
        do.finish({})


class SetState(Action, frozen=True, tag="setState"):
    """Replaces the call's state (`call.state` of every later event) when the program comes to this action."""

    state: Annotated[msgspec.Raw, Meta(description="Any JSON, at most 16 KiB.", extra_json_schema={})]
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "setState", "state": {"menu": "main"}}',)

    def check(self) -> Iterator[tuple[str, str]]:
        return state_fault(self.state)

    def run(self) -> Run:
        return SetStateRun()


class SetStateRun(Run, tag="setState"):
    def start(self, do: Do) -> None:
        do.set_state(state_json(bytes(do.action.state)))
        do.finish()


class UserEvent(RequestAction, frozen=True, tag="userEvent"):
    """Raises a `ChannelUserevent` for the call, which every app and the AMI can see."""

    event_name: Annotated[str, Meta(min_length=1, max_length=256, description="Yours: `eventname` of the event.")]
    variables: Annotated[dict[str, str], Meta(description="`userevent` of the event.")] | None = None
    group: ClassVar[str] = "function"
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "userEvent", "eventName": "order-confirmed", "variables": {"order": "4711"}}',
    )

    def run(self) -> Run:
        return UserEventRun()


class UserEventRun(Run, tag="userEvent"):
    def start(self, do: Do) -> None:
        action = do.action
        params: dict[str, Any] = {"eventName": action.event_name, "application": do.call.app}
        params["source"] = f"channel:{do.channel}"
        if action.variables:
            params["variables"] = action.variables
        do.request("events.userEvent", **params)
