"""REST that makes channels: originate, create, snoop, external media.

Source: Asterisk's resource_channels.c; the statuses are those of 22.10.
"""

from __future__ import annotations

import re
from typing import Any

from hookrouter.simulator.channels import Channel
from hookrouter.simulator.on_channels import in_stasis
from hookrouter.simulator.pbx import Pbx
from hookrouter.simulator.rest import Answer, Params, Refused, handles, listed, number, text, variables
from hookrouter.simulator.threads import Then, be_dialled, run_dialplan, run_stasis


def make_pair(pbx: Pbx, endpoint: str, id: str, other: str) -> Channel:
    """The two halves of a Local channel, or a phone and whoever holds it. Raises Refused where nobody is there."""
    technology, _, resource = endpoint.partition("/")
    if technology.lower() == "local":
        found = re.fullmatch(r"([^@/]*)(?:@([^/]+))?(?:/\w+)?", resource)
        if found is None:
            raise Refused(500, "Allocation failed", "error")
        exten, context = found[1] or "s", found[2] or "default"
        name = f"Local/{exten}@{context}-{pbx.serial('Local')}"
        first = Channel(pbx, id, f"{name};1")
        second = Channel(pbx, other or f"{id};2", f"{name};2")
    else:
        behaviour = pbx.phones(endpoint)
        if behaviour is None:
            raise Refused(500, "Allocation failed", "error")
        exten, context = behaviour, "callers"
        first = Channel(pbx, id, f"{endpoint.split('@')[0]}-{pbx.serial(technology)}")
        second = Channel(pbx, f"{id};phone", f"{first.name};phone", hidden=True)
    first.pair, second.pair = second, first
    for half in (first, second):
        half.context, half.exten = context, exten
    first.dialstring = resource
    return first


def _wanted(pbx: Pbx, params: Params) -> tuple[str, str]:
    """The ids of the two halves. Raises Refused where they are taken."""
    id = text(params, "channelId") or pbx.new_id()
    other = text(params, "otherChannelId")
    if id in pbx.channels or (other and other in pbx.channels):
        raise Refused(409, "Channel with given unique ID already exists")
    if other and other == id:
        raise Refused(400, "Channel ID and other channel ID are the same")
    return id, other


def _caller(given: str) -> tuple[str, str]:
    found = re.fullmatch(r'\s*"?([^"<]*?)"?\s*<([^>]*)>\s*', given)
    return (found[1].strip(), found[2]) if found else ("", given.strip())


@handles("channels.originate", "channels.originateWithId")
async def _originate(pbx: Pbx, params: Params) -> Answer:
    endpoint, app, exten = text(params, "endpoint"), text(params, "app"), text(params, "extension")
    if "/" not in endpoint:
        raise Refused(400, "Invalid endpoint specified")
    if not app and not exten:
        raise Refused(400, "Application or extension must be specified")
    id, other = _wanted(pbx, params)
    channel = make_pair(pbx, endpoint, id, other)
    _prepare(pbx, channel, params)
    then: Then
    if app:
        args = listed(params, "appArgs")
        for half in (channel, channel.pair):
            if half is not None and not half.hidden:
                pbx.app(app).subscribe(half.topic)

        async def then(started: Channel) -> None:
            await run_stasis(started, app, args, told=False)
    else:
        context = text(params, "context") or "default"
        priority = number(params, "priority", 1)

        async def then(started: Channel) -> None:
            await run_dialplan(started, context, exten, priority)

    timeout = number(params, "timeout", 30)
    channel.begin(be_dialled(channel, None if timeout == -1 else timeout, then))
    return 200, {**channel.described(), "dialplan": {**channel.described()["dialplan"], **_OUTGOING}}


_OUTGOING = {"app_name": "AppDial2", "app_data": "(Outgoing Line)"}


def _prepare(pbx: Pbx, channel: Channel, params: Params) -> None:
    channel.variables.update({name.lstrip("_"): one for name, one in variables(params).items()})
    if given := text(params, "callerId"):
        channel.caller = channel.connected = _caller(given)


@handles("channels.create", checks=True)
async def _create(pbx: Pbx, params: Params) -> Answer:
    endpoint, app = text(params, "endpoint"), text(params, "app")
    if not endpoint:
        raise Refused(400, "Endpoint must be specified")
    if "/" not in endpoint:
        raise Refused(400, "Invalid endpoint specified")
    id, other = _wanted(pbx, params)
    channel = make_pair(pbx, endpoint, id, other)
    _prepare(pbx, channel, params)
    pbx.app(app).subscribe(channel.topic)
    _enter(channel, app, listed(params, "appArgs"))
    return 200, channel.described()


def _enter(channel: Channel, app: str, args: list[str]) -> None:
    async def life() -> None:
        await run_stasis(channel, app, args)

    channel.begin(life())


@handles("channels.snoopChannel", "channels.snoopChannelWithId", checks=True)
async def _snoop(pbx: Pbx, params: Params) -> Answer:
    if text(params, "spy", "none") == "none" and text(params, "whisper", "none") == "none":
        raise Refused(400, "Direction must be specified for at least spy or whisper")
    spied = pbx.channels.get(text(params, "channelId"))
    if spied is None or spied.hidden:
        raise Refused(404, "Channel not found")
    id = text(params, "snoopId") or pbx.new_id()
    if id in pbx.channels:
        raise Refused(500, "Snoop channel could not be created")
    snoop = Channel(pbx, id, f"Snoop/{spied.id}-{pbx.serial(f'Snoop/{spied.id}')}", state="Up")
    spied.on_end.append(lambda: snoop.hangup(16))
    described = snoop.described()
    _enter(snoop, text(params, "app"), listed(params, "appArgs"))
    return 200, described


@handles("channels.externalMedia")
async def _external(pbx: Pbx, params: Params) -> Answer:
    if not text(params, "external_host") and text(params, "encapsulation", "rtp") != "none":
        raise Refused(400, "external_host is required for all but websocket server connections")
    id = text(params, "channelId") or pbx.new_id()
    if id in pbx.channels:
        raise Refused(409, "Channel with given unique ID already exists")
    host = text(params, "external_host")
    technology = {"websocket": "WebSocket", "tcp": "AudioSocket"}.get(text(params, "transport", "udp"), "UnicastRTP")
    channel = Channel(pbx, id, f"{technology}/{host}-{pbx.serial(technology)}", state="Up")
    _prepare(pbx, channel, params)
    local: dict[str, Any] = {"UNICASTRTP_LOCAL_ADDRESS": "127.0.0.1", "UNICASTRTP_LOCAL_PORT": "4000"}
    if technology == "UnicastRTP":
        channel.variables.update(local)
    described = channel.described() | ({"channelvars": local} if technology == "UnicastRTP" else {})
    _enter(channel, text(params, "app"), [])
    return 200, described


__all__ = ["in_stasis", "make_pair"]
