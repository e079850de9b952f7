"""An answer as C#, Java and Go write it: each field that was not set is there, and null."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from hookrouter.actions.legs import Leg
from hookrouter.actions.vocabulary import BY_NAME

_ANSWER = dict.fromkeys(("actions", "state", "mode", "whenDone"))


def _unset(kind: type[msgspec.Struct]) -> dict[str, None]:
    return dict.fromkeys(field.encode_name for field in msgspec.structs.fields(kind) if not field.required)


def full(value: Any) -> Any:
    """The same with null for every field of an action, or of a leg, that is left out."""
    if isinstance(value, list):
        return [full(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: full(item) for name, item in value.items()}
    verb = BY_NAME.get(str(value.get("action")))
    if verb is not None:
        return _unset(verb) | found
    return _unset(Leg) | found if "endpoint" in value and "action" not in value else found


def full_answer(body: bytes) -> bytes:
    """The object that such a language writes, for a list too. A state is the endpoint's own, and stays as it is."""
    answer = json.loads(body) if body else None
    found = dict(_ANSWER) | (answer if isinstance(answer, dict) else {"actions": answer})
    return json.dumps(found | {"actions": full(found["actions"])}).encode()
