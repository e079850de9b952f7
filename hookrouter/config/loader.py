"""routes.toml → `Config`, or every fault at once.

Rules: nothing is started and nothing changes while anything is wrong; each fault has its place and its remedy. Strings
take `${NAME}` and `${NAME:-default}` from the environment (`$$` is a dollar sign); a `*_file` key reads a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hookrouter.actions.decode import decode_steps
from hookrouter.actions.vocabulary import RESULTS
from hookrouter.ari.operations import event_types, operation, suggest
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.collecting import did_you_mean, faults, join
from hookrouter.config.shapes import AuthTable, File, RouteTableShape, StoreTable
from hookrouter.delivery.signing import parse_secret
from hookrouter.errors import AnswerRefused, ConfigurationError, Fault
from hookrouter.routing.conditions import Condition, Pattern, pattern, regex
from hookrouter.routing.endpoint import Auth, Endpoint, Fallback, Route
from hookrouter.routing.table import RouteTable

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{[^}]*\}?))")


class Server(msgspec.Struct, frozen=True):
    """Where our own HTTP listens. `token` empty: the control API is for this machine only."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""

    @property
    def loopback(self) -> bool:
        return self.host.startswith("127.") or self.host in ("localhost", "::1")


class SpeechSettings(msgspec.Struct, frozen=True):
    """How `say` becomes sound; see `[speech]`."""

    command: tuple[str, ...] = ()
    url: str = ""
    folder: str = ""
    asterisk_folder: str = ""
    base_url: str = ""
    timeout: float = 10.0


class Config(msgspec.Struct, frozen=True):
    """All that routes.toml says. `files`: what else was read, and is watched with it. `warnings`: no faults, but odd."""

    asterisks: tuple[AsteriskSettings, ...]
    server: Server
    routes: RouteTable
    speech: SpeechSettings | None = None
    store: StoreTable = StoreTable()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Reads routes.toml. Raises ConfigurationError with every fault."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        hint = "give another with -c, or start from the commented routes.toml of the project"
        raise ConfigurationError([Fault(str(path), f"no such file; {hint}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Fault(str(path), str(error))]) from None
    return parse(text, environ, path)


def parse(text: str, environ: Mapping[str, str], path: Path = Path("routes.toml")) -> Config:
    """The same from text. Raises ConfigurationError."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigurationError([Fault(str(path), f"not TOML: {error}")]) from None
    found: list[Fault] = []
    value = _fill_in(raw, environ, "", found)
    found.extend(faults(value, File, ""))
    builder = _Builder(path, found)
    if found:
        builder.look_at_actions(value)
        raise ConfigurationError(_ordered(found))
    config = builder.build(msgspec.convert(value, File))
    if found:
        raise ConfigurationError(_ordered(found))
    return config


def _ordered(found: list[Fault]) -> list[Fault]:
    return list(dict.fromkeys(found))


def _fill_in(value: Any, environ: Mapping[str, str], place: str, found: list[Fault]) -> Any:
    """Puts the environment into every string."""
    if isinstance(value, dict):
        return {key: _fill_in(item, environ, join(place, key), found) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, environ, f"{place}[{index}]", found) for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def put(match: re.Match[str]) -> str:
        name, default, odd = match.groups()
        if odd is not None:
            found.append(
                Fault(place, f"`${odd}` is no variable; write ${{NAME}} or ${{NAME:-default}}, or $$ for a dollar")
            )
        elif name is None:
            return "$"
        elif name in environ and (environ[name] or default is None):
            return environ[name]
        elif default is not None:
            return default
        else:
            found.append(
                Fault(place, f"${{{name}}} is not set in the environment; set it, or give ${{{name}:-a default}}")
            )
        return ""

    return _VARIABLE.sub(put, value)


class _Builder:
    """Turns checked shapes into values, and collects what only that can find."""

    def __init__(self, path: Path, found: list[Fault]) -> None:
        self._folder = path.parent
        self._found = found
        self._files: list[str] = []
        self._warnings: list[str] = []

    def fault(self, place: str, message: str) -> None:
        self._found.append(Fault(place, message))

    def look_at_actions(self, value: Any) -> None:
        """Where the file is wrong already, still tells what is wrong with the actions in it."""
        routes = value.get("routes") if isinstance(value, dict) else None
        for index, route in enumerate(routes if isinstance(routes, list) else []):
            if isinstance(route, dict):
                fallback = route.get("fallback")
                lists = {"while_waiting": route.get("while_waiting")}
                lists["fallback.actions"] = fallback.get("actions") if isinstance(fallback, dict) else None
                for key, actions in lists.items():
                    if isinstance(actions, list):
                        self._actions(actions, f"routes[{index}].{key}")

    def build(self, file: File) -> Config:
        asterisks = tuple(self._asterisk(name, table) for name, table in file.asterisk.items())
        if not asterisks:
            self.fault("asterisk", 'missing: add a table [asterisk.main] with url = "http://127.0.0.1:8088"')
        server = self._server(file)
        routes = [self._route(index, shape) for index, shape in enumerate(file.routes) if shape.enabled]
        self._names(routes)
        apps = {app for settings in asterisks for app in settings.apps}
        self._reach(routes, apps)
        if not any(route.mode == "control" for route in routes):
            self._warnings.append("no control route: every call is given back to the dialplan at once")
        speech = None
        if file.speech is not None:
            said = file.speech
            if (said.command is None) == (said.url is None):
                self.fault("speech", "give either `command` or `url`")
            speech = SpeechSettings(
                tuple(said.command or ()), said.url or "", said.folder or "", said.asterisk_folder or "",
                said.base_url or "", said.timeout,
            )  # fmt: skip
        return Config(
            asterisks, server, RouteTable(routes), speech, file.store, tuple(self._files), tuple(self._warnings)
        )

    # ---- tables ----

    def _asterisk(self, name: str, table: Any) -> AsteriskSettings:
        place = join("asterisk", name)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            self.fault(place, "a name has letters, digits, `_` and `-`, at most 64 of them")
        password = self._secret(place, "password", table.password, table.password_file)
        if password is None:
            self.fault(f"{place}.password", 'missing: give password = "${ARI_PASSWORD}" or password_file')
        url = table.url if table.url is not None else ("" if table.mode == "listen" else "http://127.0.0.1:8088")
        if url:
            self._url(f"{place}.url", url)
        return AsteriskSettings(
            name, url.rstrip("/").removesuffix("/ari"), table.username, password or "", tuple(table.apps), table.mode
        )

    def _server(self, file: File) -> Server:
        host, _, port = file.server.listen.rpartition(":")
        if not port.isdigit() or not 0 <= int(port) < 65536:
            self.fault("server.listen", f"`{file.server.listen}` is no address and port, such as 127.0.0.1:8080")
            port = "0"
        token = self._secret("server", "token", file.server.token, file.server.token_file) or ""
        server = Server(host.strip("[]") or "0.0.0.0", int(port), token)
        if not server.loopback and not token:
            self._warnings.append(
                "server.listen is open to others and server.token is not set: the control API serves this machine only"
            )
        return server

    def _secret(self, place: str, key: str, value: str | None, file: str | None) -> str | None:
        if value is not None and file is not None:
            self.fault(f"{place}.{key}_file", f"give either `{key}` or `{key}_file`")
        if file is None:
            return value
        path = self._folder / file
        self._files.append(str(path))
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            self.fault(f"{place}.{key}_file", f"cannot be read: {error}")
            return ""

    def _url(self, place: str, url: str) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:
            self.fault(place, f"`{url}` is no http:// or https:// URL")

    # ---- routes ----

    def _route(self, index: int, shape: RouteTableShape) -> Route:
        place = f"routes[{index}]"
        self._url(f"{place}.url", shape.url)
        if shape.timeout > shape.deadline:
            self.fault(
                f"{place}.timeout",
                f"{shape.timeout:g} s for one attempt is longer than the deadline of {shape.deadline:g} s for all",
            )
        for position, name in enumerate(shape.allow):
            if operation(name) is None:
                hint = f", did you mean {near}?" if (near := suggest(name)) else ""
                self.fault(f"{place}.allow[{position}]", f"Asterisk has no operation `{name}`{hint}")
        for position, url in enumerate(shape.allow_urls):
            self._url(f"{place}.allow_urls[{position}]", url)
        endpoint = Endpoint(
            shape.url,
            self._secrets(place, shape),
            self._headers(place, shape.headers),
            self._auth(place, shape.auth),
            shape.timeout,
            shape.format,
        )
        return Route(
            name=shape.name or f"route-{index + 1}",
            endpoint=endpoint,
            mode=shape.mode,
            events=self._events(place, shape.events),
            conditions=tuple(self._conditions(place, shape.match)),
            deadline=shape.deadline,
            fallback=self._fallback(place, shape, endpoint),
            while_waiting=self._actions(shape.while_waiting, f"{place}.while_waiting") or (),
            idle_timeout=shape.idle_timeout,
            scope=shape.scope,
            allow=tuple(shape.allow),
            allow_urls=tuple(shape.allow_urls),
            order=shape.order,
            adopt=shape.adopt,
            index=index,
        )

    def _secrets(self, place: str, shape: RouteTableShape) -> tuple[bytes, ...]:
        texts = [shape.secret] if isinstance(shape.secret, str) else list(shape.secret or [])
        from_file = self._secret(place, "secret", None if shape.secret is None else "", shape.secret_file)
        texts += (from_file or "").split()
        keys: list[bytes] = []
        for position, text in enumerate(texts):
            where = f"{place}.secret" if isinstance(shape.secret, str) else f"{place}.secret[{position}]"
            try:
                keys.append(parse_secret(text))
            except ValueError as error:
                self.fault(where, str(error))
        return tuple(keys)

    def _headers(self, place: str, headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
        for name, value in headers.items():
            where = join(f"{place}.headers", name)
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                self.fault(where, "is no header name")
            elif name.lower() in (
                "content-type",
                "content-length",
                "host",
                "transfer-encoding",
            ) or name.lower().startswith("webhook-"):
                self.fault(where, "is set by the router")
            if "\n" in value or "\r" in value or not value.isascii():
                self.fault(where, "a header's value is one line of ASCII")
        return tuple((name.lower(), value) for name, value in headers.items())

    def _auth(self, place: str, table: AuthTable | None) -> Auth | None:
        if table is None:
            return None
        needed = {
            "basic": ("username", "password"),
            "bearer": ("token",),
            "oauth2": ("token_url", "client_id", "client_secret"),
            "aws-sigv4": ("access_key_id", "secret_access_key", "region"),
        }[table.type]
        given = {
            field.name: getattr(table, field.name) for field in msgspec.structs.fields(table) if field.name != "type"
        }
        for name in needed:
            if given[name] is None:
                self.fault(f"{place}.auth.{name}", f'missing: type "{table.type}" needs it')
        options = tuple((name, value) for name, value in given.items() if value is not None)
        return Auth(table.type, table.username or "", table.password or "", table.token or "", options)

    def _events(self, place: str, names: list[str]) -> frozenset[str] | None:
        if "*" in names:
            return None
        known = {*event_types(), *RESULTS}
        for position, name in enumerate(names):
            if name not in known:
                hint = did_you_mean(name, known)
                hint = hint if hint.startswith(",") else "; see docs/routes.md for the types"
                self.fault(f"{place}.events[{position}]", f"no event type `{name}`{hint}")
        return frozenset(names)

    def _conditions(self, place: str, match: dict[str, Any]) -> Iterator[Condition]:
        for key, value in match.items():
            where = join(f"{place}.match", key)
            if key == "args":
                wanted = value if isinstance(value, list) else [value]
                yield Condition(key, args=tuple(self._patterns(item, f"{where}[{i}]") for i, item in enumerate(wanted)))
            elif isinstance(value, dict) and set(value) != {"regex"}:
                known = ", ".join(sorted(value))
                self.fault(where, f"expected a value, a list of values or {{regex = …}}, got a table with {known or 'nothing'}; "
                           "a path is one key in quotes, such as \"channel.caller.number\"")  # fmt: skip
            else:
                yield Condition(key, self._patterns(value, where))

    def _patterns(self, value: Any, place: str) -> tuple[Pattern, ...]:
        if isinstance(value, list):
            return tuple(found for i, item in enumerate(value) for found in self._patterns(item, f"{place}[{i}]"))
        if isinstance(value, dict):
            if set(value) == {"regex"} and isinstance(value["regex"], str):
                try:
                    return (regex(value["regex"]),)
                except ValueError as error:
                    self.fault(place, str(error))
                    return ()
        elif isinstance(value, str | int | float | bool):
            return (pattern(value),)
        self.fault(place, 'expected a string, a number, true or false, a list of them, or {regex = "…"}')
        return ()

    def _fallback(self, place: str, shape: RouteTableShape, endpoint: Endpoint) -> Fallback:
        table = shape.fallback
        if table is None:
            return Fallback()
        target = None
        if table.url is not None:
            self._url(f"{place}.fallback.url", table.url)
            target = msgspec.structs.replace(endpoint, url=table.url)
        actions = None
        if table.actions is not None:
            actions = self._actions(table.actions, f"{place}.fallback.actions")
        return Fallback(target, actions)

    def _actions(self, actions: list[Any], place: str) -> tuple[bytes, ...] | None:
        try:
            return tuple(step.raw for step in decode_steps(msgspec.json.encode(actions)))
        except AnswerRefused as refused:
            for fault in refused.faults:
                self.fault(place + _as_path(fault.place), fault.message)
            return None

    def _names(self, routes: list[Route]) -> None:
        seen: dict[str, int] = {}
        for route in routes:
            if route.name in seen:
                self.fault(
                    f"routes[{route.index}].name", f"`{route.name}` is the name of routes[{seen[route.name]}] too"
                )
            seen.setdefault(route.name, route.index)

    def _reach(self, routes: list[Route], apps: set[str]) -> None:
        """Warns of control routes that never get a call."""
        taker: Route | None = None
        for route in routes:
            for condition in route.conditions:
                if condition.key == "app" and not any(condition.holds_for(app) for app in apps):
                    self._warnings.append(
                        f"routes[{route.index}].match.app names none of the apps ({', '.join(sorted(apps))})"
                    )
            if route.mode != "control":
                continue
            if taker is not None:
                self._warnings.append(
                    f"routes[{route.index}] ({route.name}) never gets a call: routes[{taker.index}] ({taker.name}) takes all before it"
                )
            elif not route.conditions:
                taker = route


def _as_path(pointer: str) -> str:
    """`/2/media` as `[2].media`."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in pointer.split("/")[1:])
