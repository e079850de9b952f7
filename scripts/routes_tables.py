"""Writes the tables of keys and the list of event types in docs/routes.md, from the schema that the loader is made from.

`python scripts/routes_tables.py` rewrites what stands between the markers; a test fails where that has been forgotten.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hookrouter.actions.vocabulary import RESULTS
from hookrouter.config.routes import known_events
from hookrouter.config.schema import routes_schema

DOCUMENT = Path(__file__).parents[1] / "docs" / "routes.md"
_SECTION = re.compile(r"(<!-- (keys|events) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "table",
}


def rendered(text: str) -> str:
    """The document with all of its generated sections as they should be."""
    return _SECTION.sub(lambda found: found[1] + _body(found[2], found[3]) + found[4], text)


def _body(kind: str, name: str) -> str:
    if kind == "events":
        names = RESULTS if name == "router" else known_events() - RESULTS
        return "\n" + ", ".join(f"`{event}`" for event in sorted(names)) + "\n\n"
    table = routes_schema()["$defs"][name]
    rows = [_row(key, schema, key in table["required"]) for key, schema in table["properties"].items()]
    return "\n".join(["", "| key | type | default | meaning |", "|---|---|---|---|", *rows, "", ""])


def _row(key: str, schema: dict[str, Any], required: bool) -> str:
    default = "**required**" if required else f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    return f"| `{key}` | {_type(schema)} | {default} | {schema['description'].replace('|', chr(92) + '|')} |"


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        few = len(schema["enum"]) < 10
        return " or ".join(f"`{json.dumps(choice)}`" for choice in schema["enum"]) if few else "text"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        inner = schema["items"]
        return "list of actions" if "action" in inner.get("properties", {}) else f"list of {_type(inner)}s"
    return _TYPES.get(schema.get("type", "object"), "table")


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
