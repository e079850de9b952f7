"""REST on bridges, playbacks and recordings."""

from __future__ import annotations

import struct
from typing import Any

from hookrouter.simulator.bridges import Bridge
from hookrouter.simulator.on_channels import play_on, record_on
from hookrouter.simulator.pbx import Pbx
from hookrouter.simulator.playing import Playback
from hookrouter.simulator.recording import Recording
from hookrouter.simulator.rest import DONE, Answer, Params, Refused, flag, handles, listed, text, variables


def bridge_of(pbx: Pbx, params: Params) -> Bridge:
    found = pbx.bridges.get(text(params, "bridgeId"))
    if found is None:
        raise Refused(404, "Bridge not found")
    return found


@handles("bridges.list")
async def _list(pbx: Pbx, params: Params) -> Answer:
    return 200, [bridge.described() for bridge in pbx.bridges.values()]


@handles("bridges.create", "bridges.createWithId")
async def _create(pbx: Pbx, params: Params) -> Answer:
    id = text(params, "bridgeId") or pbx.new_id()
    if id in pbx.bridges:
        raise Refused(409, f"Bridge with id '{id}' already exists")
    bridge = Bridge(pbx, id, text(params, "type", "mixing"), text(params, "name"))
    bridge.variables.update(variables(params))
    return 200, bridge.described()


@handles("bridges.get")
async def _get(pbx: Pbx, params: Params) -> Answer:
    return 200, bridge_of(pbx, params).described()


@handles("bridges.destroy")
async def _destroy(pbx: Pbx, params: Params) -> Answer:
    bridge_of(pbx, params).destroy()
    return DONE


@handles("bridges.addChannel", checks=True)
async def _add(pbx: Pbx, params: Params) -> Answer:
    bridge = bridge_of(pbx, params)
    members = listed(params, "channel")
    if not members:
        raise Refused(400, "Missing parameter channel")
    channels = [pbx.channels.get(id) for id in members]
    for channel in channels:
        if channel is None:
            raise Refused(400, "Channel not found")
        if not channel.stasis_app:
            raise Refused(422, _NOT_IN_STASIS)
    absorb = flag(params, "absorbDTMF")
    for channel in channels:
        if channel is not None:
            await channel.line.wait(_joining(bridge, channel, absorb))
    return DONE


_NOT_IN_STASIS = "Channel not in Stasis application"


def _joining(bridge: Bridge, channel: Any, absorb: bool) -> Any:
    async def join() -> None:
        if bridge.id in bridge.pbx.bridges:
            bridge.add(channel, absorb=absorb)

    return join


@handles("bridges.removeChannel")
async def _remove(pbx: Pbx, params: Params) -> Answer:
    bridge = bridge_of(pbx, params)
    for id in listed(params, "channel"):
        channel = pbx.channels.get(id)
        if channel is None:
            raise Refused(400, "Channel not found")
        if not channel.stasis_app:
            raise Refused(409, _NOT_IN_STASIS)
        if channel.bridge is not bridge:
            raise Refused(422, "Channel not in this bridge")

        async def leave(channel: Any = channel) -> None:
            bridge.remove(channel)

        await channel.line.wait(leave)
    return DONE


@handles("bridges.play", "bridges.playWithId", checks=True)
async def _play(pbx: Pbx, params: Params) -> Answer:
    return play_on(pbx, bridge_of(pbx, params), params)


@handles("bridges.record", checks=True)
async def _record(pbx: Pbx, params: Params) -> Answer:
    return record_on(pbx, bridge_of(pbx, params), params)


@handles("bridges.startMoh", "bridges.stopMoh")
async def _music(pbx: Pbx, params: Params) -> Answer:
    bridge_of(pbx, params)
    return DONE


@handles("bridges.getBridgeVar")
async def _get_variable(pbx: Pbx, params: Params) -> Answer:
    found = bridge_of(pbx, params).variables.get(text(params, "variable"))
    if found is None:
        raise Refused(404, "Provided variable was not found")
    return 200, {"value": found}


@handles("bridges.setBridgeVar")
async def _set_variable(pbx: Pbx, params: Params) -> Answer:
    bridge_of(pbx, params).variables[text(params, "variable")] = text(params, "value")
    return DONE


@handles("bridges.getBridgeVars")
async def _get_variables(pbx: Pbx, params: Params) -> Answer:
    known = bridge_of(pbx, params).variables
    return 200, {"variables": {name: known.get(name, "") for name in listed(params, "variables")}}


@handles("bridges.setBridgeVars")
async def _set_variables(pbx: Pbx, params: Params) -> Answer:
    bridge_of(pbx, params).variables.update(variables(params))
    return DONE


@handles("bridges.setVideoSource", "bridges.clearVideoSource")
async def _video(pbx: Pbx, params: Params) -> Answer:
    bridge_of(pbx, params)
    return DONE


def playback_of(pbx: Pbx, params: Params) -> Playback:
    found = pbx.playbacks.get(text(params, "playbackId"))
    if found is None:
        raise Refused(404, "Playback not found")
    return found


@handles("playbacks.get")
async def _playback(pbx: Pbx, params: Params) -> Answer:
    return 200, playback_of(pbx, params).described()


@handles("playbacks.stop")
async def _stop(pbx: Pbx, params: Params) -> Answer:
    playback_of(pbx, params).stop()
    return DONE


@handles("playbacks.control")
async def _control(pbx: Pbx, params: Params) -> Answer:
    playback = playback_of(pbx, params)
    operation = text(params, "operation")
    if operation not in ("restart", "pause", "unpause", "reverse", "forward"):
        raise Refused(400, f"Invalid operation {operation}")
    playback.control(operation)
    return DONE


# ---- recordings -----------------------------------------------------------------------------------------------


def live_of(pbx: Pbx, params: Params) -> Recording:
    found = pbx.live.get(text(params, "recordingName"))
    if found is None:
        raise Refused(404, "Recording not found")
    return found


def _stored(pbx: Pbx, params: Params) -> str:
    name = text(params, "recordingName")
    if name not in pbx.stored:
        raise Refused(404, "Recording not found")
    return name


@handles("recordings.listStored")
async def _list_stored(pbx: Pbx, params: Params) -> Answer:
    return 200, [{"name": name, "format": format} for name, format in pbx.stored.items()]


@handles("recordings.getStored")
async def _get_stored(pbx: Pbx, params: Params) -> Answer:
    name = _stored(pbx, params)
    return 200, {"name": name, "format": pbx.stored[name]}


@handles("recordings.deleteStored")
async def _delete_stored(pbx: Pbx, params: Params) -> Answer:
    name = _stored(pbx, params)
    del pbx.stored[name], pbx.lengths[name]
    return DONE


@handles("recordings.getStoredFile")
async def _file(pbx: Pbx, params: Params) -> Answer:
    return 200, _silence(pbx.lengths[_stored(pbx, params)])


def _silence(seconds: float) -> bytes:
    """A wav file of that length: 8 kHz, 16 bit, mono."""
    size = int(seconds * 8000) * 2
    head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return head + b"data" + struct.pack("<I", size) + bytes(size)


@handles("recordings.copyStored")
async def _copy(pbx: Pbx, params: Params) -> Answer:
    name, copy = _stored(pbx, params), text(params, "destinationRecordingName")
    if copy in pbx.stored:
        raise Refused(409, f"A recording with name '{copy}' already exists")
    pbx.stored[copy], pbx.lengths[copy] = pbx.stored[name], pbx.lengths[name]
    return 200, {"name": copy, "format": pbx.stored[copy]}


@handles("recordings.getLive")
async def _get_live(pbx: Pbx, params: Params) -> Answer:
    return 200, live_of(pbx, params).described()


@handles("recordings.cancel")
async def _cancel(pbx: Pbx, params: Params) -> Answer:
    live_of(pbx, params).cancel()
    return DONE


@handles("recordings.stop")
async def _stop_live(pbx: Pbx, params: Params) -> Answer:
    live_of(pbx, params).stop()
    return DONE


@handles("recordings.pause")
async def _pause(pbx: Pbx, params: Params) -> Answer:
    live_of(pbx, params).state = "paused"
    return DONE


@handles("recordings.unpause")
async def _unpause(pbx: Pbx, params: Params) -> Answer:
    live_of(pbx, params).state = "recording"
    return DONE


@handles("recordings.mute", "recordings.unmute")
async def _mute(pbx: Pbx, params: Params) -> Answer:
    live_of(pbx, params)
    return DONE
