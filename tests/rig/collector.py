"""A collector of OpenTelemetry: takes spans by OTLP over HTTP, as protobuf, and remembers them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """One span as it came; ids in hex, `parent` empty: the root. Seconds since the epoch."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    began: float
    ended: float
    failed: bool
    attributes: dict[str, str | int]


class Collector:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.changed = asyncio.Condition()

    async def __aenter__(self) -> Collector:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                for one in scope.spans:
                    said = {a.key: a.value.string_value or a.value.int_value for a in one.attributes}
                    ids = one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()
                    times = one.start_time_unix_nano / 1e9, one.end_time_unix_nano / 1e9
                    self.spans.append(Span(service, one.name, *ids, *times, one.status.code == 2, said))
        async with self.changed:
            self.changed.notify_all()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    async def until(self, fits: Callable[[list[Span]], bool], timeout: float = 15.0) -> list[Span]:
        """All spans, once they fit."""
        try:
            async with asyncio.timeout(timeout), self.changed:
                await self.changed.wait_for(lambda: fits(self.spans))
        except TimeoutError:
            raise TimeoutError(f"came: {[(span.service, span.name) for span in self.spans]}") from None
        return self.spans
