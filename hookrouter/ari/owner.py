"""The ARI user of an Asterisk's owner, where several routers share it: who has set its password last is the only one who may act.

Rules:
- Each owner gives the user a password of its own before it does or reads anything, by the user of routes.toml. From then
  on Asterisk answers all former owners with 401: over HTTP, and over an event socket that is open already.
- No password is set twice: what still goes about with the last one is refused, too.
- Where sorcery.conf keeps no users in memory Asterisk refuses to make one (403; an old one: 404). Then the user of routes.toml
  acts, and nothing in Asterisk stops a former owner: only the router's own clock does.
Source: Asterisk 22.10.1, on a running one (docs/asterisk.md, tests/asterisk/test_owner.py).
"""

from __future__ import annotations

import secrets

import httpx

from hookrouter.ari.dynamic import Dynamic, object_body, object_path, sorcery_lines
from hookrouter.ari.reasons import basic, no_answer, not_there, refusal
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.versions import OUTBOUND_SOCKET
from hookrouter.facts import Facts, Warned
from hookrouter.http.client import Http

SORCERY = "\n".join(("[res_ari]", *sorcery_lines("user"), ""))
"""The lines of sorcery.conf by which Asterisk keeps users in memory besides those of ari.conf."""

_TOO_OLD = f"It cannot keep users in memory, which takes {OUTBOUND_SOCKET}"
_REMEDY = "Add the lines of docs/cluster.md to its sorcery.conf"


def owner_name(settings: AsteriskSettings) -> str:
    """The user's name: an app belongs to one socket of an Asterisk, so that no other cluster has the same."""
    return f"{settings.apps[0].replace(':', '_')}-owner"


def owner_path(name: str) -> str:
    """Where the user is, below /ari."""
    return object_path("user", name)


def user_fields(password: str) -> bytes:
    """The body that makes a user who may act, or gives it another password."""
    return object_body({"password": password, "read_only": "no"})


class Owner:
    """`acts`: the user is ours, as far as we know. `settled`: it is, or Asterisk has none. `auth`: as whom to act."""

    def __init__(self, settings: AsteriskSettings, http: Http, facts: Facts) -> None:
        self.acts = self.settled = False
        self._settings, self._facts = settings, facts
        self._dynamic = Dynamic(settings, http)
        self._own = self.auth = self._dynamic.auth
        self._told = False

    @property
    def by_itself(self) -> bool:
        """Whether `auth` is the owner's user, and not the one of routes.toml."""
        return self.auth is not self._own

    @property
    def username(self) -> str:
        """Of the user that `auth` is of."""
        return owner_name(self._settings) if self.by_itself else self._settings.username

    async def take(self) -> tuple[str, str] | None:
        """Shuts out whoever acted until now; why that could not be tried, with the remedy, or None."""
        self.refused()
        password = secrets.token_urlsafe(24)
        try:
            status, body = await self._ask("PUT", user_fields(password))
        except httpx.TransportError as error:
            return no_answer(error, self._settings.url)
        if status == 401 or status >= 500 or not_there(status, body):
            return refusal(status)
        self.settled = True
        if status == 200:
            self.acts = True
            self.auth = basic(owner_name(self._settings), password)
            return None
        self.auth = self._own
        if not self._told:
            self._told = True
            said = body[:200].decode("utf-8", "replace")
            what = (
                f"[asterisk.{self._settings.name}] makes no user for its owner (status {status}: {said}): a router that "
                f"was taken over is held back by its own clock only. {_TOO_OLD if status == 404 else _REMEDY}"
            )
            self._facts.emit(Warned("cluster", what))
        return None

    def refused(self) -> None:
        """Asterisk does not know its password any more: it must be taken again before anything is asked."""
        self.acts = self.settled = False

    async def is_another(self) -> bool:
        """Whether the user is there, and so has another's password: an Asterisk that was started anew has forgotten it."""
        try:
            return (await self._ask("GET", b""))[0] == 200
        except httpx.TransportError:
            return False

    async def _ask(self, method: str, body: bytes) -> tuple[int, bytes]:
        return await self._dynamic.ask(method, owner_path(owner_name(self._settings)), body)


__all__ = ["SORCERY", "Owner", "owner_name", "owner_path", "user_fields"]
