"""REST on channels: everything below /channels but their making (on_originate.py).

Rules: what Asterisk blocks on waits for its turn in the channel's line; what it only queues answers at once.
"""

from __future__ import annotations

from typing import Any

from hookrouter.simulator.causes import REASONS
from hookrouter.simulator.channels import SOFT, Channel
from hookrouter.simulator.pbx import Pbx
from hookrouter.simulator.playing import Playback
from hookrouter.simulator.recording import Recording
from hookrouter.simulator.rest import DONE, Answer, Params, Refused, flag, handles, listed, number, text, variables
from hookrouter.simulator.threads import dial, value


def channel_of(pbx: Pbx, params: Params, name: str = "channelId") -> Channel:
    """Raises Refused where there is none."""
    found = pbx.channels.get(text(params, name))
    if found is None or found.hidden:
        raise Refused(404, "Channel not found")
    return found


def in_stasis(pbx: Pbx, params: Params) -> Channel:
    """A channel that an application controls. Raises Refused."""
    found = channel_of(pbx, params)
    if not found.stasis_app:
        raise Refused(409, "Channel not in Stasis application")
    return found


@handles("channels.list")
async def _list(pbx: Pbx, params: Params) -> Answer:
    return 200, [channel.described() for channel in pbx.visible()]


@handles("channels.get")
async def _get(pbx: Pbx, params: Params) -> Answer:
    return 200, channel_of(pbx, params).described()


@handles("channels.hangup")
async def _hangup(pbx: Pbx, params: Params) -> Answer:
    channel = channel_of(pbx, params)
    cause = 16
    if code := text(params, "reason_code"):
        if not code.isdigit() or not 0 <= int(code) <= 127:
            raise Refused(400, "Invalid Reason Code")
        cause = int(code)
    elif reason := text(params, "reason"):
        if reason not in REASONS:
            raise Refused(400, "Invalid Reason")
        cause = REASONS[reason]
    channel.hangup(cause, asked=SOFT)
    return DONE


@handles("channels.answer")
async def _answer(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)

    async def answer() -> None:
        channel.answer()

    return await _waited(channel, answer)


async def _waited(channel: Channel, run: Any) -> Answer:
    if not await channel.line.wait(run):
        raise Refused(404, "Channel not found")
    return DONE


@handles("channels.ring")
async def _ring(pbx: Pbx, params: Params) -> Answer:
    return _told(in_stasis(pbx, params), "RINGING")


@handles("channels.progress")
async def _progress(pbx: Pbx, params: Params) -> Answer:
    return _told(in_stasis(pbx, params), "PROGRESS")


def _told(channel: Channel, what: str) -> Answer:
    async def tell() -> None:
        channel.indicate(what)

    channel.line.add(tell)
    return DONE


_GIVEN = {
    "channels.ringStop": "ringing ended",
    "channels.mute": "muted", "channels.unmute": "unmuted",
    "channels.hold": "held", "channels.unhold": "unheld",
    "channels.startMoh": "music", "channels.stopMoh": "music ended",
    "channels.startSilence": "silence", "channels.stopSilence": "silence ended",
}  # fmt: skip


def _give(what: str) -> Any:
    async def give(pbx: Pbx, params: Params) -> Answer:
        channel = in_stasis(pbx, params)

        async def tell() -> None:
            channel.notice(what)

        channel.line.add(tell)
        return DONE

    return give


for _name, _what in _GIVEN.items():
    handles(_name)(_give(_what))


@handles("channels.sendDTMF", checks=True)
async def _send_dtmf(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)
    digits = text(params, "dtmf")
    if not digits:
        raise Refused(400, "DTMF is required")
    before, between, duration, after = (
        number(params, name, default) / 1000
        for name, default in (("before", 0), ("between", 100), ("duration", 100), ("after", 0))
    )

    async def send() -> None:
        await pbx.timing.sleep(before)
        for index, digit in enumerate(digits):
            if index:
                await pbx.timing.sleep(between)
            await pbx.timing.sleep(duration)
            channel.send_digit(digit, round(duration * 1000))
        await pbx.timing.sleep(after)

    channel.line.add(send)
    return DONE


@handles("channels.play", "channels.playWithId", checks=True)
async def _play(pbx: Pbx, params: Params) -> Answer:
    return play_on(pbx, in_stasis(pbx, params), params)


def play_on(pbx: Pbx, target: Any, params: Params) -> Answer:
    """A playback on a channel or bridge."""
    media = listed(params, "media")
    if not media:
        raise Refused(500, "Failed to queue media for playback")
    id = text(params, "playbackId") or pbx.new_id()
    language = text(params, "lang") or getattr(target, "language", "en")
    playback = Playback(pbx, id, target, media, language, number(params, "skipms", 3000), number(params, "offsetms"))
    return 201, playback.described()


@handles("channels.record", checks=True)
async def _record(pbx: Pbx, params: Params) -> Answer:
    return record_on(pbx, in_stasis(pbx, params), params)


def record_on(pbx: Pbx, target: Any, params: Params) -> Answer:
    """A recording of a channel or bridge."""
    name, exists = text(params, "name"), text(params, "ifExists", "fail")
    if not name or name.startswith("/") or ".." in name:
        raise Refused(400, "Invalid name")
    if text(params, "format") not in ("wav", "wav16", "gsm", "ulaw", "alaw", "sln", "sln16", "WAV", "g722", "wav49"):
        raise Refused(422, "specified format is unknown on this system")
    if name in pbx.live or (exists == "fail" and name in pbx.stored):
        raise Refused(409, f"Recording '{name}' already exists and can not be overwritten")
    longest, silence = number(params, "maxDurationSeconds"), number(params, "maxSilenceSeconds")
    if longest < 0 or silence < 0:
        raise Refused(400, "maxDurationSeconds and maxSilenceSeconds may not be negative")
    terminate = text(params, "terminateOn", "none")
    recording = Recording(
        pbx, target, name, text(params, "format"), longest, silence, terminate, beep=flag(params, "beep")
    )
    return 201, recording.described()


@handles("channels.getChannelVar", checks=True)
async def _get_variable(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "variable")
    if not name:
        raise Refused(400, "Variable name is required")
    found = value(channel_of(pbx, params), name)
    if found is None:
        raise Refused(404, "Provided variable was not found")
    return 200, {"value": found}


@handles("channels.setChannelVar", checks=True)
async def _set_variable(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "variable")
    if not name:
        raise Refused(400, "Variable name is required")
    channel = in_stasis(pbx, params)

    async def put() -> None:
        if "value" not in params and not name.endswith(")"):
            channel.remove_variable(name)
            return
        channel.set_variable(name, text(params, "value"), report=flag(params, "report_events"))

    return await _waited(channel, put)


@handles("channels.getChannelVars")
async def _get_variables(pbx: Pbx, params: Params) -> Answer:
    channel = channel_of(pbx, params)
    return 200, {"variables": {name: value(channel, name) or "" for name in listed(params, "variables")}}


@handles("channels.setChannelVars")
async def _set_variables(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)

    async def put() -> None:
        for name, one in variables(params).items():
            channel.set_variable(name, one)

    return await _waited(channel, put)


@handles("channels.dial")
async def _dial(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)
    if channel.state not in ("Down", "Rsrvd"):
        raise Refused(409, "Channel is not in the 'Down' state")
    timeout = number(params, "timeout")

    async def begin() -> None:
        channel.help(dial(channel, timeout or None))

    channel.line.add(begin)
    return DONE


@handles("channels.continueInDialplan")
async def _continue(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)
    context, exten = text(params, "context"), text(params, "extension")
    wanted = text(params, "label") or text(params, "priority")
    moves = bool(context or exten or wanted)
    context, exten = context or channel.context, exten or ("s" if context else channel.exten)
    if wanted and not wanted.isdigit():
        found = pbx.dialplan.priority(context, exten, wanted)
        if found is None:
            raise Refused(404, "Requested label could not be found")
        wanted = str(found)
    channel.onward = ("goto", context, exten, wanted or "1") if moves else ("on",)
    return _leaves(channel, channel.onward)


def _leaves(channel: Channel, onward: tuple[str, ...]) -> Answer:
    async def leave() -> None:
        channel.onward = onward

    channel.line.add(leave)
    channel.line.leave()
    return DONE


@handles("channels.move", checks=True)
async def _move(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)
    app = text(params, "app")
    return _leaves(channel, ("move", app, *listed(params, "appArgs")))


@handles("channels.redirect")
async def _redirect(pbx: Pbx, params: Params) -> Answer:
    channel = in_stasis(pbx, params)
    technology = text(params, "endpoint").partition("/")[0].lower()
    if technology == channel.name.partition("/")[0].lower():
        if channel.state != "Up" or pbx.follows(text(params, "endpoint")):  # before the answer no phone is asked
            channel.line.add(_hung_up(channel))
        return DONE
    raise Refused(422, "Endpoint is not the same type of technology as channel")


def _hung_up(channel: Channel) -> Any:
    async def end() -> None:
        channel.hangup(16)

    return end


@handles("channels.rtpstatistics")
async def _statistics(pbx: Pbx, params: Params) -> Answer:
    channel_of(pbx, params)
    raise Refused(404, "RTP info not available")


@handles("channels.transfer_progress")
async def _transfer_progress(pbx: Pbx, params: Params) -> Answer:
    in_stasis(pbx, params)
    return DONE
