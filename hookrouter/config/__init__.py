"""routes.toml and the environment → values that the rest of the router is built from; nothing else reads either."""

from __future__ import annotations

from hookrouter.config.loader import load, parse
from hookrouter.config.tables import listen_address
from hookrouter.config.values import ALL, Access, Config, Server, SpeechSettings, Token

__all__ = ["ALL", "Access", "Config", "Server", "SpeechSettings", "Token", "listen_address", "load", "parse"]
