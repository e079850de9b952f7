"""How to reach one Asterisk."""

from __future__ import annotations

from typing import Literal

import msgspec

from hookrouter.http.trust import SYSTEM, Trust


class AsteriskSettings(msgspec.Struct, frozen=True):
    """One `[asterisk.NAME]` table. `mode` `listen`: Asterisk connects to us; then `url` is optional, for REST over HTTP."""

    name: str
    url: str = "http://127.0.0.1:8088"
    username: str = "hookrouter"
    password: str = ""
    apps: tuple[str, ...] = ("hookrouter",)
    mode: Literal["connect", "listen"] = "connect"
    subscribe: tuple[str, ...] = ()
    trust: Trust = SYSTEM
