"""What a function is handed, and what becomes of what it hands back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.session import get_session

from hookrouter.delivery.invoking import NotAnAnswer, answered, invocation
from hookrouter.http.http1 import HttpReply
from hookrouter.text.functions import function

NOW = 1_583_348_638.39
HEADERS = [
    ("content-type", "application/json"), ("user-agent", "hookrouter/0.1.0"), ("accept-encoding", "identity"),
    ("webhook-id", "evt_1"), ("x-twice", "a"), ("X-Twice", "b"),
]  # fmt: skip
ARN = "arn:aws:lambda:us-west-2:123456789012:function:ivr:live"


def event(url: str, body: bytes = b'{"type":"StasisStart"}') -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invocation(function(url), "eu-central-1", "", "evt_1", HEADERS, body, NOW).body)
    return found


def test_the_event_is_that_of_a_function_url() -> None:
    """The members of AWS's own example (payload format 2.0), as far as a POST without cookies has them."""
    assert event(f"lambda:{ARN}/my/path?parameter1=value1&parameter1=value2&parameter2=value") == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "headers": {
            "content-type": "application/json", "user-agent": "hookrouter/0.1.0", "accept-encoding": "identity",
            "webhook-id": "evt_1", "x-twice": "a,b",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "ivr",
            "domainName": "lambda.us-west-2.amazonaws.com",
            "domainPrefix": "ivr",
            "http": {
                "method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "0.0.0.0",
                "userAgent": "hookrouter/0.1.0",
            },
            "requestId": "evt_1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": '{"type":"StasisStart"}',
        "isBase64Encoded": False,
    }  # fmt: skip


def test_a_name_alone() -> None:
    """There is no account and no query to tell of; a body that is no text is encoded."""
    plain = event("lambda:ivr", b"\xff")
    assert (plain["rawPath"], plain["rawQueryString"]) == ("/", "")
    assert "queryStringParameters" not in plain
    assert plain["requestContext"]["accountId"] == "anonymous"
    assert (plain["body"], plain["isBase64Encoded"]) == (base64.b64encode(b"\xff").decode(), True)


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"])
@pytest.mark.parametrize("name", ["ivr", "ivr:live", "ivr:$LATEST", "123456789012:function:ivr", ARN])
def test_the_request_is_the_one_that_botocore_makes(region: str, name: str) -> None:
    """Address and method of `invoke` in each of AWS's partitions that the public reaches."""
    if name == ARN and region != "eu-central-1":
        return
    region = "us-west-2" if name == ARN else region
    client = get_session().create_client(
        "lambda", region, aws_access_key_id="a", aws_secret_access_key="b"
    )  # fmt: skip
    sent: list[AWSPreparedRequest] = []

    def send(request: AWSPreparedRequest, **about: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, _Raw())

    client.meta.events.register("before-send.lambda.Invoke", send)
    client.invoke(FunctionName=name, Payload=b"{}")
    client.close()
    ours = invocation(function(f"lambda:{name}/menu"), region, "", "evt_1", HEADERS, b"{}", NOW)
    assert (ours.url, ours.region) == (sent[0].url, region)
    assert sent[0].method == "POST"


class _Raw:
    def stream(self, *args: Any, **kwargs: Any) -> Any:
        return iter((b"null",))

    def read(self, *args: Any) -> bytes:
        return b"null"


def test_another_place_of_the_api() -> None:
    """A VPC's endpoint, or a stub's."""
    made = invocation(function("lambda:ivr"), "eu-central-1", "http://127.0.0.1:3001/", "evt_1", HEADERS, b"{}", NOW)
    assert made.url == "http://127.0.0.1:3001/2015-03-31/functions/ivr/invocations"
    assert json.loads(made.body)["requestContext"]["domainName"] == "127.0.0.1"
    assert ("webhook-id", "evt_1") not in made.headers


LIST = b'[{"action":"answer"}]'
AWS = {"x-amzn-requestid": "r", "content-type": "application/octet-stream", "date": "x"}


def reply(given: Any, status: int = 200, **headers: str) -> HttpReply:
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    return HttpReply(status, AWS | {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.1, 0.2)


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        pytest.param([{"action": "answer"}], 200, b'[{"action": "answer"}]', id="a list"),
        pytest.param({"actions": []}, 200, b'{"actions": []}', id="an object"),
        pytest.param(b"null", 200, b"null", id="nothing"),
        pytest.param(b'{"statusCode":', 200, b'{"statusCode":', id="no JSON"),
        pytest.param({"statusCode": 200, "body": LIST.decode()}, 200, LIST, id="whole"),
        pytest.param({"statusCode": 202}, 202, b"", id="without a body"),
        pytest.param({"statusCode": 200, "body": base64.b64encode(LIST).decode(), "isBase64Encoded": True}, 200, LIST, id="base64"),
        pytest.param({"statusCode": 503, "headers": {"Retry-After": 7}, "body": "later"}, 503, b"later", id="503"),
    ],
)  # fmt: skip
def test_what_it_answers(given: Any, status: int, body: bytes) -> None:
    """What a function's URL would make of it; of AWS's own headers the id of the request is kept."""
    found, words = answered(reply(given))
    assert (found.status, found.body, words) == (status, body, "")
    assert (found.headers["x-amzn-requestid"], found.headers["content-type"]) == ("r", "application/json")
    assert "date" not in found.headers
    assert (found.connect_seconds, found.first_byte_seconds) == (0.1, 0.2)


def test_its_headers() -> None:
    """In lower case, as text."""
    found, _ = answered(
        reply({"statusCode": 429, "headers": {"Content-Type": "text/plain", "Retry-After": 7}, "body": ""})
    )
    assert (found.headers["content-type"], found.headers["retry-after"]) == ("text/plain", "7")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"statusCode": "ok"}, "`statusCode` is ok", id="status"),
        pytest.param({"statusCode": True}, "`statusCode` is True", id="a truth"),
        pytest.param({"statusCode": 99}, "`statusCode` is 99, not a number from 200 to 599", id="too small"),
        pytest.param({"statusCode": 200, "body": []}, "JSON.stringify", id="body"),
        pytest.param({"statusCode": 200, "body": "*", "isBase64Encoded": True}, "not base64", id="no base64"),
        pytest.param({"statusCode": 200, "headers": []}, "`headers` are not an object", id="headers"),
        pytest.param({"statusCode": 200, "headers": {"a": []}}, "header `a` is not a text", id="a header"),
    ],
)
def test_what_is_no_answer(given: Any, said: str) -> None:
    """Refused whole, with what is wrong."""
    with pytest.raises(NotAnAnswer, match=said.replace("(", r"\(")):
        answered(reply(given))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"errorMessage": "no such line", "errorType": "KeyError"}, "KeyError: no such line", id="both"),
        pytest.param({"errorMessage": "Task timed out after 3.00 seconds"}, "Task timed out after 3.00 seconds", id="time"),
        pytest.param({"errorMessage": None, "errorType": "Runtime.ExitError"}, "Runtime.ExitError", id="exit"),
        pytest.param(b"oh", "oh", id="no JSON"),
        pytest.param(["x" * 300], '["' + "x" * 198 + "…", id="long"),
    ],
)  # fmt: skip
def test_a_function_that_fails(given: Any, words: str) -> None:
    """502, as by its URL, and its own words."""
    found, said = answered(reply(given, x_amz_function_error="Unhandled"))
    assert (found.status, said) == (502, f"the function failed: {words}")


@pytest.mark.parametrize(
    ("status", "kind", "given", "words"),
    [
        (404, "ResourceNotFoundException:http://x/", {"Message": "Function not found: ivr"},
         "AWS answered 404 ResourceNotFoundException: Function not found: ivr (is the name right, and the region?)"),
        (429, "TooManyRequestsException", {"message": "Rate Exceeded."},
         "AWS answered 429 TooManyRequestsException: Rate Exceeded. (as many of it run as may)"),
        (500, "", {"__type": "com.amazonaws#ServiceException"}, "AWS answered 500 ServiceException"),
        (503, "", b"<html>", "AWS answered 503"),
    ],
)  # fmt: skip
def test_what_aws_refuses(status: int, kind: str, given: Any, words: str) -> None:
    """With its type and its message, and what can be done."""
    headers = {"x-amzn-errortype": kind} if kind else {}
    found, said = answered(reply(given, status, retry_after="1", **headers))
    assert (found.status, found.headers["retry-after"], said) == (status, "1", words)


def test_a_file_system_that_is_away_is_not_gone_for_ever() -> None:
    """410 of AWS means that; of an endpoint it would mean that nothing is to be sent any more."""
    found, said = answered(reply({"Message": "x"}, 410, x_amzn_errortype="EFSIOException"))
    assert (found.status, said) == (502, "AWS answered 410 EFSIOException: x")
