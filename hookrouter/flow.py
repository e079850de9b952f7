"""The spine, one screen: an event arrives → who wants it → tell them → they answer → it is done.

Rules: an event goes to the call it belongs to (its owner is told in order), and a copy to every notify route that
matches. A StasisStart that no control route wants is given back to the dialplan: nobody is left in silence.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any

import msgspec

from hookrouter.actions.base import CALL, LEG
from hookrouter.actions.decode import Answer
from hookrouter.actions.endings import status_of
from hookrouter.actions.judging import Rules, answer_decoder
from hookrouter.ari.client import Reply
from hookrouter.ari.events import Event, Place, Ref, make_event, rfc3339
from hookrouter.ari.operations import Request
from hookrouter.calls.board import Board, Live, ids_of
from hookrouter.calls.call import Call, Outgoing
from hookrouter.calls.effects import Announce, Push, Recorded, Tell
from hookrouter.calls.machine import Turn
from hookrouter.calls.runner import Runner
from hookrouter.clock import Clock
from hookrouter.company import Company, OwnEndpoint, in_company, verbs
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import CallContext, Message, envelope
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.delivery.queue import NewDelivery
from hookrouter.elsewhere import Elsewhere
from hookrouter.errors import OverTheLimit
from hookrouter.expected import Expected
from hookrouter.facts import CallNotAnswered, CallStarted, EventReceived, Facts, LimitReached, Warned
from hookrouter.policy.authority import token
from hookrouter.routing.endpoint import NO_ROUTE, Route
from hookrouter.routing.table import WITHOUT_CALL, RouteTable
from hookrouter.speech.speech import Speech, SpeechFailed
from hookrouter.timestamps import rfc3339_now

_REMEMBERED = 20_000
_WARNED = 1000
_DEAD_WITHIN = 0.5
_Input = tuple[Live, Callable[..., None], *tuple[Any, ...]]  # what a call is to take, as `Runner.turn` is given it
_CONTINUE = (b'{"action":"continue"}',)


class Flow:
    """Takes every event of every Asterisk; all in the event loop's thread, nothing here waits."""

    runner: Runner
    speech: Speech | None = None
    company: Company | None = None

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
        self._warned: set[str] = set()
        self._dying: dict[tuple[str, str], Event] = {}
        self._alive: set[str] = set()
        self._held: dict[str, list[Event]] = {}
        self._undecided: dict[tuple[str, str], Event] = {}
        self._recordings: dict[tuple[str, str], tuple[str, str]] = {}  # (Asterisk, name) → (tenant, maker)
        self.on_recorded: Callable[[str, str, tuple[str, str] | None], None] = lambda asterisk, name, made: None
        self.expected = Expected()
        self._elsewhere = Elsewhere(board, self.expected, self._dispatch)
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
            try:
                self._dispatch(event)
            except Exception as error:  # noqa: BLE001  one event that we cannot handle must not cost all the others
                self._facts.emit(Warned("internal", f"{event.type}: {type(error).__name__}: {error}"[:500]))

    def forget(self, asterisk: str) -> None:
        """Another router goes on with this Asterisk: what waits and what is expected of it is forgotten here."""
        self._held.pop(asterisk, None)
        for known in (self._undecided, self._dying, self.expected.calls, self._recordings):
            for key in [key for key in known if key[0] == asterisk]:
                del known[key]

    def _dispatch(self, event: Event) -> None:
        """Causes before results: the event is told before the calls take it, and what they make of it after."""
        head = event.head
        hidden = False
        inputs: list[_Input]
        if head.type == "StasisStart" and head.channel is not None:
            lent = self.board.of(event.asterisk, "channel", head.channel.id)
            key = (event.asterisk, head.channel.id)
            if (
                lent is None
                and key not in self.expected
                and self.board.claimant(event.asterisk, "channel", head.channel.id) is not None
            ):
                self._undecided[key] = event
                return  # made for an action that asked for it, or somebody else's call? Asterisk is about to say
            hidden = lent is not None and lent.away
            inputs = self._stasis_start(event, head.channel)
        elif head.type == "ChannelDestroyed" and self._elsewhere.holds(event):
            return
        else:
            if head.forwarded is not None and head.peer is not None:
                self.expected.move(event.asterisk, head.peer.id, head.forwarded.id)
            if head.type == "StasisEnd" and head.channel is not None and self._dying:
                self._dead(event, head.channel)
            lives = self.board.find(event.asterisk, head)
            ends = head.type == "StasisEnd" and bool(lives)
            hidden = ends and (
                (lives[0].away and not event.inferred) or all(live.call.ended for live in lives)
            )  # ended: it was inferred, and told
            inputs = [(live, Turn.on_event, event) for live in lives]
        first = inputs[0][0] if inputs else None
        of = first.call.id if first else ""
        self._facts.emit(EventReceived(event.asterisk, head.type, event.id, of, event.raw, event.inferred))
        if head.type in ("StasisStart", "StasisEnd") and head.channel is not None:
            hidden = hidden or (first.call.channel != head.channel.id if first else self._no_call(event, head.channel))
        if not hidden:  # a leg that comes or goes is no call, and one that is lent to the dialplan is not over
            self._notify(event, first)
        if head.type == "ChannelDestroyed" and head.channel is not None:
            self._not_answered(event.asterisk, head.channel.id, head.cause)
        for input in inputs:
            self.runner.turn(*input)  # type: ignore[call-arg]  # mypy counts the tuple as one
        if head.type in WITHOUT_CALL:
            self._ask_without_call(event)
        if head.type == "ChannelDestroyed" and head.channel is not None:
            self.expected.no_more(event.asterisk, head.channel.id)  # nobody answered

    def _not_answered(self, asterisk: str, channel: str, cause: int) -> None:
        """A call of ours that was expected, and is over before it was there."""
        if (announced := self.expected.get(asterisk, channel)) is not None:
            id, route, tenant = announced.channel, announced.route, announced.tenant
            self._facts.emit(CallNotAnswered(id, asterisk, route, status_of("", cause), cause, tenant))

    # ---- who wants it -----------------------------------------------------------------------------------------

    def _stasis_start(self, event: Event, channel: Ref) -> list[_Input]:
        if self._no_call(event, channel):
            if channel.name.startswith("Message/"):
                self._let_text_go(event, channel)
            else:
                self._ask_whether_it_lives(event, channel)
            return []
        if replaced := self._replaced(event, channel):
            expected = self.expected.move(event.asterisk, replaced, channel.id)
            found = self._took_place(event, replaced, channel.id, expected=expected)
            return self._begin(event, channel) + found if expected else found
        live = self.board.of(event.asterisk, "channel", channel.id)
        if (event.asterisk, channel.id) in self.expected:
            began = self._begin(event, channel)
            asker = live or self.board.claimant(
                event.asterisk, "channel", channel.id
            )  # Asterisk's reply may come later
            if asker is not None:  # who asked for it is told that it was answered
                began.append((asker, Turn.on_event, event))
            return began
        if live is not None and (live.call.channel != channel.id or live.away):
            return [(live, Turn.on_event, event)]
        if live is not None:  # back in the app, and its StasisEnd was lost
            self.runner.turn(live, Turn.lost, "left")
        elif event.head.args[:1] == [LEG]:  # it has answered when its call was over already
            self.runner.discard(event.asterisk, channel.id)
            return []
        return self._begin(event, channel)

    def _replaced(self, event: Event, channel: Ref) -> str:
        """Whose place this channel has taken, "" if nobody's. Arguments of ours count with the token alone that proves
        that they are: a caller or an answer can write the rest.
        """
        if event.head.replace_channel is not None:
            return event.head.replace_channel.id
        args = event.head.args
        if (
            len(args) < 3
            or args[0] not in (LEG, CALL)
            or self.board.of(event.asterisk, "channel", channel.id) is not None
        ):
            return ""
        asked = ",".join(args[2:])
        announced = self.expected.get(event.asterisk, asked)
        live = self.board.of(event.asterisk, "channel", asked)
        if announced is not None:
            right = announced.token
        else:
            right = token(live.call.secret, asked) if live is not None and live.call.secret else ""
        return asked if asked != channel.id and right and compare_digest(right, args[1]) else ""

    def _took_place(self, event: Event, old: str, new: str, *, expected: bool) -> list[_Input]:
        """Those who knew the old channel go on with the new one. It is no new call, unless the old one was `expected`."""
        lives = self.board.touched(event.asterisk, old)
        if not lives and not expected:  # their calls are over
            self.runner.discard(event.asterisk, new)
        return [(live, Turn.take_place, old, new, event) for live in lives]

    def _no_call(self, event: Event, channel: Ref) -> bool:
        """Whether it is nobody on a line: a text message on its way through the dialplan, or a call that is over."""
        if event.head.args[:1] == [LEG] and event.type == "StasisEnd":
            return True
        if channel.name.startswith("Message/"):
            return True
        return channel.dialplan is not None and channel.dialplan.exten == "h" and event.id not in self._alive

    def _let_text_go(self, event: Event, channel: Ref) -> None:
        """It cannot be hung up, and until it goes on no other text of this Asterisk does."""
        on = {"channelId": channel.id, "context": "hookrouter-has-no-such-context", "extension": "h", "priority": 1}
        self.runner.send(event.asterisk, Request("channels.continueInDialplan", on))
        self._warn_of_line(
            channel,
            "a SIP MESSAGE has reached Stasis() in {line}: it is not a call, and was let go. For texts put "
            '`subscribe = ["endpoint:PJSIP"]` beside `apps`, let a route name TextMessageReceived, and give the '
            "endpoints of pjsip.conf a message_context without Stasis()",
        )

    def _ask_whether_it_lives(self, event: Event, channel: Ref) -> None:
        """Asterisk runs the extension `h` for a call that is over, which leaves at once; a caller may dial `h`, too."""
        key = (event.asterisk, channel.id)
        self._dying[key] = event
        asyncio.get_running_loop().call_later(_DEAD_WITHIN, self._lives, key)

    def _lives(self, key: tuple[str, str]) -> None:
        if (event := self._dying.pop(key, None)) is not None:
            self._alive.add(event.id)
            self._dispatch(event)
            self._alive.discard(event.id)

    def _dead(self, event: Event, channel: Ref) -> None:
        """It was none that lives."""
        if self._dying.pop((event.asterisk, channel.id), None) is not None:
            self._warn_of_line(
                channel,
                "the dialplan runs Stasis() for calls that are over: {line}. A pattern there fits `h`, which Asterisk "
                "runs after a hangup: write one that does not (`_X.`, `_+X.`), or add `exten => h,1,NoOp()`",
            )

    def _warn_of_line(self, channel: Ref, what: str) -> None:
        """Once for each line of the dialplan."""
        place = channel.dialplan or Place()
        line = f"extension {place.exten}, priority {place.priority} of context [{place.context}]"
        said = what.replace("{line}", line)
        if said not in self._warned and len(self._warned) < _WARNED:
            self._warned.add(said)
            self._facts.emit(Warned("dialplan", said, channel.id))

    def _begin(self, event: Event, channel: Ref) -> list[_Input]:
        announced = self.expected.no_more(event.asterisk, channel.id)
        route = self.table.by_name(announced.route) if announced else None
        steps: Sequence[bytes] = announced.steps if announced else ()
        if announced and route is not None and (route.tenant != announced.tenant or route.mode != "control"):
            route = None
        if route is None:
            route = self.table.owner(event.asterisk, event.head, event.raw)
            if announced and route is not None and route.tenant != announced.tenant:
                route = None
        if route is None:
            route, steps = NO_ROUTE, steps or _CONTINUE
            name = f"{event.head.application}: {channel.name}"
            self._facts.emit(
                Warned("no_route", f"no control route matches {name}; it goes on in the dialplan", channel.id)
            )
        call = self._call(event, channel, route, announced.channel if announced else channel.id)
        if announced:
            call.dialled = announced.to
            if announced.state is not None:
                call.state = announced.state
        self._facts.emit(CallStarted(call.id, call.asterisk, call.app, route.name, call.caller, call.called))
        return [(self.runner.enter(call, route), Turn.begin, event, steps)]

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
            tenant=route.tenant,
            started_at=self._clock.now(),
            channelless=True,
        )
        self.runner.turn(self.runner.enter(call, route), Turn.begin, event)

    def _call(self, event: Event, channel: Ref, route: Route, id: str) -> Call:
        return Call(
            key=self.board.free_key(event.asterisk, id),
            id=id,
            channel=channel.id,
            secret=secrets.token_hex(8),
            asterisk=event.asterisk,
            app=event.head.application,
            route=route.name,
            tenant=route.tenant,
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
        if routes and live is None and len(self.table.tenants) > 1 and next(ids_of(event.head), None) is not None:
            tenant = self.board.past_tenant(event.asterisk, event.head)  # what still comes of a call that is over
            routes = [route for route in routes if route.tenant == tenant]
        if routes:
            timestamp = rfc3339(event.head.timestamp) or rfc3339_now(self._clock.now())
            self._enqueue(event.asterisk, routes, live, event.id, event.type, timestamp, event.raw, event.inferred)

    def tell(self, live: Live, told: Tell) -> None:
        """An event of the router's own, for the notify routes that name its type."""
        asterisk = live.call.asterisk
        routes = self.table.told(told.type, asterisk, live.call, told.data)
        self._enqueue(asterisk, routes, live, told.id, told.type, told.timestamp, told.data, inferred=False)

    def wanted(self, type: str) -> bool:
        return self.table.wants(type)

    def push(self, live: Live, push: Push) -> None:
        """The verb `notify`."""
        route = self.table.by_name(push.route) if push.route else live.route
        if route is None or not route.endpoint.url or route.tenant != live.call.tenant:
            self._facts.emit(Warned("notify", f"no route `{push.route}` to notify", live.call.id))
            return
        body = envelope(push.id, "Notify", push.timestamp, push.body, self._context(live, route.name))
        call = live.call
        delivery = NewDelivery(push.id, route.name, "Notify", body, self._clock.now(), call.id, push.url, call.asterisk)
        self._notifier.enqueue([delivery])

    def missing(self, live: Live) -> None:
        """Its channel is gone, and its StasisEnd did not come."""
        self.on_missing(live)

    def settled(self, asterisk: str, channel: str) -> None:
        """It is known now whether Asterisk has made the channel for the action that asked for it: its StasisStart may go on."""
        if not self._undecided or self.board.claimant(asterisk, "channel", channel) is not None:
            return
        if (event := self._undecided.pop((asterisk, channel), None)) is not None:
            self._dispatch(event)

    def recorded(self, live: Live, recorded: Recorded) -> None:
        """Who has made a recording is kept as long as the recording may be there."""
        call = live.call
        made = None if recorded.gone else (call.tenant, call.maker)
        self.know_recording(call.asterisk, recorded.name, made)
        self.on_recorded(call.asterisk, recorded.name, made)

    def know_recording(self, asterisk: str, name: str, made: tuple[str, str] | None) -> None:
        """`made`: the tenant and the `Call.maker` of the call that has made it; None: it is gone."""
        if made is None:
            self._recordings.pop((asterisk, name), None)
        else:
            self._recordings[(asterisk, name)] = made

    def recorder(self, asterisk: str, name: str) -> tuple[str, str] | None:
        return self._recordings.get((asterisk, name))

    def announce(self, live: Live, announced: Announce) -> None:
        """A channel of ours that becomes a call of its own, or does not."""
        self.expected.announce(live.call.asterisk, announced)

    def controls(self, route: str, tenant: str) -> bool:
        found = self.table.by_name(route)
        return found is not None and found.mode == "control" and found.tenant == tenant

    def count_new_call(self, route: Route) -> None:
        """A new call of the route is going to begin. Raises OverTheLimit where that is one too many within a minute."""
        most, now, rates = route.policy.max_calls_per_minute, self._clock.now(), self.board.rates
        if not rates.take(route.name, most, now):
            message = f"the route has begun {most} calls within a minute already; ask again later, or raise `max_calls_per_minute`"
            muted = not rates.tell(route.name, now)
            self._facts.emit(LimitReached("", route.name, "max_calls_per_minute", message, muted))
            raise OverTheLimit(message)

    def _enqueue(
        self,
        asterisk: str,
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
                    "",
                    asterisk,
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

    async def speak(self, asterisk: str, text: str, lang: str, voice: str) -> Reply:
        """Text to speech, for `say`."""
        if self.speech is None:
            return Reply(501, b'{"message":"no [speech] in routes.toml: it names the program that speaks"}')
        try:
            return Reply(200, msgspec.json.encode({"media": await self.speech.say(text, lang, voice, asterisk)}))
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
            endpoint = route.endpoint_at(out.url)
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
        decode = answer_decoder(Rules(route.policy, endpoint.url, route.allow_urls), first, call.channelless)
        if self.company is not None and not out.fallback and self.company.wants(route):
            own = OwnEndpoint(self._deliverer, endpoint, message, decode)
            return await in_company(self.company, live.call, route, own, self._clock, first=out.sequence == 1)
        return await self._deliverer.control(endpoint, message, deadline=route.deadline, decode=decode, verbs=verbs)

    def inject(self, live: Live, answer: Answer) -> None:
        """Actions from the control API, mid-call."""
        self.runner.turn(live, Turn.inject, answer)


__all__ = ["Flow", "Turn", "make_event"]
