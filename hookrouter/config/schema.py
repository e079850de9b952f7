"""JSON Schema 2020-12 of routes.toml, from the shapes that the loader itself uses; editors complete and check with it.

Rules: TOML has no null, so an absent key is an absent key; event types are listed, as far as this version knows them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.routes import CONTROL_TIMEOUT, known_events
from hookrouter.config.shapes import AsteriskTable, File, PolicyTable, RouteShape
from hookrouter.policy.policy import Policy

_POLICY = {key: getattr(Policy(), key) for key in PolicyTable.__struct_fields__}
_EFFECTIVE: dict[tuple[str, str], Any] = {
    ("AsteriskTable", "url"): AsteriskSettings("").url,
    ("AsteriskTable", "apps"): AsteriskTable().apps,
    ("RouteShape", "events"): RouteShape(url="-").events,
    ("RouteShape", "timeout"): CONTROL_TIMEOUT,
    **{("PolicyTable", key): list(value) if isinstance(value, tuple) else value for key, value in _POLICY.items()},
}
"""Defaults that no single field's definition can tell."""


@cache
def routes_schema() -> dict[str, Any]:
    """The whole file; `$defs` has one schema for each kind of table."""
    _, definitions = msgspec.json.schema_components([File], ref_template="#/$defs/{name}")
    found: dict[str, Any] = _without_null(definitions)
    for (table, key), default in _EFFECTIVE.items():
        found[table]["properties"][key]["default"] = default
    found["RouteShape"]["properties"]["events"]["items"] = {"enum": ["*", *sorted(known_events())]}
    root = found.pop("File")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **root, "title": "hookrouter routes.toml", "$defs": found}


def _without_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _without_null(item) for key, item in schema.items()}
    if "default" in found and (found["default"] is None or isinstance(found["default"], dict)):
        del found["default"]
    options = found.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        options.remove({"type": "null"})
        if len(options) == 1:
            del found["anyOf"]
            found |= {key: item for key, item in options[0].items() if key not in found}
    return found
