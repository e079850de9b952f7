"""Condenses Asterisk's api-docs (Swagger 1.1) into hookrouter/ari/spec/: names, types and limits, without the prose.

Usage: python scripts/make_spec.py FOLDER-WITH-THE-REST-API-JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESOURCES = (
    "applications", "asterisk", "bridges", "channels", "deviceStates", "endpoints", "events", "mailboxes", "playbacks",
    "recordings", "sounds",
)  # fmt: skip


def parameter(found: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"name": found["name"], "where": found["paramType"], "type": found.get("dataType", "string")}
    if found.get("required"):
        kept["required"] = True
    if found.get("allowMultiple"):
        kept["multiple"] = True
    if found.get("defaultValue") not in (None, ""):
        kept["default"] = found["defaultValue"]
    allowed = found.get("allowableValues", {})
    if allowed.get("values"):
        kept["values"] = allowed["values"]
    for bound, name in (("min", "minimum"), ("max", "maximum")):
        if bound in allowed:
            kept[name] = allowed[bound]
    return kept


def table(found: dict[str, Any]) -> str:
    return ",\n".join(f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in sorted(found.items()))


def main(folder: Path) -> None:
    operations: list[dict[str, Any]] = []
    for resource in RESOURCES:
        document = json.loads((folder / f"{resource}.json").read_text())
        for api in document["apis"]:
            for found in api["operations"]:
                operations.append(
                    {
                        "name": f"{resource}.{found['nickname']}",
                        "method": found["httpMethod"],
                        "path": api["path"],
                        "response": found["responseClass"],
                        "since": (found.get("since") or [""])[-1],
                        "errors": sorted(int(error["code"]) for error in found.get("errorResponses", [])),
                        "parameters": [parameter(item) for item in found.get("parameters", [])],
                    }
                )
    models: dict[str, Any] = {}
    for resource in RESOURCES:
        models |= json.loads((folder / f"{resource}.json").read_text()).get("models", {})
    events: dict[str, dict[str, str]] = {}
    needed: list[str] = []

    def fields_of(name: str) -> dict[str, str]:
        """Their types; a `?` behind those that may be missing."""
        fields = models[name].get("properties", {}).items()
        return {key: value["type"] + ("" if value.get("required") else "?") for key, value in fields}

    def inherit(name: str, fields: dict[str, str]) -> None:
        merged = fields | fields_of(name)
        if not models[name].get("subTypes"):
            events[name] = merged
        for child in models[name].get("subTypes", []):
            inherit(child, merged)

    inherit("Message", {})
    parts = {}
    needed.extend(kind for fields in events.values() for kind in fields.values())
    while needed:
        kind = needed.pop().removesuffix("?").removeprefix("List[").removesuffix("]")
        if kind in models and kind not in parts:
            parts[kind] = fields_of(kind)
            needed.extend(parts[kind].values())
    target = Path(__file__).parent.parent / "hookrouter/ari/spec/asterisk-22.json"
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in operations)
    target.write_text(
        f'{{"operations":[\n{lines}\n],\n"events":{{\n{table(events)}\n}},\n"models":{{\n{table(parts)}\n}}}}\n'
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
