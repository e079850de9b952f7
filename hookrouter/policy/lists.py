"""What Asterisk lists of everybody's, without what is of calls of other tenants. Pure.

Rule: what is left out is what belongs to a call of another tenant; what belongs to no call stays.
Source: Asterisk 22's rest-api: Channel, Bridge, StoredRecording, Application, Endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hookrouter.policy.parameters import Kind

_LISTS = {
    "channels.list": (Kind.CHANNEL, "id"),
    "bridges.list": (Kind.BRIDGE, "id"),
    "recordings.listStored": (Kind.STORED, "name"),
}
_IDS = {"channel_ids": Kind.CHANNEL, "bridge_ids": Kind.BRIDGE, "channels": Kind.CHANNEL}


def without_others(operation: str, body: Any, is_others: Callable[[Kind, str], bool]) -> Any:
    """The body of Asterisk's reply to `operation` without what `is_others` says yes to."""
    if isinstance(body, list):
        kind, key = _LISTS.get(operation, (None, ""))
        return [
            _without_ids(item, is_others)
            for item in body
            if kind is None or not isinstance(item, dict) or not is_others(kind, str(item.get(key, "")))
        ]
    return _without_ids(body, is_others)


def _without_ids(item: Any, is_others: Callable[[Kind, str], bool]) -> Any:
    """An object without the ids of others in its lists of ids."""
    if not isinstance(item, dict):
        return item
    lists = {name: kind for name, kind in _IDS.items() if isinstance(item.get(name), list)}
    return item | {name: [id for id in item[name] if not is_others(kind, str(id))] for name, kind in lists.items()}
