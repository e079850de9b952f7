"""Google's identity tokens, which Cloud Run and Cloud Functions ask for: what is asked for one, and how long it is good.

Rules: with a service account's key we sign who we are and for whom the token is to be, and Google's token server gives it; on
Google Cloud the metadata server gives it without a key. Time is an argument.
Source: RFC 7523 (JWT bearer grant); Google Cloud, "Get an ID token" (`target_audience`; the metadata server's `identity`).
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote, urlencode

import msgspec

from hookrouter.errors import ConfigurationError, Fault, extra

METADATA_HOST = "metadata.google.internal"
_TOKEN_URI = "https://oauth2.googleapis.com/token"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SECONDS = 3600


class ServiceAccount(msgspec.Struct, frozen=True):
    """Of the JSON file that Google gives out, what is needed."""

    client_email: str
    private_key: str
    token_uri: str = _TOKEN_URI
    private_key_id: str = ""


class _Claims(msgspec.Struct):
    exp: float


class _Given(msgspec.Struct):
    id_token: str


def service_account(text: str) -> ServiceAccount:
    """Raises ValueError where it is not such a file."""
    try:
        return msgspec.json.decode(text, type=ServiceAccount)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"is not the JSON key of a service account: {error}") from None


def grant(account: ServiceAccount, audience: str, now: float) -> bytes:
    """The body of the request to the account's `token_uri`. Raises ConfigurationError: the extra is missing, or the key is bad."""
    issued = int(now)
    claims = {
        "iss": account.client_email, "aud": account.token_uri, "iat": issued, "exp": issued + _SECONDS,
        "target_audience": audience,
    }  # fmt: skip
    head = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    signed = b".".join(_url64(msgspec.json.encode(part)) for part in (head, claims))
    assertion = b".".join((signed, _url64(_rs256(account.private_key, signed))))
    return urlencode({"grant_type": _GRANT, "assertion": assertion.decode()}).encode()


def _rs256(key: str, signed: bytes) -> bytes:
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise ConfigurationError(
            [Fault("auth.type", f"a service account's key needs more: {extra('oauth')}")]
        ) from None
    try:
        found = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError([Fault("auth.service_account_key", f"its `private_key` is bad: {error}")]) from None
    if not isinstance(found, rsa.RSAPrivateKey):
        raise ConfigurationError([Fault("auth.service_account_key", "its `private_key` is not one of RSA")])
    return found.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def identity_url(audience: str, host: str = "") -> str:
    """Of the metadata server. It wants the header `metadata-flavor: Google`."""
    where = "/computeMetadata/v1/instance/service-accounts/default/identity"
    return f"http://{host or METADATA_HOST}{where}?audience={quote(audience, safe='')}&format=full"


def given(body: bytes) -> str:
    """The token in the token server's answer. Raises ValueError."""
    try:
        return msgspec.json.decode(body, type=_Given).id_token
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise ValueError("the token server's answer holds no `id_token`") from None


def expires_at(token: str) -> float:
    """Seconds since the epoch. Raises ValueError where it is no token."""
    parts = token.split(".")
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)) if len(parts) == 3 else b""
        return msgspec.json.decode(claims, type=_Claims).exp
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, UnicodeDecodeError):
        raise ValueError("what came is not an identity token") from None


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
