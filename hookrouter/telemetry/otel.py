"""Whether OpenTelemetry is switched on. Nothing of it is imported where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hookrouter.errors import ConfigurationError, Fault, extra
from hookrouter.facts import Facts

if TYPE_CHECKING:
    from hookrouter.telemetry.tracing import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(environ: Mapping[str, str]) -> bool:
    """By an endpoint, unless another variable says no."""
    off = (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
    )
    return any(environ.get(name) for name in _ENDPOINTS) and not off


def tracing(facts: Facts, environ: Mapping[str, str]) -> Tracing | None:
    """None: it is off. Raises ConfigurationError where it is on and not installed."""
    if not wanted(environ):
        return None
    try:
        from hookrouter.telemetry.tracing import start_tracing
    except ModuleNotFoundError as error:
        remedy = f"{extra('otel')}, or unset OTEL_EXPORTER_OTLP_ENDPOINT"
        message = f"OpenTelemetry is switched on, and {error.name} is not there: {remedy}"
        raise ConfigurationError([Fault("environment", message)]) from None
    return start_tracing(facts, environ)
