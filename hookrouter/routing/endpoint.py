"""Where deliveries go: an endpoint and all that a request to it needs, as frozen values."""

from __future__ import annotations

from typing import Literal

import msgspec


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
