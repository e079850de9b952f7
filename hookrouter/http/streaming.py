"""An answer that is too large to hold: its body comes piece by piece, as fast as it is taken.

Rule: nobody waits for ever: the head and each piece have their time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

HEAD_SECONDS = 10.0
PIECE_SECONDS = 30.0


class Download:
    """`status` and `headers` (names in lower case) are there; `pieces` once; `close` in the end."""

    def __init__(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises httpx.TransportError where it ends too early."""
        async for piece in self._stream:
            yield piece

    async def close(self) -> None:
        await self._stream.aclose()


async def download(transport: httpx.AsyncBaseTransport, url: str, headers: list[tuple[str, str]]) -> Download:
    """Asks for `url`, and returns when the head of the answer is there. Raises httpx.TransportError."""
    timeouts = {"connect": HEAD_SECONDS, "pool": HEAD_SECONDS, "write": HEAD_SECONDS, "read": PIECE_SECONDS}
    request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeouts})
    return Download(await transport.handle_async_request(request))
