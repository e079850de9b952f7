"""The sample endpoints answer what the router takes, and refuse what is not signed."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookrouter.actions.decode import decode_answer
from hookrouter.delivery.envelope import CallContext, envelope
from hookrouter.delivery.signing import parse_secret, sign

_EXAMPLES = Path(__file__).parents[2] / "examples"
_SECRET = "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="
Post = Callable[[bytes, dict[str, str]], httpx.Response]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _served(command: list[str], port: int, ready: str) -> Iterator[Post]:
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} on this machine")
    environ = {**os.environ, "HOOKROUTER_SECRET": _SECRET, "PORT": str(port)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        assert any(ready in line for line in process.stdout), "it ended"
        with httpx.Client(trust_env=False) as client:
            yield lambda body, headers: client.post(f"http://127.0.0.1:{port}/", content=body, headers=headers)
    finally:
        process.terminate()
        process.communicate()


def _python(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    monkeypatch.setenv("HOOKROUTER_SECRET", _SECRET)
    app = runpy.run_path(str(_EXAMPLES / "python" / "ivr.py"))["app"]

    def post(body: bytes, headers: dict[str, str]) -> httpx.Response:
        import asyncio

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ivr") as client:
                return await client.post("/", content=body, headers=headers)

        return asyncio.run(ask())

    yield post


@pytest.fixture(params=["python", "node", "php"])
def post(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """Sends a body with headers to one of the examples."""
    port = _free_port()
    if request.param == "python":
        yield from _python(monkeypatch)
    elif request.param == "node":
        yield from _served(["node", str(_EXAMPLES / "node" / "ivr.mjs")], port, "listening")
    else:
        script = str(_EXAMPLES / "php" / "ivr.php")
        yield from _served(["php", "-S", f"127.0.0.1:{port}", script], port, "started")


def _signed(body: bytes, secret: str = _SECRET, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signature = "v1,b3RoZXI= " + sign("evt_1", at, body, [parse_secret(secret)])
    return {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def _event(type: str, data: dict[str, Any], state: bytes = b'{"number":"100"}') -> bytes:
    call = CallContext("1.1", "main", "hookrouter", "ivr", 1, state)
    return envelope("evt_1", type, "2026-11-23T01:21:20.227Z", json.dumps(data).encode(), call)


def test_a_whole_conversation(post: Post) -> None:
    """Menu, number, message, goodbye: every answer is one that the router takes."""
    told = [
        (_event("StasisStart", {"channel": {"caller": {"number": "100"}}}, b"{}"), ["answer", "gather"]),
        (_event("DigitsCollected", {"digits": "1", "reason": "valid"}), ["play", "gather"]),
        (_event("DigitsCollected", {"digits": "1", "reason": "valid"}, b"{}"), ["play", "gather"]),
        (_event("DigitsCollected", {"digits": "2", "reason": "valid"}), ["play", "record"]),
        (_event("RecordingCompleted", {"name": "message", "duration": 3}), ["play", "play", "hangup"]),
        (_event("DigitsCollected", {"digits": "", "reason": "timeout"}), ["play", "hangup"]),
        (_event("ActionFailed", {"error": {}}), ["hangup"]),
        (_event("StasisEnd", {}), []),
    ]
    for body, verbs in told:
        response = post(body, _signed(body))
        assert response.status_code == 200, response.text
        answer = decode_answer(response.content, response.headers["content-type"], first=True)
        assert [step.action.verb for step in answer.steps] == verbs
    first = post(told[0][0], _signed(told[0][0])).json()
    assert first["state"] == {"number": "100"}
    body = envelope("evt_1", "DeviceStateChanged", "2026-11-23T01:21:20.227Z", b"{}", None)
    assert post(body, _signed(body)).status_code == 204


def test_a_wrong_signature_is_refused(post: Post) -> None:
    """Another key, an old one, another body, none at all."""
    body = _event("StasisEnd", {})
    assert post(body, _signed(body, "whsec_YW5vdGhlciBzZWNyZXQhIQ==")).status_code == 401
    assert post(body, _signed(body, at=int(time.time()) - 400)).status_code == 401
    assert post(body + b" ", _signed(body)).status_code == 401
    assert post(body, {}).status_code == 401
