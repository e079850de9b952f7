"""Live calls of every kind, and what each must have heard and told in the end: the load under which faults happen."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from rig.endpoint import Delivery, Endpoint
from rig.ledger import Passed, changed_bodies, incomplete, twice
from rig.pbx import Caller, Pbx

EVENTS = '["StasisStart", "StasisEnd", "PlayCompleted", "DigitsCollected", "RecordingCompleted", "BridgeCompleted", "CallEnded"]'
KINDS = ("prompts", "gather", "record", "bridge")
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
SOON = {"action": "pause", "seconds": 0.3}  # the test has subscribed by then
HEARD = {
    "prompts": ["sound:hello-world", "sound:digits/1", "sound:digits/2", "sound:hello-world"],
    "gather": ["sound:hello-world", "sound:digits/3"],
    "record": ["sound:digits/4"],
    "bridge": ["sound:digits/5"],
}
RESULT = {"gather": "DigitsCollected", "record": "RecordingCompleted", "bridge": "BridgeCompleted"}


def program(delivery: Delivery) -> list[dict[str, Any]]:
    """The answer to a StasisStart whose arguments are a kind and a name."""
    kind, name = delivery.data["args"][0], delivery.data["args"][-1]
    play = [{"action": "play", "media": media} for media in HEARD[kind]]
    match kind:
        case "gather":
            gather = {"action": "gather", "prompt": HEARD[kind][0], "maxDigits": 3, "timeout": 2}
            return [ANSWER, SOON, gather, play[1], HANGUP]
        case "record":
            return [ANSWER, SOON, {"action": "record", "maxDurationSeconds": 2, "maxSilenceSeconds": 2}, *play, HANGUP]
        case "bridge":
            return [ANSWER, SOON, {"action": "bridge", "name": name, "timeLimit": 2}, *play, HANGUP]
    return [ANSWER, SOON, *play, HANGUP]


def ask(endpoint: Endpoint) -> None:
    """The endpoint answers every call by its kind; when an action has failed, the call is hung up."""
    endpoint.answers["StasisStart"] = program
    endpoint.answers["ActionFailed"] = [HANGUP]


@dataclass
class Load:
    """Calls of all kinds; `check` raises where a law is broken."""

    pbx: Pbx
    app: str
    endpoint: Endpoint
    rng: random.Random
    calls: dict[str, str] = field(default_factory=dict)
    callers: list[Caller] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, count: int, spread: float = 1.0, kinds: tuple[str, ...] = KINDS) -> None:
        """Starts `count` calls within `spread` seconds; a bridge has two."""
        async with asyncio.TaskGroup() as group:
            for index in range(count):
                kind = kinds[index % len(kinds)]
                name = f"room{len(self.calls) + index // (2 * len(kinds))}"
                group.create_task(self._call(kind, name, self.rng.uniform(0, spread)))

    async def begin(self, count: int) -> asyncio.Task[None]:
        """The same in the background: returns at a moment of the seed's choice while they start."""
        starting = asyncio.create_task(self.start(count))
        await asyncio.sleep(self.rng.uniform(0.3, 1.5))
        return starting

    async def _call(self, kind: str, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        call = await self.pbx.call(self.app, args=f"{kind},{name}")
        self.calls[call.id] = kind
        self.callers.append(call)
        await self.pbx.subscribe(call.id)
        if kind == "gather":
            task = asyncio.create_task(self._press(call))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _press(self, call: Caller) -> None:
        try:
            await call.press(str(self.rng.randrange(100, 999)))
        except (TimeoutError, AssertionError, aiohttp.ClientError):
            pass

    def played(self, call: str, type: str = "PlaybackStarted") -> list[str]:
        target = f"channel:{call}"
        return [
            event["playback"]["media_uri"] for event in self.pbx.events
            if event["type"] == type and event["playback"]["target_uri"] == target
        ]  # fmt: skip

    async def refused(self) -> int:
        """Takes away calls that found no app (connect mode, the router dead): the dialplan has them. How many."""
        found = [call for call in self.callers if await self._went_on(call)]
        for call in found:
            del self.calls[call.id]
            await call.hangup()
        return len(found)

    async def _went_on(self, call: Caller, patience: float = 5.0) -> bool:
        """Whether the dialplan has it; a busy Asterisk may take a moment until a call is here or there."""
        until = time.monotonic() + patience
        while not self.endpoint.of("StasisStart", call.id):
            if await call.variable("WENT_ON"):
                return True
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.05)
        return False

    async def ended(self, timeout: float = 30.0, type: str = "CallEnded") -> None:
        """Waits until every call was told to be over and is gone from Asterisk."""
        for call, kind in self.calls.items():
            try:
                await self.endpoint.wait(type, call=call, timeout=timeout)
            except TimeoutError:
                came = [delivery.type for delivery in self.endpoint.received if delivery.call == call]
                raise TimeoutError(f"{kind} {call} has not ended; came: {came}, heard {self.played(call)}") from None
        await self.pbx.gone(*self.calls, *[caller.far for caller in self.callers])
        await asyncio.gather(*self.tasks)

    def check(self, proxy: Passed | None = None) -> int:
        """The laws; returns how many prompts were not played as nobody could say whether they had been.

        Not among them is the prompt of a gather, which digits typed ahead make needless, nor what a failed program left out.
        """
        received = self.endpoint.received
        broken = incomplete(received, self.calls, ["StasisStart", "StasisEnd", "CallEnded"])
        broken += changed_bodies(received)
        broken += twice(proxy) if proxy else []
        broken += self.heard_wrong()
        for call, kind in self.calls.items():
            if kind in RESULT and not self.endpoint.of("ActionFailed", call):
                broken += incomplete(received, [call], [RESULT[kind]])
        assert not broken, "\n".join(broken)
        whole = [call for call in self.calls if not self.endpoint.of("ActionFailed", call)]
        return sum(len(self.skipped(call, self.calls[call])) for call in whole)

    def skipped(self, call: str, kind: str) -> list[str]:
        return [*(Counter(HEARD[kind][kind == "gather" :]) - Counter(self.played(call))).elements()]

    def heard_wrong(self) -> list[str]:
        """What callers heard twice or out of order, what was recorded or bridged twice."""
        broken = []
        for call, kind in self.calls.items():
            heard, wanted = self.played(call), HEARD[kind]
            if not _in_order(heard, wanted):
                broken.append(f"{kind} {call} heard {heard}, wanted {wanted}")
            for type in ("RecordingStarted", "ChannelEnteredBridge"):
                count = Counter(map(_of, [e for e in self.pbx.events if e["type"] == type]))[call]
                if count > 1:
                    broken.append(f"{type} of {call}: {count} times")
        return broken


def _of(event: dict[str, Any]) -> str:
    if "recording" in event:
        return str(event["recording"]["target_uri"].partition(":")[2])
    return str(event.get("channel", {}).get("id"))


def _in_order(heard: list[str], wanted: list[str]) -> bool:
    """Whether `heard` is `wanted` with nothing twice, nothing out of order."""
    rest = iter(wanted)
    return all(media in rest for media in heard)
