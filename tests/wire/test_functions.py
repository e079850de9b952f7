"""Functions of AWS Lambda that are invoked by name, over a real connection, with a signature that botocore judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rig.functions import KEY_ID, SECRET, Failed, LambdaApi, Refused, body_of, lambda_api
from standardwebhooks import Webhook

from hookrouter.cli import main
from hookrouter.clock import SystemClock
from hookrouter.config import parse
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.retry import retried
from hookrouter.delivery.sender import MAX_ANSWER_BYTES, Sender
from hookrouter.facts import Exchanged, Facts
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Route

WEBHOOK = "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="
HELLO = [{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]
SECRETS = (SECRET, KEY_ID, "token/of+a=session")


def hello(event: dict[str, Any]) -> Any:
    """A handler as it is written for a function URL: it checks the signature, and answers with a whole HTTP answer."""
    assert event["requestContext"]["http"]["method"] == "POST"
    body = body_of(event)
    told = Webhook(WEBHOOK).verify(body, event["headers"])
    actions = HELLO if told["type"] == "StasisStart" else []
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(actions)}


def bare(event: dict[str, Any]) -> Any:
    """One that answers with the actions alone, and with nothing where there is nothing to say."""
    return HELLO if json.loads(event["body"])["type"] == "StasisStart" else None


@pytest.mark.parametrize("handler", [hello, bare])
def test_a_call(monkeypatch: pytest.MonkeyPatch, handler: Callable[[dict[str, Any]], Any]) -> None:
    """By the name of the function alone, with the usual variables: the caller hears it, and no secret is told."""
    with lambda_api(**{"ivr:live": handler}) as api:
        for name, value in api.environ.items():
            monkeypatch.setenv(name, value)
        call = ["simulate", "lambda:ivr:live", "--secret", WEBHOOK, "--speed", "20"]
        result = CliRunner().invoke(main, [*call, "-v"])
        assert result.exit_code == 0, result.output
        assert "♪ sound:hello-world" in result.output
        assert [body["type"] for body in map(json.loads, map(body_of, [event for _, event in api.seen]))] == [
            "StasisStart", "StasisEnd"
        ]  # fmt: skip
        as_json = CliRunner().invoke(main, [*call, "--json"])
        assert as_json.exit_code == 0
        assert not [secret for secret in SECRETS if secret in result.output + as_json.output]


def routes(api: LambdaApi, text: str) -> Route:
    (found,) = parse(f'[asterisk.main]\npassword = "x"\n[[routes]]\n{text}', api.environ).routes.routes
    return found


async def attempt(api: LambdaApi, url: str = "lambda:ivr", auth: str = "", facts: Facts | None = None) -> Attempt:
    endpoint = routes(api, f'url = "{url}"\nsecret = "{WEBHOOK}"\nheaders = {{ x-line = "7" }}\n{auth}').endpoint
    http = Http()
    try:
        message = Message("evt_1", "StasisStart", b'{"id":"evt_1","type":"StasisStart"}', "control", "1.1", "ivr")
        return await Sender(http, SystemClock(), facts).attempt(endpoint, message, 1, 3.0, 8.0)
    finally:
        await http.close()


def _raises(error: Exception) -> Callable[[dict[str, Any]], Any]:
    def handler(event: dict[str, Any]) -> Any:
        raise error

    return handler


BUSY = Refused(429, "TooManyRequestsException", "Rate Exceeded.", "2")
LARGE = {"statusCode": 200, "body": " " * (MAX_ANSWER_BYTES + 1)}


@pytest.mark.parametrize(
    ("handler", "outcome", "detail"),
    [
        pytest.param(_raises(Failed("no such line")), ("response", 502, None, True),
                     "the function failed: Failed: no such line", id="it fails"),
        pytest.param(_raises(BUSY), ("response", 429, 2.0, True),
                     "AWS answered 429 TooManyRequestsException: Rate Exceeded. (as many of it run as may)", id="throttled"),
        pytest.param(lambda event: {"statusCode": 401}, ("response", 401, None, False),
                     "answered 401: it does not let us in; does it have the route's secret, or want an `auth`?", id="401"),
        pytest.param(lambda event: {"statusCode": 200, "body": []}, ("bad_response", None, None, False),
                     "the function's `body` is not a text: encode it as JSON (json.dumps, JSON.stringify)", id="no text"),
        pytest.param(lambda event: LARGE, ("too_large", 200, None, False),
                     f"the answer has {MAX_ANSWER_BYTES + 1} bytes; at most {MAX_ANSWER_BYTES} are read", id="too large"),
        pytest.param(lambda event: "\n" * MAX_ANSWER_BYTES * 3, ("too_large", None, None, False),
                     "the answer has 1572866 bytes; at most 1048576 are read", id="far too large"),
    ],
)  # fmt: skip
async def test_what_goes_wrong(
    handler: Callable[[dict[str, Any]], Any], outcome: tuple[str, int | None, float | None, bool], detail: str
) -> None:
    """Told in the function's words or AWS's, and tried again where the rules of delivery say so."""
    with lambda_api(ivr=handler) as api:
        found = await attempt(api)
    assert (found.reason, found.status, found.retry_after, retried(found)) == outcome
    assert found.detail == detail


@pytest.mark.parametrize(
    ("url", "auth", "detail"),
    [
        ("lambda:other", "",
         "AWS answered 404 ResourceNotFoundException: Function not found: other (is the name right, and the region?)"),
        ("lambda:ivr", f'auth = {{ type = "aws-sigv4", access_key_id = "{KEY_ID}", secret_access_key = "wrong" }}',
         "AWS answered 403 InvalidSignatureException: The request signature we calculated does not match "
         "(is the secret access key right, and the clock?)"),
    ],
)  # fmt: skip
async def test_who_is_not_let_in(url: str, auth: str, detail: str) -> None:
    """A name or a key that is wrong; the function is not asked."""
    with lambda_api(ivr=hello) as api:
        found = await attempt(api, url, auth)
        assert api.seen == []
    assert found.detail == detail


async def test_what_a_function_is_sent_and_what_is_recorded() -> None:
    """The event holds what any endpoint gets; the record holds the same, and nothing that proves who we are to AWS."""
    facts, kept = Facts(), []
    facts.subscribe(kept.append, frozenset({Exchanged}).__contains__)
    with lambda_api(**{"ivr:live": hello}) as api:
        found = await attempt(api, "lambda:ivr:live/menu?code=SHH", facts=facts)
    assert (found.reason, found.status) == ("response", 200)
    [(name, event)] = api.seen
    assert name == "ivr:live"
    assert (event["rawPath"], event["queryStringParameters"]) == ("/menu", {"code": "SHH"})
    assert event["headers"]["x-line"] == "7"
    assert event["headers"]["hookrouter-deadline-ms"] == "8000"
    [headers] = api.headers
    assert {"webhook-signature", "x-line"}.isdisjoint(headers)
    [exchange] = kept
    assert exchange.url == "lambda:ivr:live/menu?code=***"
    assert exchange.request_headers["x-line"] == "(hidden)"
    assert exchange.request == b'{"id":"evt_1","type":"StasisStart"}'
    assert json.loads(exchange.answer) == HELLO
    assert exchange.answer_headers["x-amzn-requestid"]
    assert not [secret for secret in (*SECRETS, "SHH", "AWS4") if secret in repr(exchange)]


def test_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the function as it asks any endpoint, and finds one that checks no signature."""
    path = tmp_path / "routes.toml"
    path.write_text(
        '[asterisk.main]\nmode = "listen"\npassword = "x"\n[server]\nlisten = "127.0.0.1:1"\n'
        + "".join(f'[[routes]]\nurl = "lambda:{name}"\nsecret = "{WEBHOOK}"\n' for name in ("good", "open", "bad"))
    )
    with lambda_api(good=hello, open=bare, bad=_raises(Failed("boom"))) as api:
        for name, value in api.environ.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(main, ["check", "--live", "-c", str(path)])
    assert result.exit_code == 1
    assert "lambda:good answers a StasisStart (200, " in result.output
    assert "lambda:open also takes a wrong signature" in result.output
    assert "lambda:bad the function failed: Failed: boom" in result.output
