"""`hookrouter trigger`: samples of every type, and what is said of the answer."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hookrouter.cli import main
from hookrouter.published.openapi import openapi_document
from hookrouter.published.samples import known_types, sample


@pytest.mark.parametrize("name", known_types())
def test_a_sample_fits_its_schema(name: str) -> None:
    """As the OpenAPI document has it."""
    document = openapi_document()
    schema = {"$ref": f"#/components/schemas/{name}Webhook", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(sample(name))


def run(*words: str, to: tuple[str, ...] = ("--to", "http://127.0.0.1:9/")) -> Result:
    return CliRunner().invoke(main, ["trigger", *words, *to])


def printed(*words: str) -> Any:
    """Where nothing is sent nobody has to be named that it would go to."""
    found = run(*words, "--print", to=())
    assert found.exit_code == 0, found.output
    return json.loads(found.output)


def test_what_is_changed_in_it() -> None:
    """Texts stay texts, new members are what they look like; the state is the call's."""
    body = printed("ChannelDtmfReceived", "--set", "digit=5", "--set", "channel.caller.number=+49", "--set", "new.a=[1]",
                   "--state", '{"step": 2}')  # fmt: skip
    assert (body["data"]["digit"], body["data"]["channel"]["caller"]["number"], body["data"]["new"]) == ("5", "+49", {"a": [1]})
    assert body["call"]["state"] == {"step": 2}
    assert printed("ChannelDtmfReceived")["data"]["channel"]["caller"]["number"] == "100"


def test_each_is_another_event() -> None:
    """An endpoint that remembers ids takes it again; what belongs to no call has none."""
    first, second = printed("ContactStatusChange"), printed("ContactStatusChange")
    assert first["id"] != second["id"]
    assert "call" not in first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("StasisStrat",), "there is no event type `StasisStrat`; did you mean `StasisStart`?"),
        (("StasisStart", "--set", "digit"), "write PATH=VALUE"),
        (("StasisStart", "--set", "args.a=1"), "`args` has nothing below it"),
        (("StasisStart", "--state", "{"), "--state: that is not JSON"),
        (("StasisStart", "--secret", "whsec_%"), "--secret: "),
    ],
)
def test_wrong_usage(words: tuple[str, ...], said: str) -> None:
    """Status 2, and what would be right."""
    found = run(*words)
    assert (found.exit_code, said in found.output) == (2, True), found.output


def test_it_goes_nowhere_by_itself() -> None:
    """Who is to get it is asked for."""
    found = run("StasisStart", to=())
    assert (found.exit_code, "give --to URL or --route NAME, the endpoint that gets it, or --print" in found.output) == (2, True)


def test_nobody_is_there() -> None:
    """Status 1."""
    found = run("StasisStart")
    assert found.exit_code == 1
    assert "StasisStart: " in found.output
