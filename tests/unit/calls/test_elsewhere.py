"""A phone that rang and "was answered elsewhere": its end waits for whoever has picked it up."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hookrouter.ari.events import Event, make_event
from hookrouter.calls.board import Board
from hookrouter.elsewhere import Elsewhere


class Owns:
    """A board that knows one call, on channel `call`, with the leg `leg`."""

    def of(self, asterisk: str, kind: str, id: str) -> Any:
        return SimpleNamespace(call=SimpleNamespace(channel="call")) if id in ("call", "leg") else None


def gone(id: str, cause: int = 26, state: str = "Ringing") -> Event:
    return make_event("main", json.dumps({"type": "ChannelDestroyed", "cause": cause, "channel": {"id": id, "state": state}}).encode())


async def test_the_end_of_a_leg_comes_when_nobody_has_been_told_of() -> None:
    """Once, and then it is as any other."""
    came: asyncio.Queue[Event] = asyncio.Queue()
    elsewhere: Elsewhere

    def dispatch(event: Event) -> None:
        assert not elsewhere.holds(event)
        came.put_nowait(event)

    elsewhere = Elsewhere(cast(Board, Owns()), (), dispatch, within=0.0)
    for id in ("leg", "leg"):
        assert elsewhere.holds(event := gone(id))
        assert came.empty()
        assert await came.get() is event


@pytest.mark.parametrize(
    ("event", "held"),
    [
        pytest.param(gone("call"), False, id="the call's own channel"),
        pytest.param(gone("other"), False, id="nobody's"),
        pytest.param(gone("leg", 16), True, id="picked up, and told as hung up"),
        pytest.param(gone("leg", 16, "Up"), False, id="hung up"),
        pytest.param(gone("leg", 17), False, id="busy"),
        pytest.param(gone("leg", 26, "Up"), False, id="answered here"),
        pytest.param(gone("expected"), True, id="of a call that is asked for"),
    ],
)
async def test_what_waits(event: Event, held: bool) -> None:
    elsewhere = Elsewhere(cast(Board, Owns()), {("main", "expected")}, lambda event: None, within=0.0)
    assert elsewhere.holds(event) is held
