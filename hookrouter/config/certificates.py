"""The keys that name certificates → paths, and what can be found wrong with the files before anybody connects."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hookrouter.config.collecting import Findings, join
from hookrouter.http.certificate import Validity, read_validity
from hookrouter.http.trust import SYSTEM, Trust, client_context, server_context

_DAY = 86_400.0
_SOON = 14 * _DAY


class TrustKeys(Protocol):
    """A table that says whom to trust and what to show."""

    @property
    def ca_file(self) -> str | None: ...
    @property
    def client_certificate(self) -> str | None: ...
    @property
    def client_key(self) -> str | None: ...


class Certificates:
    """Files are looked for beside routes.toml, and watched with it. `now`: seconds since the epoch."""

    def __init__(self, folder: Path, findings: Findings, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._findings = findings
        self._now = now

    def trust(self, place: str, table: TrustKeys, url: str) -> Trust:
        """Whom a connection to `url` trusts."""
        if table.client_key and not table.client_certificate:
            self._findings.fault(join(place, "client_key"), "needs `client_certificate`: the two go together")
            return SYSTEM
        trust = Trust(
            self._path(join(place, "ca_file"), table.ca_file),
            self._path(join(place, "client_certificate"), table.client_certificate),
            self._path(join(place, "client_key"), table.client_key),
        )
        if trust == SYSTEM or self._findings.has(place):
            return trust
        if url.startswith("http://"):
            self._findings.warn(
                place, "has certificates, but its url is http://: nothing is encrypted, and nothing is checked"
            )
        self._load(place, "ca_file", lambda: client_context(Trust(trust.ca_file)))
        self._load(place, "client_certificate", lambda: client_context(Trust("", trust.certificate, trust.key)))
        self._tell_validity(join(place, "client_certificate"), trust.certificate)
        return trust

    def server(self, certificate: str | None, key: str | None) -> tuple[str, str]:
        """The paths of our own certificate and its key; empty: plain HTTP."""
        if key and not certificate:
            self._findings.fault("server.tls_key", "needs `tls_certificate`: the two go together")
            return "", ""
        paths = self._path("server.tls_certificate", certificate), self._path("server.tls_key", key)
        if paths[0] and not self._findings.has("server.tls_certificate") and not self._findings.has("server.tls_key"):
            self._load("server", "tls_certificate", lambda: server_context(*paths))
            self._tell_validity("server.tls_certificate", paths[0])
        return paths

    def _path(self, place: str, given: str | None) -> str:
        if not given:
            return ""
        path = self._folder / given
        self._findings.files.append(str(path))
        try:
            path.read_bytes()
        except (OSError, ValueError) as error:
            self._findings.fault(place, f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")
        return str(path)

    def _load(self, place: str, key: str, load: Callable[[], object]) -> None:
        where = join(place, key)
        try:
            if not self._findings.has(where):
                load()
        except (OSError, ValueError) as error:
            self._findings.fault(where, _in_words(error))

    def _tell_validity(self, place: str, path: str) -> None:
        if not path or self._findings.has(place):
            return
        validity: Validity | None = read_validity(Path(path).read_bytes())
        if validity is None:
            return
        left = validity.until - self._now()
        if left <= 0:
            self._findings.warn(
                place, f"{path} has expired {-left / _DAY:.0f} days ago: nobody who looks will accept it"
            )
        elif validity.since > self._now():
            self._findings.warn(place, f"{path} is not valid yet: is the clock right?")
        elif left < _SOON:
            self._findings.warn(place, f"{path} expires in {left / _DAY:.0f} days")


def _in_words(error: Exception) -> str:
    """What OpenSSL has against a file."""
    if not isinstance(error, ssl.SSLError):
        return str(error)
    known = {
        "": "holds no certificate in PEM form, or its key is in another file: name that, too",
        "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
        "NO_CERTIFICATE_OR_CRL_FOUND": "holds no certificate in PEM form",
        "CA_MD_TOO_WEAK": "is signed in a way that is too weak",
        "EE_KEY_TOO_SMALL": "its key is too small",
    }
    reason = error.reason or ""
    return known.get(reason, f"cannot be used: {reason.lower().replace('_', ' ')}")
