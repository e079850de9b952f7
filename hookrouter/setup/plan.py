"""What is missing in an Asterisk's configuration folder, as text to be added at the end of its files.

Rules: nothing of what is there is changed or taken away, so a file begins with what it was. What only a human can decide is
an obstacle, with the remedy. What would be added is read again, together with the rest, as Asterisk reads it; where it would
not be read (a file ends within a comment, nothing includes it) nothing is added at all, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hookrouter.ari.invitation import SORCERY
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.versions import OUTBOUND_SOCKET
from hookrouter.checking import asterisk_files as files
from hookrouter.checking import modules
from hookrouter.checking.outbound import is_on
from hookrouter.errors import Fault
from hookrouter.setup.styles import Style
from hookrouter.text.conf import section_fault, value_fault, written

_NOTE = "; for hookrouter\n"
_WRITE_TIMEOUT, _SANE_WRITE_TIMEOUT = 5000, 1000
_ALSO = ("res_ari_model", "res_stasis_snoop", "pbx_config")
"""What those of `modules.ALWAYS` are built on; loaded by themselves unless modules.conf has autoload = no."""

_MODULES = [
    f"/usr/lib{part}/asterisk/modules" for part in ("", "64", *(f"/{name}-linux-gnu" for name in ("x86_64", "aarch64")))
]
_DIALLED = re.compile(r"[+*#0-9]+")
_UNREAD = (
    "what is missing would not be read at its end: does it end within a comment (`;--`) or a template, or does no file "
    "include it? Mend that first; nothing is added to any file"
)


@dataclass(frozen=True)
class Wanted:
    """What the folder is to offer. `uri`: where Asterisk connects to in mode listen. `contexts`: where `number` is dialled."""

    settings: AsteriskSettings
    uri: str
    number: str
    contexts: tuple[str, ...] = ()

    @property
    def app(self) -> str:
        return self.settings.apps[0]

    @property
    def entrance(self) -> str:
        """The context that hands calls to the router."""
        return f"to-{self.app}"


@dataclass
class Plan:
    """`before` and `after`: file → its text, of the files that are added to; None: there is no such file."""

    before: dict[str, str | None] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    obstacles: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class _Addition:
    file: str
    text: str


_Found = Iterator[_Addition | Fault]


def plan(folder: Path, style: Style, wanted: Wanted) -> Plan:
    """What `folder` lacks. Raises OSError where it cannot be read."""
    if faults := [*_unfit(wanted), *_too_old(folder, wanted.settings.mode)]:
        return Plan(obstacles=faults)
    additions = [one for one in _Looking(folder, style, wanted, {}).all() if isinstance(one, _Addition)]
    while True:
        before = {one.file: files.read_text(folder, one.file) for one in additions}
        after = {
            name: _added(text, [one.text for one in additions if one.file == name]) for name, text in before.items()
        }
        again = list(_Looking(folder, style, wanted, after).all())
        obstacles = [one for one in again if isinstance(one, Fault)]
        missing = [one for one in again if isinstance(one, _Addition)]
        if not missing:
            return Plan(before, after, obstacles)
        if unread := {one.file for one in missing} & after.keys():
            return Plan(obstacles=[*obstacles, *(Fault(name, _UNREAD) for name in sorted(unread))])
        additions += missing


def _unfit(wanted: Wanted) -> Iterator[Fault]:
    """What cannot be written in Asterisk's files, each at the place that says it."""
    settings = wanted.settings
    table = f"asterisk.{settings.name}"
    names = [(f"{table}.username", settings.username), *((f"{table}.apps", app) for app in settings.apps)]
    for place, name in [*names, *(("--context", context) for context in wanted.contexts)]:
        if fault := section_fault(name):
            yield Fault(place, fault)
    if not _DIALLED.fullmatch(wanted.number):
        yield Fault("--number", f"`{wanted.number[:40]}` is no number to dial: give digits, `*`, `#` and `+`")
    for place, value in ((f"{table}.password", settings.password), ("server.listen", wanted.uri)):
        if fault := value_fault(value):
            yield Fault(place, fault)


def _too_old(folder: Path, mode: str) -> Iterator[Fault]:
    """An Asterisk that opens no sockets is known by its modules, where they are on this machine."""
    directories = (files.read_sections(folder, "asterisk.conf") or {}).get("directories")
    named = "" if directories is None else directories.get("astmoddir")
    guessed = _MODULES if folder.resolve() == Path("/etc/asterisk") else ()
    for place in [named] if named else guessed:
        there = Path(place)
        if mode != "connect" and (there / "res_ari.so").exists() and not (there / "res_websocket_client.so").exists():
            yield Fault(
                str(folder),
                f"mode {mode} needs {OUTBOUND_SOCKET}: {there} has no res_websocket_client.so. Use mode connect",
            )


def _added(before: str | None, blocks: list[str]) -> str:
    text = before or ""
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{'' if not text else chr(10)}{_NOTE}{block}" for block in blocks)


class _Looking:
    """One look at the folder, with `texts` in the place of its files."""

    def __init__(self, folder: Path, style: Style, wanted: Wanted, texts: files.Texts) -> None:
        self._folder, self._style, self._wanted, self._texts = folder, style, wanted, texts
        self._settings = wanted.settings

    def all(self) -> _Found:
        ari = self._read("ari.conf")
        yield from self._http()
        yield from self._ari(ari)
        yield from self._user(ari)
        if self._settings.mode == "listen":
            yield from self._socket(ari)
        elif self._settings.mode == "invite":
            yield from self._sorcery(ari)
        yield from self._dialplan()
        yield from self._modules()

    def _read(self, name: str) -> dict[str, files.Section]:
        return files.read_sections(self._folder, name, self._texts) or {}

    def _http(self) -> _Found:
        general = self._read("http.conf").get("general")
        lines = []
        if general is None or not is_on(general.get("enabled", "no")):
            lines.append("enabled = yes")
        if general is None or not general.get("bindaddr"):
            lines.append("bindaddr = 127.0.0.1")
        if lines:
            yield _Addition(self._style.http, _section("general", general, lines))

    def _ari(self, ari: dict[str, files.Section]) -> _Found:
        general = ari.get("general")
        lines = []
        if general is None or not is_on(general.get("enabled", "yes")):
            lines.append("enabled = yes")
        timeout = "" if general is None else general.get("websocket_write_timeout")
        if not timeout.isdecimal() or int(timeout) < _SANE_WRITE_TIMEOUT:
            lines.append(f"websocket_write_timeout = {_WRITE_TIMEOUT}")
        if lines:
            text = _lines(lines) if self._style.freepbx else _section("general", general, lines)
            yield _Addition(self._style.ari, text)

    def _user(self, ari: dict[str, files.Section]) -> _Found:
        name, password = self._settings.username, written(self._settings.password)
        user = ari.get(name)
        if user is None:
            lines = ["type = user", "read_only = no", f"password = {password}"]
            yield _Addition(self._style.users, _section(name, None, lines))
        elif user.get("type") != "user":
            yield Fault(user.place(), f"[{name}] is no user (type = {user.get('type')}): give another name with --user")
        else:
            lines = ["read_only = no"] if is_on(user.get("read_only", "no")) else []
            if not user.get("password"):
                lines.append(f"password = {password}")
            elif user.get("password_format", "plain") == "plain" and user.get("password") != self._settings.password:
                yield Fault(
                    user.place("password"),
                    f"the password of [{name}] differs from asterisk.{self._settings.name}.password of routes.toml: make "
                    "them the same",
                )
            if lines:
                yield _Addition(self._style.users, _section(name, user, lines))

    def _socket(self, ari: dict[str, files.Section]) -> _Found:
        app = self._wanted.app
        socket = next((one for one in ari.values() if _leads_out(one) and app in _names(one.get("apps"))), None)
        name, client = self._wanted.entrance, f"{app}-client"
        if socket is not None:
            client = socket.get("websocket_client_id")
        elif taken := ari.get(name):
            yield Fault(taken.place(), f"[{name}] is there already, and does not lead `{app}` out: name it otherwise")
            return
        else:
            lines = [
                "type = outbound_websocket", f"websocket_client_id = {client}", f"apps = {','.join(self._settings.apps)}",
                f"local_ari_user = {self._settings.username}", "subscribe_all = no",
            ]  # fmt: skip
            yield _Addition(self._style.users, _section(name, None, lines))
        if client in self._read("websocket_client.conf"):
            return
        if fault := section_fault(client):
            yield Fault("ari.conf", f"websocket_client_id: {fault}")
            return
        tls = "yes" if self._wanted.uri.startswith("wss:") else "no"
        lines = [
            "type = websocket_client", f"uri = {written(self._wanted.uri)}", "protocols = ari",
            f"username = {self._settings.username}", f"password = {written(self._settings.password)}",
            "connection_type = persistent", "connection_timeout = 1000", "reconnect_interval = 500",
            "reconnect_attempts = 10", f"tls_enabled = {tls}",
        ]  # fmt: skip
        yield _Addition("websocket_client.conf", _section(client, None, lines))

    def _sorcery(self, ari: dict[str, files.Section]) -> _Found:
        """What makes Asterisk keep in memory what the router tells it."""
        for socket in files.led_out(ari, self._settings.apps):
            yield Fault(socket.place(), f"[{socket.name}] {files.LED_OUT_TWICE}")
        there = self._read("sorcery.conf")
        text = ""
        for name, lines in files.lacking(there, SORCERY).items():
            text += _section(name, there.get(name), lines) + "\n"
        if text:
            yield _Addition("sorcery.conf", text.removesuffix("\n"))

    def _dialplan(self) -> _Found:
        wanted = self._wanted
        dialplan = files.read_dialplan(self._folder, self._texts) or {}
        if not wanted.contexts and wanted.app in files.stasis_apps(dialplan):
            return  # somewhere calls are handed over already
        text = ""
        for context in wanted.contexts or self._where_phones_dial():
            steps = dialplan.get(context, {}).get(wanted.number)
            if not steps:
                text += f"[{context}]\nexten => {wanted.number},1,Goto({wanted.entrance},${{EXTEN}},1)\n\n"
            elif not any(_enters(step, wanted) for step in steps):
                yield Fault(
                    steps[0].place,
                    f"{wanted.number} does something else in [{context}] already: give another number with --number",
                )
        place = dialplan.get(wanted.entrance)
        if place is not None and not any(_enters(step, wanted) for steps in place.values() for step in steps):
            yield Fault(
                "extensions.conf", f"[{wanted.entrance}] is there already, and does not lead to Stasis({wanted.app})"
            )
        elif text:
            yield _Addition(self._style.dialplan, text + ("" if place else _entrance(wanted, self._style)))

    def _where_phones_dial(self) -> list[str]:
        """The contexts of the phones and lines of pjsip.conf; `default` where it names none."""
        if self._style.inbound:
            return [self._style.inbound]
        endpoints = [
            section.get("context", "default")
            for section in self._read("pjsip.conf").values()
            if any(item.key == "type" and item.value == "endpoint" for item in section.items)
        ]
        return [name for name in dict.fromkeys(endpoints) if not section_fault(name)] or ["default"]

    def _modules(self) -> _Found:
        section = self._read("modules.conf").get("modules")
        items = [] if section is None else section.items
        needed = modules.ALWAYS + (modules.FOR_LISTENING if self._settings.mode != "connect" else ())
        for item in items:
            if item.key == "noload" and item.value.removesuffix(".so") in needed:
                yield Fault(item.place, f"noload = {item.value}: hookrouter needs this module; take the line out")
        if section is not None and is_on(section.get("autoload", "no")):
            return
        loaded = {item.value.removesuffix(".so") for item in items if item.key in ("load", "preload", "require")}
        if absent := modules.missing((*_ALSO, *needed), loaded):
            yield _Addition("modules.conf", _section("modules", section, [f"load = {name}.so" for name in absent]))


def _section(name: str, there: files.Section | None, lines: list[str]) -> str:
    return f"[{name}]{'' if there is None else '(+)'}\n{_lines(lines)}"


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _leads_out(section: files.Section) -> bool:
    return section.get("type") == "outbound_websocket"


def _enters(step: files.Priority, wanted: Wanted) -> bool:
    app = step.app.lower()
    first = step.data.partition(",")[0].strip()
    return (app == "stasis" and first == wanted.app) or (app == "goto" and first == wanted.entrance)


def _entrance(wanted: Wanted, style: Style) -> str:
    """The context that hands a call over; its extension is the number that was dialled. FreePBX's destinations are `s`."""
    text = f"[{wanted.entrance}]\n" + _handing_over("_[+*#0-9]!", wanted.app)
    return text + (_handing_over("s", f"{wanted.app},${{FROM_DID}}") if style.freepbx else "")


def _handing_over(extension: str, arguments: str) -> str:
    return (
        f"exten => {extension},1,Stasis({arguments})\n"
        ' same => n,GotoIf($["${STASISSTATUS}" = "FAILED"]?nobody)\n'
        " same => n,Hangup()\n"
        " same => n(nobody),Answer()\n"
        " same => n,Playback(tt-somethingwrong)\n"
        " same => n,Hangup()\n"
    )
