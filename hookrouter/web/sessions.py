"""Sessions of browsers: a random secret in a cookie, and what it opens.

Rules: only what opens with a token gets one, so their number is the operators'; they end after `LIFETIME`, at the logout,
and with the process. What is kept of the secret is its hash. The token stays, as other routers are to be shown it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256

from hookrouter.config import Access

LIFETIME = 12 * 3600.0
MOST = 1000
_PLAIN, _SECURE = "hookrouter", "__Host-hookrouter"


class Sessions:
    """`now`: seconds of a clock that only goes forward."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[bytes, tuple[float, Access, str]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, access: Access, token: str = "") -> str:
        """A new session's secret. `token`: what was shown for it. The oldest one goes where there are too many."""
        self._forget_old()
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        secret = secrets.token_urlsafe(32)
        self._open[_hashed(secret)] = (self._now() + LIFETIME, access, token)
        return secret

    def find(self, secret: str) -> Access | None:
        """What this session opens; None where there is no such, or it is over."""
        until, access, _ = self._open.get(_hashed(secret), (0.0, None, ""))
        return access if self._now() < until else None

    def token(self, secret: str) -> str:
        """What was shown for it."""
        return self._open[_hashed(secret)][2]

    def holds(self, secret: str) -> bool:
        return self.find(secret) is not None

    def end(self, secret: str) -> None:
        self._open.pop(_hashed(secret), None)

    def _forget_old(self) -> None:
        now = self._now()
        for key in [key for key, (until, _, _) in self._open.items() if until <= now]:
            del self._open[key]


def _hashed(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()


def cookie(secret: str, *, secure: bool) -> str:
    """The header `set-cookie`; an empty secret takes the cookie away. `secure`: for TLS alone."""
    name, more = (_SECURE, "; Secure") if secure else (_PLAIN, "")
    age = int(LIFETIME) if secret else 0
    return f"{name}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{more}"


def secrets_in(header: str, *, secure: bool) -> list[str]:
    """The sessions' secrets that a `cookie` header holds. Over TLS only a cookie that no plain page can have set."""
    names = (_SECURE,) if secure else (_PLAIN, _SECURE)
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value for name, _, value in pairs if name in names and value]
