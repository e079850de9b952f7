"""routes.toml and the environment → values that the rest of the router is built from; nothing else reads either."""

from __future__ import annotations

from hookrouter.config.loader import load, parse
from hookrouter.config.values import Config, Server, SpeechSettings

__all__ = ["Config", "Server", "SpeechSettings", "load", "parse"]
