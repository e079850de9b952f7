"""An answer that comes piece by piece, and what is to be done when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Streamed(StreamingResponse):
    """`closed` runs when the answer is over, however it ended."""

    def __init__(self, content: AsyncIterator[bytes], closed: Callable[[], Awaitable[None]], **named: Any) -> None:
        super().__init__(content, **named)
        self._closed = closed

    @classmethod
    def events(cls, content: AsyncIterator[bytes], closed: Callable[[], Awaitable[None]]) -> Streamed:
        """Server-sent events, which nginx is not to hold back."""
        return cls(content, closed, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._closed()


__all__ = ["Streamed"]
