"""The pages of deliveries, routes and logs, and the forms on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hookrouter.config import Access
from hookrouter.errors import ConfigurationError
from hookrouter.telemetry.logs import NAMES
from hookrouter.telemetry.lookout import MOST_FACTS
from hookrouter.web.console.call import numbers
from hookrouter.web.console.picture import picture
from hookrouter.web.console.render import render
from hookrouter.web.guard import access_of
from hookrouter.web.passing import passed, told_to_all

if TYPE_CHECKING:
    from hookrouter.web.app import Router

_SHOWN = 50
_KEPT = ("call", "route", "type", "reason")


# ---- deliveries


async def deliveries_page(router: Router, request: Request, *, session: bool, said: str = "") -> Response:
    """Which routes are told and what waits there; dead letters first, as they want somebody."""
    access, fault, found = access_of(request), "", list[dict[str, Any]]()
    given = {name: value for name, value in request.query_params.items() if value}
    status = given.get("status", "dead")
    status = "" if status == "any" else status
    after = numbers(request, "after", 0)
    query = {name: value for name, value in given.items() if name in _KEPT}
    try:
        wanted = {**query, **({"status": status} if status else {}), "limit": str(_SHOWN + 1), "after": str(after)}
        found = await router.deliveries(wanted, access)
    except ValueError as error:
        fault, status = str(error), ""
    more, found = len(found) > _SHOWN, found[:_SHOWN]
    kept = {**query, "status": status or "any"}
    done = {"replayed": f"{numbers(request, 'many', 0)} are sent again.", "pause": "The route is paused.",
            "go_on": "The route goes on."}.get(given.get("done", ""), "")  # fmt: skip
    if given.get("silent"):
        done += f" {given['silent'][:200]} does not answer, and was not told."
    return render(
        "deliveries.html", 422 if fault else 200, page="Deliveries", session=session, write=access.write, query=query,
        live=0 if after or fault else 3000, status=status, found=found, fault=fault, said=said or done,
        lanes=await router.console.waiting(access), routes=[route.name for route, _, _ in router.console.routes(access)],
        address=f"/deliveries?{urlencode(kept)}",
        next=f"/deliveries?{urlencode({**kept, 'after': after + _SHOWN})}" if more else "",
    )  # fmt: skip


async def deliveries_form(router: Router, request: Request, *, session: bool) -> Response:
    """Replays what was chosen, pauses a route, or lets it go on."""
    access = access_of(request)
    try:
        form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=500)
    except ValueError:  # too many fields
        form = {}
    what, route = form.get("do", [""])[-1], form.get("route", [""])[-1]
    if what == "replay":
        if not (chosen := form.get("id", [])):
            return await deliveries_page(router, request, session=session, said="Choose which ones are sent again.")
        many = await router.console.replay(chosen, access, told=bool(passed(request)))
        done: dict[str, Any] = {"done": "replayed", "many": many}
    elif what in ("pause", "go_on"):
        if not router.console.pause(route, access, on=what == "pause"):
            return await deliveries_page(router, request, session=session, said=f"There is no route {route[:100]}.")
        done = {"done": what}
    else:
        return await deliveries_page(router, request, session=session, said="Use the buttons of the page.")
    if silent := await told_to_all(router, request):
        done["silent"] = ", ".join(silent)
    kept = {
        name: value for name, value in request.query_params.items() if name not in ("done", "many", "after", "silent")
    }
    return RedirectResponse(f"/deliveries?{urlencode({**kept, **done})}", 303)


# ---- routes


async def routes_page(router: Router, request: Request, *, session: bool) -> Response:
    found = router.console.routes(access_of(request))
    return render("routes.html", page="Routes", live=3000, session=session, routes=found, name=router.name)


async def route_page(
    router: Router, request: Request, *, session: bool, fault: str = "", given: Mapping[str, str] | None = None
) -> Response:
    """A route as it is configured, its figures, and a simulated call against it."""
    access = access_of(request)
    name = request.path_params["name"]
    found = [each for each in router.console.routes(access) if each[0].name == name]
    if not found:
        return render("missing.html", 404, page="Routes", live=0, session=session, what=f"no route is called `{name}`")
    route, endpoint, count = found[0]
    tries = router.console.tries if route.mode == "control" else None
    one = tries.find(name, numbers(request, "try", 0)) if tries is not None else None
    return render(
        "route.html", 422 if fault else 200, page="Routes", session=session, write=access.write, route=route,
        live=1000 if one is not None and not one.over else 0 if fault else 5000, endpoint=endpoint,
        facts=_configured(route, count), figures=router.console.figures(name), policy=_policy(route), tries=tries, one=one,
        name=router.name, fallback=b"\n".join(route.fallback_actions or ()).decode("utf-8", "replace"), fault=fault, given=given or {},
        **_tried(request, one, name),
    )  # fmt: skip


def _tried(request: Request, one: Any, name: str) -> dict[str, Any]:
    if one is None:
        return {"svg": "", "step": None, "address": None}
    chosen = numbers(request, "step", -1)
    found = one.steps()

    def address(step: int | None) -> str:
        query = {"try": one.number} | ({"step": step} if step is not None else {})
        return f"/routes/{quote(name, safe='')}?{urlencode(query)}"

    lines = ("caller", "Asterisk", "router", "endpoint")
    svg = picture(found, lines, 0.0, address, chosen=chosen, title=f"{len(found)} steps of the simulated call")
    return {"svg": svg, "step": found[chosen] if 0 <= chosen < len(found) else None, "address": address}


def _configured(route: Any, count: int) -> list[tuple[str, str]]:
    """What routes.toml says of it, without what is secret."""
    conditions = ", ".join(f"{c.key} = {' or '.join(_alternatives(c))}" for c in route.conditions) or "every call"
    events = "all" if route.events is None else ", ".join(sorted(route.events))
    found = [
        ("mode", route.mode), ("url", route.endpoint.shown), ("live calls", str(count)), ("match", conditions),
        ("events", events), ("tenant", route.tenant or "none"), ("signed", "yes" if route.endpoint.secrets else "no"),
        ("timeout", f"{route.endpoint.timeout:g} s"), ("record", route.record),
    ]  # fmt: skip
    if route.mode == "control":
        found += [
            ("deadline", f"{route.deadline:g} s"), ("silence_timeout", f"{route.silence_timeout:g} s"),
            ("fallback.url", route.fallback.endpoint.shown if route.fallback.endpoint else "none"), ("scope", route.scope),
            ("allow", ", ".join(route.allow) or "none"),
            ("shadow", f"{route.shadow.share:.0%} to {route.shadow.endpoint.shown}" if route.shadow else "none"),
        ]  # fmt: skip
    else:
        found.append(("order", route.order))
    return found


def _alternatives(condition: Any) -> list[str]:
    if condition.args:
        return [" ".join("|".join(pattern.text for pattern in each) for each in condition.args)]
    return [pattern.text for pattern in condition.patterns]


def _policy(route: Any) -> list[tuple[str, str]]:
    found = msgspec.structs.asdict(route.policy)
    return [(name, ", ".join(value) if isinstance(value, tuple) else str(value)) for name, value in found.items()]


async def route_form(
    router: Router, request: Request, form: dict[str, str], access: Access, *, session: bool
) -> Response:
    """Begins a simulated call."""
    name, tries = request.path_params["name"], router.console.tries
    route = router.console.route(name, access)
    if route is None or tries is None or form.get("do") != "try":
        return await route_page(router, request, session=session, fault="This route cannot be tried.")
    try:
        number = tries.begin(route, form)
    except (ConfigurationError, ValueError) as error:
        return await route_page(router, request, session=session, fault=str(error), given=form)
    return RedirectResponse(f"/routes/{quote(name, safe='')}?try={number}#tried", 303)


# ---- logs


async def logs_page(router: Router, request: Request, *, session: bool) -> Response:
    access, fault = access_of(request), ""
    query = {name: value for name, value in request.query_params.items() if value}
    try:
        found, more = router.console.logs(query, access)
    except ValueError as error:
        found, more, fault = [], False, str(error)
    following = f"/logs?{urlencode({**query, 'before': found[-1].number})}" if more else ""
    return render(
        "logs.html", 422 if fault else 200, page="Logs", session=session, live=0 if "before" in query or fault else 2000,
        query=query, found=found, fault=fault, next=following, name=router.name, names=sorted({name for name, _ in NAMES.values()}),
        most=f"{MOST_FACTS:,}",
    )  # fmt: skip
