"""AWS Signature Version 4: the headers that prove to AWS whose request this is.

Rules: what is signed is what is sent: the path and the query as the client writes them, `host`, `content-type`, every
`x-amz-*`, and the body's hash. The key of a day is made once. Time is an argument.
Source: AWS, "Signature Version 4 for API requests" (canonical request, string to sign, signing key).
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

import msgspec

from hookrouter.text.urls import sent_host, sent_target

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(msgspec.Struct, frozen=True):
    """`session_token`: of temporary ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def sign(
    credentials: Credentials,
    region: str,
    service: str,
    url: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    now: float,
    method: str = "POST",
) -> list[tuple[str, str]]:
    """What comes to `headers`, the authorization last. `now`: seconds since the epoch."""
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    added = [("x-amz-content-sha256", digest), ("x-amz-date", stamp)]
    if credentials.session_token:
        added.append(("x-amz-security-token", credentials.session_token))
    signed: dict[str, list[str]] = {"host": [sent_host(parts)]}
    for name, value in (*headers, *added):
        lower = name.lower()
        if lower == "content-type" or lower.startswith("x-amz-"):
            signed.setdefault(lower, []).append(" ".join(value.split()))
    path, query = sent_target(parts)
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{','.join(signed[name])}\n" for name in sorted(signed))
    canonical = "\n".join((method, _canonical_path(path), _canonical_query(query), lines, names, digest))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = _signing_key(credentials.secret_access_key, stamp[:8], region, service)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    value = f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*added, ("authorization", value)]


def _canonical_path(path: str) -> str:
    """Without `.`, `..` and double slashes, and encoded once more than it is sent; S3 alone does otherwise."""
    found = posixpath.normpath(f"/{path}").replace("//", "/")
    return quote(f"{found}/" if path.endswith("/") and found != "/" else found, safe="/~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = (part.partition("=") for part in query.split("&"))
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
