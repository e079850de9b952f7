"""Writes the generated pages of docs/: actions.md from the verbs, ari-operations.md from the table of operations.

`make docs` runs it; a test fails where that has been forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hookrouter.actions.base import Action
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.vocabulary import BY_NAME, RESULTS, VERBS
from hookrouter.ari.operations import Operation, operations
from hookrouter.ari.repeating import DONE_ALREADY, Repeat
from hookrouter.schemas import actions_schema
from hookrouter.telemetry.metrics import Counts, Durations, Metrics

_SECTION = re.compile(r"(<!-- metrics: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
DOCS = Path(__file__).parents[1] / "docs"

CHAPTERS = {
    "call": ("The call itself", "Answering, ringing, waiting and hanging up."),
    "sound": ("What the caller hears", "Prompts, speech, tones, music and silence."),
    "caller": ("What the caller says and types", "Digits and recordings."),
    "parties": ("Other people", "Calling somebody, joining calls, listening in, and media for programs."),
    "dialplan": ("The dialplan", "Variables, and giving the call back to Asterisk's own configuration."),
    "function": ("The function itself", "More actions from a URL, the call's state, and messages to others."),
}
COMMON = ("id", "wait", "onError")

_HEAD = """\
# Actions

<!-- Made by scripts/make_docs.py from hookrouter/actions: edit there, then run `make docs`. -->

An endpoint answers with a list of actions, or with an object that holds one:

```json
[
  {"action": "answer"},
  {"action": "play", "media": "sound:hello-world"},
  {"action": "hangup"}
]
```

They run in order, and each is complete before the next begins. Times are seconds, unless the name is Asterisk's own
(`skipms`). A field that is not listed here is a fault, and an answer with a fault is refused as a whole, before anything of
it runs. The same definitions as JSON Schema: `hookrouter schema actions`.

Media are Asterisk's URIs (`sound:hello-world`, `recording:NAME`, `number:42`, `digits:42`, `characters:abc`, `tone:ring`).

## Fields of every action

"""

_RESULTS = """
## Results

An action with a result sends it as an event to its own `url` if it has one, else to the route that owns the call, and
waits for the answer: a list of actions replaces the rest of the program, an empty answer lets the rest go on. A result
that is marked *quiet* is only sent if the action has a `url` or the route's `events` names its type. `data` of a result holds
`action` (the action as you gave it) beside what is listed.

The event types that the router itself sends: {results}.

An action that fails sends `ActionFailed` with `data.error` {{`status`, `reason`, `message`}}, unless its `onError` says what
to do instead.
"""

_OPERATION = """
## Asterisk's own operations: `RESOURCE.OPERATION`

Whatever has no verb can still be done: each of the {count} operations of Asterisk's REST interface is an action by its own
name, with its own parameters beside `action`. They are listed in [ari-operations.md](ari-operations.md).

```json
{{"action": "channels.snoopChannel", "app": "hookrouter", "spy": "both"}}
```

```json
{{"action": "asterisk.getGlobalVar", "variable": "OFFICE_OPEN"}}
```

`channelId` is the call's own channel where you give none. Ids that belong to another call are refused, and so are operations
that concern no call at all (such as `asterisk.getGlobalVar`), unless the route says `scope = "any"` or names the operation in
`allow`. Complete: {completes}
"""

_OPERATIONS_HEAD = """\
# ARI operations

<!-- Made by scripts/make_docs.py from hookrouter/ari: edit there, then run `make docs`. -->

All {count} operations of Asterisk's REST interface, as hookrouter knows them. Each is also an [action](actions.md) by the name in
the first column; required parameters are **bold**.

- **blocks**: Asterisk may keep the request waiting until a playback, recording or DTMF of the same channel has ended.
- **the same request again**: what it does, and so what the router does when it cannot know whether the first one arrived.
  *harmless*: the same state as after the first. *404 is done* (or 409): the first one did it. *asks first*: the router asks for the
  proof in the next column, and repeats only where that says 404. *never*: it would be done twice, so it is not repeated.

"""

_REPEATS = {"safe": "harmless", "ask": "asks first", "never": "never"}


def _repeat(found: Operation) -> str:
    if found.repeat is Repeat.GONE_IS_DONE:
        return f"{' or '.join(map(str, sorted(DONE_ALREADY[found.name])))} is done"
    return _REPEATS[found.repeat.value]


def pages() -> dict[str, str]:
    """File name → what it should hold."""
    operations_md = (DOCS / "operations.md").read_text()
    return {
        "actions.md": actions_page(),
        "ari-operations.md": operations_page(),
        "operations.md": _SECTION.sub(lambda found: found[1] + _metrics() + found[2], operations_md),
    }


def _metrics() -> str:
    rows = ["", "| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for found in Metrics().registry._collector_to_names:
        if isinstance(found, Counts | Durations):
            kind = "counter" if isinstance(found, Counts) else "histogram"
            name, text, labels = found._family
        else:
            kind, name, text, labels = found._type, found._name, found._documentation, found._labelnames
        whole = f"{name}_total" if kind == "counter" else name
        rows.append(f"| `{whole}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |")
    return "\n".join([*rows, "", ""])


def actions_page() -> str:
    definitions = actions_schema()["$defs"]
    common = definitions["PlayAction"]["properties"]
    out = [_HEAD, _table({name: common[name] for name in COMMON}, ())]
    out.append(_RESULTS.format(results=", ".join(f"`{name}`" for name in sorted(RESULTS))))
    unknown = {verb.group for verb in VERBS} - CHAPTERS.keys()
    assert not unknown, f"CHAPTERS in scripts/make_docs.py has no title for {unknown}"
    out.append("\n## All actions\n\n")
    for group, (title, _) in CHAPTERS.items():
        links = ", ".join(f"[{name}](#{name.lower()})" for name, verb in BY_NAME.items() if verb.group == group)
        out.append(f"- {title}: {links}\n")
    for group, (title, about) in CHAPTERS.items():
        out.append(f"\n## {title}\n\n{about}\n")
        for name, verb in BY_NAME.items():
            if verb.group == group:
                out.append(_verb(name, verb, _schema_of(verb)))
    out.append(_OPERATION.format(count=len(operations()), completes=_first_lower(OperationAction.completes)))
    return "".join(out)


def _schema_of(verb: type[Action]) -> dict[str, Any]:
    """The verb's schema, looked up by its tag: a class may share its name with something else."""
    for schema in actions_schema()["$defs"].values():
        if schema.get("properties", {}).get("action", {}).get("const") == verb.__struct_config__.tag:
            return dict(schema)
    return {"properties": {}, "required": []}


def _verb(name: str, verb: type[Action], schema: Mapping[str, Any]) -> str:
    out = [f"\n### {name}\n\n{_paragraphs(verb.__doc__ or '')}\n"]
    fields = {key: value for key, value in schema["properties"].items() if key not in (*COMMON, "action")}
    if fields:
        out.append("\n" + _table(fields, schema.get("required", ())))
    out.append(f"\nComplete: {_first_lower(verb.completes)}")
    if verb.result:
        named = "" if verb.result in verb.completes else f" Result: `{verb.result}`."
        out.append(named + (" Quiet." if verb.quiet else ""))
    out.append("\n")
    out.extend(f"\n```json\n{example}\n```\n" for example in verb.examples)
    legs = actions_schema()["$defs"].get("Leg")
    if "Leg" in json.dumps(fields) and legs:
        out.append(f"\nAn endpoint with more to say is an object:\n\n{_table(legs['properties'], legs['required'])}")
    return "".join(out)


def _paragraphs(docstring: str) -> str:
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _table(fields: Mapping[str, Any], required: Any) -> str:
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, schema in fields.items():
        default = "**required**" if name in required else _default(schema.get("default"))
        rows.append(f"| `{name}` | {_cell(_type(schema))} | {default} | {_cell(_meaning(schema))} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    return "" if value in (None, {}, []) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _options(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]


def _meaning(schema: Mapping[str, Any]) -> str:
    """The description, wherever in the schema it stands, and the limits."""
    said = _described(schema)
    limits = _limits(schema)
    return " ".join(filter(None, [said, limits and f"({limits})"]))


def _described(schema: Mapping[str, Any]) -> str:
    if "description" in schema:
        return str(schema["description"])
    return next((found for option in _options(schema) if (found := _described(option))), "")


def _limits(schema: Mapping[str, Any]) -> str:
    options = _options(schema)
    if options:
        return _limits(options[0]) if len(options) == 1 else ""
    if schema.get("type") not in ("integer", "number"):
        return ""
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    words = []
    if low is not None:
        words.append(f"at least {low:g}")
    if above is not None:
        words.append(f"more than {above:g}")
    if high is not None:
        words.append(f"at most {high:g}")
    return ", ".join(words)


def _type(schema: Mapping[str, Any]) -> str:
    if options := _options(schema):
        return " or ".join(dict.fromkeys(map(_type, options)))
    if "enum" in schema:
        return " ".join(f"`{json.dumps(choice)}`" for choice in schema["enum"])
    if "$ref" in schema:
        return "action" if schema["$ref"].endswith("/Action") else "object"
    kind = schema.get("type")
    if kind == "array":
        inner = schema.get("items", {})
        if inner.get("$ref", "").endswith("/Action"):
            return "actions"
        name = _type(inner)
        return f"list of ({name})" if " or " in name else f"list of {name}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), Mapping):
        return f"object of {_type(inner)}"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(str(kind), str(kind or "any"))


def operations_page() -> str:
    out = [_OPERATIONS_HEAD.format(count=len(operations()))]
    resources: dict[str, list[Operation]] = {}
    for found in operations().values():
        resources.setdefault(found.name.partition(".")[0], []).append(found)
    for resource, members in resources.items():
        out.append(f"## {resource}\n\n")
        out.append(
            "| operation | request | parameters | blocks | the same request again | proof |\n|---|---|---|---|---|---|\n"
        )
        for member in members:
            proof = f"`{member.proof.operation}`" if member.proof else ""
            parameters = ", ".join(f"**{p.name}**" if p.required else p.name for p in member.parameters)
            out.append(
                f"| `{member.name}` | `{member.method} {member.path}` | {parameters} | {'yes' if member.blocks else ''} "
                f"| {_repeat(member)} | {proof} |\n"
            )
        out.append("\n")
    return "".join(out).rstrip("\n") + "\n"


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text)
    import routes_tables  # scripts/ is where Python looks first for a script

    routes_tables.DOCUMENT.write_text(routes_tables.rendered(routes_tables.DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
