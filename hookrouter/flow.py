"""The spine, one screen: an event arrives → who wants it → tell them → they answer → it is done.

Rules: an event goes to the call it belongs to (its owner is told in order), and a copy to every notify route that
matches. A StasisStart that no control route wants is given back to the dialplan: nobody is left in silence.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from hookrouter.actions.base import LEG
from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.actions.urls import resolve
from hookrouter.ari.client import Reply
from hookrouter.ari.events import Event, Ref, make_event, rfc3339
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, Outgoing
from hookrouter.calls.effects import Announce, Push, Tell
from hookrouter.calls.machine import Turn
from hookrouter.calls.runner import Runner
from hookrouter.clock import Clock
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import CallContext, Message, envelope
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.delivery.queue import NewDelivery
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.facts import CallStarted, EventReceived, Facts, Warned
from hookrouter.routing.endpoint import NO_ROUTE, Route
from hookrouter.routing.table import WITHOUT_CALL, RouteTable
from hookrouter.speech import Speech, SpeechFailed

_REMEMBERED = 20_000
_CONTINUE = (b'{"action":"continue"}',)


class Flow:
    """Takes every event of every Asterisk; all in the event loop's thread, nothing here waits."""

    runner: Runner
    speech: Speech | None = None

    def __init__(
        self, board: Board, table: RouteTable, deliverer: Deliverer, notifier: Notifier, facts: Facts, clock: Clock
    ) -> None:
        self.board = board
        self.table = table
        self._deliverer = deliverer
        self._notifier = notifier
        self._facts = facts
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._held: dict[str, list[Event]] = {}
        self.announced: dict[tuple[str, str], Announce] = {}
        self.on_announced: Callable[[str, Announce], None] = lambda asterisk, announced: None
        self.on_missing: Callable[[Live], None] = lambda live: None

    # ---- the event arrives ------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """An event from the socket, or one that was inferred. The same event twice is one event."""
        if event.id in self._seen:
            return
        self._seen[event.id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        held = self._held.get(event.asterisk)
        if held is not None and not event.inferred:
            held.append(event)
        else:
            self._dispatch(event)

    def hold(self, asterisk: str) -> list[Event]:
        """From now on events of this Asterisk wait (while it is being asked what was missed); the list of them."""
        return self._held.setdefault(asterisk, [])

    def release(self, asterisk: str) -> None:
        """Lets the waiting events through, in order."""
        for event in self._held.pop(asterisk, []):
            self._dispatch(event)

    def _dispatch(self, event: Event) -> None:
        head = event.head
        lives: Sequence[Live]
        hidden = False
        if head.type == "StasisStart" and head.channel is not None:
            lent = self.board.of(event.asterisk, head.channel.id)
            hidden = lent is not None and lent.away
            lives = self._stasis_start(event, head.channel)
        else:
            lives = self.board.find(event.asterisk, head)
            ends = head.type == "StasisEnd" and bool(lives)
            hidden = ends and (
                (lives[0].away and not event.inferred) or all(live.call.ended for live in lives)
            )  # ended: it was inferred, and told
            for live in lives:
                self.runner.turn(live, lambda turn: turn.on_event(event))
            if head.type in WITHOUT_CALL:
                self._ask_without_call(event)
            if head.type == "ChannelDestroyed" and head.channel is not None:
                self.expect_no_more(event.asterisk, head.channel.id)  # nobody answered
        self._facts.emit(EventReceived(event.asterisk, head.type, event.id, lives[0].call.id if lives else ""))
        if head.type in ("StasisStart", "StasisEnd") and head.channel is not None:
            hidden = hidden or (lives[0].call.id != head.channel.id if lives else head.args == [LEG])
        if not hidden:  # a leg that comes or goes is no call, and one that is lent to the dialplan is not over
            self._notify(event, lives[0] if lives else None)

    # ---- who wants it -----------------------------------------------------------------------------------------

    def _stasis_start(self, event: Event, channel: Ref) -> Sequence[Live]:
        live = self.board.of(event.asterisk, channel.id)
        if (event.asterisk, channel.id) in self.announced:
            began = self._begin(event, channel)
            if live is not None and live is not began:  # who asked for it is told that it was answered
                self.runner.turn(live, lambda turn: turn.on_event(event))
            return [began]
        if live is not None and (live.call.id != channel.id or live.away):
            self.runner.turn(live, lambda turn: turn.on_event(event))
            return [live]
        if live is not None:  # back in the app, and its StasisEnd was lost
            self.runner.turn(live, lambda turn: turn.lost("left"))
        elif event.head.args == [LEG]:  # it has answered when its call was over already
            self.runner.discard(event.asterisk, channel.id)
            return ()
        return [self._begin(event, channel)]

    def _begin(self, event: Event, channel: Ref) -> Live:
        announced = self.expect_no_more(event.asterisk, channel.id)
        route = self.table.by_name(announced.route) if announced else None
        steps: Sequence[bytes] = announced.steps if announced else ()
        if route is None:
            route = self.table.owner(event.asterisk, event.head, event.raw)
        if route is None:
            route, steps = NO_ROUTE, steps or _CONTINUE
            name = f"{event.head.application}: {channel.name}"
            self._facts.emit(
                Warned("no_route", f"no control route matches {name}; it goes on in the dialplan", channel.id)
            )
        call = self._call(event, channel, route)
        if announced and announced.state is not None:
            call.state = announced.state
        self._facts.emit(CallStarted(call.id, call.asterisk, call.app, route.name, call.caller, call.called))
        return self.runner.start(call, route, lambda turn: turn.begin(event, steps))

    def _ask_without_call(self, event: Event) -> None:
        """An event that belongs to no call: the first control route that names it answers, and its actions run."""
        route = self.table.controlling(event.asterisk, event.head, event.raw)
        if route is None:
            return
        call = Call(
            key=self.board.free_key(event.asterisk, event.id),
            id=event.id,
            asterisk=event.asterisk,
            app=event.head.application,
            route=route.name,
            started_at=self._clock.now(),
            channelless=True,
        )
        self.runner.start(call, route, lambda turn: turn.begin(event))

    def _call(self, event: Event, channel: Ref, route: Route) -> Call:
        return Call(
            key=self.board.free_key(event.asterisk, channel.id),
            id=channel.id,
            asterisk=event.asterisk,
            app=event.head.application,
            route=route.name,
            started_at=self._clock.now(),
            name=channel.name,
            caller=channel.caller.number if channel.caller else "",
            called=channel.dialplan.exten if channel.dialplan else "",
            args=event.head.args,
            up=channel.state == "Up",
        )

    # ---- tell them --------------------------------------------------------------------------------------------

    def _notify(self, event: Event, live: Live | None) -> None:
        routes = self.table.notified(event.asterisk, event.head, event.raw, live.call if live else None)
        if routes:
            timestamp = rfc3339(event.head.timestamp)
            self._enqueue(routes, live, event.id, event.type, timestamp, event.raw, event.inferred)

    def tell(self, live: Live, told: Tell) -> None:
        """An event of the router's own, for the notify routes that name its type."""
        routes = self.table.told(told.type, live.call.asterisk, live.call, told.data)
        self._enqueue(routes, live, told.id, told.type, told.timestamp, told.data, inferred=False)

    def wanted(self, type: str) -> bool:
        return self.table.wants(type)

    def push(self, live: Live, push: Push) -> None:
        """The verb `notify`."""
        route = self.table.by_name(push.route) if push.route else live.route
        if route is None or not route.endpoint.url:
            self._facts.emit(Warned("notify", f"no route `{push.route}` to notify", live.call.id))
            return
        body = envelope(push.id, "Notify", push.timestamp, push.body, self._context(live, route.name))
        delivery = NewDelivery(push.id, route.name, "Notify", body, self._clock.now(), live.call.id, push.url)
        self._notifier.enqueue([delivery])

    def missing(self, live: Live) -> None:
        """Its channel is gone, and its StasisEnd did not come."""
        self.on_missing(live)

    def announce(self, live: Live, announced: Announce) -> None:
        """A channel of ours that becomes a call of its own."""
        if announced.route:
            self.expect(live.call.asterisk, announced)
        else:
            self.expect_no_more(live.call.asterisk, announced.channel)

    def expect(self, asterisk: str, announced: Announce) -> None:
        """A channel that we asked for: when it comes into the app it is a call, as `announced` says."""
        self.announced[(asterisk, announced.channel)] = announced
        self.on_announced(asterisk, announced)

    def expect_no_more(self, asterisk: str, channel: str) -> Announce | None:
        """It has come, or never will."""
        announced = self.announced.pop((asterisk, channel), None)
        if announced is not None:
            self.on_announced(asterisk, Announce(channel, "", (), None))
        return announced

    def _enqueue(
        self,
        routes: Sequence[Route],
        live: Live | None,
        id: str,
        type: str,
        timestamp: str,
        data: bytes,
        inferred: bool,
    ) -> None:
        call = live.call.id if live else ""
        self._notifier.enqueue(
            [
                NewDelivery(
                    id,
                    route.name,
                    type,
                    envelope(
                        id, type, timestamp, data, self._context(live, route.name) if live else None, inferred=inferred
                    ),
                    self._clock.now(),
                    call,
                )
                for route in routes
            ]
        )

    def _context(self, live: Live, route: str) -> CallContext | None:
        call = live.call
        if call.channelless:
            return None
        key = f"notify:{route}"
        call.sequences[key] = sequence = call.sequences.get(key, 0) + 1
        return CallContext(call.id, call.asterisk, call.app, route, sequence, call.state)

    async def speak(self, text: str, lang: str, voice: str) -> Reply:
        """Text to speech, for `say`."""
        if self.speech is None:
            return Reply(501, b'{"message":"no [speech] in routes.toml: it names the program that speaks"}')
        try:
            return Reply(200, msgspec.json.encode({"media": await self.speech.say(text, lang, voice)}))
        except SpeechFailed as error:
            return Reply(502, msgspec.json.encode({"message": str(error)}))

    # ---- they answer ------------------------------------------------------------------------------------------

    async def control(self, live: Live, out: Outgoing) -> Answered[Answer] | Unanswered:
        """Delivers one event to the call's owner, or the action's own `url`, or the fallback; its answer."""
        call, route = live.call, live.route
        endpoint = route.endpoint
        if out.fallback:
            endpoint = route.fallback.endpoint
        elif out.url:
            endpoint = msgspec.structs.replace(endpoint, url=out.url)
        if not endpoint.url:
            return Unanswered("no_endpoint", detail=f"route `{call.route}` is no longer in the configuration")
        context = None
        if not call.channelless:
            context = CallContext(call.id, call.asterisk, call.app, route.name, out.sequence, call.state)
        body = envelope(
            out.id, out.type, out.timestamp, out.data, context, inferred=out.inferred, fallback=out.fallback or None
        )
        id = "" if call.channelless else call.id
        message = Message(out.id, out.type, body, "control", id, route.name, out.timestamp, call.asterisk)
        first = out.type == "StasisStart"
        decode = _decoder(endpoint.url, route.allow_urls, first, call.channelless)
        return await self._deliverer.control(endpoint, message, deadline=route.deadline, decode=decode, verbs=_verbs)

    def inject(self, live: Live, answer: Answer) -> None:
        """Actions from the control API, mid-call."""
        self.runner.turn(live, lambda turn: turn.inject(answer))


def _verbs(answer: Answer) -> tuple[str, ...]:
    return tuple(step.action.verb for step in answer.steps)


@lru_cache(maxsize=1024)
def _decoder(base: str, allowed: tuple[str, ...], first: bool, channelless: bool) -> Callable[[bytes, str], Answer]:
    def decode(body: bytes, content_type: str) -> Answer:
        answer = decode_answer(body, content_type, first=first)
        faults = []
        top = "/actions" if body.lstrip()[:1] == b"{" else ""
        for index, step in enumerate(answer.steps):
            if channelless and not step.action.callless:
                hint = "`originate` makes a call; `sendMessage`, `deviceState`, `notify` and the like need none"
                fault = f"`{step.action.verb}` needs a call, and this event belongs to none; {hint}"
                faults.append(Fault(f"{top}/{index}/action", fault))
            if url := getattr(step.action, "url", None):
                try:
                    resolve(base, url, allowed)
                except ValueError as error:
                    faults.append(Fault(f"{top}/{index}/url", str(error)))
        if faults:
            raise AnswerRefused(faults)
        return answer

    return decode


__all__ = ["Flow", "Turn", "make_event"]
