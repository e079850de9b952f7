"""routes.toml and the environment → values that the rest of the router is built from; nothing else reads either."""

from __future__ import annotations

from hookrouter.config.loader import Config, Server, SpeechSettings, load

__all__ = ["Config", "Server", "SpeechSettings", "load"]
