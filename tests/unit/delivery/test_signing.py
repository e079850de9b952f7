"""Signatures, judged by the official Standard Webhooks library."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hookrouter.delivery.signing import format_secret, parse_secret, sign, verify

KEY = b"0123456789abcdef01234567"
OTHER = b"another key of 24 bytes!"
NOW = 1_795_396_880

IDS = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="_-"), min_size=1, max_size=64)
KEYS = st.binary(min_size=16, max_size=64)


@given(id=IDS, body=st.text().map(str.encode), key=KEYS)
def test_the_official_library_accepts(id: str, body: bytes, key: bytes) -> None:
    """What we sign, it verifies (at its own clock)."""
    at = int(datetime.now(UTC).timestamp())
    headers = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": sign(id, at, body, [key])}
    library = Webhook(base64.b64encode(key).decode())
    try:
        library.verify(body, headers)
    except ValueError:
        pass  # verified; the body is no JSON
    headers["webhook-id"] = id + "x"
    with pytest.raises(WebhookVerificationError):
        library.verify(body, headers)


@given(id=IDS, body=st.text().map(str.encode), key=KEYS)
def test_we_accept_the_official_library(id: str, body: bytes, key: bytes) -> None:
    """What it signs, we verify."""
    signature = Webhook(base64.b64encode(key).decode()).sign(id, datetime.fromtimestamp(NOW, UTC), body.decode())
    assert verify(id, str(NOW), body, signature, [key], now=NOW) is None


def test_a_known_signature() -> None:
    """The example of the Standard Webhooks specification."""
    key = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_white_space_around_a_secret_is_not_the_secret() -> None:
    """What a file or a shell ends with a line; the other side has it without."""
    assert parse_secret(" whsec_MTIzNDU2Nzg5MGFiY2RlZg==\r\n") == parse_secret("1234567890abcdef\n") == b"1234567890abcdef"


def test_one_signature_for_each_key() -> None:
    """While keys are rotated, a receiver with either is satisfied; the order is the keys'."""
    both = sign("evt_1", NOW, b"{}", [KEY, OTHER])
    assert both == f"{sign('evt_1', NOW, b'{}', [KEY])} {sign('evt_1', NOW, b'{}', [OTHER])}"
    for key in (KEY, OTHER):
        assert verify("evt_1", str(NOW), b"{}", both, [key], now=NOW) is None


def test_the_prepared_state_is_not_used_up() -> None:
    """The same input gives the same signature again."""
    assert sign("evt_1", NOW, b"{}", [KEY]) == sign("evt_1", NOW, b"{}", [KEY])


GOOD = sign("evt_1", NOW, b"{}", [KEY])


@pytest.mark.parametrize(
    ("id", "timestamp", "body", "signature", "now", "wrong"),
    [
        pytest.param("evt_1", str(NOW), b"{}", GOOD, NOW, None, id="right"),
        pytest.param("evt_1", str(NOW), b"{}", f"v1a,xyz v1,nonsense {GOOD}", NOW, None, id="one of several fits"),
        pytest.param("evt_1", str(NOW), b"{}", GOOD, NOW + 300, None, id="just in time"),
        pytest.param("evt_1", str(NOW), b"{}", GOOD, NOW + 301, "off", id="too old"),
        pytest.param("evt_1", str(NOW), b"{}", GOOD, NOW - 301, "off", id="from the future"),
        pytest.param("evt_1", "soon", b"{}", GOOD, NOW, "whole number", id="timestamp no number"),
        pytest.param("evt_1", str(NOW + 1), b"{}", GOOD, NOW, "no signature fits", id="other timestamp"),
        pytest.param("evt_2", str(NOW), b"{}", GOOD, NOW, "no signature fits", id="other id"),
        pytest.param("evt_1", str(NOW), b"{ }", GOOD, NOW, "no signature fits", id="other bytes"),
        pytest.param("evt_1", str(NOW), b"{}", "v1,ü", NOW, "no signature fits", id="not ASCII"),
        pytest.param("evt_1", str(NOW), b"{}", "v1a,abc", NOW, "no `v1,`", id="another version only"),
        pytest.param("evt_1", str(NOW), b"{}", "", NOW, "no `v1,`", id="empty"),
    ],
)
def test_verify(id: str, timestamp: str, body: bytes, signature: str, now: float, wrong: str | None) -> None:
    """What fits is None, everything else says what is wrong, and nothing raises."""
    said = verify(id, timestamp, body, signature, [OTHER, KEY], now=now)
    assert said is None if wrong is None else wrong in str(said)


def test_no_keys_fit_nothing() -> None:
    """Without a key nothing verifies, not even an empty signature."""
    assert verify("evt_1", str(NOW), b"{}", "v1,", [], now=NOW) is not None


@given(KEYS)
def test_secrets_round_trip(key: bytes) -> None:
    """A formatted key parses to itself."""
    assert parse_secret(format_secret(key)) == key


@pytest.mark.parametrize(
    ("secret", "message"),
    [("whsec_%%%", "not base64"), ("whsec_YWJj", "3 bytes"), ("short", "5 bytes"), ("", "0 bytes")],
)
def test_wrong_secrets(secret: str, message: str) -> None:
    """What is no secret says why."""
    with pytest.raises(ValueError, match=message):
        parse_secret(secret)


def test_a_plain_secret() -> None:
    """Text without the prefix is the key itself."""
    assert parse_secret("correct horse battery") == b"correct horse battery"
