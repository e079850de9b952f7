"""A TCP proxy that understands enough of HTTP and WebSocket to lose one message: between Asterisk and the router.

Rules: it records what passes, both ways, in order; faults are chosen by the test, never by chance of its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Fate = Literal["pass", "drop", "cut"]
Mode = Literal["pass", "refuse", "frozen"]


@dataclass
class Seen:
    """One message: an event, a RESTRequest or a RESTResponse on a WebSocket; or an HTTP request (`type` "HTTP").

    `status` and `answered` of a request by HTTP: that of its reply, and when that came; 0: none has.
    """

    at: float
    type: str
    raw: bytes
    body: dict[str, Any]
    status: int = 0
    answered: float = 0.0


@dataclass(eq=False)
class _Pipe:
    """One direction of one connection."""

    source: asyncio.StreamReader
    sink: asyncio.StreamWriter
    forward: bool  # from who connected to the target
    unanswered: list[Seen] = field(default_factory=list)  # requests by HTTP


class Proxy:
    """Listens on a port of its own and connects to `target`. `judge(seen)` says what becomes of each message."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode: Mode = "pass"
        self.delay = 0.0
        self.seen: list[Seen] = []
        self.judge: Callable[[Seen], Fate] = lambda seen: "pass"
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._door: socket.socket | None = None

    async def __aenter__(self) -> Proxy:
        self._place = _bound(0)  # never listens: it keeps the port while nobody does
        self.port = self._place.getsockname()[1]
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._door is not None:
            self._close()
        await asyncio.sleep(0)  # what was accepted a moment ago has begun
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed
        self._place.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ---- faults

    def cut(self) -> None:
        """Ends every connection at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def refuse(self) -> None:
        """Cuts, and refuses new connections until `heal`: nobody listens."""
        self.mode = "refuse"
        self._close()
        self.cut()

    def freeze(self) -> None:
        """Half open: bytes are taken and go nowhere; nobody is told."""
        self.mode = "frozen"

    def heal(self) -> None:
        """New connections pass again; those that were frozen have lost bytes and are cut."""
        was, self.mode = self.mode, "pass"
        if was == "frozen":
            self.cut()
        elif was == "refuse":
            self._listen()

    # ---- what passed

    def events(self, type: str = "", channel: str = "") -> list[Seen]:
        return [
            seen for seen in self.seen
            if seen.type not in ("HTTP", "RESTRequest", "RESTResponse") and type in ("", seen.type)
            and channel in ("", seen.body.get("channel", {}).get("id"))
        ]  # fmt: skip

    async def until(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(condition)

    # ---- plumbing

    # Not asyncio's own server: when it closes, it loses sight of what it has just accepted.

    def _listen(self) -> None:
        self._door = _bound(self.port)
        self._door.setblocking(False)
        self._door.listen(1024)
        asyncio.get_running_loop().add_reader(self._door, self._accept, self._door)

    def _close(self) -> None:
        assert self._door is not None
        asyncio.get_running_loop().remove_reader(self._door)
        self._door.close()
        self._door = None

    def _accept(self, door: socket.socket) -> None:
        try:
            connection, _ = door.accept()
        except OSError:  # it has gone again
            return
        task = asyncio.create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        if self.mode == "refuse":
            connection.close()
            return
        reader, writer = await _streams(connection)
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        ways: list[asyncio.Task[None]] = []
        try:
            while self.mode == "frozen":
                if not await reader.read(65536):
                    return
            out, other = await asyncio.open_connection("127.0.0.1", self.target, limit=2**20)
            self._writers.add(other)
            there, back = _Pipe(reader, other, True), _Pipe(out, writer, False)
            ways = [asyncio.create_task(self._http(there, back)), asyncio.create_task(self._back(back))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _send(self, pipe: _Pipe, data: bytes) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.mode != "frozen":
            pipe.sink.write(data)
            await pipe.sink.drain()

    async def _http(self, there: _Pipe, back: _Pipe) -> None:
        """Requests of who connected; from the handshake on, frames."""
        try:
            while True:
                head = await there.source.readuntil(b"\r\n\r\n")
                lower = head.lower()
                body = b""
                if b"content-length:" in lower:
                    body = await there.source.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                about = {"type": "HTTP", "method": method, "uri": target.removeprefix("/ari/"), "message_body": body.decode()}
                upgrade = b"upgrade: websocket" in lower
                asked = Seen(time.monotonic(), "HTTP", head + body, about)
                unseen = upgrade or self.mode == "frozen"
                if not unseen:
                    back.unanswered.append(asked)
                fate = "pass" if unseen else await self._note(asked)
                self._http_reply = fate
                await self._send(there, head + body)
                if upgrade:
                    await self._frames(there)
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def _back(self, pipe: _Pipe) -> None:
        try:
            first = await pipe.source.readuntil(b"\r\n\r\n")
            if b" 101 " in first.split(b"\r\n")[0]:
                await self._send(pipe, first)
                await self._frames(pipe)
                return
            data = first
            while data:
                if data.startswith(b"HTTP/1.1 ") and pipe.unanswered:
                    asked = pipe.unanswered.pop(0)
                    asked.status, asked.answered = int(data[9:12]), time.monotonic()
                if self._http_reply == "cut":
                    return
                if self._http_reply == "pass":
                    await self._send(pipe, data)
                data = await pipe.source.read(65536)
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def _frames(self, pipe: _Pipe) -> None:
        source = pipe.source
        while True:
            head = await source.readexactly(2)
            length, masked = head[1] & 127, head[1] & 128
            more = b""
            if length == 126:
                more = await source.readexactly(2)
                length = struct.unpack("!H", more)[0]
            elif length == 127:
                more = await source.readexactly(8)
                length = struct.unpack("!Q", more)[0]
            mask = await source.readexactly(4) if masked else b""
            payload = await source.readexactly(length)
            fate: Fate = "pass"
            if head[0] == 0x81 and self.mode != "frozen":  # a whole text message
                text = _unmask(payload, mask) if masked else payload
                body = json.loads(text)
                fate = await self._note(Seen(time.monotonic(), str(body.get("type", "")), text, body))
            if fate == "cut":
                self.cut()
                return
            if fate == "pass":
                await self._send(pipe, head + more + mask + payload)

    async def _note(self, seen: Seen) -> Fate:
        self.seen.append(seen)
        fate = self.judge(seen)
        async with self.changed:
            self.changed.notify_all()
        return fate


def _bound(port: int) -> socket.socket:
    """Sockets of one port; connections go to the one that listens."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    return found


async def _streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    if not payload:
        return payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")
