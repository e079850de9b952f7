"""How to reach one Asterisk."""

from __future__ import annotations

from typing import Literal

import msgspec

from hookrouter.http.trust import SYSTEM, Trust

Mode = Literal["connect", "listen", "invite"]


class AsteriskSettings(msgspec.Struct, frozen=True):
    """One `[asterisk.NAME]` table. `mode` `listen`: Asterisk connects to us; then `url` is optional, for REST over HTTP. `invite`:
    it does, and we tell it where to: at `advertise`, an http(s) URL, or where that is empty, at what leads to us;
    `advertise_ca`: the file on its machine that says whom it trusts when it comes by TLS.
    """

    name: str
    url: str = "http://127.0.0.1:8088"
    username: str = "hookrouter"
    password: str = ""
    apps: tuple[str, ...] = ("hookrouter",)
    mode: Mode = "connect"
    subscribe: tuple[str, ...] = ()
    trust: Trust = SYSTEM
    advertise: str = ""
    advertise_ca: str = ""
