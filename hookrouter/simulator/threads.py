"""What a channel's thread does: the dialplan step by step, Stasis, and being dialled.

Source: Asterisk's pbx.c, app_stasis.c, res_stasis.c, core_local.c; event order as seen on 22.10.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from hookrouter.simulator.channels import SOFT, Channel
from hookrouter.simulator.dialplan import Step, arguments, condition
from hookrouter.simulator.media import Unplayable

Then = Callable[[Channel], Awaitable[None]]


def value(channel: Channel, name: str) -> str | None:
    """A variable or function of a channel, None where there is none."""
    if found := re.fullmatch(r"(\w+)\((.*)\)", name):
        return _function(channel, found[1].upper(), found[2])
    builtin = {
        "EXTEN": channel.exten, "CONTEXT": channel.context, "PRIORITY": str(channel.priority),
        "UNIQUEID": channel.id, "CHANNEL": channel.name, "HANGUPCAUSE": str(channel.cause),
    }  # fmt: skip
    if name in builtin:
        return builtin[name]
    return channel.variables.get(name, channel.pbx.globals.get(name))


def _function(channel: Channel, function: str, data: str) -> str | None:
    match function:
        case "DIALPLAN_EXISTS":
            context, *rest = arguments(data)
            exten = rest[0] if rest else "s"
            exists = channel.pbx.dialplan.exists(context, exten, int(rest[1]) if len(rest) > 1 else 1)
            return "1" if exists else "0"
        case "CHANNEL":
            known = {"state": channel.state, "name": channel.name, "language": channel.language}
            return known.get(data, channel.id if data == "uniqueid" else "")
        case "CALLERID":
            name, number = channel.caller
            return {"num": number, "number": number, "name": name, "all": f'"{name}" <{number}>'}.get(data, "")
    return channel.variables.get(f"{function}({data})", "")


def substitute(channel: Channel, text: str) -> str:
    """`${NAME}`, `${NAME:offset}`, `${FUNCTION(args)}`."""

    def put_in(found: re.Match[str]) -> str:
        name, _, offset = found[1].partition(":") if "(" not in found[1] else (found[1], "", "")
        text = value(channel, name) or ""
        if offset:
            start, _, length = offset.partition(":")
            text = text[int(start) :]
            text = text[: int(length)] if length else text
        return text

    return re.sub(r"\$\{([^{}]+)\}", put_in, text)


async def run_dialplan(channel: Channel, context: str, exten: str, priority: int = 1) -> None:
    """From there to the end of the extension, or to where a goto leads."""
    dialplan = channel.pbx.dialplan
    channel.context, channel.exten, channel.priority = context, exten, priority
    while True:
        steps = dialplan.find(channel.context, channel.exten)
        if steps is None or channel.priority > len(steps):
            channel.cause = channel.cause or 16
            return
        step = steps[channel.priority - 1]
        data = substitute(channel, step.data)
        place = (channel.context, channel.exten, channel.priority)
        if step.app.lower() != "stasis":
            channel.at(step.app, data)
        if not await _application(channel, step, data):
            channel.cause = channel.cause or 16
            return
        if (channel.context, channel.exten, channel.priority) == place:
            channel.priority += 1


async def _application(channel: Channel, step: Step, data: str) -> bool:
    """One application; False where the channel hangs up after it."""
    timing = channel.pbx.timing
    match step.app.lower():
        case "stasis":
            app, *args = arguments(data)
            return await run_stasis(channel, app, args)
        case "answer":
            channel.answer()
        case "wait":
            await timing.sleep(float(data or 1))
        case "hangup":
            channel.cause = int(data) if data.isdigit() else 16
            return False
        case "ringing":
            channel.indicate("RINGING")
        case "progress":
            channel.indicate("PROGRESS")
        case "busy" | "congestion":
            channel.cause = 17 if step.app.lower() == "busy" else 34
            channel.become("Busy" if step.app.lower() == "busy" else channel.state)
            channel.indicate(step.app.upper())
            await timing.sleep(float(data or 3600))
            return False
        case "echo":
            channel.echo = channel.audible = True
            await asyncio.Event().wait()
        case "playback":
            channel.audible = True
            for name in data.split(",")[0].split("&"):
                try:
                    length = channel.pbx.media.seconds(f"sound:{name}")
                except Unplayable:
                    continue
                channel.notice("media", f"sound:{name}")
                await timing.sleep(length)
            channel.audible = False
        case "senddtmf":
            digits, *rest = arguments(data)
            between, duration = (float(part or 250) / 1000 for part in [*rest, "", ""][:2])
            for digit in digits:
                await timing.sleep(duration)
                channel.send_digit(digit, int(duration * 1000))
                await timing.sleep(between)
        case "set":
            name, _, text = data.partition("=")
            channel.set_variable(name, text)
        case "goto":
            _goto(channel, data)
        case "gotoif":
            test, _, targets = data.rpartition("?")
            yes, _, no = targets.partition(":")
            if target := yes if condition(test) else no:
                _goto(channel, target)
        case "userevent":
            _user_event(channel, data)
    return True


def _goto(channel: Channel, data: str) -> None:
    parts = arguments(data)
    context = parts[-3] if len(parts) > 2 else channel.context
    exten = parts[-2] if len(parts) > 1 else channel.exten
    priority = channel.pbx.dialplan.priority(context, exten, parts[-1])
    channel.context, channel.exten, channel.priority = context, exten, priority or 10**6


def _user_event(channel: Channel, data: str) -> None:
    name, *pairs = arguments(data)
    body = {key.strip(): text.strip() for key, _, text in (pair.partition(":") for pair in pairs)}
    channel.emit("ChannelUserevent", eventname=name, userevent={"eventname": name, **body})


_STAYS: tuple[str, ...] = ()


async def run_stasis(channel: Channel, app: str, args: list[str], *, told: bool = True) -> bool:
    """In an application until something leads out of it; False where the channel hangs up then."""
    pbx = channel.pbx
    data = ",".join([app, *args])
    if told:
        channel.at("Stasis", data)
    channel.app_name, channel.app_data = "Stasis", data
    channel.set_variable("STASISSTATUS", "")
    if app not in pbx.apps or not pbx.apps[app].active:
        channel.set_variable("STASISSTATUS", "FAILED")
        return True
    while True:
        entry = pbx.app(app)
        entry.subscribe(channel.topic)
        channel.stasis_app = app
        pbx.tell(app, "StasisStart", args=args, channel=channel.described())
        channel.onward = _STAYS
        moved = False
        try:
            while True:
                await channel.line.serve()
                moved = channel.onward[:1] == ("move",)
                if not moved or (channel.onward[1] in pbx.apps and pbx.apps[channel.onward[1]].active):
                    break
                _, destination, *wanted = channel.onward
                pbx.tell(
                    app, "ApplicationMoveFailed", destination=destination, args=wanted, channel=channel.described()
                )
        finally:
            if not moved:
                channel.line.abandon()
            if channel.bridge is not None:
                channel.bridge.remove(channel)
            channel.stasis_app = ""
            pbx.tell(app, "StasisEnd", channel=channel.described())
            entry.unsubscribe(channel.topic)
            if not moved:
                channel.set_variable("STASISSTATUS", "SUCCESS")
        if not moved:
            break
        _, app, *args = channel.onward
    if channel.onward[:1] == ("goto",):
        _, channel.context, channel.exten, priority = channel.onward
        channel.priority = int(priority)
        if not pbx.dialplan.exists(channel.context, channel.exten, channel.priority):
            channel.hangup(16, asked=16)
            return False
    return True


async def be_dialled(channel: Channel, timeout: float | None, then: Then | None) -> None:
    """The first half of an originate: rings the other half, then goes where the originate said."""
    channel.app_name, channel.app_data = "AppDial2", "(Outgoing Line)"
    if not await ring(channel, timeout):
        return
    channel.app_name = channel.app_data = ""
    if then is not None:
        await then(channel)


async def ring(channel: Channel, timeout: float | None) -> bool:
    """Dials the other half; whether it answered. Otherwise `cause` says why not."""
    far = channel.pair
    if far is not None and not channel.pbx.dialplan.exists(far.context, far.exten):
        channel.pair = far.pair = None  # nothing was dialled, and neither half tells the other
        far.state = "Ring"
        far.destroy()
        return False
    channel.dial_event("")
    start_far_half(channel)
    came = await channel.pbx.timing.first(channel.outcome, timeout)
    if channel.status == "ANSWER":
        return True
    if not came:
        channel.cause = 19
    if far is not None and not far.hanging:
        far.cause = far.cause or channel.cause or 16
        far.emit("ChannelHangupRequest", cause=19 if not came else 0)
    return False


async def dial(channel: Channel, timeout: float | None) -> None:
    """`channels.dial` on a channel that was created: it stays in its application."""
    began = channel.pbx.timing.elapsed()
    if await ring(channel, timeout):
        return
    if channel.status and timeout:  # busy or congestion: it stays until the timeout, as it does on 22.10
        await channel.pbx.timing.sleep(timeout - (channel.pbx.timing.elapsed() - began))
    channel.cause = 0
    channel.hangup(19, asked=SOFT)


def start_far_half(channel: Channel) -> None:
    """The other half of a Local channel enters the dialplan."""
    far = channel.pair
    if far is None:
        return
    for name, text in channel.variables.items():
        far.set_variable(name, text)
    far.state = "Ring"
    far.caller = channel.connected = channel.connected if channel.connected != ("", "") else channel.caller
    far.connected = channel.caller
    far.begin(run_dialplan(far, far.context, far.exten))
