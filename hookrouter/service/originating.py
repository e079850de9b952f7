"""POST /v1/calls: calls somebody, and hands the call to a route or to actions of its own when it is answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from hookrouter.actions.base import CALL, state_fault
from hookrouter.actions.decode import decode_steps
from hookrouter.actions.json_text import given_state
from hookrouter.actions.judging import Rules, refuse
from hookrouter.actions.new_call import NewCall, decode_new_call
from hookrouter.actions.originate import own_id
from hookrouter.ari.client import AriClient
from hookrouter.ari.operations import Request
from hookrouter.calls.board import Live
from hookrouter.calls.call import Call
from hookrouter.calls.effects import Announce
from hookrouter.errors import AnswerRefused, Fault, NotHere
from hookrouter.flow import Flow
from hookrouter.policy.said import said_by_struct
from hookrouter.routing.endpoint import Route
from hookrouter.routing.table import RouteTable


async def originate(
    clients: Mapping[str, AriClient],
    flow: Flow,
    routes: RouteTable,
    find: Callable[[str], Awaitable[Any]],
    body: bytes,
    tenant: str | None = None,
    elsewhere: Collection[str] = (),
) -> dict[str, Any]:
    """The new call's id. The same `id` twice is one call: `find` finds one that is, or was. That nobody answers is told to
    the route, by `OriginateCompleted`. Raises AnswerRefused, ValueError (Asterisk refused), OverTheLimit, NotHere. `tenant`:
    only its routes may own the call; None: any may. `elsewhere`: Asterisks of other routers.
    """
    wanted = decode_new_call(body)
    name = wanted.asterisk or next(iter(clients), "")
    client = clients.get(name)
    if client is None and (not name or name in elsewhere):
        raise NotHere(f"[asterisk.{name}] is another router's")
    if client is None:
        raise AnswerRefused([Fault("/asterisk", f"no [asterisk.{name}] in routes.toml; known: {', '.join(clients)}")])
    if wanted.app and wanted.app not in client.apps:
        raise AnswerRefused(
            [
                Fault(
                    "/app",
                    f"`{wanted.app}` is no app of [asterisk.{name}] in routes.toml; known: {', '.join(client.apps)}",
                )
            ]
        )
    owners = {
        found.name: found
        for found in routes.routes
        if found.mode == "control" and (tenant is None or found.tenant == tenant)
    }
    first = next(iter(owners), "") if not isinstance(wanted.actions, msgspec.UnsetType) else ""
    route = owners.get(wanted.route or first)
    if route is None:
        known = ", ".join(owners)
        raise AnswerRefused([Fault("/route", f"name the control route that owns the call; known: {known}")])
    if faults := [Fault(*fault) for fault in state_fault(wanted.state)]:
        raise AnswerRefused(faults)
    steps = () if isinstance(wanted.actions, msgspec.UnsetType) else decode_steps(bytes(wanted.actions), "/actions")
    refuse(steps, Rules(route.policy, route.url, route.allow_urls), "/actions")
    if faults := [Fault(*fault) for fault in route.policy.faults(said_by_struct(wanted))]:
        raise AnswerRefused(faults)
    channel = own_id(wanted.id or secrets.token_hex(8), route.tenant)
    made = {"id": channel, "asterisk": name, "route": route.name}
    if wanted.id and (flow.expected.of_call(channel, name) is not None or _was_answered(await find(channel))):
        return made | {"already": True}
    state = given_state(wanted.state)
    flow.count_new_call(route)
    proof = secrets.token_hex(12)
    flow.expected.expect(
        name,
        Announce(channel, route.name, tuple(step.raw for step in steps), state, route.tenant, "", proof, wanted.to),
    )
    watching = _watch(flow, name, wanted, channel, route, body)
    params: dict[str, Any] = {
        "channelId": channel,
        "endpoint": wanted.to,
        "app": wanted.app or client.apps[0],
        "appArgs": ",".join((CALL, proof, channel)),
        "timeout": wanted.timeout,
    }
    if wanted.caller_id:
        params["callerId"] = wanted.caller_id
    if wanted.variables:
        params["variables"] = wanted.variables
    await flow.runner.on_disk()  # killed from here on, the next router knows of it
    reply = await client.perform(Request("channels.originateWithId", params))
    if reply.fate == "unknown":  # the call may come
        raise ValueError(
            f"Asterisk did not say whether it calls {wanted.to}: GET /v1/calls/{channel} shows it if it does"
        )
    if not 200 <= reply.status < 300:  # who has asked is told here
        flow.runner.turn(watching, lambda turn: turn.on_signal("refused", {}))
    if reply.status == 409:  # it was asked for before a restart, or by somebody else: Asterisk has a channel of this id
        return made | {"already": True}
    if not 200 <= reply.status < 300:
        flow.expected.no_more(name, channel)
        detail = reply.body[:300].decode("utf-8", "replace")
        raise ValueError(f"Asterisk could not call {wanted.to}: status {reply.status} {detail}")
    return made


def _was_answered(found: Any) -> bool:
    """Whether a call of this id is, or was. One that nobody has answered may be tried again: its end has a `cause`."""
    return found is not None and "cause" not in found


def _watch(flow: Flow, asterisk: str, wanted: NewCall, channel: str, route: Route, body: bytes) -> Live:
    """What tells the route of a call that nobody answers; it is there before Asterisk is asked."""
    left_out = ("asterisk", "app")
    given = {
        key: value for key, value in msgspec.json.decode(body).items() if key not in left_out and value is not None
    }
    step = {
        "action": "~called",
        "channel": channel,
        "timeout": wanted.timeout,
        "by": {"action": "originate", **given},
    }
    call = Call(
        key=flow.board.free_key(asterisk, f"asked/{channel}"),
        id=f"asked/{channel}",
        asterisk=asterisk,
        app=wanted.app or "",
        route=route.name,
        started_at=time.time(),
        channelless=True,
        tenant=route.tenant,
    )
    watching = flow.runner.enter(call, route)
    flow.runner.turn(watching, lambda turn: turn.carry_out([msgspec.json.encode(step)]))
    return watching
