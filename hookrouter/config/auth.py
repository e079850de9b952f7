"""`auth` of a route → `Auth`, what AWS's own variables give to it, and what only that can find wrong with them.

Rules: AWS's credentials are all of the table or all of the environment, never a mixture. A function that is invoked by name
is signed for; where the table says nothing of it, with the environment's credentials, and those go nowhere else.
Source: AWS SDKs and Tools reference guide (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_LAMBDA, …).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping

import msgspec

from hookrouter.config.collecting import Findings
from hookrouter.config.shapes import AuthTable
from hookrouter.config.tables import Secrets, check_url
from hookrouter.delivery.id_token import grant, service_account
from hookrouter.errors import ConfigurationError, extra
from hookrouter.routing.endpoint import Auth
from hookrouter.text.functions import function, is_function

_NEEDED = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "aws-sigv4": ("access_key_id", "secret_access_key", "region"),
    "google-id-token": ("audience",),
}
_MAY = {
    "oauth2": ("scope",),
    "aws-sigv4": ("service", "session_token", "endpoint_url"),
    "google-id-token": ("service_account_key",),
}
_SECRET_KEYS = (
    "password", "token", "client_secret", "access_key_id", "secret_access_key", "session_token", "service_account_key"
)  # fmt: skip
_CREDENTIALS = ("access_key_id", "secret_access_key", "session_token")
VARIABLES = {
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "endpoint_url": ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"),
}


class AuthReader:
    """Reads the tables `auth` of routes."""

    def __init__(self, secrets: Secrets, findings: Findings, environ: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._environ = environ
        self.findings = findings

    def read(self, place: str, table: AuthTable | None) -> Given:
        """What the route gives; it is asked for each of its endpoints."""
        if table is None or self.findings.has(f"{place}.type"):
            return Given(self, place, None, table is not None)
        given = {
            field.name: value
            for field in msgspec.structs.fields(table)
            if (value := getattr(table, field.name)) is not None and field.name != "type"
        }
        for key in _SECRET_KEYS:
            found = self._secrets.read(place, key, given.get(key), given.pop(f"{key}_file", None))
            if found is not None:
                given[key] = found
        return Given(self, place, self._auth(place, table.type, given), True)

    def _auth(self, place: str, kind: str, given: dict[str, str]) -> Auth:
        needed = _NEEDED[kind]
        if kind == "aws-sigv4":
            given = self.of_environment(given, at_fault=self.findings.has(place))
            needed = _CREDENTIALS[:2]  # a function's ARN may name the region
        for key in needed:
            if key not in given and not self.findings.has(f"{place}.{key}_file"):
                self.findings.fault(f"{place}.{key}", _missing(kind, key))
        taken = {*_NEEDED[kind], *_MAY.get(kind, ())}
        for key in sorted(given.keys() - taken):
            self.findings.fault(
                f"{place}.{key}", f'type "{kind}" has no use for it; it takes {", ".join(_NEEDED[kind])}'
            )
        for key in ("token", "access_key_id", "session_token"):
            if not re.fullmatch(r"[!-~]*", given.get(key, "")):
                self.findings.fault(f"{place}.{key}", "goes into a header: ASCII without spaces")
        for key in ("token_url", "endpoint_url"):
            if key in given:
                check_url(f"{place}.{key}", given[key], self.findings)
        if kind == "oauth2" and not installed("httpx_auth"):
            self.findings.fault(f"{place}.type", f'"{kind}" needs more: {extra("oauth")}')
        if kind == "google-id-token":
            self._google(place, given)
        options = tuple(sorted(given.items()))
        return Auth(kind, given.get("username", ""), given.get("password", ""), given.get("token", ""), options)  # type: ignore[arg-type]

    def _google(self, place: str, given: dict[str, str]) -> None:
        """Tries the key, and puts in where the metadata server is, if elsewhere."""
        where, key = f"{place}.service_account_key", given.get("service_account_key")
        if key is None:
            if host := self._environ.get("GCE_METADATA_HOST", "").strip():
                given["metadata_host"] = host
        elif not installed("cryptography"):
            self.findings.fault(where, f"needs more: {extra('oauth')}")
        else:
            try:
                account = service_account(key)
                check_url(where, account.token_uri, self.findings)
                grant(account, "", 0.0)
            except ValueError as error:
                self.findings.fault(where, str(error))
            except ConfigurationError as error:
                self.findings.fault(where, error.faults[0].message)

    def of_environment(self, given: Mapping[str, str], *, at_fault: bool = False) -> dict[str, str]:
        """What AWS's variables give where nothing is given. `at_fault`: what was given cannot be read."""
        own = at_fault or any(key in given for key in _CREDENTIALS)
        found = dict(given)
        for key, names in VARIABLES.items():
            if key not in found and not (own and key in _CREDENTIALS):
                value = next((held for name in names if (held := self._environ.get(name, "").strip())), "")
                if value:
                    found[key] = value
        return found


class Given:
    """What a route says of `auth`: the same for its url, its fallback and its candidate, but for functions."""

    def __init__(self, reader: AuthReader, place: str, auth: Auth | None, written: bool) -> None:
        self._reader = reader
        self._place = place
        self._auth = auth
        self._written = written

    def at(self, place: str, url: str) -> Auth | None:
        """Of the endpoint at `url`, which is written at `place`."""
        findings, auth = self._reader.findings, self._auth
        if findings.has(place) or (self._written and auth is None):
            return None
        if not is_function(url):
            if auth is not None and auth.type == "aws-sigv4":
                self._region(f"{self._place}.region", auth, "")
            return auth
        if auth is None:
            found = self._reader.of_environment({})
            for key in _CREDENTIALS[:2]:
                if key not in found:
                    findings.fault(
                        place, f"a function is invoked with credentials of AWS: {_missing('aws-sigv4', key)}"
                    )
            if "endpoint_url" in found:
                check_url(place, found["endpoint_url"], findings)
            auth = Auth("aws-sigv4", options=tuple(sorted(found.items())))
        elif auth.type != "aws-sigv4":
            findings.fault(
                f"{self._place}.type", f'a function is invoked with type "aws-sigv4", not with "{auth.type}": {url}'
            )
            return None
        self._region(place, auth, function(url).region)
        return auth

    def _region(self, place: str, auth: Auth, named: str) -> None:
        if not named and "region" not in dict(auth.options):
            self._reader.findings.fault(place, f"{_missing('aws-sigv4', 'region')}; an ARN names its own")


def _missing(kind: str, key: str) -> str:
    if kind != "aws-sigv4":
        return f'missing: type "{kind}" needs it'
    return f"no {key}: give `{key}` in `auth`, or set {' or '.join(VARIABLES[key])}"


def check_endpoint(place: str, url: str, findings: Findings) -> None:
    """Notes a fault where `url` is neither an http(s) URL nor a function of Lambda."""
    if not is_function(url):
        check_url(place, url, findings)
        return
    try:
        function(url)
    except ValueError as error:
        findings.fault(place, str(error))


def installed(module: str) -> bool:
    """Whether an extra's module is there."""
    return importlib.util.find_spec(module) is not None
