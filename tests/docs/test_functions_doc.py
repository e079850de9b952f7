"""docs/functions.md says what the router does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hookrouter.config import parse
from hookrouter.config.auth import VARIABLES
from hookrouter.delivery.invoking import invocation
from hookrouter.text.functions import function

_TEXT = (Path(__file__).parents[2] / "docs/functions.md").read_text()


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", _TEXT, re.DOTALL | re.MULTILINE)


def _key() -> str:
    """A service account's."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = rsa.generate_private_key(65537, 2048).private_bytes(*form).decode()
    return json.dumps({"client_email": "router@project.iam.gserviceaccount.com", "private_key": pem})


@pytest.mark.parametrize("block", _blocks("toml"))
def test_every_route_loads(block: str, tmp_path: Path) -> None:
    """With the variables that it names, and AWS's own."""
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "a-value-of-16-or-more")
    environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"), "x-1")
    for name in re.findall(r"/run/secrets/([\w.-]+)", block):
        (tmp_path / name).write_text(_key() if name.endswith(".json") else "a-secret-of-16-or-more")
    config = parse(block.replace("/run/secrets/", f"{tmp_path}/"), environ, tmp_path / "routes.toml")
    assert config.warnings == ()
    assert len(config.routes) > 0


def test_the_variables_are_those_that_are_read() -> None:
    """Each key of `auth` with what stands in for it, in its order."""
    rows = re.findall(r"^\| `(\w+)`(?:, `\w+_file`)? \| (`AWS.*?) \|$", _TEXT, re.MULTILINE)
    assert {key: tuple(re.findall(r"`(\w+)`", names)) for key, names in rows} == VARIABLES


def test_the_event_has_these_members() -> None:
    """What is shown of it is there, and is of the same kind."""

    def within(shown: Any, real: Any, place: str) -> None:
        assert type(shown) is type(real), place
        for key in shown if isinstance(shown, dict) else ():
            if place != "/headers":
                assert key in real, f"{place}/{key}"
                within(shown[key], real[key], f"{place}/{key}")

    (shown,) = [json.loads(block) for block in _blocks("json") if '"rawPath"' in block]
    within(shown, json.loads(invocation(function("lambda:ivr"), "r-1", "", "evt_1", [], b"{}", 0.0).body), "")
