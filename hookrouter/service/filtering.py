"""What a query of /v1/deliveries asks for: every value has its limits, what is not known is told."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hookrouter.delivery.queue import Filter
from hookrouter.service.recorded import whole_number

MOST = 10_000
"""Deliveries that one answer lists."""


def filter_of(query: Mapping[str, str]) -> tuple[Filter, int, int]:
    """A query's filter, how many at most, and behind which. Raises ValueError."""
    known = {
        "id",
        "status",
        "route",
        "call",
        "type",
        "reason",
        "created_after",
        "created_before",
        "limit",
        "after",
        "all",
    }
    if unknown := set(query) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    status = query.get("status")
    if status not in (None, "pending", "delivered", "dead"):
        raise ValueError(f"status is pending, delivered or dead, not {status}")
    which = Filter(
        ids=(query["id"],) if "id" in query else (),
        status=status,  # type: ignore[arg-type]
        route=query.get("route", ""),
        call=query.get("call", ""),
        type=query.get("type", ""),
        reason=query.get("reason", ""),
        created_after=_seconds("created_after", query),
        created_before=_seconds("created_before", query),
    )
    limit, after = (whole_number(name, query.get(name, usual)) for name, usual in (("limit", "100"), ("after", "0")))
    return which, max(1, min(limit, MOST)), after


def _seconds(name: str, query: Mapping[str, str]) -> float | None:
    """Seconds since the epoch. Raises ValueError where they are no number that a clock shows."""
    found = float(query[name]) if name in query else None
    if found is not None and not math.isfinite(found):
        raise ValueError(f"{name} is seconds since the epoch, not `{query[name][:40]}`")
    return found
