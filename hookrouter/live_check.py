"""`hookrouter check --live`: asks every Asterisk and every endpoint, and says what is wrong with its remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import httpx
import msgspec

from hookrouter.ari.operations import operations
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config import Config
from hookrouter.delivery.envelope import Message, envelope, headers
from hookrouter.http import Http
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.timestamps import rfc3339_now

Say = Callable[[str], None]
_SANE_WRITE_TIMEOUT = 1000


async def check_live(config: Config, say: Say) -> bool:
    """Whether all is well; every finding is said."""
    http = Http()
    try:
        good = True
        for settings in config.asterisks:
            good = await _Asterisk(settings, http, say).check() and good
        for route in config.routes.routes:
            good = await _endpoint(route, http, say) and good
        return good
    finally:
        await http.close()


class _Asterisk:
    def __init__(self, settings: AsteriskSettings, http: Http, say: Say) -> None:
        self._settings = settings
        self._http = http
        self._say = say
        self._place = f"asterisk.{settings.name}"

    async def check(self) -> bool:
        settings, say = self._settings, self._say
        if not settings.url:
            say(f"{self._place}: mode listen without url: nothing can be asked before Asterisk connects")
            return True
        try:
            status, info = await self._get("/asterisk/info")
        except httpx.TransportError as error:
            say(f"{self._place}.url: {settings.url} does not answer ({error}): is http.conf enabled and bound there?")
            return False
        if status == 401:
            say(f"{self._place}.password: refused: is [{settings.username}] in ari.conf, with this password?")
            return False
        if status != 200:
            say(f"{self._place}.url: GET /ari/asterisk/info answered {status}: is res_ari loaded?")
            return False
        say(f"{self._place}: Asterisk {info.get('system', {}).get('version', '?')}, logged in as {settings.username}")
        good = await self._apps()
        await self._write_timeout()
        await self._missing()
        return good

    async def _apps(self) -> bool:
        if self._settings.mode == "listen":
            return True
        good = True
        for app in self._settings.apps:
            status, _ = await self._get(f"/applications/{app}")
            if status == 200:
                self._say(f"{self._place}.apps: `{app}` is already registered: another client has it, or a router runs")
                good = False
            else:
                self._say(f"{self._place}.apps: `{app}` is free")
        return good

    async def _write_timeout(self) -> None:
        path = "/asterisk/config/dynamic/ari/general/general"
        status, found = await self._get(path)
        if status != 200 or not isinstance(found, list):
            self._say(f"{self._place}: websocket_write_timeout cannot be asked; set it to at least 1000 in ari.conf")
            return
        value = next((item.get("value") for item in found if item.get("attribute") == "websocket_write_timeout"), "100")
        if int(value) < _SANE_WRITE_TIMEOUT:
            self._say(f"{self._place}: websocket_write_timeout is {value} ms; set at least 1000 in ari.conf")

    async def _missing(self) -> None:
        """Operations of ours that this Asterisk does not have."""
        there: set[str] = set()
        for resource in sorted({name.split(".")[0] for name in operations()}):
            status, document = await self._get(f"/api-docs/{resource}.json")
            if status != 200:
                return
            there |= {f"{resource}.{op['nickname']}" for api in document["apis"] for op in api.get("operations", [])}
        missing = sorted(set(operations()) - there)
        if missing:
            self._say(f"{self._place}: this Asterisk does not have {', '.join(missing)}")

    async def _get(self, path: str) -> tuple[int, Any]:
        import base64

        settings = self._settings
        token = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        reply = await self._http.send(
            "GET", f"{settings.url}/ari{path}", [("authorization", f"Basic {token}")], b"", timeout=5, limit=2**22
        )
        try:
            return reply.status, msgspec.json.decode(reply.body)
        except msgspec.DecodeError:
            return reply.status, {}


async def _endpoint(route: Route, http: Http, say: Say) -> bool:
    """Whether it answers, and whether it refuses what is signed with the wrong key."""
    place = f"routes[{route.index}].url"
    now = time.time()
    id = f"evt_check_{token_hex(8)}"
    body = envelope(id, "HookrouterCheck", rfc3339_now(now), b'{"type":"HookrouterCheck"}', None)
    message = Message(id, "HookrouterCheck", body, route.mode, route=route.name)
    try:
        status = await _post(http, route.endpoint, message, now)
    except httpx.TransportError as error:
        say(f"{place}: {route.url} does not answer: {error}")
        return False
    if status >= 400:
        say(f"{place}: {route.url} answered {status} to a signed test event")
        return False
    say(f"{place}: {route.url} answers ({status})")
    if not route.endpoint.secrets:
        say(
            f"routes[{route.index}].secret: none: anybody can send this endpoint events; `hookrouter sign --new-secret`"
        )
        return True
    wrong = msgspec.structs.replace(route.endpoint, secrets=(b"this is not the right key",))
    try:
        status = await _post(http, wrong, message, now)
    except httpx.TransportError:
        return True
    if status < 400:
        say(f"{place}: {route.url} also takes a wrong signature ({status}): it does not verify")
        return False
    return True


async def _post(http: Http, endpoint: Endpoint, message: Message, now: float) -> int:
    wanted = headers(endpoint, message, 1, now, int(endpoint.timeout * 1000))
    reply = await http.send("POST", endpoint.url, wanted, message.body, timeout=endpoint.timeout, limit=2**20)
    return reply.status
