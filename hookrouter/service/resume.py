"""After a restart or a reconnect: asks Asterisk what is still there, and makes the calls agree with it.

Rules:
- Events that arrive meanwhile wait; they are handled after what they follow.
- What was missed is told once, as `inferred` events whose ids depend only on what happened: asking twice tells once.
- A prompt that still plays is waited for; what may have been sent before a crash is proved by asking, not sent again.
- What is ours by its id and belongs to no call is removed.
Source: Asterisk's applications.get (`channel_ids`, `bridge_ids`), channels.list, bridges.list: as many requests for one
call as for a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Event, entered_app, event_id, make_event
from hookrouter.ari.operations import Request
from hookrouter.calls.board import Board, Live
from hookrouter.calls.machine import Turn
from hookrouter.calls.runner import Runner
from hookrouter.clock import Clock
from hookrouter.facts import Facts, Warned
from hookrouter.flow import Flow
from hookrouter.policy.authority import OURS
from hookrouter.timestamps import rfc3339_now

_LEFT = frozenset({"StasisEnd", "ChannelDestroyed"})


class _App(msgspec.Struct):
    channel_ids: list[str] = []
    bridge_ids: list[str] = []


def inferred(asterisk: str, type: str, channel: Mapping[str, Any], app: str, key: str, at: float, **more: Any) -> Event:
    """An event that Asterisk did not tell. `key`: what makes it this one occurrence, such as a call's start. `at`: when it
    was found out (seconds since the epoch).
    """
    timestamp = rfc3339_now(at).removesuffix("Z") + "+0000"
    body = {"type": type, "timestamp": timestamp, "application": app, "channel": channel, **more}
    raw = msgspec.json.encode(body)
    event = make_event(asterisk, raw, inferred=True)
    event.id = event_id(asterisk, f"{type}/{channel['id']}/{key}".encode())
    return event


class Resumer:
    """Puts calls right after each connect; `restarted` means that we were, and the calls come from the journal."""

    def __init__(
        self,
        board: Board,
        flow: Flow,
        runner: Runner,
        facts: Facts,
        clock: Clock,
    ) -> None:
        self._board = board
        self._flow = flow
        self._runner = runner
        self._facts = facts
        self._clock = clock
        self._fresh: set[str] = set()  # calls that were read from the journal and not yet looked at

    def took_up(self, live: Live) -> None:
        self._fresh.add(live.call.key)

    def forget(self, asterisk: str) -> None:
        """Another router goes on with this Asterisk."""
        self._fresh = {key for key in self._fresh if not key.startswith(f"{asterisk}/")}

    async def on_connected(self, client: AriClient, connected: Connected) -> None:
        """Runs with events held; the caller releases them when this returns or fails."""
        held = self._flow.hold(client.name)
        try:
            if connected.restarted:
                self._end_all(client.name)
            apps = await self._apps(client)
            if apps is None:
                return
            channels = await self._list(client, "channels.list")
            if channels is None:
                return
            bridges = await self._list(client, "bridges.list") or {}
            present = {id for app in apps.values() for id in app.channel_ids}
            left = {event.head.channel.id for event in held if event.type in _LEFT and event.head.channel}
            for live in [live for live in self._board if live.call.asterisk == client.name]:
                try:
                    self._look_at(live, present, channels, bridges, left)
                except Exception as error:  # noqa: BLE001  one call's fault must not keep the others from going on
                    what = f"the call could not be taken up again: {type(error).__name__}: {error}"
                    self._facts.emit(Warned("internal", what[:500], live.call.id))
            await self._take_in(client, apps, channels, held)
            await self._clear(client, apps, bridges)
        finally:
            self._flow.release(client.name)

    async def _apps(self, client: AriClient) -> dict[str, _App] | None:
        apps: dict[str, _App] = {}
        for name in client.apps:
            reply = await client.perform(Request("applications.get", {"applicationName": name}))
            if reply.status != 200:
                self._facts.emit(
                    Warned("resume", f"Asterisk did not say which channels are in app {name}: status {reply.status}")
                )
                return None
            apps[name] = msgspec.json.decode(reply.body, type=_App)
        return apps

    def _end_all(self, asterisk: str) -> None:
        for live in [live for live in self._board if live.call.asterisk == asterisk and not live.call.ended]:
            if not live.call.channelless:
                if live.call.key in self._fresh:
                    self._resume(live)  # what was on its way when we were killed comes before the end
                self._end(live, "asterisk_restarted")

    async def _list(self, client: AriClient, operation: str) -> dict[str, dict[str, Any]] | None:
        """What is there, by id: one request for all calls."""
        reply = await client.perform(Request(operation, {}))
        if reply.status != 200:
            self._facts.emit(Warned("resume", f"Asterisk did not answer {operation}: status {reply.status}"))
            return None
        return {str(found["id"]): found for found in msgspec.json.decode(reply.body, type=list[dict[str, Any]])}

    def missing(self, live: Live) -> None:
        """The channel of a live call is gone, and its StasisEnd has not come."""
        if not live.call.ended:
            self._end(live, "")

    def _end(self, live: Live, reason: str) -> None:
        call = live.call
        channel = {
            "id": call.channel,
            "name": call.name,
            "state": "Down",
            "caller": {"number": call.caller, "name": ""},
        }
        event = inferred(
            call.asterisk,
            "StasisEnd",
            channel,
            call.app,
            str(call.started_at),
            self._clock.now(),
            reason=reason or "gone",
        )
        live.call.end_reason = reason
        self._fresh.discard(call.key)
        self._flow.on_event(event)

    def _look_at(
        self, live: Live, present: set[str], channels: Mapping[str, Any], bridges: Mapping[str, Any], left: set[str]
    ) -> None:
        """`left`: whose end has come already, and waits."""
        call = live.call
        away = live.away and call.channel in channels
        asked = {id for pending in call.requests.values() for id in pending.params.values() if isinstance(id, str)}
        self._resume(live)  # first: what follows from the rest is not sent again with what was under way
        self._follow(live, present, channels, bridges)
        if not call.ended and call.channel not in present and not away and not call.channelless:
            if call.channel not in left:
                self._end(live, "")
            return
        for id, role in list(call.owned.get("channel", {}).items()):
            if role not in ("leg", "snoop"):
                continue
            if role == "leg" and id in present and entered_app(channels.get(id)):
                began = inferred(call.asterisk, "StasisStart", channels[id], call.app, id, self._clock.now())
                self._runner.turn(live, Turn.look, began)
            elif id not in channels and id not in left and id not in asked:
                gone = inferred(
                    call.asterisk,
                    "ChannelDestroyed",
                    {"id": id},
                    call.app,
                    id,
                    self._clock.now(),
                    cause=0,
                    cause_txt="Unknown",
                )
                self._flow.on_event(gone)

    def _follow(self, live: Live, present: set[str], channels: Mapping[str, Any], bridges: Mapping[str, Any]) -> None:
        """A stranger in a bridge with the caller, and a leg not: the leg's phone has transferred the talk meanwhile."""
        call = live.call
        for id in list(call.owned.get("bridge", ())):
            inside = bridges.get(id, {}).get("channels", [])
            new = [
                one
                for one in inside
                if one in present & channels.keys() and self._board.of(call.asterisk, "channel", one) is None
            ]
            legs = [leg for leg, role in call.owned.get("channel", {}).items() if role == "leg"]
            old = [one for one in legs if one not in inside]
            if call.channel in inside and len(new) == len(old) == 1:
                at, replaced = self._clock.now(), {"id": old[0]}
                began = inferred(
                    call.asterisk, "StasisStart", channels[new[0]], call.app, new[0], at, replace_channel=replaced
                )
                self._runner.turn(live, Turn.take_place, old[0], new[0], began)

    def _resume(self, live: Live) -> None:
        restarted = live.call.key in self._fresh
        self._fresh.discard(live.call.key)
        self._runner.turn(live, lambda turn: turn.resume(restarted=restarted))

    async def _take_in(
        self, client: AriClient, apps: dict[str, _App], channels: Mapping[str, dict[str, Any]], held: list[Event]
    ) -> None:
        """Channels in our apps that nobody knows: their StasisStart was lost with the connection."""
        started = {event.head.channel.id for event in held if event.type == "StasisStart" and event.head.channel}
        away: list[Request] = []
        for name, app in apps.items():
            for id in app.channel_ids:
                if id in started or id not in channels or self._board.of(client.name, "channel", id) is not None:
                    continue
                if self._board.of(client.name, "channel", id.removesuffix(";2")) is not None:
                    continue  # the far half of a Local leg
                if id.startswith(OURS) and (client.name, id) not in self._flow.expected:
                    away.append(Request("channels.hangup", {"channelId": id}))
                    continue
                if not entered_app(channels[id]):
                    continue
                began = _began(client.name, channels[id], name, self._clock.now())
                route = self._flow.table.owner(client.name, began.head, began.raw)
                adopt = "route" if route is None or (client.name, id) in self._flow.expected else route.adopt
                if adopt == "route":
                    self._flow.on_event(began)
                elif adopt == "continue":
                    away.append(Request("channels.continueInDialplan", {"channelId": id}))
        await asyncio.gather(*map(client.perform, away))

    async def _clear(self, client: AriClient, apps: dict[str, _App], bridges: Mapping[str, Any]) -> None:
        """Bridges of ours that no call has any more."""
        orphans = [
            Request("bridges.destroy", {"bridgeId": id})
            for id in bridges
            if id.startswith(OURS) and self._board.of(client.name, "bridge", id) is None and self._of_our_app(id, apps)
        ]
        await asyncio.gather(*map(client.perform, orphans))

    def _of_our_app(self, id: str, apps: dict[str, _App]) -> bool:
        return any(id in app.bridge_ids for app in apps.values())


def _began(asterisk: str, channel: Mapping[str, Any], app: str, at: float) -> Event:
    data = str((channel.get("dialplan") or {}).get("app_data", ""))
    args = data.split(",")[1:]
    return inferred(asterisk, "StasisStart", channel, app, channel.get("creationtime", ""), at, args=args)


__all__ = ["Resumer", "inferred"]
