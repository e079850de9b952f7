"""Tokens of the control API: each sees what is its tenant's, and changes it only where it may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from rig.router import Router

from hookrouter.calls.call import Call
from hookrouter.config import Access
from hookrouter.delivery.queue import NewDelivery
from hookrouter.facts import CallFinished, CallStarted, Warned

NOWHERE = "http://127.0.0.1:9"
ROUTES = "".join(
    f'[[routes]]\nname = "{name}"\nurl = "{NOWHERE}"\ntenant = "{tenant}"\n'
    f'[[routes]]\nname = "{name}-crm"\nurl = "{NOWHERE}"\ntenant = "{tenant}"\nmode = "notify"\nevents = ["StasisStart"]\n'
    for name, tenant in (("ivr-a", "acme"), ("ivr-o", "other"))
)
ALL, ACME, OTHER, LOOK = (f"{name}-0123456789abcdef" for name in ("all", "acme", "other", "look"))
SERVER = f"""token = "{ALL}"
[[server.tokens]]
token = "{ACME}"
tenant = "acme"
[[server.tokens]]
token = "{OTHER}"
tenant = "other"
[[server.tokens]]
token = "{LOOK}"
access = "read"
"""


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    """With a call, a finished one, a delivery and a recording of each tenant."""
    async with Router(NOWHERE, "app", ROUTES, serve=True, extra=SERVER) as router:
        service = router.service
        for tenant, name in (("acme", "ivr-a"), ("other", "ivr-o")):
            call = Call(key=f"main/{tenant}", id=tenant, asterisk="main", app="app", route=name, tenant=tenant, started_at=1.0)
            service.runner.take_up(call, service.route_of(name, tenant))
            service.facts.emit(CallStarted(f"past-{tenant}", "main", "app", name, "4711", "1000"))
            service.facts.emit(CallFinished(f"past-{tenant}", "main", name, "hangup", 1.0, tenant))
            service.flow.know_recording("main", f"greeting-{tenant}", (tenant, call.maker))
            kept: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            new = NewDelivery(f"evt_{tenant}", f"{name}-crm", "StasisStart", b"{}", time.time(), tenant, "")
            service.store.add([new], kept.set_result)
            await kept
        yield router


def client(router: Router, token: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=router.service.address, headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("token", "sees"), [(ALL, {"acme", "other"}), (LOOK, {"acme", "other"}), (ACME, {"acme"}), (OTHER, {"other"})]
)
async def test_a_token_sees_what_is_its_tenants(router: Router, token: str, sees: set[str]) -> None:
    """Calls, those that are over, deliveries: what is not, is not there."""
    async with client(router, token) as web:
        assert {call["id"] for call in (await web.get("/v1/calls")).json()["calls"]} == sees
        assert {found["call"] for found in (await web.get("/v1/deliveries")).json()["deliveries"]} == sees
        page = (await web.get("/")).text
        for tenant in ("acme", "other"):
            status = 200 if tenant in sees else 404
            assert (await web.get(f"/v1/calls/{tenant}")).status_code == status
            assert (await web.get(f"/v1/calls/past-{tenant}")).status_code == status
            one = (await web.get("/v1/deliveries", params={"id": f"evt_{tenant}"})).json()["deliveries"]
            assert [found["call"] for found in one] == ([tenant] if tenant in sees else [])
            assert (f">{tenant}<" in page or f"/{tenant}" in page or tenant in page) is (tenant in sees)


@pytest.mark.parametrize(("token", "does"), [(ALL, ["acme", "other"]), (ACME, ["acme"]), (OTHER, ["other"])])
async def test_a_token_changes_what_is_its_tenants(router: Router, token: str, does: list[str]) -> None:
    """Another's call can neither be told what to do nor hung up, nor begun by a route of theirs, nor a delivery replayed."""
    async with client(router, token) as web:
        for tenant, name in (("acme", "ivr-a"), ("other", "ivr-o")):
            acted = await web.post(f"/v1/calls/{tenant}/actions", json=[{"action": "pause", "seconds": 60}])
            assert acted.status_code == (202 if tenant in does else 404)
            if tenant not in does:
                assert (await web.delete(f"/v1/calls/{tenant}")).status_code == 404
                begun = await web.post("/v1/calls", json={"to": "PJSIP/a", "route": name})
                assert begun.status_code == 422
                assert begun.json()["faults"][0]["place"] == "/route"
                assert name not in begun.json()["detail"].partition("known:")[2]
                replayed = await web.post(f"/v1/deliveries/evt_{tenant}/replay")
                assert replayed.json() == {"replayed": 0}


async def test_a_token_that_may_only_look_changes_nothing(router: Router) -> None:
    """Each way of changing something is refused as such."""
    async with client(router, LOOK) as web:
        for method, path in (
            ("POST", "/v1/calls"),
            ("POST", "/v1/calls/acme/actions"),
            ("DELETE", "/v1/calls/acme"),
            ("POST", "/v1/deliveries/evt_acme/replay"),
            ("POST", "/v1/deliveries/replay?all=true"),
        ):
            assert (await web.request(method, path)).status_code == 403


async def test_an_asterisk_is_moved_by_no_tenant(router: Router) -> None:
    """Nor by a token that may only look; who may is told that there is nobody to have it."""
    asked = [("GET", "/v1/cluster/main"), ("POST", "/v1/cluster/main/hand-over"), ("POST", "/v1/cluster/main/take")]
    for token, statuses in ((ACME, [403, 403, 403]), (LOOK, [409, 403, 403]), (ALL, [409, 409, 409])):
        async with client(router, token) as web:
            assert [(await web.request(method, path)).status_code for method, path in asked] == statuses
            assert (await web.post("/v1/cluster/other/hand-over")).status_code == (404 if token == ALL else 403)


async def test_a_token_gets_its_tenants_recordings(router: Router) -> None:
    """One that no call of ours has made is for who sees all: the others never have Asterisk asked."""
    service = router.service
    asked: list[str] = []

    class Fake:
        name = "main"

        async def download(self, path: str) -> int:
            asked.append(path)
            return 404

    service.clients["main"] = Fake()  # type: ignore[assignment]
    for name, access, reaches in (
        ("greeting-acme", Access("acme"), True),
        ("greeting-other", Access("acme"), False),
        ("before", Access("acme"), False),
        ("before", Access(), True),
    ):
        asked.clear()
        assert await service.recording("", name, access) == 404
        assert bool(asked) is reaches
    del service.clients["main"]


async def test_a_token_hears_of_its_tenants_calls(router: Router) -> None:
    """And of what is nobody's only where it sees all."""
    facts = [
        Warned("test", "of acme", "acme"),
        Warned("test", "of other", "other"),
        CallFinished("gone", "main", "ivr-a", "hangup", 1.0),
        Warned("test", "of nobody"),
    ]
    listeners = {token: router.service.listeners.add(access) for token, access in ((ALL, Access()), (ACME, Access("acme")))}
    for fact in facts:
        router.service._broadcast(fact)
    heard = {}
    for token, listener in listeners.items():
        assert listener is not None
        listener.end()
        heard[token] = [line async for line in _left(listener)]
    assert len(heard[ALL]) == 4
    assert len(heard[ACME]) == 2
    assert b"of acme" in heard[ACME][0]
    assert b"gone" in heard[ACME][1]


async def _left(listener: Any) -> AsyncIterator[bytes]:
    for line in list(listener._lines):
        yield line


def test_tokens_that_cannot_be_meant_are_faults() -> None:
    """None, twice the same, too short; a tenant that no route has is odd."""
    from pathlib import Path

    from hookrouter.config.loader import parse
    from hookrouter.errors import ConfigurationError

    head = '[asterisk.main]\npassword = "x"\n'
    for text, said in (
        ("[[server.tokens]]\ntenant = 'a'\n", "server.tokens[0].token: missing"),
        (f"[server]\ntoken = '{ALL}'\n[[server.tokens]]\ntoken = '{ALL}'\n", "server.tokens[0].token: is the same"),
        ("[[server.tokens]]\ntoken = 'short'\n", "server.tokens[0].token: has 5 characters"),
        ("[[server.tokens]]\ntoken = 'x'\naccess = 'all'\n", "server.tokens[0].access"),
    ):
        with pytest.raises(ConfigurationError) as fault:
            parse(head + text + ROUTES, {}, Path("routes.toml"))
        assert said in str(fault.value)
    odd = parse(f"{head}[[server.tokens]]\ntoken = '{ACME}'\ntenant = 'acmee'\n{ROUTES}", {}, Path("routes.toml"))
    assert any("no route has the tenant `acmee`, did you mean acme?" in warning for warning in odd.warnings)


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        (ALL, ["past-other", "past-acme"]),
        (ACME, ["past-acme"]),
        (OTHER, ["past-other"]),
        (LOOK, ["past-other", "past-acme"]),
    ],
)
async def test_recorded_calls_are_found_by_whom_they_belong_to(router: Router, token: str, seen: list[str]) -> None:
    """By a search, and each with all that is kept of it; a query that is wrong says so."""
    async with client(router, token) as http:
        found = (await http.get("/v1/calls", params={"caller": "4711", "since": "1h"})).json()["calls"]
        assert [call["id"] for call in found] == seen
        assert (found[0]["outcome"], found[0]["reason"], found[0]["ended"]) == ("good", "hangup", True)
        for tenant in ("acme", "other"):
            answer = await http.get(f"/v1/calls/past-{tenant}/record")
            assert answer.status_code == (200 if f"past-{tenant}" in seen else 404)
            if answer.status_code == 200:
                assert [entry["what"] for entry in answer.json()["entries"]] == ["CallStarted", "CallFinished"]
        assert (await http.get("/v1/calls", params={"since": "yesterday"})).status_code == 422
