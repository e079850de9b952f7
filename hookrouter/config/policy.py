"""`[policy]` and the same keys of a route → a `Policy`, and what only that can find wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hookrouter.config.collecting import Findings, join
from hookrouter.config.shapes import PolicyTable, RouteShape
from hookrouter.policy.hosts import host_of_url, network_of
from hookrouter.policy.policy import Policy

_FUNCTION = re.compile(r"\*|harmless|[A-Za-z_][A-Za-z0-9_]*(?:\([^()]*\))?")
_HOST = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_LISTS = ("functions", "endpoints", "contexts", "hosts")
_NUMBERS = ("max_legs", "max_calls_per_minute", "max_answers")


def _function_fault(entry: str) -> str:
    good = _FUNCTION.fullmatch(entry)
    return "" if good else f"`{entry}` is not a function; such as `CURL`, `CHANNEL(hangup_handler*)`, or `harmless`"


def _endpoint_fault(entry: str) -> str:
    return "" if entry == "*" or "/" in entry[1:] else f"`{entry}` has no technology; such as `PJSIP/{entry}`, or `*`"


def _host_fault(entry: str) -> str:
    if "://" in entry or (re.search(r":[0-9]+$", entry) and entry.count(":") == 1):
        return f"`{entry}` is an address with a scheme or a port; write the host alone"
    good = _HOST.fullmatch(entry) or network_of(entry) is not None
    return (
        ""
        if good
        else f"`{entry}` is not a host; such as `media.example.com`, `*.example.com`, `10.0.0.0/8`, or `public`"
    )


_FAULTS: dict[str, Callable[[str], str]] = {
    "functions": _function_fault,
    "endpoints": _endpoint_fault,
    "contexts": lambda entry: "",
    "hosts": _host_fault,
}


def check_policy(place: str, table: PolicyTable | RouteShape, findings: Findings) -> None:
    """Notes what is wrong with the entries of the lists."""
    for key in _LISTS:
        for index, entry in enumerate(getattr(table, key) or ()):
            if fault := _FAULTS[key](entry):
                findings.fault(f"{join(place, key)}[{index}]", fault)


def route_policy(
    place: str, shape: RouteShape, everywhere: PolicyTable, own_hosts: Sequence[str], findings: Findings
) -> Policy:
    """What the route says, else what `[policy]` says, else the default. `own_hosts`: written outside of routes."""
    check_policy(place, shape, findings)
    given: dict[str, Any] = {}
    for key in (*_LISTS, *_NUMBERS):
        own = getattr(shape, key)
        value = own if own is not None else getattr(everywhere, key)
        if value is not None:
            given[key] = tuple(value) if isinstance(value, list) else value
    if "hosts" in given:
        given["dial_hosts"] = given["hosts"]
    urls = [shape.url, *([shape.fallback.url] if shape.fallback is not None and shape.fallback.url else [])]
    hosts = [*map(host_of_url, urls), *own_hosts]
    return Policy(**given, own_hosts=tuple(dict.fromkeys(host for host in hosts if host)))
