"""The sample of a call detail record in docs/delivery.md is one, and names every field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema

from hookrouter.actions.results import CallEnded
from hookrouter.published.openapi import openapi_document

DELIVERY = (Path(__file__).parents[2] / "docs/delivery.md").read_text()


def test_the_sample_is_a_whole_record() -> None:
    """It fits the published schema, and is the example there."""
    chapter = DELIVERY.partition("## Call detail records")[2].partition("\n## ")[0]
    found = re.search(r"```json\n(.*?)```", chapter, re.DOTALL)
    assert found is not None
    sample = json.loads(found[1])
    schema = {"$ref": "#/components/schemas/CallEndedWebhook", "components": openapi_document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(sample)
    assert sample["data"] == json.loads(CallEnded.example)
    known = schema["components"]["schemas"]["CallEnded"]["properties"]
    assert set(known) - set(sample["data"]) == {"legsLeftOut"}
    assert "legsLeftOut" in chapter
