"""Standard Webhooks signatures, version 1: `v1,` + base64(HMAC-SHA256(secret, `id.timestamp.body`)).

Rules: the key's inner and outer state are prepared once per secret and copied for each signature. While keys are rotated
each of them signs. Verifying compares in constant time and refuses what is older or newer than the tolerance.
Source: the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache

PREFIX = "whsec_"
TOLERANCE = 300.0
_MIN_KEY_BYTES = 16


def parse_secret(secret: str) -> bytes:
    """The key in `whsec_` + base64; any other text of at least 16 bytes is the key itself. White space around it is
    dropped. Raises ValueError.

    >>> parse_secret("whsec_MTIzNDU2Nzg5MGFiY2RlZg==")
    b'1234567890abcdef'
    """
    secret = secret.strip()
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret[len(PREFIX) :], validate=True)
        except binascii.Error:
            raise ValueError("what follows `whsec_` is not base64; `hookrouter sign --new-secret` makes one") from None
    else:
        key = secret.encode()
    if len(key) < _MIN_KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes is too short; take at least {_MIN_KEY_BYTES}")
    return key


def format_secret(key: bytes) -> str:
    """The key as `whsec_` + base64."""
    return PREFIX + base64.b64encode(key).decode()


@lru_cache(maxsize=256)
def _prepared(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod=hashlib.sha256)


def sign(id: str, timestamp: int, body: bytes, keys: Iterable[bytes]) -> str:
    """The header `webhook-signature`: one signature per key, separated by spaces. `timestamp`: whole seconds."""
    signed = b"%s.%d.%s" % (id.encode(), timestamp, body)
    found: list[str] = []
    for key in keys:
        state = _prepared(key).copy()
        state.update(signed)
        found.append("v1," + binascii.b2a_base64(state.digest(), newline=False).decode())
    return " ".join(found)


def verify(
    id: str,
    timestamp: str,
    body: bytes,
    signature: str,
    keys: Sequence[bytes],
    *,
    now: float,
    tolerance: float = TOLERANCE,
) -> str | None:
    """None where one signature fits one key; else what is wrong."""
    try:
        at = int(timestamp)
    except ValueError:
        return f"webhook-timestamp `{timestamp}` is not a whole number of seconds"
    if abs(now - at) > tolerance:
        return f"webhook-timestamp is {abs(now - at):.0f} s off; at most {tolerance:.0f} s are allowed"
    wanted = sign(id, at, body, keys).split(" ")
    given = [part for part in signature.split(" ") if part.startswith("v1,")]
    if not given:
        return "webhook-signature has no `v1,` signature"
    if any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in wanted):
        return None
    return "no signature fits: is it the same secret, and are these the exact bytes of the body?"
