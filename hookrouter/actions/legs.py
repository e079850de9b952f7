"""The legs that a call dials: their fields."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from hookrouter.actions.nested import Steps
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

BRIDGE_TYPE = "mixing,dtmf_events"
"""So that keys pressed during the talk are events (feature codes); Asterisk mixes natively otherwise, and sees none."""
Endpoint = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=512,
        description="Such as `PJSIP/alice` or `PJSIP/+4930@trunk`.",
        extra=in_language(Kind.ENDPOINT),
    ),
]
CallerId = Annotated[
    str,
    Meta(description="What the other side sees: `Name <number>`, or a number.", extra=in_language(Kind.CALLER_ID)),
]
RingSeconds = Annotated[int, Meta(ge=1, le=600, description="Seconds of ringing.")]
MAX_FORWARDS = 5  # of one phone to the next, so that two that forward to each other come to an end


class Leg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One endpoint with what is special about it."""

    endpoint: Endpoint
    caller_id: (
        Annotated[str, Meta(description="What it sees; default: the action's.", extra=in_language(Kind.CALLER_ID))]
        | None
    ) = None
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Seconds of ringing; default: the action's.")] | None = (
        None
    )
    variables: Annotated[
        dict[str, str], Meta(description="Channel variables of the leg.", extra=in_language(Kind.VARIABLES))
    ] = {}
    headers: Annotated[
        dict[str, str], Meta(description="SIP headers of the INVITE.", extra=in_language(Kind.HEADERS))
    ] = {}
    confirm: Annotated[Steps | None, Meta(description="Actions that run for it first; default: the action's.")] = None


def registered(endpoint: str) -> str:
    """The name in `PJSIP/NAME`, behind which several phones may be registered; "" for all other endpoints."""
    technology, _, name = endpoint.partition("/")
    return name if technology.lower() == "pjsip" and "/" not in name and "@" not in name else ""


def forwarded_to(forward: str, context: str) -> str:
    """The endpoint that a phone's 302 names: an extension of its context, or an endpoint as it is."""
    return forward if "/" in forward else f"Local/{forward}@{context or 'default'}"


def as_leg(target: str | Leg) -> Leg:
    return Leg(endpoint=target) if isinstance(target, str) else target
