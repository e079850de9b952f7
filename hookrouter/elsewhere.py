"""The end of a ringing channel of ours that somebody may have picked up waits for whoever did.

Asterisk tells of the two in any order: the ChannelDestroyed of the phone that rang (cause 26, "answered elsewhere", or 16,
as any that is hung up), and the StasisStart of the phone that takes its place. Told first, the end would be that of a leg
that nobody has answered. What we hang up ourselves is no longer ours by then, and does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

from hookrouter.ari.events import Event
from hookrouter.calls.board import Board

_PICKED_UP = frozenset({16, 26})
_WITHIN = 1.0


class Elsewhere:
    """`expected`: (Asterisk, channel) of those that are to become calls. `dispatch` gets what has waited long enough."""

    def __init__(
        self,
        board: Board,
        expected: Container[tuple[str, str]],
        dispatch: Callable[[Event], None],
        within: float = _WITHIN,
    ) -> None:
        self._board, self._expected, self._dispatch, self._within = board, expected, dispatch, within
        self._waited: set[str] = set()

    def holds(self, event: Event) -> bool:
        """Whether this ChannelDestroyed is to wait; then it is dispatched later."""
        channel = event.head.channel
        if event.head.cause not in _PICKED_UP or channel is None or channel.state == "Up" or event.id in self._waited:
            return False
        live = self._board.of(event.asterisk, "channel", channel.id)
        leg = live is not None and channel.id != live.call.channel
        if not leg and (event.asterisk, channel.id) not in self._expected:
            return False
        asyncio.get_running_loop().call_later(self._within, self._late, event)
        return True

    def _late(self, event: Event) -> None:
        self._waited.add(event.id)
        self._dispatch(event)
        self._waited.discard(event.id)
