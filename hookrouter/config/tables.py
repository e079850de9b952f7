"""`[asterisk.NAME]`, `[server]` and `[speech]` → values, and what only that can find wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.cluster.leases import Identity
from hookrouter.config.certificates import Certificates
from hookrouter.config.collecting import Findings, join
from hookrouter.config.shapes import AsteriskTable, ClusterTable, ServerTable, SpeechTable, TokenTable
from hookrouter.config.values import Access, Server, SpeechSettings, Token
from hookrouter.text.commands import shell_scripts
from hookrouter.text.urls import web_address

MIN_TOKEN = 16
"""Characters. What guards telephone lines must not be guessable by trying."""

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
            return None if value is None else value.strip()
        if value is not None:
            self._findings.fault(where, f"give either `{key}` or `{key}_file`, not both")
        path = self._folder / file
        self._findings.files.append(str(path))
        try:
            found = path.read_bytes().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            self._findings.fault(where, f"{path} is not a text file")
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
        self.certificates = Certificates(folder, findings)
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
        if table.advertise is not None:
            check_url(f"{place}.advertise", table.advertise, self._findings)
            if table.mode != "invite":
                self._findings.warn(
                    f"{place}.advertise", f"has no effect in mode {table.mode}: only mode invite tells it to Asterisk"
                )
        for index, source in enumerate(table.subscribe):
            if not _SOURCES.fullmatch(source):
                hint = "such as endpoint:PJSIP, endpoint:PJSIP/alice, deviceState:PJSIP/alice, bridge:ID or channel:ID"
                self._findings.fault(f"{place}.subscribe[{index}]", f"`{source}` is not an event source, {hint}")
        return AsteriskSettings(
            name,
            url.rstrip("/").removesuffix("/ari"),
            table.username,
            password or "",
            tuple(dict.fromkeys(table.apps)),
            table.mode,
            tuple(table.subscribe),
            self.certificates.trust(place, table, url),
            (table.advertise or "").rstrip("/"),
            table.advertise_ca or "",
        )

    def server(self, table: ServerTable) -> Server:
        try:
            host, port = listen_address(table.listen)
        except ValueError as error:
            self._findings.fault("server.listen", str(error))
            host, port = "", 0
        token = self.token("server", table.token, table.token_file)
        tls = self.certificates.server(table.tls_certificate, table.tls_key)
        server = Server(host, port, self._tokens(token, table.tokens), *tls)
        if not server.loopback and not server.tokens:
            self._findings.warn(
                "server.token",
                f"not set, though {table.listen} is open to others: they get health and metrics, "
                "but the control API and the dashboard serve this machine only",
            )
        return server

    def _tokens(self, first: str, tables: Sequence[TokenTable | None]) -> tuple[Token, ...]:
        """The one of [server], which sees all, and those of [[server.tokens]]."""
        found = [Token(first)] if first else []
        for index, table in enumerate(tables):
            if table is None:
                continue
            place = f"server.tokens[{index}]"
            secret = self.token(place, table.token, table.token_file)
            if table.token is None and table.token_file is None:
                self._findings.fault(f"{place}.token", "missing: give `token` or `token_file`")
            elif secret and any(token.secret == secret for token in found):
                self._findings.fault(f"{place}.token", "is the same as another token; each needs a value of its own")
            elif secret:
                found.append(Token(secret, Access(table.tenant, table.access == "write")))
        return tuple(found)

    def token(self, place: str, value: str | None, file: str | None) -> str:
        """A token of our own HTTP; empty where none is given, or it is at fault."""
        token = self.secrets.read(place, "token", value, file)
        where = join(place, "token" if file is None else "token_file")
        hint = "`openssl rand -hex 16` makes a good one"
        if token is None:
            return ""
        if not re.fullmatch("[!-~]*", token):
            self._findings.fault(where, "has characters other than ASCII's letters, digits and signs, or a space in it")
        elif len(token) < MIN_TOKEN:
            self._findings.fault(where, f"has {len(token)} characters, at least {MIN_TOKEN} are needed; {hint}")
        return token

    def speech(self, table: SpeechTable | None) -> SpeechSettings | None:
        if table is None:
            return None
        if (table.command is None) == (table.url is None):
            self._findings.fault("speech", "give either `command` or `url`")
        for index in shell_scripts(table.command or ()):
            text = (
                'a shell would read what is said as commands; write `"$1"` here, and `{text}` as a word two behind it'
            )
            self._findings.fault(f"speech.command[{index}]", text)
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
            self.certificates.trust("speech", table, table.url or ""),
        )

    def cluster(self, table: ClusterTable) -> Identity:
        if table.address is not None:
            check_url("cluster.address", table.address, self._findings)
        return Identity(table.name or "", (table.address or "").rstrip("/"))


def listen_address(text: str) -> tuple[str, int]:
    """Host and port to listen at, as `listen` of [server] and each `--listen` has them: IPv6 in brackets, which are taken
    off; without a host every address of IPv4. Raises ValueError.
    """
    host, colon, port = text.rpartition(":")
    plain = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (":" in plain and plain == host):
        raise ValueError(f"`{text}` is not an address and port, such as 127.0.0.1:8080 or [::1]:8080")
    return plain or "0.0.0.0", int(port)


def check_url(place: str, url: str, findings: Findings) -> None:
    """Notes a fault where `url` is not an http(s) URL that can be sent as it is."""
    kind = web_address(url)
    if kind == "user":
        findings.fault(place, "has a user and password in it; give them as `auth`, or as `username` and `password`")
    elif kind == "bad":
        findings.fault(place, f"`{url}` is not an http:// or https:// URL")
    elif not re.fullmatch(r"[!-~]+", url):
        findings.fault(place, f"`{url}` has spaces, or characters that are not ASCII; percent-encode them")
