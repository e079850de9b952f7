"""The live calls of all routers as one list, which says whose are missing.

Rules: each owner is asked at once, and answers for what it owns. A call that two routers name, as it goes from one to the
other, is there once. The oldest come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hookrouter.cluster.peers import Silent
from hookrouter.cluster.terms import Lease
from hookrouter.http.client import HttpReply
from hookrouter.web.guard import access_of
from hookrouter.web.passing import asked_of, owner_of, passed

if TYPE_CHECKING:
    from hookrouter.web.app import Router


class Answered(msgspec.Struct):
    """What a router has said of its calls. `asterisks`: those that it owns; None: an older one, which does not say."""

    calls: list[msgspec.Raw]
    asterisks: list[str] | None = None


class _Head(msgspec.Struct):
    id: str
    asterisk: str = ""
    started_at: float = 0.0


async def live_calls(router: Router, request: Request) -> Response:
    """Of all routers, or where another router asks of this one."""
    own, peers = router.calls(access_of(request)), router.peers
    found: dict[str, Any] = {"calls": own}
    if passed(request):
        found["asterisks"] = router.owned()
    elif owners := peers.owners():
        replies = await peers.ask_all(peers.owning(), await asked_of(request))
        said = {peer.name: read(reply) for peer, reply in replies}
        lists = [each.calls for each in said.values() if isinstance(each, Answered)]
        found["calls"] = merged([msgspec.Raw(msgspec.json.encode(call)) for call in own], lists)
        if left_out := missing(owners, said):
            found["missing"] = left_out
    return Response(msgspec.json.encode(found), media_type="application/json")


def read(reply: HttpReply | Silent) -> Answered | str:
    """What a router has said, or why it has not."""
    if isinstance(reply, Silent):
        return "it does not answer, or has no `address` in [cluster]"
    if reply.status != 200:
        return f"it answered {reply.status}"
    try:
        return msgspec.json.decode(reply.body, type=Answered)
    except msgspec.DecodeError as error:
        return f"what it answered cannot be read: {error}"


def merged(own: Sequence[msgspec.Raw], others: Iterable[Sequence[msgspec.Raw]]) -> list[msgspec.Raw]:
    """All of them, the oldest first. A call that is in several lists is taken from the first."""
    known: set[tuple[str, str]] = set()
    found: list[tuple[float, msgspec.Raw]] = []
    for calls in (own, *others):
        heads = [msgspec.json.decode(call, type=_Head) for call in calls]
        found += [
            (head.started_at, call)
            for head, call in zip(heads, calls, strict=True)
            if (head.asterisk, head.id) not in known
        ]
        known.update((head.asterisk, head.id) for head in heads)
    return [call for _, call in sorted(found, key=lambda each: each[0])]


def missing(owners: Sequence[Lease], said: dict[str, Answered | str]) -> list[dict[str, str]]:
    """The Asterisks whose calls nobody has told, with whose they are and why."""
    told = {entry for each in said.values() if isinstance(each, Answered) for entry in each.asterisks or ()}
    found = []
    for lease in owners:
        answer = said.get(lease.name, "nobody owns it now")
        if lease.entry in told or (isinstance(answer, Answered) and answer.asterisks is None):
            continue
        why = answer if isinstance(answer, str) else "another router takes it over at this moment"
        found.append(owner_of(lease) | {"why": why})
    return found


__all__ = ["Answered", "live_calls", "merged", "missing", "read"]
