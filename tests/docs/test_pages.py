"""Examples of docs/endpoints.md are what the router takes and sends; docs/design.md names the rooms that there are."""

from __future__ import annotations

import json
import re
import time
import tomllib
from pathlib import Path

import pytest

from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import RESULTS
from hookrouter.ari.operations import event_types
from hookrouter.delivery.signing import parse_secret, sign

_ROOT = Path(__file__).parents[2]
_ENDPOINTS = (_ROOT / "docs" / "endpoints.md").read_text()


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", _ENDPOINTS, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", [block for block in _blocks("json")[1:] if "mcpServers" not in block])
def test_the_answers_decode(block: str) -> None:
    """All but the first block, which is a request, and an assistant's settings."""
    assert decode_answer(block.encode(), "application/json", first=True).steps


def test_the_request_and_the_types() -> None:
    """The request has the members of an envelope; the table names types that exist."""
    assert list(json.loads(_blocks("json")[0])) == ["id", "type", "timestamp", "data", "call"]
    types = re.findall(r"^\| `(\w+)` \|", _ENDPOINTS, re.MULTILINE)
    assert types
    assert set(types) <= RESULTS | event_types().keys()


def test_the_types_in_python() -> None:
    """What they encode to is an answer that the router takes."""
    names: dict[str, bytes] = {}
    exec(compile(_blocks("python")[0], "endpoints.md", "exec"), names)
    answer = decode_answer(names["body"], "application/json", first=True)
    assert [step.action.verb for step in answer.steps] == ["answer", "play", "gather"]


def test_the_signature_in_python() -> None:
    """It takes ours, and nothing else."""
    names: dict[str, object] = {}
    exec(compile(_blocks("python")[1], "endpoints.md", "exec"), names)
    signed = names["signed"]
    assert callable(signed)
    secret, at = "whsec_MTIzNDU2Nzg5MGFiY2RlZg==", int(time.time())
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(at)}
    headers["webhook-signature"] = "v1,AAAA " + sign("evt_1", at, b"{}", [parse_secret(secret)])
    assert signed(secret, headers, b"{}")
    assert not signed(secret, headers, b"{ }")
    assert not signed(secret, {}, b"{}")


def test_every_room_is_described() -> None:
    """The layers of import-linter, in their order."""
    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [part.strip() for layer in contracts[0]["layers"] for part in layer.split(":")]
    table = (_ROOT / "docs" / "design.md").read_text().partition("\n| room |")[2]
    rooms = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert rooms == [layer for layer in layers if layer != "__main__"]
