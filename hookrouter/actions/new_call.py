"""The body of `POST /v1/calls`: its fields with their limits, and every fault of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from hookrouter.actions.json_text import BAD_JSON, mended, too_much
from hookrouter.actions.legs import CallerId, RingSeconds
from hookrouter.actions.reading import Reader
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language, said_by_struct, written_fault


class NewCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The body. `to` is an endpoint such as `PJSIP/alice`; give `route`, or `actions`, or both.

    With `actions` alone the first control route of the file owns the call.
    """

    to: Annotated[
        str,
        Meta(min_length=1, description="An endpoint, such as `PJSIP/alice`.", extra=in_language(Kind.ENDPOINT)),
    ]
    route: Annotated[str, Meta(description="The control route that owns the call.")] | None = None
    actions: Annotated[
        msgspec.Raw | msgspec.UnsetType, Meta(description="What the call does first, instead of a StasisStart.")
    ] = msgspec.UNSET
    state: Annotated[msgspec.Raw | msgspec.UnsetType, Meta(description="Its first `call.state`.")] = msgspec.UNSET
    asterisk: Annotated[str, Meta(description="Default: the first in routes.toml.")] | None = None
    app: Annotated[str, Meta(description="Default: the first of that Asterisk's.")] | None = None
    caller_id: CallerId | None = None
    timeout: RingSeconds = 30
    variables: Annotated[dict[str, str], Meta(description="Channel variables.", extra=in_language(Kind.VARIABLES))] = {}
    id: (
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$", description="The same id twice is one call.")]
        | None
    ) = None


def decode_new_call(body: bytes) -> NewCall:
    """The body of `POST /v1/calls`. Raises AnswerRefused with every fault."""
    if found := too_much(body):
        raise AnswerRefused([Fault("", found)])
    body = mended(body)
    try:
        new = _without_nulls(msgspec.json.decode(body, type=NewCall))
        if faults := [Fault(said.place, fault) for said in said_by_struct(new) if (fault := written_fault(said))]:
            raise AnswerRefused(faults)
        return new
    except BAD_JSON as error:
        message = str(error)
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        raise AnswerRefused([Fault("", f"not JSON: {message}")]) from None
    reader = Reader()
    made = reader.struct(NewCall, value, None) if isinstance(value, dict) else None
    if made is None:
        raise AnswerRefused(reader.faults.told or [Fault("", message)])
    return made


def _without_nulls(made: NewCall) -> NewCall:
    """The fields of any JSON, too: null is left out."""
    nulls = {
        name
        for name in ("actions", "state")
        if getattr(made, name) is not msgspec.UNSET and bytes(getattr(made, name)) == b"null"
    }
    return msgspec.structs.replace(made, **dict.fromkeys(nulls, msgspec.UNSET)) if nulls else made
