"""`[asterisk.NAME]`, `[server]` and `[speech]` → values, and what only that can find wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.collecting import Findings, join
from hookrouter.config.shapes import AsteriskTable, ServerTable, SpeechTable
from hookrouter.config.values import Server, SpeechSettings

_SOURCES = re.compile(r"(channel|bridge|endpoint|deviceState):.+")


class Secrets:
    """Reads what is given as `KEY` or as `KEY_file`; a file is looked for beside routes.toml."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self._folder = folder
        self._findings = findings

    def read(self, place: str, key: str, value: str | None, file: str | None) -> str | None:
        """The secret without the white space around it; None where neither is given, or the file cannot be read."""
        where = join(place, f"{key}_file")
        if file is None:
            return value
        if value is not None:
            self._findings.fault(where, f"give either `{key}` or `{key}_file`, not both")
        path = self._folder / file
        self._findings.files.append(str(path))
        try:
            found = path.read_bytes().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            self._findings.fault(where, f"{path} is no text")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._findings.fault(where, f"{path} cannot be read: {reason}")
        else:
            if found:
                return found
            self._findings.fault(where, f"{path} is empty")
        return None


class Tables:
    """Turns checked shapes into values."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.secrets = Secrets(folder, findings)
        self._findings = findings

    def asterisks(self, tables: Mapping[str, AsteriskTable | None]) -> tuple[AsteriskSettings, ...]:
        if not tables:
            self._findings.fault("asterisk", 'missing: add a table [asterisk.main] with url = "http://127.0.0.1:8088"')
        return tuple(self._asterisk(name, table) for name, table in tables.items() if table is not None)

    def _asterisk(self, name: str, table: AsteriskTable) -> AsteriskSettings:
        place = join("asterisk", name)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            self._findings.fault(place, "a name has letters, digits, `_` and `-`, at most 64 of them")
        password = self.secrets.read(place, "password", table.password, table.password_file)
        if not password and not self._findings.has(f"{place}.password_file"):
            hint = 'give password = "${ARI_PASSWORD}", or password_file = "/run/secrets/ari"'
            self._findings.fault(f"{place}.password", f"{'missing' if password is None else 'empty'}: {hint}")
        url = table.url if table.url is not None else ("" if table.mode == "listen" else AsteriskSettings("").url)
        if url:
            check_url(f"{place}.url", url, self._findings)
        for index, source in enumerate(table.subscribe):
            if not _SOURCES.fullmatch(source):
                hint = "such as endpoint:PJSIP, endpoint:PJSIP/alice, deviceState:PJSIP/alice, bridge:ID or channel:ID"
                self._findings.fault(f"{place}.subscribe[{index}]", f"`{source}` is no event source, {hint}")
        return AsteriskSettings(
            name,
            url.rstrip("/").removesuffix("/ari"),
            table.username,
            password or "",
            tuple(dict.fromkeys(table.apps)),
            table.mode,
            tuple(table.subscribe),
        )

    def server(self, table: ServerTable) -> Server:
        host, colon, port = table.listen.rpartition(":")
        plain = host.removeprefix("[").removesuffix("]")
        if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (":" in plain and plain == host):
            self._findings.fault(
                "server.listen", f"`{table.listen}` is no address and port, such as 127.0.0.1:8080 or [::1]:8080"
            )
            port = "0"
        token = self.secrets.read("server", "token", table.token, table.token_file) or ""
        server = Server(plain or "0.0.0.0", int(port), token)
        if not server.loopback and not token:
            self._findings.warn(
                "server.token",
                f"not set, though {table.listen} is open to others: they get health and metrics, "
                "but the control API and the dashboard serve this machine only",
            )
        return server

    def speech(self, table: SpeechTable | None) -> SpeechSettings | None:
        if table is None:
            return None
        if (table.command is None) == (table.url is None):
            self._findings.fault("speech", "give either `command` or `url`")
        for key in ("url", "base_url"):
            if url := getattr(table, key):
                check_url(f"speech.{key}", url, self._findings)
        if table.asterisk_folder and not table.folder:
            self._findings.fault("speech.asterisk_folder", "needs `folder`: the same one, as the router sees it")
        return SpeechSettings(
            tuple(table.command or ()),
            table.url or "",
            table.folder or "",
            table.asterisk_folder or "",
            table.base_url or "",
            table.timeout,
        )


def check_url(place: str, url: str, findings: Findings) -> None:
    """Notes a fault where `url` is no http(s) URL that can be sent as it is."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        user = parts.username is not None
    except ValueError:
        good = user = False
    if user:
        findings.fault(place, "has a user and password in it; give them as `auth`, or as `username` and `password`")
    elif not good:
        findings.fault(place, f"`{url}` is no http:// or https:// URL")
    elif not re.fullmatch(r"[!-~]+", url):
        findings.fault(place, f"`{url}` has spaces, or characters that are not ASCII; percent-encode them")
