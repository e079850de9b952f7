"""What happens in a run, drawn as rungs of its ladder and noted as problems."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import msgspec

from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.sender import Sender
from hookrouter.facts import (
    ActionFinished,
    ActionStarted,
    CallFinished,
    CallStandsStill,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Fact,
    FallbackTaken,
    Warned,
)
from hookrouter.routing.endpoint import Endpoint
from hookrouter.simulator.caller import Heard
from hookrouter.simulator.ladder import Exchange, Kind, Ladder, Who
from hookrouter.simulator.problems import Problems
from hookrouter.simulator.talking import Talk

_HIDDEN = ("asterisk.", "applications.", "bridges.list", "channels.list", "playbacks.get")
_LABELS = {
    "channels.playWithId": "media", "channels.setChannelVar": "variable", "channels.getChannelVar": "variable",
    "channels.create": "endpoint", "channels.originateWithId": "endpoint", "channels.originate": "endpoint",
    "bridges.addChannel": "channel", "channels.record": "name", "channels.sendDTMF": "dtmf",
}  # fmt: skip
_BRIEF = ("digits", "digit", "status", "reason")
_NO_STATUS = {"refused_connection": "no connection", "too_large": "too large", "bad_response": "no HTTP"}
_WHY = {
    "refused_connection": "no connection could be made: is the endpoint running, is the url right, and is its certificate trusted?",
    "reset": "the connection ended before the whole answer came",
    "timeout": "no answer in time",
    "deadline": "no answer before the deadline: somebody is on the line",
    "too_large": "the answer is over 256 KiB",
    "bad_response": "what came is not HTTP",
    "status": "the endpoint did not answer 2xx",
    "refused_answer": "the answer was refused as a whole: nothing of it ran",
}

_OWN_SOUNDS = "the simulator knows Asterisk's English core sounds; a sound of your own gets its length under [sounds] of a --script"


class TappedSender(Sender):
    """Shows each request and its answer to `tap` before the router goes on."""

    tap: Callable[[Message, Attempt], None] = staticmethod(lambda message, attempt: None)

    async def attempt(self, endpoint: Endpoint, message: Message, *args: Any, **more: Any) -> Attempt:
        found = await super().attempt(endpoint, message, *args, **more)
        self.tap(message, found)
        return found


class Drawing:
    """An observer of the router's facts and of the simulated Asterisk. `shown`: media as people read it."""

    def __init__(self, problems: Problems) -> None:
        self.ladder = Ladder()
        self.problems = problems
        self.talks: dict[str, Talk] = {}
        self.answers: list[float] = []
        self.began = self.last = time.monotonic()
        self.shown: Callable[[str], str] = lambda uri: uri
        self.state_of: Callable[[str], Any] = lambda call: None
        self._exchanges: dict[tuple[str, int], tuple[Message, Attempt]] = {}
        self._digits: defaultdict[str, deque[str]] = defaultdict(deque)

    def begin(self) -> None:
        self.began = self.last = time.monotonic()

    def add(
        self,
        source: Who,
        target: Who,
        label: str,
        kind: Kind = "plain",
        ago: float = 0.0,
        exchange: Exchange | None = None,
    ) -> None:
        self.last = time.monotonic()
        self.ladder.add(self.last - self.began - ago, source, target, label, kind, exchange)

    def _talk(self, call: str) -> Talk | None:
        return self.talks.get(call)

    def _title(self, call: str) -> str:
        talk = self._talk(call)
        return talk.title if talk is not None else ""

    # ---- the simulated Asterisk -------------------------------------------------------------------------------

    def heard(self, talk: Talk, heard: Heard) -> None:
        if heard.what == "media":
            self.add("Asterisk", "caller", f"{talk.title}♪ {heard.detail}")
        elif heard.what == "ended":
            gone = talk.caller is not None and any(one.what == "goes on in the dialplan" for one in talk.caller.heard)
            if talk.ended_by != "caller" and not gone:
                self.add("Asterisk", "caller", f"{talk.title}hung up, cause {heard.detail}")
        elif heard.what != "media ended":
            kind: Kind = "good" if heard.what == "answered" else "plain"
            self.add("Asterisk", "caller", f"{talk.title}{heard.what} {heard.detail}".strip(), kind)

    def asked(self, operation: str, params: dict[str, Any]) -> None:
        """A request to Asterisk."""
        if operation.startswith(_HIDDEN):
            return
        shown = self.shown(str(params.get(_LABELS.get(operation, ""), "")))
        self.add("hookrouter", "Asterisk", f"{operation.split('.')[1].removesuffix('WithId')} {shown}".strip())
        talk = self._talk(str(params.get("channelId", "")))
        if operation == "channels.setChannelVar" and talk is not None:
            talk.variables[str(params.get("variable"))] = str(params.get("value", ""))

    def happened(self, event: dict[str, Any]) -> None:
        """An event of Asterisk's, before the router has it."""
        if event["type"] == "ChannelDtmfReceived":
            self._digits[event["channel"]["id"]].append(event["digit"])

    # ---- the router -------------------------------------------------------------------------------------------

    def tap(self, message: Message, attempt: Attempt) -> None:
        self._exchanges[message.id, attempt.number] = (message, attempt)

    def fact(self, fact: Fact) -> None:
        call = getattr(fact, "call", "")
        match fact:
            case EventReceived(type=type) if call:
                digits = self._digits[call] if type == "ChannelDtmfReceived" else None
                self.add(
                    "Asterisk", "hookrouter", f"{self._title(call)}{type} {digits.popleft() if digits else ''}".strip()
                )
            case DeliveryAttempted():
                self._attempted(fact)
            case DeliveryFinished(outcome="unanswered" | "dead"):
                why = _WHY.get(fact.reason, fact.reason)
                self.problems.add(why, fact.detail if fact.detail not in why else "", where=fact.type)
            case DeliveryFinished(kind="control", actions=actions):
                self.answers.append(fact.seconds)
                if actions:
                    self.ladder.label_last("endpoint", ", ".join(actions))
            case ActionStarted(verb=verb):
                if (talk := self._talk(call)) is not None:
                    talk.actions.append(verb)
            case ActionFinished(outcome="failed"):
                self.add("hookrouter", "hookrouter", f"{fact.verb} failed", "bad")
                why = fact.detail or "Asterisk could not carry it out"
                own = _OWN_SOUNDS if why.startswith("media_failed") else ""
                self.problems.add(f"the action `{fact.verb}` failed: {why}", own)
            case FallbackTaken():
                self.add("hookrouter", "hookrouter", f"fallback: {fact.kind}", "bad")
            case CallStandsStill():
                self.add("hookrouter", "hookrouter", "the call stands still", "bad")
                self.problems.add(fact.message)
            case Warned() if call:
                self.problems.add(fact.message)
            case CallFinished():
                if (talk := self._talk(call)) is not None:
                    talk.finished.set()
        if (talk := self._talk(call)) is not None and (state := self.state_of(call)) is not None:
            talk.state = state

    def _attempted(self, fact: DeliveryAttempted) -> None:
        good = fact.status is not None and 200 <= fact.status < 300
        message, attempt = self._exchanges.pop((fact.event, fact.attempt), (None, None))
        most = _brief(message.body) if message is not None else ""
        again = f" (attempt {fact.attempt})" if fact.attempt > 1 else ""
        sent = Exchange("request", message.body) if message is not None else None
        title = self._title(fact.call)
        self.add(
            "hookrouter", "endpoint", f"{title}{fact.type} {most}".strip() + again, ago=fact.seconds, exchange=sent
        )
        took = f"{fact.seconds * 1000:.0f} ms"
        label = f"{fact.status or _NO_STATUS.get(fact.reason, fact.reason)}, {took}"
        answered = Exchange("answer", attempt.body) if attempt is not None and attempt.body else None
        self.add("endpoint", "hookrouter", label, "good" if good else "bad", exchange=answered)


def _brief(body: bytes) -> str:
    """The one word of an event's data that matters most."""
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    data = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(data, dict):
        return ""
    return next((str(data[key]) for key in _BRIEF if isinstance(data.get(key), str) and data[key]), "")
