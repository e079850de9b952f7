"""Asks one Asterisk over ARI whether the router can work with it.

Rules: nothing that is asked changes anything. That a user may write is asked by hanging up a channel that cannot exist: 403 says
that the user is read-only, 404 that it is not. That an Asterisk of several routers makes users, or one of mode invite takes an
invitation, can only be told by making such an object: it has a random name, and is taken away at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from hookrouter.ari.dynamic import object_body, object_path
from hookrouter.ari.invitation import SORCERY as INVITING
from hookrouter.ari.invitation import invited_name
from hookrouter.ari.operations import operations
from hookrouter.ari.owner import SORCERY, owner_name, owner_path, user_fields
from hookrouter.ari.reasons import basic
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.versions import OUTBOUND_SOCKET, REQUESTS_ON_SOCKET, version_of
from hookrouter.checking import modules
from hookrouter.checking.findings import Findings
from hookrouter.checking.outbound import Outbound, check_outbound
from hookrouter.cluster.leases import NOBODY
from hookrouter.config import Config
from hookrouter.http.client import Http, TooLarge
from hookrouter.speech.speech import from_folder

_SANE_WRITE_TIMEOUT = 1000
_CONNECTED = "connected"
_NOT_LOADED = (
    f" With a section outbound_websocket in ari.conf it loads only in {OUTBOUND_SOCKET}; for an older one, take the "
    'section out and say mode = "connect"'
)
_WHY_NOT = {
    "unauthorized": "it came with another user or password",
    "wrong_app": "it came with an app that routes.toml does not name",
}


class AsteriskCheck:
    """`running`: what the router that runs says of its Asterisks; None where none does."""

    def __init__(
        self,
        settings: AsteriskSettings,
        config: Config,
        http: Http,
        findings: Findings,
        running: Mapping[str, str] | None,
    ) -> None:
        self._settings = settings
        self._config = config
        self._http = http
        self._findings = findings
        self._running = running
        self._place = f"asterisk.{settings.name}"

    async def check(self, *, files: bool) -> bool:
        """`files`: Asterisk's configuration files are looked at besides, and need not be asked for.

        False: this Asterisk is known to be too old for a socket of its own.
        """
        self._entered()
        if not self._settings.url:
            self._findings.not_asked(
                self._place,
                "version, user, modules and settings: mode listen without `url`; give the url of Asterisk's HTTP server",
            )
            return True
        version = await self._login()
        if version is None:
            return True
        opens = self._age(version)
        await self._may_write()
        await self._write_timeout()
        await self._modules(opens)
        await self._missing_operations()
        await self._apps(opens)
        if self._config.cluster != NOBODY and self._settings.mode != "listen":
            await self._fence()
        if self._settings.mode == "invite" and opens:
            await self._invitation()
        if self._settings.mode == "listen" and opens and not files:
            await self._outbound()
        return opens

    def _entered(self) -> None:
        """Whether the running router has it: the one thing that only the router can tell."""
        state = None if self._running is None else self._running.get(self._settings.name)
        if state == _CONNECTED:
            self._findings.right(self._place, "the router that runs is connected to it")
        elif self._running is not None and state is None:
            self._findings.wrong(
                self._place, "the router that runs does not know it: restart it with this configuration"
            )
        elif self._settings.mode == "listen":
            self._not_entered(state)
        elif state is not None:
            self._findings.wrong(self._place, f"the router that runs is not connected to it: {state}")

    def _not_entered(self, state: str | None) -> None:
        place = f"{'wss' if self._config.server.certificate else 'ws'}://{self._config.server.host}:{self._config.server.port}/ari/{self._settings.name}"
        if state is None:
            self._findings.not_asked(
                self._place, f"whether Asterisk gets in at {place}: no router runs there; start `hookrouter serve`"
            )
            return
        why = _WHY_NOT.get(state, state)
        self._findings.wrong(
            self._place,
            f"the router runs, but Asterisk has not come in at {place} ({why}): compare uri, username and password in "
            "websocket_client.conf, and see Asterisk's log",
        )

    async def _login(self) -> str | None:
        """Its version; None where there is no use in asking on."""
        settings, findings = self._settings, self._findings
        try:
            status, info = await self._ask("GET", "/asterisk/info")
        except (httpx.TransportError, TooLarge) as error:
            findings.wrong(
                f"{self._place}.url", f"{settings.url} does not answer ({error}): is http.conf enabled and bound there?"
            )
            return None
        if status in (401, 403):
            findings.wrong(
                f"{self._place}.password", f"refused: is [{settings.username}] in ari.conf, with this password?"
            )
        elif status != 200 or not isinstance(info, dict) or "system" not in info:
            findings.wrong(
                f"{self._place}.url", f"GET {settings.url}/ari/asterisk/info answered {status}: is res_ari loaded, and is "
                f"this Asterisk's HTTP server?{_NOT_LOADED if settings.mode == 'listen' else ''}"
            )  # fmt: skip
        else:
            version = str(info["system"].get("version", "?"))
            entrances = " or ".join(f"Stasis({app})" for app in settings.apps)
            findings.right(
                self._place, f"Asterisk {version}, logged in as {settings.username}; calls come by {entrances}"
            )
            return version
        return None

    def _age(self, text: str) -> bool:
        """What this version is too old for; whether it can open a socket to us."""
        version, mode = version_of(text), self._settings.mode
        if not REQUESTS_ON_SOCKET.there(version):
            self._findings.note(
                self._place,
                f"it answers no requests on its event socket, which takes {REQUESTS_ON_SOCKET}: they go over HTTP",
            )
        opens = OUTBOUND_SOCKET.there(version)
        if mode != "connect" and not opens:
            self._findings.wrong(
                f"{self._place}.mode",
                f"mode {mode} needs {OUTBOUND_SOCKET}, and this is {text}: it cannot connect to the router; say mode = "
                '"connect"',
            )
        return opens

    async def _may_write(self) -> None:
        place = f"{self._place}.username"
        status, _ = await self._ask("DELETE", f"/channels/hookrouter-check-{token_hex(8)}")
        if status == 403:
            self._findings.wrong(
                place,
                f"{self._settings.username} is read-only: it may listen, and every action would be refused; "
                "set read_only = no in ari.conf",
            )
        elif status != 404:
            self._findings.not_asked(
                place, f"whether it may write: hanging up a channel that is not there said {status}"
            )

    async def _write_timeout(self) -> None:
        place = f"{self._place}: websocket_write_timeout"
        found = await self._dynamic("res_ari", "general", "general")
        if found is None:
            self._findings.not_asked(place, "this Asterisk does not tell; set at least 1000 in ari.conf")
            return
        value = found.get("websocket_write_timeout", "100")
        if not value.isdigit() or int(value) < _SANE_WRITE_TIMEOUT:
            self._findings.note(
                place, f"{value} ms: at the first hiccup Asterisk drops the connection; set at least 1000 in ari.conf"
            )

    async def _modules(self, opens: bool) -> None:
        place = f"{self._place}: modules"
        status, found = await self._ask("GET", "/asterisk/modules")
        if status != 200 or not isinstance(found, list):
            self._findings.not_asked(place, f"GET /asterisk/modules answered {status}")
            return
        running = {str(one.get("name", "")).removesuffix(".so") for one in found if one.get("status") == "Running"}
        needed = list(modules.ALWAYS)
        if self._settings.mode != "connect" and opens:
            needed += modules.FOR_LISTENING
        if self._config.speech is not None and not from_folder(self._config.speech):
            needed += modules.FOR_SPEECH_OVER_HTTP
        if absent := modules.missing(needed, running):
            loads = ", ".join(f"`module load {name}.so`" for name in absent[:3])
            self._findings.wrong(place, f"{', '.join(absent)} not running: {loads}, and see modules.conf")
        for feature, lacking in modules.missing_features(running):
            self._findings.note(place, f"{feature} will fail: {', '.join(lacking)} not running")

    async def _missing_operations(self) -> None:
        """Operations of ours that this Asterisk does not have."""
        there: set[str] = set()
        for resource in sorted({name.split(".")[0] for name in operations()}):
            status, document = await self._ask("GET", f"/api-docs/{resource}.json")
            if status != 200 or not isinstance(document, dict):
                self._findings.not_asked(f"{self._place}: operations", f"/api-docs/{resource}.json answered {status}")
                return
            there |= {
                f"{resource}.{found['nickname']}"
                for api in document.get("apis", ())
                for found in api.get("operations", ())
            }
        if missing := sorted(set(operations()) - there):
            verbs = " and the verb `progress`" if "channels.progress" in missing else ""
            self._findings.note(
                f"{self._place}: operations",
                f"this Asterisk does not have {', '.join(missing)}: as actions they{verbs} fail with `not_supported`",
            )

    async def _apps(self, opens: bool) -> None:
        """What Asterisk knows of the apps. It does not tell whose they are, nor whether their socket is open."""
        place = f"{self._place}.apps"
        status, found = await self._ask("GET", "/applications")
        if status != 200 or not isinstance(found, list):
            self._findings.not_asked(place, f"GET /applications answered {status}")
            return
        known = {str(one.get("name")) for one in found}
        ours = self._running is not None and self._running.get(self._settings.name) == _CONNECTED
        for app in self._settings.apps:
            if self._settings.mode == "listen" and app not in known and opens:
                self._findings.wrong(
                    place,
                    f"Asterisk has no outbound_websocket for `{app}`: add it to `apps` of that section in ari.conf",
                )
            elif ours and app not in known:
                self._findings.wrong(
                    place, f"Asterisk does not know `{app}`: the router that runs has other apps; restart it"
                )
            elif self._settings.mode == "connect" and app in known and not ours:
                self._findings.note(
                    place,
                    f"Asterisk knows `{app}` already. Perhaps a router was connected before; if another program has it "
                    "now, `hookrouter serve` takes it away",
                )
        if others := sorted(known - set(self._settings.apps)):
            self._findings.note(place, f"Asterisk also has {', '.join(others)}: not in routes.toml")

    async def _fence(self) -> None:
        """What holds a router back that another one has taken this Asterisk over from."""
        place, owner = f"{self._place}: several routers", owner_name(self._settings)
        status, _ = await self._ask("GET", owner_path(owner))
        if status != 200:
            status = await self._made("user", f"hookrouter-check-{token_hex(8)}", user_fields(token_hex(16)))
        if status == 200:
            self._findings.right(
                place, f"a router that was taken over is refused: only the owner knows the password of {owner}"
            )
        elif status == 403:
            self._findings.note(
                place,
                "a router that was taken over is held back by its own clock only, as this Asterisk keeps no users in memory: "
                f"add to sorcery.conf, and restart Asterisk: {', '.join(SORCERY.split())}",
            )
        elif status == 404:
            self._findings.note(
                place,
                "a router that was taken over is held back by its own clock only: this Asterisk cannot keep users in "
                f"memory, which takes {OUTBOUND_SOCKET}",
            )
        else:
            self._findings.not_asked(place, f"making a user answered {status}")

    async def _invitation(self) -> None:
        """Whether it takes an address to connect to: both objects, without the reload that would make it look at them."""
        place, name = f"{self._place}: mode invite", invited_name(self._settings.apps[0])
        trial = f"hookrouter-check-{token_hex(8)}"
        there = {"uri": "ws://127.0.0.1:9/", "protocols": "ari"}
        leads = {"websocket_client_id": trial, "apps": trial, "local_ari_user": self._settings.username}
        status, _ = await self._ask("GET", object_path("outbound_websocket", name))
        if status != 200:
            status = await self._made(
                "websocket_client", trial, object_body(there), [("outbound_websocket", object_body(leads))]
            )
        if status == 200:
            self._findings.right(place, "it can be told where to connect to")
        elif status == 403:
            lines = "; ".join(f"[{section}] {', '.join(lines)}" for section, lines in INVITING.items())
            self._findings.wrong(
                place,
                "it cannot be told where to connect to, as it keeps no such thing in memory: have `hookrouter setup` add to "
                f"sorcery.conf, and restart Asterisk: {lines}",
            )
        else:
            self._findings.not_asked(place, f"telling it where to connect to answered {status}")

    async def _made(self, kind: str, name: str, body: bytes, more: Sequence[tuple[str, bytes]] = ()) -> int:
        """Makes an object, and `more` of that name while it is there, and takes them away: 200, or why one was not made."""
        path = object_path(kind, name)
        status, _ = await self._ask("PUT", path, body)
        if status == 200:
            for another, fields in more:
                status = await self._made(another, name, fields)
            await self._ask("DELETE", path)
        return status

    async def _outbound(self) -> None:
        """Its own socket to us; Asterisk tells of a section only who knows its name."""
        for name in dict.fromkeys(_likely_names(self._settings)):
            socket = await self._dynamic("res_ari", "outbound_websocket", name)
            if socket is None:
                continue
            client = await self._dynamic(
                "res_websocket_client", "websocket_client", socket.get("websocket_client_id", "-")
            )
            user = await self._dynamic("res_ari", "user", socket.get("local_ari_user", "-"))
            check_outbound(self._settings, Outbound(f"ari.conf [{name}]", socket, client, user), self._findings)
            return
        self._findings.not_asked(
            f"{self._place}: ari.conf, websocket_client.conf",
            "Asterisk lists no sections; give --asterisk-config /etc/asterisk to have them read",
        )

    async def _dynamic(self, config: str, kind: str, id: str) -> dict[str, str] | None:
        path = f"/asterisk/config/dynamic/{config}/{kind}/{quote(id, safe='')}"
        status, found = await self._ask("GET", path)
        if status != 200 or not isinstance(found, list):
            return None
        return {str(one.get("attribute")): str(one.get("value")) for one in found}

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        settings = self._settings
        headers = [basic(settings.username, settings.password)]
        if body:
            headers.append(("content-type", "application/json"))
        reply = await self._http.send(
            method, f"{settings.url.rstrip('/')}/ari{path}", headers, body, timeout=5, limit=2**22, trust=settings.trust,
        )  # fmt: skip
        try:
            return reply.status, msgspec.json.decode(reply.body)
        except msgspec.DecodeError:
            return reply.status, None


def _likely_names(settings: AsteriskSettings) -> list[str]:
    """What README and docs call the section, and what comes to mind."""
    return [
        "to-hookrouter", "hookrouter", settings.name, *settings.apps, *(f"out-{app}" for app in settings.apps),
        *(f"to-{app}" for app in settings.apps),
    ]  # fmt: skip
