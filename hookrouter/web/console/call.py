"""A call's page: why it failed, its ladder, what each step said, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hookrouter.actions.vocabulary import VERBS
from hookrouter.ari.operations import operations
from hookrouter.config import Access
from hookrouter.errors import AnswerRefused
from hookrouter.record.entries import Entry
from hookrouter.record.finding import Row
from hookrouter.record.script import script_of
from hookrouter.record.steps import lines_of, steps
from hookrouter.web.console.picture import ZOOMS, picture
from hookrouter.web.console.render import render
from hookrouter.web.console.steps import panel, recordings

if TYPE_CHECKING:
    from hookrouter.web.app import Router

PAGE = 250
"""Steps that are drawn at a time: the newest, and earlier ones on pages of their own."""

_DONE = {
    "hangup": "It is being hung up.",
    "act": "The actions run.",
    "gone": "The call is over: nothing was done.",
}


class Shown(msgspec.Struct):
    """What a page has beside the call itself: results of what somebody has just done."""

    said: str = ""
    wrong: bool = False
    given: str = ""
    faults: list[dict[str, str]] = []
    sent: Any = None


def numbers(request: Request, name: str, default: int) -> int:
    """A number of the query; what is none is the default."""
    given = request.query_params.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 9 else default


async def call_page(router: Router, request: Request, access: Access, *, session: bool, shown: Shown | None = None,
                    status: int = 200) -> Response:  # fmt: skip
    """200, or 404 where nobody knows the call."""
    id = request.path_params["id"]
    shown = shown or Shown(_DONE.get(request.query_params.get("done", ""), ""))
    line = router.console.live(id, access)
    found = await router.console.record(id, access)
    if found is None and line is None:
        return render("missing.html", 404, page="Calls", live=0, session=session, what=f"no call has the id `{id}`")
    row, entries = found if found is not None else (_unrecorded(line), list[Entry]())
    return render(
        "call.html", status, page="Calls", live=1000 if row.ended_at is None else 0, session=session, write=access.write,
        call=_about(row), line=line, at=router.console.clock(), said=shown.said, wrong=shown.wrong, given=shown.given,
        faults=shown.faults, sent=shown.sent, recordings=recordings(entries), script=script_of(row, entries),
        verbs=_examples(), fields=_fields(), **_ladder(request, row, entries),
    )  # fmt: skip


def _about(row: Row) -> dict[str, Any]:
    found = msgspec.structs.asdict(row)
    try:
        tags = json.loads(row.tags)
    except ValueError:
        tags = {}
    return found | {"id": row.call_id, "tags": tags if isinstance(tags, dict) else {}}


def _unrecorded(line: Any) -> Row:
    """A call that goes on and is not recorded."""
    return Row(0, line.id, line.asterisk, "", line.route, "", line.caller, line.called, line.started_at, None, "live", "", "",
               "{}", 0, 0)  # fmt: skip


def _ladder(request: Request, row: Row, entries: Sequence[Entry]) -> dict[str, Any]:
    found = steps(entries, row.call_id)
    zoom = numbers(request, "zoom", 1)
    zoom = zoom if zoom in ZOOMS else 1
    chosen = numbers(request, "step", -1)
    last = min(len(found), numbers(request, "until", len(found)))
    first = max(0, last - PAGE)
    if 0 <= chosen < len(found) and not first <= chosen < last:
        first = max(0, min(chosen - 20, len(found) - PAGE))
        last = min(len(found), first + PAGE)

    def address(**changed: int | None) -> str:
        now = {"step": chosen if chosen >= 0 else None, "zoom": zoom if zoom != 1 else None,
               "until": last if last < len(found) else None}  # fmt: skip
        query = {name: value for name, value in (now | changed).items() if value is not None}
        path = f"/calls/{quote(row.call_id, safe='')}"
        return f"{path}?{urlencode(query)}" if query else path

    title = f"{len(found)} steps of the call, each a link to what was said"
    svg = picture(
        found[first:last], lines_of(found), row.started_at, lambda number: address(step=number), first=first,
        chosen=chosen, zoom=zoom, title=title,
    )  # fmt: skip
    return {
        "svg": svg, "zoom": zoom, "zooms": ZOOMS, "address": address,
        "step": panel(found[chosen], chosen, entries, row.started_at) if 0 <= chosen < len(found) else None,
        "earlier": address(until=first, step=None) if first else "",
        "later": address(until=min(len(found), last + PAGE), step=None) if last < len(found) else "",
    }  # fmt: skip


@cache
def _fields() -> dict[str, list[str]]:
    """What the editor completes: each action's name, and the names of its fields."""
    found = {
        str(verb.__struct_config__.tag): [field.encode_name for field in msgspec.structs.fields(verb)] for verb in VERBS
    }
    named = {name: [parameter.name for parameter in one.parameters] for name, one in operations().items()}
    return found | named


def _examples() -> list[tuple[str, str]]:
    return [(str(verb.__struct_config__.tag), verb.examples[0]) for verb in VERBS if verb.examples]


async def call_form(
    router: Router, request: Request, access: Access, form: dict[str, str], *, session: bool
) -> Response:
    """What a button of the page does."""
    id, what = request.path_params["id"], form.get("do", "")
    path = f"/calls/{quote(id, safe='')}"

    async def page(shown: Shown, status: int = 200) -> Response:
        return await call_page(router, request, access, session=session, shown=shown, status=status)

    if what == "hangup":
        done = await router.hangup(id, access)
        return RedirectResponse(f"{path}?done={'hangup' if done else 'gone'}", 303)
    if what in ("act", "check"):
        return await _act(router, id, access, form, page, path)
    if what == "again":
        place = form.get("place", "")
        sent = await router.console.send_again(id, int(place) if place.isdigit() else -1, access)
        return await page(Shown(sent, wrong=True) if isinstance(sent, str) else Shown(sent=sent))
    return await page(Shown("nothing is known by that name: use the buttons of the page", wrong=True), 422)


async def _act(
    router: Router, id: str, access: Access, form: dict[str, str], page: Callable[..., Any], path: str
) -> Response:
    given = form.get("actions", "").replace("\r\n", "\n")
    try:
        if form["do"] == "check":
            router.console.check(id, given.encode("utf-8", "replace"), access)
            return await page(Shown(given=given))  # type: ignore[no-any-return]
        done = router.act(id, given.encode("utf-8", "replace"), access)
    except AnswerRefused as error:
        told = [{"place": fault.place, "message": fault.message} for fault in error.faults]
        return await page(Shown(given=given, faults=told), 422)  # type: ignore[no-any-return]
    return RedirectResponse(f"{path}?done={'act' if done else 'gone'}", 303)
