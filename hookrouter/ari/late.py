"""An old Asterisk says that a channel variable is set before it has set it, some 0.2 s later: it is asked until it is so.

Source: Asterisk 16.28, on a running one (docs/asterisk.md). 22 answers when it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from hookrouter.ari.operations import Request
from hookrouter.ari.performing import Reply

_DELAY = 0.05
_MOST = 20
_MOST_OF_FUNCTION = 6  # it may read otherwise than it was written


class Way(Protocol):
    """The way to Asterisk; `AriClient` is it."""

    async def perform(self, request: Request) -> Reply: ...


async def until_set(way: Way, request: Request, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Returns when what `channels.setChannelVar` has set can be read, or after a while without that."""
    name, value = str(request.params["variable"]), request.params.get("value")
    function = "(" in name
    question = {"channelId": request.params["channelId"], "variable": name if function else name.lstrip("_")}
    for _ in range(_MOST_OF_FUNCTION if function else _MOST):
        reply = await way.perform(Request("channels.getChannelVar", question))
        if reply.status not in (200, 404) or _value(reply) == value:
            return
        await sleep(_DELAY)


def _value(reply: Reply) -> object:
    return msgspec.json.decode(reply.body).get("value") if reply.status == 200 else None


__all__ = ["until_set"]
