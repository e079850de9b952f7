"""Asks the endpoints: does each answer, with actions where a call begins, and does it refuse a wrong signature?

Rule: the event that is sent is a sample and says so: `"check": true` in the body, an id that begins with `evt_check_`,
a call whose id begins with `check-`. No call exists, and nothing of the answer is carried out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from secrets import token_hex

import msgspec

from hookrouter.actions.judging import Rules, answer_decoder
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking.findings import Findings
from hookrouter.checking.music import Music
from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import CallContext, Message, envelope
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.sender import Sender
from hookrouter.errors import AnswerRefused
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.timestamps import rfc3339_now

_WORDS = {
    "refused_connection": "cannot be reached",
    "reset": "ended the connection before its whole answer came",
    "timeout": "did not answer in time",
    "too_large": "answered too much",
    "bad_response": "answered something that is not HTTP as it should be",
}
_TYPE = "HookrouterCheck"


def sample_start(route: Route, asterisks: Sequence[AsteriskSettings]) -> tuple[str, bytes]:
    """The id and the body of a StasisStart for this route, marked as a check."""
    id, call, stamp = f"evt_check_{token_hex(8)}", f"check-{token_hex(4)}", rfc3339_now(time.time())
    settings = next((found for found in asterisks if _fits(route, "asterisk", found.name)), asterisks[0])
    app = next((found for found in settings.apps if _fits(route, "app", found)), settings.apps[0])
    args = [one[0].text for found in route.conditions for one in found.args if one and one[0].kind == "literal"]
    channel = {
        "id": call, "name": "HookrouterCheck/sample", "state": "Ring", "protocol_id": "", "accountcode": "",
        "caller": {"name": "hookrouter check", "number": "0000"}, "connected": {"name": "", "number": ""},
        "dialplan": {
            "context": "check", "exten": "1000", "priority": 1, "app_name": "Stasis", "app_data": ",".join([app, *args]),
        },
        "creationtime": stamp, "language": "en",
    }  # fmt: skip
    event = {"type": "StasisStart", "timestamp": stamp, "application": app, "args": args, "channel": channel}
    context = CallContext(call, settings.name, app, route.name, 1)
    return id, _marked(envelope(id, "StasisStart", stamp, msgspec.json.encode(event), context))


def _fits(route: Route, key: str, text: str) -> bool:
    return all(found.holds_for(text) for found in route.conditions if found.key == key)


def _marked(body: bytes) -> bytes:
    return body[:-1] + b',"check":true}'


def _plain() -> tuple[str, bytes]:
    id = f"evt_check_{token_hex(8)}"
    return id, _marked(envelope(id, _TYPE, rfc3339_now(time.time()), b'{"type":"HookrouterCheck"}', None))


class Endpoints:
    """Asks all of a configuration's."""

    def __init__(self, http: Http, findings: Findings, asterisks: Sequence[AsteriskSettings], music: Music) -> None:
        self._music = music
        self._sender = Sender(http, SystemClock())
        self._findings = findings
        self._asterisks = asterisks

    async def check(self, route: Route) -> None:
        """The route's endpoint, its fallback's, and the actions that the route itself has."""
        self._music.judge(f"routes[{route.index}].while_waiting", route.while_waiting)
        self._music.judge(f"routes[{route.index}].fallback.actions", route.fallback.actions or ())
        await self._one(route, route.endpoint, f"routes[{route.index}].url")
        if route.fallback.endpoint is not None:
            await self._one(route, route.fallback.endpoint, f"routes[{route.index}].fallback.url")

    async def _one(self, route: Route, endpoint: Endpoint, place: str) -> None:
        asked = route.mode == "control" and route.wants("StasisStart")
        id, body = sample_start(route, self._asterisks) if asked else _plain()
        message = Message(id, "StasisStart" if asked else _TYPE, body, route.mode, route=route.name)
        attempt = await self._post(route, endpoint, message)
        if attempt.reason != "response" or attempt.status is None:
            detail = f": {attempt.detail}" if attempt.detail else ""
            self._findings.wrong(place, f"{endpoint.shown} {_WORDS.get(attempt.reason, attempt.reason)}{detail}")
            return
        if not 200 <= attempt.status < 300:
            detail = attempt.detail or f"answered {attempt.status}"
            self._findings.wrong(place, f"{endpoint.shown} {detail}")
            return
        took = f"{attempt.status}, {attempt.seconds * 1000:.0f} ms"
        if asked:
            self._answer(route, endpoint, place, attempt, took)
        else:
            self._findings.right(place, f"{endpoint.shown} takes events ({took})")
        await self._signature(route, endpoint, place)

    def _answer(self, route: Route, endpoint: Endpoint, place: str, attempt: Attempt, took: str) -> None:
        decode = answer_decoder(Rules(route.policy, endpoint.url, route.allow_urls), True, False)
        try:
            answer = decode(attempt.body, attempt.content_type)
        except AnswerRefused as refused:
            self._findings.wrong(
                place,
                f"{endpoint.shown} answers a StasisStart ({took}) with actions that would be refused:",
                [str(fault) for fault in refused.faults],
            )
            return
        self._music.judge(place, [step.raw for step in answer.steps])
        if answer.steps or answer.when_done in ("hangup", "continue"):
            verbs = ", ".join(step.action.verb for step in answer.steps) or f"whenDone {answer.when_done}"
            self._findings.right(place, f"{endpoint.shown} answers a StasisStart ({took}): {verbs}")
        elif route.while_waiting and attempt.status == 202:
            self._findings.not_asked(
                place,
                f"{endpoint.shown} answers 202, without actions: what it sends later to POST /v1/calls/ID/actions",
            )
        else:
            self._findings.wrong(
                place,
                f"{endpoint.shown} answers a StasisStart ({took}) without any action: the caller would hear nothing; "
                "return the list of actions in the body of the answer",
            )

    async def _signature(self, route: Route, endpoint: Endpoint, place: str) -> None:
        """Whether it refuses what is signed with the wrong key."""
        if not endpoint.secrets:
            remedy = "`hookrouter sign --new-secret` makes one, for `secret` here and for the endpoint"
            self._findings.note(
                f"routes[{route.index}].secret", f"none, so anybody can send this endpoint events; {remedy}"
            )
            return
        wrong = msgspec.structs.replace(endpoint, secrets=(b"this is not the right key",))
        id, body = _plain()
        attempt = await self._post(route, wrong, Message(id, _TYPE, body, route.mode, route=route.name))
        if attempt.status is not None and 200 <= attempt.status < 300:
            self._findings.wrong(
                place, f"{endpoint.shown} also takes a wrong signature ({attempt.status}): it does not check `secret`"
            )

    async def _post(self, route: Route, endpoint: Endpoint, message: Message) -> Attempt:
        left = min(endpoint.timeout, route.deadline) if route.mode == "control" else None
        return await self._sender.attempt(endpoint, message, 1, endpoint.timeout, left)
