"""Scripted calls against an endpoint, with a real router and a simulated Asterisk in this process.

Rules: the endpoint is not simulated, nor is the router: what happens here happens in life. Media, dialplan and callers run
at the simulator's speed; the router's timeouts and the endpoint's time are real.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from hookrouter.facts import Facts
from hookrouter.service.service import Service
from hookrouter.simulator.caller import Heard
from hookrouter.simulator.dialplan import default_text
from hookrouter.simulator.drawing import Drawing, TappedSender
from hookrouter.simulator.expecting import check
from hookrouter.simulator.ladder import Ladder
from hookrouter.simulator.parties import Parties
from hookrouter.simulator.problems import Problem, Problems
from hookrouter.simulator.script import Script
from hookrouter.simulator.server import Simulator
from hookrouter.simulator.setting import Setting, for_url
from hookrouter.simulator.speaking import SimulatedSpeech
from hookrouter.simulator.talking import Talk

_IDLE = 5.0
_END_TIMEOUT = 40.0  # seconds in which the deliveries of an ended call come to their end


class Result(msgspec.Struct):
    """What became of the calls. No `problems`: everything went as it should. `heard`, `actions`, `state`: the first caller's."""

    ladder: Ladder
    problems: list[Problem]
    notes: list[str]
    seconds: float
    heard: list[Heard]
    actions: list[str]
    state: Any

    def as_json(self) -> dict[str, Any]:
        """For machines: all of it, each rung of the ladder with its bodies."""
        rungs = []
        for rung in self.ladder.in_order():
            found: dict[str, Any] = {
                "at": round(rung.at, 3),
                "from": rung.source,
                "to": rung.target,
                "label": rung.label,
            }
            if rung.exchange is not None:
                found[rung.exchange.what] = _body(rung.exchange.body)
            rungs.append(found)
        return {
            "ok": not self.problems,
            "seconds": round(self.seconds, 3),
            "problems": [msgspec.structs.asdict(problem) for problem in self.problems],
            "notes": self.notes,
            "actions": self.actions,
            "heard": [one._asdict() for one in self.heard],
            "state": self.state,
            "ladder": rungs,
        }


def _body(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


class Play:
    """Plays one script against one endpoint, or the routes of a `setting`."""

    def __init__(
        self,
        url: str,
        script: Script,
        *,
        secret: str = "",
        events: tuple[str, ...] = (),
        speed: float = 1.0,
        setting: Setting | None = None,
    ) -> None:
        self._setting = setting or for_url(url, secret=secret, events=events)
        self._script, self._speed = script, speed
        self._parties = Parties(script.parties())
        self._problems = Problems()
        self._drawing = Drawing(self._problems)
        people = [script, *script.callers]
        self._talks = [
            Talk(
                person,
                f"callers[{index - 1}]." if index else "",
                f"{person.caller}: " if len(people) > 1 else "",
                self._drawing.add,
                self._problems,
                speed,
            )
            for index, person in enumerate(people)
        ]

    @property
    def ladder(self) -> Ladder:
        """As far as it has come."""
        return self._drawing.ladder

    async def run(self) -> Result:
        """Raises ConfigurationError where the url or the secret is wrong, OSError where `listen` is taken."""
        dialplan = default_text() + self._parties.dialplan()
        parties = self._parties
        async with Simulator(
            speed=self._speed, dialplan=dialplan, phones=parties.phone, follows=parties.follows
        ) as sim:
            config = self._setting.at(sim.url, sim.username, sim.password)
            service = Service(config, facts=Facts(self._drawing.fact), store_url="memory:", make_sender=self._sender)
            own = {name: round(seconds * 1000) for name, seconds in self._script.sounds.items()}
            sim.pbx.media.sounds.update(own)
            self._drawing.shown = sim.pbx.media.shown
            self._drawing.state_of = lambda call: _state(service, call)
            await service.start(serve=self._setting.listen is not None)
            service.flow.speech = SimulatedSpeech(sim.pbx.media)
            try:
                await _connected(service)
                await self._calls(sim, service)
            finally:
                await service.stop()
        for talk in self._talks:
            for unmet in check(talk, max(self._drawing.answers, default=0.0)):
                self._problems.add(unmet)
        first = self._talks[0]
        heard = list(first.caller.heard) if first.caller else []
        seconds = self._drawing.last - self._drawing.began
        notes = [f"nobody dialled {name}: no `dial` led there" for name in self._parties.unasked]
        return Result(self._drawing.ladder, list(self._problems), notes, seconds, heard, first.actions, first.state)

    def _sender(self, *args: Any) -> TappedSender:
        sender = TappedSender(*args)
        sender.tap = self._drawing.tap
        return sender

    async def _calls(self, sim: Simulator, service: Service) -> None:
        drawing = self._drawing
        drawing.begin()
        sim.pbx.asked.append(drawing.asked)
        sim.pbx.watchers.append(drawing.happened)
        async with asyncio.TaskGroup() as group:
            for talk in self._talks:
                group.create_task(self._call(talk, sim, service))
        try:
            async with asyncio.timeout(_END_TIMEOUT):
                for talk in self._talks:
                    await talk.finished.wait()
        except TimeoutError:
            self._problems.add("the router did not bring the call to its end")

    async def _call(self, talk: Talk, sim: Simulator, service: Service) -> None:
        person = talk.person
        await asyncio.sleep(person.after / self._speed)
        talk.say(f"calls {person.called}")
        caller = await sim.call(self._setting.app, person.caller, person.called, person.args, person.name)
        self._drawing.talks[caller.id] = talk
        caller.watch = lambda heard: self._drawing.heard(talk, heard)
        await talk.run(caller, lambda: self._idle(talk, caller.id, sim, service))

    def _idle(self, talk: Talk, call: str, sim: Simulator, service: Service) -> bool:
        """Whether nothing has happened for a while, so that this caller gives up."""
        if sim.pbx.playbacks or sim.pbx.live or time.monotonic() - self._drawing.last < _IDLE:
            return False
        live = service.board.by_channel(call)
        if live is not None and live.call.still_since and not live.call.ended:
            return False  # its silence has an end, and that is told
        self._drawing.add("caller", "caller", f"{talk.title}nothing more happens", "note")
        return True


async def _connected(service: Service) -> None:
    async with asyncio.timeout(10):
        while not all(client.ready for client in service.clients.values()):
            await asyncio.sleep(0.01)


def _state(service: Service, call: str) -> Any:
    live = service.board.by_channel(call)
    return None if live is None else msgspec.json.decode(live.call.state)
