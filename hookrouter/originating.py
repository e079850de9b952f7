"""POST /v1/calls: calls somebody, and hands the call to a route or to actions of its own when it is answered."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hookrouter.actions.base import state_fault
from hookrouter.actions.decode import decode_steps
from hookrouter.actions.faults import field_faults
from hookrouter.actions.originate import own_id
from hookrouter.ari.client import AriClient
from hookrouter.ari.operations import Request
from hookrouter.calls.effects import Announce
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.flow import Flow
from hookrouter.routing.table import RouteTable


class NewCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The body. `to` is an endpoint such as `PJSIP/alice`; give `route`, or `actions`, or both.

    With `actions` alone the first control route of the file owns the call.
    """

    to: Annotated[str, Meta(min_length=1, description="An endpoint, such as `PJSIP/alice`.")]
    route: Annotated[str, Meta(description="The control route that owns the call.")] | None = None
    actions: Annotated[
        msgspec.Raw | msgspec.UnsetType, Meta(description="What the call does first, instead of a StasisStart.")
    ] = msgspec.UNSET
    state: Annotated[msgspec.Raw | msgspec.UnsetType, Meta(description="Its first `call.state`.")] = msgspec.UNSET
    asterisk: Annotated[str, Meta(description="Default: the first in routes.toml.")] | None = None
    app: Annotated[str, Meta(description="Default: the first of that Asterisk's.")] | None = None
    caller_id: Annotated[str, Meta(description="What the other side sees: `Name <number>`, or a number.")] | None = None
    timeout: Annotated[int, Meta(ge=1, le=600, description="Seconds of ringing.")] = 30
    variables: Annotated[dict[str, str], Meta(description="Channel variables.")] = {}
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The same id twice is one call.")] | None = (
        None
    )


def decode_new_call(body: bytes) -> NewCall:
    """The body of `POST /v1/calls`. Raises AnswerRefused with every fault."""
    try:
        return msgspec.json.decode(body, type=NewCall)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = str(error)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AnswerRefused([Fault("", f"not JSON: {message}")]) from None
    faults = list(field_faults(NewCall, value, "")) if isinstance(value, dict) else []
    raise AnswerRefused(faults or [Fault("", message)])


async def originate(
    clients: Mapping[str, AriClient],
    flow: Flow,
    routes: RouteTable,
    find: Callable[[str], Awaitable[Any]],
    body: bytes,
) -> dict[str, Any]:
    """The new call's id. The same `id` twice is one call: `find` finds a call that is, or was. Raises AnswerRefused,
    ValueError (Asterisk refused).
    """
    wanted = decode_new_call(body)
    name = wanted.asterisk or next(iter(clients))
    client = clients.get(name)
    if client is None:
        raise AnswerRefused([Fault("/asterisk", f"no [asterisk.{name}] in routes.toml; known: {', '.join(clients)}")])
    first = next((found.name for found in routes.routes if found.mode == "control"), None)
    route = routes.by_name(wanted.route or (first if not isinstance(wanted.actions, msgspec.UnsetType) else None) or "")
    if route is None or route.mode != "control":
        known = ", ".join(found.name for found in routes.routes if found.mode == "control")
        raise AnswerRefused([Fault("/route", f"name the control route that owns the call; known: {known}")])
    if faults := [Fault(*fault) for fault in state_fault(wanted.state)]:
        raise AnswerRefused(faults)
    steps = () if isinstance(wanted.actions, msgspec.UnsetType) else decode_steps(bytes(wanted.actions), "/actions")
    channel = own_id(wanted.id or secrets.token_hex(8))
    made = {"id": channel, "asterisk": name, "route": route.name}
    if wanted.id and ((name, channel) in flow.announced or await find(channel) is not None):
        return made | {"already": True}
    state = None if isinstance(wanted.state, msgspec.UnsetType) else bytes(wanted.state)
    flow.expect(name, Announce(channel, route.name, tuple(step.raw for step in steps), state))
    params: dict[str, Any] = {
        "channelId": channel,
        "endpoint": wanted.to,
        "app": wanted.app or client.apps[0],
        "timeout": wanted.timeout,
    }
    if wanted.caller_id:
        params["callerId"] = wanted.caller_id
    if wanted.variables:
        params["variables"] = wanted.variables
    reply = await client.perform(Request("channels.originateWithId", params))
    if reply.fate == "unknown":  # the call may come
        raise ValueError(
            f"Asterisk did not say whether it calls {wanted.to}: GET /v1/calls/{channel} shows it if it does"
        )
    if reply.status == 409:  # it was asked for before a restart, or by somebody else: Asterisk has a channel of this id
        return made | {"already": True}
    if not 200 <= reply.status < 300:
        flow.expect_no_more(name, channel)
        detail = reply.body[:300].decode("utf-8", "replace")
        raise ValueError(f"Asterisk could not call {wanted.to}: status {reply.status} {detail}")
    return made
