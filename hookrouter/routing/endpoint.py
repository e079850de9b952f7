"""Where deliveries go: an endpoint and all that a request to it needs, as frozen values."""

from __future__ import annotations

from typing import Literal

import msgspec

from hookrouter.routing.conditions import Condition


class Auth(msgspec.Struct, frozen=True):
    """How the endpoint wants us to prove who we are, beside the signature."""

    type: Literal["basic", "bearer", "oauth2", "aws-sigv4"]
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


class Fallback(msgspec.Struct, frozen=True):
    """What follows when no attempt succeeded by the deadline: first `endpoint`, then `actions` (raw JSON, one each).

    `actions` is None where the route names none: then the caller is given back to the dialplan (`continue`).
    """

    endpoint: Endpoint | None = None
    actions: tuple[bytes, ...] | None = None


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
    scope: Literal["call", "any"] = "call"
    allow: tuple[str, ...] = ()
    allow_urls: tuple[str, ...] = ()
    order: Literal["call", "strict"] = "call"
    adopt: Literal["route", "continue", "ignore"] = "route"
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

    def wants(self, type: str) -> bool:
        return self.events is None or type in self.events


NO_ROUTE = Route("", Endpoint(""), events=frozenset())
"""What owns a call that no route wants: it is told to nobody, and given back to the dialplan."""
