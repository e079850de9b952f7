"""Why there is no way to an Asterisk, in words and with the remedy; and how one shows who one is."""

from __future__ import annotations

import base64
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from hookrouter.ari.frames import TlsSpoken
from hookrouter.errors import AriUnreachable
from hookrouter.http.trust import SPEAKS_TLS, explain, no_connection


class Answer(Protocol):
    """A reply, by whichever way it came."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


def basic(username: str, password: str) -> tuple[str, str]:
    """The header of a user."""
    return "authorization", f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def info_of(reply: Answer) -> dict[str, Any]:
    """What Asterisk says of itself. Raises AriUnreachable where that is not what it has said."""
    try:
        info: dict[str, Any] = msgspec.json.decode(reply.body, type=dict[str, Any])
    except msgspec.DecodeError:
        info = {}
    if reply.status != 200 or not info:
        raise AriUnreachable(f"GET /asterisk/info answered {reply.status}: {reply.body[:200]!r}")
    return info


def not_there(status: int, body: bytes) -> bool:
    """Whether Asterisk's HTTP server says itself that there is no ARI, as it does while Asterisk starts."""
    return status == 404 and not body.startswith(b"{")


def no_answer(error: Exception, url: str) -> tuple[str, str]:
    """Why there is no socket, with the remedy."""
    cause: BaseException | None = error
    while cause is not None:
        if words := explain(cause, urlsplit(url).netloc):
            return "tls", words
        cause = cause.__cause__
    if isinstance(error, TlsSpoken):
        return "tls", f"{urlsplit(url).netloc}: {SPEAKS_TLS}"
    return (
        "no_answer",
        f"{no_connection(error, urlsplit(url).netloc)}: is Asterisk running, and is http.conf enabled and bound to {url}?",
    )


def refusal(status: int) -> tuple[str, str]:
    """Why Asterisk refused, with the remedy."""
    if status in (401, 403):
        return "unauthorized", f"status {status}: username or password differ from the user in ari.conf"
    if status == 404:
        return (
            "not_found",
            "status 404: is ari.conf enabled (`module show like res_ari`), and is http.conf's prefix in the url?",
        )
    return "unavailable", f"status {status}: Asterisk is starting or stopping"


__all__ = ["basic", "info_of", "no_answer", "not_there", "refusal"]
