"""`hookrouter mcp`: what a coding assistant needs to write an endpoint, as tools of the Model Context Protocol over stdio.

Rules: it reads and changes nothing; only with `--simulate` does it send requests, to an endpoint that the assistant names.
A tool that is a command of ours runs that command, so both say the same.
Source: Model Context Protocol, revision 2025-06-18: lifecycle, stdio transport, tools.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, BinaryIO, NamedTuple

import click
import msgspec
from msgspec import Meta

from hookrouter import __version__
from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.cli.options import config_option
from hookrouter.errors import AnswerRefused
from hookrouter.published.schemas import actions_schema

_REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18")
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_LONGEST = 120.0
_MOST = 200_000  # characters of one result


class Actions(msgspec.Struct, forbid_unknown_fields=True):
    """The actions that an endpoint may answer; with `verb` all about one of them: its fields, limits and examples."""

    verb: Annotated[str, Meta(description="Such as play or gather; empty: the names of all.")] = ""


class CheckAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """Says whether the router would take an endpoint's answer, and if not, each fault with its place and the remedy."""

    answer: Annotated[
        str | list[Any] | dict[str, Any],
        Meta(description="What the endpoint answers: a list of actions or an object, or the same as text."),
    ]


class ListCalls(msgspec.Struct, forbid_unknown_fields=True):
    """Recorded calls, the newest first, with why they failed, as JSON."""

    failed: Annotated[bool, Meta(description="Only those that failed.")] = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class ShowCall(msgspec.Struct, forbid_unknown_fields=True):
    """One recorded call: why it failed, and all that was said in it, as a ladder with the bodies."""

    id: Annotated[str, Meta(min_length=1, description="As list_calls gives it.")]


class Simulate(msgspec.Struct, forbid_unknown_fields=True):
    """Plays a call against an endpoint without Asterisk; what was heard, what it answered, and what is wrong, as JSON."""

    url: Annotated[str, Meta(pattern="^https?://", description="Of the endpoint.")]
    digits: Annotated[str, Meta(description="Keys to press: 1,23 is 1 at the first prompt, 2 and 3 at the next.")] = ""
    caller: str = ""
    called: str = ""


class _Failed(Exception):
    """The tool did not do what it was to; its text says why."""


class _Tool(NamedTuple):
    takes: type[msgspec.Struct]
    run: Callable[[Any], str]
    reads: bool = True


@click.command()
@config_option
@click.option("--simulate", is_flag=True, help="Also a tool that plays calls against an endpoint.")
def mcp(path: Any, simulate: bool) -> None:
    """Serves tools for coding assistants on stdin and stdout (Model Context Protocol)."""
    tools = {
        "actions": _Tool(Actions, _actions),
        "check_answer": _Tool(CheckAnswer, _check_answer),
        "list_calls": _Tool(ListCalls, lambda given: _list_calls(str(path), given)),
        "show_call": _Tool(ShowCall, lambda given: _command("calls", f"--config={path}", "show", "-v", "--", given.id)),
    }
    if simulate:
        tools["simulate"] = _Tool(Simulate, _simulate, reads=False)
    _serve(tools, sys.stdin.buffer, sys.stdout.buffer)


def _serve(tools: dict[str, _Tool], lines: BinaryIO, out: BinaryIO) -> None:
    """Answers one message a line, in order, until the input ends."""
    for line in lines:
        if not line.strip():
            continue
        try:
            message = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer: dict[str, Any] | None = _error(None, _PARSE_ERROR, "this line is not JSON")
        else:
            answer = _answer(tools, message)
        if answer is not None:
            out.write(msgspec.json.encode(answer) + b"\n")
            out.flush()


def _answer(tools: dict[str, _Tool], message: Any) -> dict[str, Any] | None:
    """The response to a request; None to a notification."""
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        return _error(None, _INVALID_REQUEST, "this is no request of JSON-RPC 2.0")
    if "id" not in message:
        return None
    id, params = message["id"], message.get("params")
    params = params if isinstance(params, dict) else {}
    match message["method"]:
        case "initialize":
            asked = params.get("protocolVersion")
            result: dict[str, Any] = {
                "protocolVersion": asked if asked in _REVISIONS else _REVISIONS[-1],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hookrouter", "version": __version__},
            }
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": [_described(name, tool) for name, tool in tools.items()]}
        case "tools/call":
            tool = tools.get(str(params.get("name")))
            if tool is None:
                return _error(id, _INVALID_PARAMS, f"there is no tool `{params.get('name')}`: {', '.join(tools)}")
            result = _called(tool, params.get("arguments") or {})
        case method:
            return _error(id, _NO_METHOD, f"there is no method `{method}`")
    return {"jsonrpc": "2.0", "id": id, "result": result}


def _error(id: Any, code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}


def _described(name: str, tool: _Tool) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([tool.takes])
    return {
        "name": name,
        "description": tool.takes.__doc__,
        "inputSchema": components[schema["$ref"].rpartition("/")[2]],
        "annotations": {"readOnlyHint": tool.reads, "openWorldHint": not tool.reads},
    }


def _called(tool: _Tool, arguments: Any) -> dict[str, Any]:
    try:
        text, failed = tool.run(msgspec.convert(arguments, tool.takes)), False
    except (msgspec.ValidationError, _Failed) as error:
        text, failed = str(error), True
    return {"content": [{"type": "text", "text": text[:_MOST]}], "isError": failed}


def _actions(given: Actions) -> str:
    if not given.verb:
        return "\n".join(f"{name}: {(verb.__doc__ or '').strip().splitlines()[0]}" for name, verb in BY_NAME.items())
    if given.verb not in BY_NAME:
        raise _Failed(f"there is no action `{given.verb}`: {', '.join(BY_NAME)}")
    verb = BY_NAME[given.verb]
    schema = msgspec.json.encode(actions_schema()["$defs"][f"{given.verb[:1].upper()}{given.verb[1:]}Action"])
    return "\n".join([(verb.__doc__ or "").strip(), schema.decode(), *verb.examples])


def _check_answer(given: CheckAnswer) -> str:
    body = given.answer.encode() if isinstance(given.answer, str) else msgspec.json.encode(given.answer)
    try:
        answer = decode_answer(body, "application/json", first=True)
    except AnswerRefused as refused:
        raise _Failed("\n".join(str(fault) for fault in refused.faults)) from None
    return f"the router takes it: {', '.join(step.action.verb for step in answer.steps) or 'no action'}"


def _list_calls(path: str, given: ListCalls) -> str:
    return _command(
        "calls", f"--config={path}", "--json", f"--limit={given.limit}", *(["--failed"] if given.failed else [])
    )


def _simulate(given: Simulate) -> str:
    options = [f"--{name}={text}" for name in ("digits", "caller", "called") if (text := getattr(given, name))]
    return _command("simulate", "--json", "--speed=10", *options, "--", given.url, good=(0, 1))


def _command(*arguments: str, good: tuple[int, ...] = (0,)) -> str:
    """What a command of ours prints. Raises _Failed with what it complains of."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hookrouter", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _Failed(f"it took longer than {_LONGEST:.0f} seconds") from None
    if done.returncode not in good or not done.stdout:
        raise _Failed(done.stderr.strip() or done.stdout.strip() or "it printed nothing")
    return done.stdout
