"""What a router has not got is asked of those that own something, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hookrouter.cluster.peers import Peers
from hookrouter.cluster.terms import Lease
from hookrouter.errors import NotHere
from hookrouter.http.client import Http
from hookrouter.web.passing import Handler, passing, told_to_all

Answer = Callable[[httpx.Request], httpx.Response]


class Here:
    """A router among the owners `b` and `c`. `answers`: theirs, by name and method; `asked`: what came to them."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        http = Http(transport=httpx.MockTransport(self._answer))
        leases = [Lease(f"of-{name}", 7, name, name, f"http://{name}", 3.0) for name in "bc"]
        self.peers = Peers(http, http, lambda: leases, list, shared=True)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        self.asked.append(f"{name} {request.method} {request.url.raw_path.decode()}")
        assert request.headers["hookrouter-passed"] == "1"
        found = self.answers.get(f"{name}_{request.method.lower()}", self.answers.get(name, 404))
        if isinstance(found, type):
            raise found("no")
        if isinstance(found, int):
            return httpx.Response(found, json={"by": name})
        assert isinstance(found, httpx.Response)
        return found

    async def ask(
        self, handler: Handler, method: str = "GET", headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        routes = [Route("/calls/{id}", passing(self, handler, **options), methods=["GET", "POST", "DELETE"])]
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, "/calls/1%20%232?step=3", headers=headers)


def says(status: int) -> Handler:
    async def handler(request: Request) -> Response:
        return JSONResponse({"by": "here"}, status)

    return handler


async def not_mine(request: Request) -> Response:
    raise NotHere("another router's")


async def test_what_is_here_is_asked_of_nobody() -> None:
    """Whatever the answer is, but 404."""
    here = Here(b=200)
    assert [(await here.ask(says(status))).json() for status in (200, 422, 500)] == [{"by": "here"}] * 3
    assert here.asked == []


async def test_what_is_not_here_comes_from_who_has_it() -> None:
    """By the path and query as they came."""
    here = Here(c=200)
    found = await here.ask(says(404))
    assert (found.status_code, found.json()) == (200, {"by": "c"})
    assert sorted(here.asked) == [f"{name} GET /calls/1%20%232?step=3" for name in "bc"]


@pytest.mark.parametrize("handler", [says(404), not_mine], ids=["404", "not here"])
async def test_what_came_from_a_router_goes_no_further(handler: Handler) -> None:
    """Nothing goes round."""
    here = Here(b=200)
    found = await here.ask(handler, headers={"hookrouter-passed": "1"})
    assert found.status_code in (404, 503)
    assert here.asked == []


@pytest.mark.parametrize(
    ("answers", "status"),
    [({}, 404), ({"b": 503}, 503), ({"b": httpx.ReadError}, 503), ({"b": 503, "c": 401}, 401)],
)
async def test_where_nobody_has_it_it_is_said_whether_all_have_answered(answers: dict[str, Any], status: int) -> None:
    """503 with the owners: it may be with who is silent."""
    found = await Here(**answers).ask(says(404))
    assert found.status_code == status
    if status == 503:
        assert [owner["router"] for owner in found.json()["owners"]] == ["b", "c"]
        assert "b does not answer" in found.json()["detail"]


async def test_who_has_it_is_found_out_before_anything_is_done() -> None:
    """Two Asterisks may have given one id: one call is hung up."""
    here = Here(b_get=404, c_get=200, b=204, c=204)
    assert (await here.ask(says(404), "DELETE")).status_code == 204
    assert sorted(here.asked) == ["b GET /v1/calls/1%20%232", "c DELETE /calls/1%20%232?step=3", "c GET /v1/calls/1%20%232"]
    here = Here(b=404, c=503)
    assert (await here.ask(says(404), "DELETE")).status_code == 503
    assert not [asked for asked in here.asked if "DELETE" in asked]


@pytest.mark.parametrize(
    ("first", "status", "asked"),
    [(201, 201, "b"), (404, 201, "bc"), (503, 201, "bc"), (422, 422, "b"), (500, 500, "b"), (httpx.ConnectError, 201, "bc"),
     (httpx.ReadError, 503, "b")],
)  # fmt: skip
async def test_a_new_call_is_asked_for_once(first: Any, status: int, asked: str) -> None:
    """One owner after another, and no further one where the call may be under way."""
    here = Here(b=first, c=201)
    assert (await here.ask(not_mine, "POST", in_turn=True)).status_code == status
    assert [one[0] for one in here.asked] == list(asked)


async def test_the_one_to_ask_goes_before_who_only_knows_of_it() -> None:
    """A router that has the call in hand answers; where nobody has, this one says what it knows."""

    async def elsewhere(request: Request) -> bool:
        return False

    here = Here(c=200)
    assert (await here.ask(says(200), here=elsewhere)).json() == {"by": "c"}
    here.answers = {}
    assert (await here.ask(says(200), here=elsewhere)).json() == {"by": "here"}
    assert (await here.ask(says(200), headers={"hookrouter-passed": "1"}, here=elsewhere)).status_code == 404
    here.answers = {"b": 503}
    assert (await here.ask(says(200), here=elsewhere)).json() == {"by": "here"}
    assert (await here.ask(says(404), here=elsewhere, absent=lambda request, silent: Response(silent[0]))).text == "b"


@pytest.mark.parametrize(
    ("to", "kept"), [("/calls/1?done=hangup", True), ("//elsewhere.example", False), ("https://elsewhere.example", False)]
)
async def test_a_redirect_stays_here(to: str, kept: bool) -> None:
    """Where another router sends a browser is a page of ours."""
    here = Here(b=httpx.Response(303, headers={"location": to, "set-cookie": "x=y", "retry-after": "1"}))
    found = await here.ask(says(404))
    assert found.headers.get("location") == (to if kept else None)
    assert "set-cookie" not in found.headers
    assert found.headers["retry-after"] == "1"


async def test_what_is_for_each_router_is_told_to_each() -> None:
    """And those that were not told are named; who was told by a router tells nobody."""
    here = Here(b=303, c=500)
    here.peers.running = here.peers.owning

    async def handler(request: Request) -> Response:
        return JSONResponse(await told_to_all(here, request))

    assert (await here.ask(handler, "POST")).json() == ["c"]
    assert (await here.ask(handler, "POST", {"hookrouter-passed": "1"})).json() == []
    assert len(here.asked) == 2
