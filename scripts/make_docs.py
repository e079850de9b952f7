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
from hookrouter.policy.functions import HARMLESS
from hookrouter.policy.parameters import Kind, uses
from hookrouter.policy.said import judged_fields
from hookrouter.policy.settings import LISTED, PLACES
from hookrouter.published.samples import known_types, sample
from hookrouter.published.schemas import actions_schema
from hookrouter.telemetry.metrics import Counts, Durations, Metrics

_POLICY = re.compile(r"(<!-- policy (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VERBS = re.compile(r"(<!-- verbs -->\n).*?(<!-- end -->)", re.DOTALL)
_VERSIONS = re.compile(r"(<!-- versions: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
_SECTION = re.compile(r"(<!-- metrics: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
DOCS = Path(__file__).parents[1] / "docs"
FOUND = Path(__file__).parents[1] / "tests/asterisk/versions.json"

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

Media are Asterisk's URIs (`sound:hello-world`, `recording:NAME`, `number:42`, `digits:42`, `characters:abc`, `tone:ring`) and web
addresses. Each is one medium: no commas (in a web address `%2C`), no percent-encoding elsewhere, no absolute paths and no
`..`. A recording is one that the same call has made, or that the route's `allow` or `scope` grants. What a caller has sent (a
number, a name) is made digits before it is read out or dialled; [security.md](security.md#what-a-caller-can-send) says why.

Whom a route may call, which functions of the dialplan it may name and where media may come from: [policy.md](policy.md).

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
`allow`. An id of your own for what is made is refused (`forbidden`) where there is such a thing already, where it begins with `hr-`,
and, for a channel, where it has the form of Asterisk's own. [security.md](security.md#what-an-endpoint-may-touch) says all of it.
The action is complete {completes}
"""

_LLMS = """\
# hookrouter

> Puts every call on an Asterisk into the hands of a web function in any language: an event comes as an HTTP POST with JSON, and
> the function answers with a list of actions, such as
> `[{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]`.

An endpoint looks at `type`, answers actions to `StasisStart` and to the results that it asked for, and `[]` to all else. An
unknown field is a fault, and an answer with a fault is refused as a whole. `hookrouter schema actions` prints the JSON Schema,
`hookrouter simulate URL` plays a call without Asterisk, `hookrouter mcp` serves tools for an assistant. Samples in ten
languages: [examples](examples/README.md).

## Docs

"""

SHOWN = frozenset({
    "StasisStart", "StasisEnd", "ChannelStateChange", "ChannelDtmfReceived", "ChannelVarset", "ChannelHangupRequest",
    "ChannelDestroyed", "ChannelEnteredBridge", "ChannelLeftBridge", "Dial", "PlaybackStarted", "PlaybackFinished",
    "RecordingStarted", "RecordingFinished", "ActionFailed", "BridgeCompleted", "CallEnded", "ConferenceCompleted",
    "DialCompleted", "DigitsCollected", "FetchRequested", "OperationCompleted", "OriginateCompleted", "PlayCompleted",
    "QueueCompleted", "QueueWaiting", "RecordingCompleted", "VariableRead",
})  # fmt: skip
"""What the call of tests/examples/test_published.py brings, from the simulator and from a real Asterisk."""

_SAMPLES_HEAD = """\
# A sample of every event

<!-- Made by scripts/make_docs.py from hookrouter/published/samples.py: edit there, then run `make docs`. -->

What an endpoint is sent, whole, for each `type`: Asterisk's own events and the router's results. The headers beside it are in
[delivery.md](delivery.md#the-request), when a result comes in [actions.md](actions.md#results), which events a route gets in
[routes.md](routes.md#events). `hookrouter trigger TYPE --to URL` sends one of these, signed, to your endpoint; as JSON Schema
and OpenAPI: `hookrouter schema openapi`.

An event has more fields where Asterisk, or the action that asked, gives more: read what you need and leave the rest.
"""

_SAMPLES_SHOWN = """\
A call of the tests brings each of these, from the simulator and from a real Asterisk, and the test compares: what always comes is
here, and nothing that never came."""

_SAMPLES_OTHERS = """\
Results of the router's own that this call does not bring (other tests do), and events of Asterisk, made from the fields that its
documentation says."""

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
        "samples.md": samples_page(),
        "versions.md": _VERSIONS.sub(
            lambda found: found[1] + _versions() + found[2], (DOCS / "versions.md").read_text()
        ),
        "../llms.txt": llms_page(),
        "quick-reference.md": _VERBS.sub(
            lambda found: found[1] + _verbs() + found[2], (DOCS / "quick-reference.md").read_text()
        ),
        "policy.md": _POLICY.sub(
            lambda found: found[1] + _POLICY_PARTS[found[2]]() + found[3],
            (DOCS / "policy.md").read_text(),
        ),
    }


def _versions() -> str:
    """What the tests have found with each Asterisk."""
    found: dict[str, Any] = json.loads(FOUND.read_text())
    columns = list(found.values())
    rows = [
        ["", *(f"{one['version']} ({suite})" for suite, one in found.items())],
        ["---"] * (len(columns) + 1),
        *([what, *(one["found"].get(what, "") for one in columns)] for what in columns[0]["found"]),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def samples_page() -> str:
    """Every webhook, whole: those that calls of the tests have shown, then the others."""
    out = [_SAMPLES_HEAD]
    for title, about, names in (
        ("From calls", _SAMPLES_SHOWN, [name for name in known_types() if name in SHOWN]),
        ("The others", _SAMPLES_OTHERS, [name for name in known_types() if name not in SHOWN]),
    ):
        out.append(f"\n## {title}\n\n{about}\n")
        out += [f"\n### {name}\n\n```json\n{_spread(sample(name))}\n```\n" for name in names]
    return "".join(out)


def _spread(webhook: dict[str, Any]) -> str:
    """JSON, with a line for each member of it and of its `data`."""
    lines = []
    for key, value in webhook.items():
        text = json.dumps(value, ensure_ascii=False)
        if key == "data" and value:
            members = [f"    {json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items()]
            text = "{\n" + ",\n".join(members) + "\n  }"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"


def llms_page() -> str:
    """The index for language models: each page with its title and its first sentence. Source: llmstxt.org."""
    rows = []
    for path in sorted(DOCS.glob("*.md")):
        text = re.sub(r"<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
        title, _, rest = text.removeprefix("# ").partition("\n")
        first = re.split(r"(?<=[.:])\s", re.sub(r"\s+", " ", rest).strip(), maxsplit=1)[0]
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first).rstrip(".:")
        rows.append(f"- [{title}](docs/{path.name})" + ("" if words.startswith("#") else f": {words}"))
    return _LLMS + "\n".join([*rows, "", ""]).rstrip("\n") + "\n"


def _functions() -> str:
    return "\n" + ", ".join(f"`{name}`" for name in HARMLESS) + ".\n\n"


def _settings() -> str:
    rows = ["", "| a value is | variables |", "|---|---|"]
    rows += [f"| {what} | {', '.join(f'`{name}`' for name in names)} |" for what, names in LISTED.items()]
    rows.append(f"| a context (see below) | {', '.join(f'`{name}`' for name in PLACES)} |")
    return "\n".join([*rows, "", ""])


_KEYS = {
    Kind.VARIABLE: "functions", Kind.GLOBAL: "functions", Kind.VALUE: "functions", Kind.VARIABLES: "functions",
    Kind.ENDPOINT: "endpoints", Kind.CONTEXT: "contexts", Kind.MEDIA: "hosts", Kind.HOST: "hosts",
}  # fmt: skip


def _judged() -> str:
    """A row for each verb and operation of which something is judged."""
    rows = ["", "| verb or operation | `functions` | `endpoints` | `contexts` | `hosts` |", "|---|---|---|---|---|"]
    for verb in VERBS:
        rows.append(_judged_row(verb.__struct_config__.tag, judged_fields(verb)))
    for name in sorted(operations()):
        found = [(parameter, use.kind) for parameter, use in uses(name).items()]
        found += [("refer_to", Kind.ENDPOINT)] if "refer_to" in dict(found) else []
        rows.append(_judged_row(name, found))
    return "\n".join([*filter(None, rows[1:]), "", ""]).join(["\n", ""])


_POLICY_PARTS = {"functions": _functions, "settings": _settings, "operations": _judged}


def _judged_row(name: Any, fields: list[tuple[str, Kind]]) -> str:
    cells = {key: [f"`{field}`" for field, kind in fields if _KEYS.get(kind) == key]
             for key in ("functions", "endpoints", "contexts", "hosts")}  # fmt: skip
    if not any(cells.values()):
        return ""
    return f"| `{name}` | " + " | ".join(", ".join(dict.fromkeys(found)) for found in cells.values()) + " |"


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


def _verbs() -> str:
    """A row for each verb, in the order of the chapters: its shortest example, and the first sentence about it."""
    rows = ["", "| action | what it does |", "|---|---|"]
    for chapter in CHAPTERS:
        for verb in (verb for verb in VERBS if verb.group == chapter):
            what = re.split(r"(?<=[.:]) |\n", (verb.__doc__ or "").strip(), maxsplit=1)[0]
            rows.append(f"| `{min(verb.examples, key=len)}` | {what.rstrip('.:').replace('|', chr(92) + '|')}. |")
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
    out.append(f"\nThe action is complete {_first_lower(verb.completes)}")
    if verb.result:
        named = "" if verb.result in verb.completes else f" Result: `{verb.result}`."
        out.append(named + (" The result is *quiet*." if verb.quiet else ""))
    out.append("\n")
    out.extend(f"\n```json\n{example}\n```\n" for example in verb.examples)
    legs = actions_schema()["$defs"].get("Leg")
    if "Leg" in json.dumps(fields) and legs:
        out.append(f"\nAn endpoint with settings of its own is an object:\n\n{_table(legs['properties'], legs['required'])}")
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
    """The alternatives; that null is left out and an empty list is an empty map is said once, for all."""
    given_too = ({"type": "null"}, {"type": "array", "maxItems": 0})
    return [option for option in schema.get("anyOf", ()) if option not in given_too]


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
