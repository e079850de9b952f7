"""The endpoint where there is no Node: the same answers and the same ledger (endpoint.mjs)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

_PROGRAM = b'[{"action":"answer"},{"action":"hangup"}]'
_HOLD = b'[{"action":"answer"},{"action":"pause","seconds":3600}]'


class Ledger:
    """What was delivered since the last time somebody asked."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.counts: Counter[str] = Counter()
        self.requests = self.repeated = self.disordered = 0
        self.last: dict[str, int] = {}

    def note(self, id: bytes, type: str, call: dict[str, Any] | None) -> None:
        self.requests += 1
        if id and id in self.seen:
            self.repeated += 1
        else:
            self.seen.add(id)
            self.counts[type] += 1
            if call is not None:
                self.disordered += call["sequence"] != self.last.get(call["id"], 0) + 1
                self.last[call["id"]] = call["sequence"]

    def report(self) -> bytes:
        told = {
            "requests": self.requests, "repeated": self.repeated, "disordered": self.disordered, "counts": self.counts,
        }  # fmt: skip
        self.__init__()  # type: ignore[misc]
        return json.dumps(told).encode()


class Connection(asyncio.Protocol):
    """Requests of one connection, each of which has a content-length or no body."""

    ledger = Ledger()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            size = int(headers.get(b"content-length", 0))
            if len(self.buffer) < end + 4 + size:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + size], self.buffer[end + 4 + size :]
            self.answer(first, headers, body)

    def answer(self, first: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        if first.startswith(b"GET"):
            answer = self.ledger.report()
        else:
            told = json.loads(body)
            self.ledger.note(headers.get(b"webhook-id", b""), told["type"], told.get("call"))
            hold = told.get("data", told).get("args") == ["hold"]
            answer = b"[]" if told["type"] != "StasisStart" else _HOLD if hold else _PROGRAM
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self.transport.write(head + answer)  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
