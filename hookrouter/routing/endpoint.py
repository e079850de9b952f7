"""Where deliveries go: an endpoint and all that a request to it needs, as frozen values."""

from __future__ import annotations

from typing import Literal

import msgspec

from hookrouter.http.trust import SYSTEM, Trust
from hookrouter.policy.origins import entrusted
from hookrouter.policy.policy import Policy
from hookrouter.routing.conditions import Condition
from hookrouter.text.urls import shown_url


class Auth(msgspec.Struct, frozen=True):
    """How the endpoint wants us to prove who we are, beside the signature."""

    type: Literal["basic", "bearer", "oauth2", "aws-sigv4", "google-id-token"]
    username: str = ""
    password: str = ""
    token: str = ""
    options: tuple[tuple[str, str], ...] = ()


class Endpoint(msgspec.Struct, frozen=True):
    """One URL and how to speak to it. `secrets` are the signing keys' raw bytes, the newest first; none: unsigned."""

    url: str
    secrets: tuple[bytes, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    auth: Auth | None = None
    timeout: float = 3.0
    format: Literal["standard", "cloudevents"] = "standard"
    trust: Trust = SYSTEM

    @property
    def shown(self) -> str:
        """The URL as it may be told: functions have their keys in it."""
        return shown_url(self.url)


class Fallback(msgspec.Struct, frozen=True):
    """What follows when no attempt succeeded by the deadline: first `endpoint`, then `actions` (raw JSON, one each).

    `actions` is None where the route names none: then the caller is given back to the dialplan (`continue`).
    """

    endpoint: Endpoint | None = None
    actions: tuple[bytes, ...] | None = None


class Shadow(msgspec.Struct, frozen=True):
    """A candidate that gets the events of a `share` (0 to 1) of a route's calls. `ignore`: places of an answer that may differ."""

    endpoint: Endpoint
    share: float = 1.0
    ignore: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """One [[routes]] entry. `events` None: all. Times are seconds. `index` counts from 0, as in the file."""

    name: str
    endpoint: Endpoint
    mode: Literal["control", "notify"] = "control"
    events: frozenset[str] | None = frozenset({"StasisStart", "StasisEnd"})
    conditions: tuple[Condition, ...] = ()
    deadline: float = 8.0
    fallback: Fallback = Fallback()
    while_waiting: tuple[bytes, ...] = ()
    idle_timeout: float = 3600.0
    silence_timeout: float = 10.0
    tenant: str = ""
    scope: Literal["call", "any"] = "call"
    allow: tuple[str, ...] = ()
    allow_urls: tuple[str, ...] = ()
    entrusted_urls: tuple[str, ...] = ()  # those of `allow_urls` that get the route's credentials
    policy: Policy = Policy()
    order: Literal["call", "strict"] = "call"
    adopt: Literal["route", "continue", "ignore"] = "route"
    record: Literal["all", "failed", "none"] = "all"
    redact: tuple[str, ...] = ()
    shadow: Shadow | None = None
    index: int = 0

    @property
    def url(self) -> str:
        return self.endpoint.url

    @property
    def fallback_url(self) -> str:
        return self.fallback.endpoint.url if self.fallback.endpoint else ""

    @property
    def fallback_actions(self) -> tuple[bytes, ...] | None:
        return self.fallback.actions

    def endpoint_at(self, url: str) -> Endpoint:
        """The endpoint at a URL that an answer has named (resolved): with our credentials only where they may go."""
        if entrusted(self.endpoint.url, url, self.entrusted_urls):
            return msgspec.structs.replace(self.endpoint, url=url)
        return msgspec.structs.replace(self.endpoint, url=url, secrets=(), headers=(), auth=None, trust=SYSTEM)

    def wants(self, type: str) -> bool:
        return self.events is None or type in self.events


NO_ROUTE = Route("", Endpoint(""), events=frozenset())
"""What owns a call that no route wants: it is told to nobody, and given back to the dialplan."""
