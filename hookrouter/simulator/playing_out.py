"""One scripted call against an endpoint, with a real router and a simulated Asterisk in this process.

Rules: the endpoint is not simulated, nor is the router: what happens here happens in life. Media and dialplan run at the
simulator's speed; the router's timeouts and the endpoint's time are real.
"""

from __future__ import annotations

import asyncio
import json
import time
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from hookrouter.config.loader import parse
from hookrouter.facts import (
    ActionFinished,
    ActionStarted,
    CallFinished,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Fact,
    Facts,
    FallbackTaken,
    Warned,
)
from hookrouter.service import Service
from hookrouter.simulator.caller import Caller, Heard
from hookrouter.simulator.dialplan import default_text
from hookrouter.simulator.ladder import Kind, Ladder
from hookrouter.simulator.script import Expect, Script, Step
from hookrouter.simulator.server import Simulator

APP = "simulated"
_IDLE = 5.0
_END_TIMEOUT = 40.0  # seconds in which the deliveries of an ended call come to their end
_PHONES = """
[callers]
exten => phone,1,Ringing()
 same => n,Wait(1)
 same => n,Answer()
 same => n,Wait(3)
 same => n,Hangup()
"""
_HIDDEN = ("asterisk.", "applications.", "bridges.list", "channels.list", "playbacks.get")
_LABELS = {
    "channels.playWithId": "media", "channels.setChannelVar": "variable", "channels.getChannelVar": "variable",
    "channels.create": "endpoint", "bridges.addChannel": "channel", "channels.record": "name",
}  # fmt: skip


class Result(msgspec.Struct):
    """What became of the call. `problems` empty: all is well."""

    ladder: Ladder
    problems: list[str]
    seconds: float
    heard: list[Heard]
    actions: list[str]
    state: Any


class Play:
    """Plays one script against one endpoint."""

    def __init__(
        self, url: str, script: Script, *, secret: str = "", events: tuple[str, ...] = (), speed: float = 1.0
    ) -> None:
        self.script = script
        self.ladder = Ladder()
        self.problems: list[str] = []
        self.actions: list[str] = []
        self.state: Any = {}
        self.variables: dict[str, str] = {}
        self._url, self._secret, self._speed = url, secret, speed
        self._events = events or ("StasisStart", "StasisEnd")
        self._began = self._last = time.monotonic()
        self._finished = asyncio.Event()
        self._answers: list[float] = []
        self._ended_by = "endpoint"

    async def run(self) -> Result:
        """Raises ConfigurationError where the url or the secret is wrong."""
        async with Simulator(speed=self._speed, dialplan=default_text() + _PHONES, phones=lambda _: "phone") as sim:
            route = {"name": "endpoint", "url": self._url, "events": list(self._events)}
            if self._secret:
                route["secret"] = self._secret
            text = f"""
[asterisk.simulator]
url = "{sim.url}"
username = "{sim.username}"
password = "{sim.password}"
apps = ["{APP}"]
[[routes]]
{"".join(f"{key} = {json.dumps(value)}" + chr(10) for key, value in route.items())}"""
            self._service = Service(parse(text, {}), facts=Facts(self._fact), store_url="memory:")
            await self._service.start(serve=False)
            try:
                await self._connected()
                await self._call(sim)
            finally:
                await self._service.stop()
        self._check(self.script.expect)
        seconds = self._last - self._began
        return Result(self.ladder, self.problems, seconds, self._caller.heard, self.actions, self.state)

    async def _connected(self) -> None:
        async with asyncio.timeout(10):
            while not all(client.ready for client in self._service.clients.values()):
                await asyncio.sleep(0.01)

    async def _call(self, sim: Simulator) -> None:
        script = self.script
        self._began = self._last = time.monotonic()
        sim.pbx.asked.append(self._asked)
        self._add("caller", "Asterisk", f"calls {script.called}")
        self._caller = caller = await sim.call(APP, script.caller, script.called, script.args, script.name)
        caller.watch = self._heard
        try:
            async with asyncio.timeout(script.hangup_after):
                for index, step in enumerate(script.steps):
                    await self._step(caller, index, step)
                while not caller.is_over and not self._idle(sim):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._note(f"{script.hangup_after:g} s are over")
        if not caller.is_over:
            await self._hang_up(caller)
        try:
            async with asyncio.timeout(_END_TIMEOUT):
                await self._finished.wait()
        except TimeoutError:
            self.problems.append("the router did not bring the call to its end")

    def _idle(self, sim: Simulator) -> bool:
        if sim.pbx.playbacks or sim.pbx.live or time.monotonic() - self._last < _IDLE:
            return False
        self._note("nothing more happens")
        return True

    async def _step(self, caller: Caller, index: int, step: Step) -> None:
        if caller.is_over:
            if not step.hangup:
                wanted = (
                    f"press {step.press}" if step.press else f"wait for {step.wait_for}" if step.wait_for else "act"
                )
                self._problem(f"steps[{index}]: the call was over before the caller could {wanted}")
            return
        if step.wait_for is not None:
            await self._wait_for(caller, index, step)
        elif step.press is not None:
            for key in step.press:
                self._add("caller", "Asterisk", f"presses {key}")
                try:
                    await caller.press(key)
                except ConnectionError:
                    return
        elif step.pause is not None:
            await asyncio.sleep(step.pause)
        elif step.say is not None:
            self._add("caller", "Asterisk", f"“{step.say}”")
            await asyncio.sleep(0.4 * len(step.say.split()))
        elif step.hangup:
            await self._hang_up(caller)

    _seen = 0

    async def _wait_for(self, caller: Caller, index: int, step: Step) -> None:
        wanted = step.wait_for or ""
        plain = wanted in ("answered", "ringing")
        what, detail = (wanted, "") if plain else ("media", "" if wanted == "any" else wanted)
        after = 0 if plain else self._seen
        try:
            heard = await caller.hears(what, detail, step.timeout * self._speed, after=after)
            if not plain:
                self._seen = caller.heard.index(heard, after) + 1
        except TimeoutError:
            given = ", ".join(one.detail for one in caller.heard if one.what == "media") or "nothing"
            self._problem(f"steps[{index}]: the caller waited {step.timeout:g} s for `{wanted}` and heard: {given}")

    async def _hang_up(self, caller: Caller) -> None:
        self._ended_by = "caller"
        self._add("caller", "Asterisk", "hangs up")
        await caller.hangup()

    # ---- what happens -----------------------------------------------------------------------------------------

    def _add(self, source: Any, target: Any, label: str, kind: Kind = "plain", ago: float = 0.0) -> None:
        self._last = time.monotonic()
        self.ladder.add(self._last - self._began - ago, source, target, label, kind)

    def _note(self, text: str) -> None:
        self._add("caller", "caller", text, "note")

    def _problem(self, text: str) -> None:
        self.problems.append(text)

    def _heard(self, heard: Heard) -> None:
        if heard.what == "media":
            self._add("Asterisk", "caller", f"♪ {heard.detail}")
        elif heard.what == "ended":
            if self._ended_by != "caller":
                self._add("Asterisk", "caller", f"hung up, cause {heard.detail}")
        elif heard.what != "media ended":
            self._add(
                "Asterisk",
                "caller",
                f"{heard.what} {heard.detail}".strip(),
                "good" if heard.what == "answered" else "plain",
            )

    def _asked(self, operation: str, params: dict[str, Any]) -> None:
        if not operation.startswith(_HIDDEN):
            shown = str(params.get(_LABELS.get(operation, ""), ""))
            self._add("hookrouter", "Asterisk", f"{operation.split('.')[1].removesuffix('WithId')} {shown}".strip())
            if operation == "channels.setChannelVar":
                self.variables[str(params.get("variable"))] = str(params.get("value", ""))

    def _fact(self, fact: Fact) -> None:
        match fact:
            case EventReceived(call=call, type=type) if call:
                self._add("Asterisk", "hookrouter", type)
            case DeliveryAttempted():
                self._attempted(fact)
            case DeliveryFinished(outcome="unanswered"):
                self._problem(f"{fact.type}: {_explained(fact)}")
            case DeliveryFinished(actions=actions):
                self._answers.append(fact.seconds)
                if self.ladder.rungs and actions:
                    self._show_actions(actions)
            case ActionStarted(verb=verb):
                self.actions.append(verb)
            case ActionFinished(outcome="failed"):
                self._add("hookrouter", "hookrouter", f"{fact.verb} failed", "bad")
                self._problem(f"the action `{fact.verb}` failed: {fact.detail or 'Asterisk could not carry it out'}")
            case FallbackTaken():
                self._add("hookrouter", "hookrouter", f"fallback: {fact.kind}", "bad")
            case Warned(call=call) if call:
                self._problem(fact.message)
            case CallFinished():
                self._finished.set()
        self._keep_state(getattr(fact, "call", ""))

    def _attempted(self, fact: DeliveryAttempted) -> None:
        good = fact.status is not None and 200 <= fact.status < 300
        self._add("hookrouter", "endpoint", fact.type, ago=fact.seconds)
        took = f"{fact.seconds * 1000:.0f} ms"
        label = f"{fact.status or _NO_STATUS.get(fact.reason, fact.reason)}, {took}"
        self._add("endpoint", "hookrouter", label, "good" if good else "bad")

    def _show_actions(self, actions: tuple[str, ...]) -> None:
        for index in range(len(self.ladder.rungs) - 1, -1, -1):
            rung = self.ladder.rungs[index]
            if rung.source == "endpoint":
                self.ladder.rungs[index] = rung._replace(label=f"{rung.label}: {', '.join(actions)}")
                return

    def _keep_state(self, call: str) -> None:
        live = self._service.board.by_channel(call) if call else None
        if live is not None:
            self.state = msgspec.json.decode(live.call.state)

    # ---- what was expected ------------------------------------------------------------------------------------

    def _check(self, expect: Expect) -> None:
        heard = [one.detail for one in self._caller.heard if one.what == "media"]
        self._in_order("heard", expect.heard, heard)
        self._in_order("actions", expect.actions, self.actions)
        if expect.answered_within is not None:
            answered = next((r.at for r in self.ladder.rungs if r.target == "caller" and r.label == "answered"), None)
            if answered is None:
                self._problem("expect.answered_within: the call was never answered")
            elif answered > expect.answered_within:
                self._problem(f"expect.answered_within: {expect.answered_within:g} s; it took {answered:.3f} s")
        if expect.endpoint_within is not None and (slowest := max(self._answers, default=0.0)) > expect.endpoint_within:
            self._problem(
                f"expect.endpoint_within: {expect.endpoint_within:g} s; the slowest answer took {slowest:.3f} s"
            )
        for name, value in (expect.state or {}).items():
            if not isinstance(self.state, dict) or self.state.get(name) != value:
                self._problem(f"expect.state: `{name}` should be {value!r}; the state at the end was {self.state!r}")
        for name, value in expect.variables.items():
            if self.variables.get(name) != value:
                self._problem(f"expect.variables: `{name}` should be {value!r}, and was {self.variables.get(name)!r}")
        if expect.ended_by not in (None, self._ended_by):
            self._problem(f"expect.ended_by: {expect.ended_by}; the {self._ended_by} ended the call")
        if expect.cause not in (None, self._caller.channel.cause):
            self._problem(f"expect.cause: {expect.cause}; the cause was {self._caller.channel.cause}")

    def _in_order(self, what: str, wanted: list[str], given: list[str]) -> None:
        rest = iter(given)
        for one in wanted:
            if not any(fnmatchcase(found, one) for found in rest):
                self._problem(
                    f"expect.{what}: `{one}` is missing (in this order); there was: {', '.join(given) or 'nothing'}"
                )
                return


_NO_STATUS = {"refused_connection": "no connection", "too_large": "too large", "bad_response": "no HTTP"}
_WHY = {
    "refused_connection": "nobody answers at that address: is the endpoint running, and is the url right?",
    "reset": "the connection ended before the whole answer came",
    "timeout": "no answer in time",
    "deadline": "no answer before the deadline: somebody is on the line",
    "too_large": "the answer is over 256 KiB",
    "bad_response": "what came is not HTTP",
    "status": "the endpoint did not answer 2xx",
    "refused_answer": "the answer was refused, whole, and nothing of it ran",
}


def _explained(fact: DeliveryFinished) -> str:
    why = _WHY.get(fact.reason, fact.reason)
    return f"{why}\n{fact.detail}" if fact.detail and fact.detail not in why else why
