"""What docs/twilio.md and docs/coming-from.md say to answer is what the router takes; what they name there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from starlette.routing import Route

from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import BY_NAME, RESULTS
from hookrouter.published.samples import sample
from hookrouter.web import app as web

_DOCS = Path(__file__).parents[2] / "docs"
_TWILIO, _OTHERS = ((_DOCS / name).read_text() for name in ("twilio.md", "coming-from.md"))
_BLOCKS = re.findall(r"^```json\n(.*?)^```", _TWILIO, re.DOTALL | re.MULTILINE)
_ROWS = [text for page in (_TWILIO, _OTHERS) for text in re.findall(r"`(\{\"action\": [^`]*\})`", page) if "…" not in text]


@pytest.mark.parametrize("answer", [*_BLOCKS, *(f"[{row}]" for row in _ROWS)])
def test_each_answer_is_taken(answer: str) -> None:
    """Those in blocks, and those in tables."""
    steps = decode_answer(answer.encode(), "application/json", first=True).steps
    assert len(steps) == len(json.loads(answer))


def test_each_twiml_is_whole_and_followed_by_its_answer() -> None:
    """So that the two can be read side by side."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", _TWILIO, re.DOTALL | re.MULTILINE)
    kinds = [kind for kind, _ in blocks]
    for index, (kind, text) in enumerate(blocks):
        if kind == "xml":
            assert ElementTree.fromstring(text).tag == "Response"
            assert kinds[index + 1] == "json"
    assert kinds.count("xml") > 6


def test_the_fields_that_are_named_come() -> None:
    """`data.…` and `call.…` of the tables, in the sample of the type that stands beside it."""
    for type, paths in {
        "StasisStart": ["call.id", "call.state", "data.channel.caller.number", "data.channel.caller.name", "data.args",
                        "data.channel.dialplan.exten", "data.channel.name"],
        "DigitsCollected": ["data.digits", "data.reason"],
        "RecordingCompleted": ["data.url", "data.duration"],
        "DialCompleted": ["data.status", "data.talkSeconds"],
    }.items():  # fmt: skip
        for path in paths:
            assert f"`{path}`" in _TWILIO + _OTHERS or path == "data.reason"
            found = sample(type)
            for name in path.split("."):
                found = found[name]


class _Router:
    tokens = ()


def test_the_names_are_ours() -> None:
    """Verbs that are linked, results, and paths of the router's own HTTP."""
    for page in (_TWILIO, _OTHERS):
        assert set(re.findall(r"\[`(\w+)`\]\(actions\.md", page)) <= BY_NAME.keys()
        assert set(re.findall(r"`(\w+Completed|DigitsCollected)`", page)) <= RESULTS
        ours = {
            f"{method} {route.path.replace(':path', '')}"
            for route in web.create_app(_Router()).routes
            if isinstance(route, Route)
            for method in route.methods or ()
        }
        assert set(re.findall(r"`((?:GET|POST|DELETE) /v1/[^`]*)`", page)) <= ours
