"""What routes.toml comes to: the values that the router is built from."""

from __future__ import annotations

import msgspec

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.shapes import StoreTable
from hookrouter.routing.table import RouteTable


class Server(msgspec.Struct, frozen=True):
    """Where our own HTTP listens. `token` empty: the control API is for this machine only."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host.startswith("127.") or self.host in ("localhost", "::1")


class SpeechSettings(msgspec.Struct, frozen=True):
    """How `say` becomes sound; see `[speech]`. Either `command` or `url` is set; `timeout` in seconds."""

    command: tuple[str, ...] = ()
    url: str = ""
    folder: str = ""
    asterisk_folder: str = ""
    base_url: str = ""
    timeout: float = 10.0


class Config(msgspec.Struct, frozen=True):
    """All that routes.toml says. `files`: what else was read, and is watched with it. `warnings`: no faults, but odd."""

    asterisks: tuple[AsteriskSettings, ...]
    server: Server
    routes: RouteTable
    speech: SpeechSettings | None = None
    store: StoreTable = StoreTable()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
