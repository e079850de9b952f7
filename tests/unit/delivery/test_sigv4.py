"""AWS's signature, judged by botocore."""

from __future__ import annotations

import pytest
from rig.functions import KEY_ID, SECRET, authorization

from hookrouter.delivery.sigv4 import Credentials, sign

NOW = 1_795_396_880.0
PLAIN = [("content-type", "application/json"), ("user-agent", "hookrouter/0.1.0"), ("webhook-id", "evt_1")]


@pytest.mark.parametrize(
    ("url", "headers", "body"),
    [
        pytest.param("https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/ivr/invocations", PLAIN, b"{}", id="name"),
        pytest.param(
            "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/"
            "arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aivr%3A%24LATEST/invocations",
            PLAIN, b'{"a":"\xc3\xa4"}', id="ARN",
        ),
        pytest.param("https://a.lambda-url.eu-central-1.on.aws", PLAIN, b"", id="no path, no body"),
        pytest.param("https://a.lambda-url.eu-central-1.on.aws/a%20b/./c//d/../e/?b=2&a=%2F&a=1&c", PLAIN, b"x", id="query"),
        pytest.param("http://127.0.0.1:3001/ivr/~x", PLAIN, b"x", id="port"),
        pytest.param(
            "https://a.test/x", [("Content-Type", " text/plain;   charset=utf-8 "), ("X-Amz-Log-Type", "Tail")], b"x", id="headers"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", "session/token=="])
@pytest.mark.parametrize("service", ["lambda", "execute-api"])
def test_botocore_writes_the_same(
    url: str, headers: list[tuple[str, str]], body: bytes, token: str, service: str
) -> None:
    """To the letter; and what is signed is the host, the type of the body, and all of AWS's own."""
    added = sign(Credentials(KEY_ID, SECRET, token), "eu-west-1", service, url, headers, body, NOW)
    found = {name.lower(): value for name, value in (*headers, *added)}
    host = url.partition("//")[2].partition("/")[0]
    assert found["authorization"] == authorization(url, found | {"host": host}, body, service, "eu-west-1")
    assert found["x-amz-date"] == "20261123T012120Z"
    assert found.get("x-amz-security-token", "") == token
    signed = found["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert signed == sorted({"host", "content-type", *(name for name in found if name.startswith("x-amz-"))})


def test_a_query_is_signed_as_it_is_read() -> None:
    """What is encoded in two ways and means the same has one signature; what means something else has another."""

    def of(query: str) -> str:
        return sign(Credentials(KEY_ID, SECRET), "r-1", "lambda", f"https://a.test/?{query}", [], b"", NOW)[-1][1]

    assert of("a=%7e&b=x:y") == of("a=~&b=x%3Ay")
    assert of("a=1") != of("a=2")
