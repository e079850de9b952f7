"""`hookrouter mcp`: judged by the client of the Model Context Protocol's own package; what it says is what the router says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rig.endpoint import Endpoint

from hookrouter.actions.vocabulary import BY_NAME

ROUTES = '[asterisk.main]\npassword = "p"\n[[routes]]\nname = "a"\nurl = "http://127.0.0.1:1/"\n[server]\nlisten = "127.0.0.1:1"\n'
CLIENT = """
import asyncio, json, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    command, calls = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    parameters = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        results = [await session.call_tool(name, arguments) for name, arguments in calls]
    print(json.dumps({
        "tools": {tool.name: tool.model_dump(by_alias=True, mode="json") for tool in tools},
        "results": [result.model_dump(by_alias=True, mode="json") for result in results],
    }))

asyncio.run(main())
"""


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    path = tmp_path / "routes.toml"
    path.write_text(ROUTES)
    return path


def command(routes: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "hookrouter", "mcp", "-c", str(routes), *more]


def asked(routes: Path, calls: list[tuple[str, dict[str, Any]]], *more: str) -> tuple[dict[str, Any], list[tuple[bool, str]]]:
    """Its tools, and of each call whether it failed, and its text."""
    arguments = [sys.executable, "-c", CLIENT, json.dumps(command(routes, *more)), json.dumps(calls)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["tools"], [(one["isError"], one["content"][0]["text"]) for one in found["results"]]


def test_its_tools_only_read(routes: Path) -> None:
    """And say what they take; the answer's faults are the router's own words."""
    answers = ['[{"action": "answer"}, {"action": "play", "media": "sound:x"}]', '[{"action": "play", "medium": "sound:x"}]']
    calls: list[tuple[str, dict[str, Any]]] = [("check_answer", {"answer": text}) for text in answers]
    calls += [("check_answer", {"answer": json.loads(text)}) for text in answers]
    calls += [("check_answer", {"answer": {"actions": json.loads(answers[0])}})]
    calls += [("actions", {}), *(("actions", {"verb": verb}) for verb in BY_NAME), ("actions", {"verb": "sing"})]
    calls += [("check_answer", {}), ("show_call", {"id": "--help"})]
    tools, results = asked(routes, calls)
    assert set(tools) == {"actions", "check_answer", "list_calls", "show_call"}
    assert all(tool["annotations"]["readOnlyHint"] for tool in tools.values())
    assert tools["check_answer"]["inputSchema"]["required"] == ["answer"]
    assert results[0] == (False, "the router takes it: answer, play")
    assert results[1][0]
    assert "did you mean `media`" in results[1][1]
    assert results[2:4] == results[:2]
    assert results[4] == results[0]
    del results[2:5]
    assert [line.partition(":")[0] for line in results[2][1].splitlines()] == list(BY_NAME)
    for verb, (failed, text) in zip(BY_NAME, results[3:], strict=False):
        assert not failed
        assert f'"const":"{verb}"' in text
    assert [failed for failed, _ in results[-3:]] == [True, True, True]
    assert "answer" in results[-2][1]


async def test_it_simulates_only_when_it_may(routes: Path, endpoint: Endpoint) -> None:
    """With `--simulate` an endpoint is called; what is wrong is in the result, and an option is no way into the command."""
    endpoint.answers["StasisStart"] = [[{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]]
    calls: list[tuple[str, dict[str, Any]]] = [("simulate", {"url": endpoint.url}), ("simulate", {"url": "--help"})]
    tools, (played, refused) = await asyncio.to_thread(asked, routes, calls, "--simulate")
    assert not tools["simulate"]["annotations"]["readOnlyHint"]
    found = json.loads(played[1])
    assert (found["ok"], found["actions"]) == (True, ["answer", "play", "hangup"])
    assert refused[0]


def test_what_is_no_request(routes: Path) -> None:
    """Is answered with the codes of JSON-RPC; a notification with nothing."""
    lines = ["{", "[]", '{"jsonrpc":"2.0","method":"notifications/initialized"}']
    lines += ['{"jsonrpc":"2.0","id":1,"method":"none"}', '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}']
    lines += ['{"jsonrpc":"2.0","id":3,"method":"tools/call","params":[1]}', '{"jsonrpc":"2.0","id":4,"method":"ping"}']
    done = subprocess.run(command(routes), input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32600, -32601, -32602, -32602, None]
