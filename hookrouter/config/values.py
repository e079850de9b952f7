"""What routes.toml comes to: the values that the router is built from."""

from __future__ import annotations

import msgspec

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.cluster.leases import NOBODY, Identity
from hookrouter.config.shapes import StoreTable
from hookrouter.http.trust import SYSTEM, Trust
from hookrouter.routing.table import RouteTable


class Access(msgspec.Struct, frozen=True):
    """What somebody may see and do by our own HTTP. `tenant` None: that of all."""

    tenant: str | None = None
    write: bool = True

    def sees(self, tenant: str | None) -> bool:
        """Whether what is this tenant's is shown; `tenant` None: nobody knows whose it is."""
        return self.tenant is None or self.tenant == tenant


ALL = Access()


class Token(msgspec.Struct, frozen=True):
    """A secret that somebody shows, and what it opens."""

    secret: str
    access: Access = ALL


class Server(msgspec.Struct, frozen=True):
    """Where our own HTTP listens. No `tokens`: the control API is for this machine only. No `certificate`: no TLS."""

    host: str = "127.0.0.1"
    port: int = 8080
    tokens: tuple[Token, ...] = ()
    certificate: str = ""
    key: str = ""

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def token(self) -> str:
        """One that sees and does everything, for our own command line; empty where there is none."""
        return next((token.secret for token in self.tokens if token.access == ALL), "")

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
    trust: Trust = SYSTEM


class Config(msgspec.Struct, frozen=True):
    """All that routes.toml says. `files`: what else was read, and is watched with it. `warnings`: no faults, but odd."""

    asterisks: tuple[AsteriskSettings, ...]
    server: Server
    routes: RouteTable
    speech: SpeechSettings | None = None
    store: StoreTable = StoreTable()
    cluster: Identity = NOBODY
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
