"""Traces as a collector gets them: of a real call, with the endpoint's own span, over a kill, and nothing without the variables."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.asterisk import free_port
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from rig.collector import Collector, Span
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import route

EVENTS = '["StasisStart", "ChannelDtmfReceived", "StasisEnd"]'
FIRST = [{"action": "answer"}, {"action": "play", "media": "sound:demo-congrats"}]
THEN = [{"action": "play", "media": "sound:no-such-sound", "onError": "continue"}, {"action": "hangup"}]


def only(spans: list[Span], name: str, **attributes: Any) -> Span:
    found = [
        span for span in spans if span.name == name and all(span.attributes.get(k) == v for k, v in attributes.items())
    ]
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


async def test_a_call_is_one_trace_with_the_endpoints_own_span_also_after_a_kill(
    pbx: Pbx, endpoint: Endpoint, tmp_path: Path, app_name: str
) -> None:
    """Each span has its parent, and what comes after the restart stands in the same trace."""
    async with Collector() as collector:
        function = TracerProvider(resource=Resource.create({"service.name": "ivr"}))
        exporter = OTLPSpanExporter(f"{collector.url}/v1/traces")
        function.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))

        def answer(delivery: Delivery) -> Any:
            """A web function that is traced."""
            came = TraceContextTextMapPropagator().extract({k.lower(): v for k, v in delivery.headers.items()})
            with function.get_tracer("ivr").start_as_current_span("look up the customer", context=came):
                return FIRST if delivery.type == "StasisStart" else THEN

        endpoint.answers["StasisStart"] = endpoint.answers["ChannelDtmfReceived"] = answer
        router = RouterProcess(tmp_path, pbx.url, app_name, route(endpoint.url, events=EVENTS))
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        router.start(**environment)
        try:
            await router.ready()
            call = await pbx.call(app_name)
            await call.answered()
            # Asterisk is asked for a sound only when the answer is on disk: after that it is not asked for again
            begun = {"answer", "channels.playWithId", "look up the customer"}
            await collector.until(lambda spans: begun <= {span.name for span in spans})
            router.kill()
            router.start(**environment)
            await router.ready()
            await call.press("1")
            spans = await collector.until(lambda spans: any(span.name == "call ivr" for span in spans))
            spans = await collector.until(lambda spans: len([s for s in spans if s.service == "ivr"]) == 2)
        finally:
            router.kill()
            await asyncio.to_thread(function.shutdown)
    root = only(spans, "call ivr")
    assert (root.parent, root.attributes["hookrouter.call"], root.service) == ("", call.id, "hookrouter")
    assert {span.trace for span in spans} == {root.trace}
    assert len({span.id for span in spans}) == len(spans)
    for name in ("deliver StasisStart", "deliver ChannelDtmfReceived", "answer", "hangup", "channels.answer"):
        assert only(spans, name).parent == root.id, name
    assert [(span.failed, span.parent) for span in spans if span.name == "play"] == [(False, root.id), (True, root.id)]
    assert not only(spans, "hangup").failed
    for type in ("StasisStart", "ChannelDtmfReceived"):
        delivery = only(spans, f"deliver {type}")
        attempt = only(spans, "POST", **{"hookrouter.event": delivery.attributes["hookrouter.event"]})
        assert attempt.parent == delivery.id
        own = [span for span in spans if span.service == "ivr" and span.parent == attempt.id]
        assert [span.name for span in own] == ["look up the customer"]
        assert delivery.began - 0.05 <= own[0].began <= own[0].ended <= delivery.ended + 0.05
    assert root.began <= min(span.began for span in spans) + 0.05


async def test_a_collector_that_is_away_costs_no_call_and_no_time(
    pbx: Pbx, endpoint: Endpoint, tmp_path: Path, app_name: str
) -> None:
    """The call goes on, the log says it, and the router stops in its time."""
    endpoint.answers["StasisStart"] = [[{"action": "answer"}, {"action": "hangup"}]]
    router = RouterProcess(tmp_path, pbx.url, app_name, route(endpoint.url, events=EVENTS))
    router.start(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_BSP_SCHEDULE_DELAY="50",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    try:
        await router.ready()
        call = await pbx.call(app_name)
        await endpoint.wait("StasisEnd")
        await pbx.gone(call.id)
        async with asyncio.timeout(15):
            while "spans could not be sent" not in router.log.read_text():
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(router.terminate) == 0
    finally:
        router.kill()


def test_nothing_of_it_is_imported_without_the_variables() -> None:
    """Also where it is installed."""
    code = (
        "import sys; from hookrouter.cli import main, serve; from hookrouter.telemetry.otel import tracing; "
        "from hookrouter.facts import Facts; facts = Facts(); assert tracing(facts, {}) is None; "
        "assert tracing(facts, {'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://x', 'OTEL_SDK_DISABLED': 'true'}) is None; "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
