"""A request for a function of AWS Lambda that is invoked by name: what its URL would hand it, and what it hands back.

Rules:
- The event is that of a function URL (payload format 2.0), so that one handler serves both: the headers and the body in it
  are those of any other delivery, the signature among them.
- A JSON object with `statusCode` is a whole HTTP answer; any other JSON is the body of a 200. So does a function URL have it.
- A function that fails answers 502, as by its URL; the words are its own.
- What AWS itself refuses keeps its status, but for 410, which AWS says of a file system that is away.
Source: AWS Lambda developer guide, "Invoking Lambda function URLs"; AWS Lambda API, Invoke.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from hookrouter.http.http1 import HttpReply
from hookrouter.text.functions import Function

MOST_READ = 1024 * 1024
"""Bytes of AWS's answer: JSON within JSON takes more of them than the answer has."""
_FAILED = 502
_MOST_SHOWN = 200
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SUFFIXES = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
_KEPT = ("x-amzn-requestid", "x-amz-executed-version")
_REMEDIES = {
    "AccessDeniedException": "its policy must allow these credentials lambda:InvokeFunction on it",
    "ResourceNotFoundException": "is the name right, and the region?",
    "UnrecognizedClientException": "are the access key and the region right?",
    "InvalidSignatureException": "is the secret access key right, and the clock?",
    "ExpiredTokenException": "the session token has expired: give new credentials",
    "TooManyRequestsException": "as many of it run as may",
    "RequestTooLargeException": "an event has 6 MB at most",
}


class NotAnAnswer(ValueError):
    """What a function gave back is not as Lambda takes it."""


class Invocation(NamedTuple):
    """The request to Lambda's API; `region`: the one that it is signed for."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes
    region: str


def invocation(
    to: Function, region: str, endpoint_url: str, id: str, headers: Sequence[tuple[str, str]], body: bytes, now: float
) -> Invocation:
    """`region` where the function names none; `endpoint_url`: empty, or where Lambda's API is instead. `now`: since the epoch."""
    region = to.region or region
    host = endpoint_url.rstrip("/") or f"https://lambda.{region}.{_suffix(region)}"
    outer = [(name, value) for name, value in headers if name in ("user-agent", "accept-encoding")]
    event = _event(to, urlsplit(host).hostname or "", id, headers, body, now)
    url = f"{host}/2015-03-31/functions/{quote(to.name, safe='')}/invocations"
    return Invocation(url, [("content-type", "application/json"), *outer], msgspec.json.encode(event), region)


def _suffix(region: str) -> str:
    return next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), "amazonaws.com")


def _event(
    to: Function, host: str, id: str, headers: Sequence[tuple[str, str]], body: bytes, now: float
) -> dict[str, Any]:
    merged: dict[str, str] = {}
    for name, value in headers:
        merged[name.lower()] = f"{merged[name.lower()]},{value}" if name.lower() in merged else value
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    at = datetime.fromtimestamp(now, UTC)
    event: dict[str, Any] = {
        "version": "2.0", "routeKey": "$default", "rawPath": to.path, "rawQueryString": to.query, "headers": merged,
        "requestContext": {
            "accountId": to.account or "anonymous", "apiId": to.plain, "domainName": host, "domainPrefix": to.plain,
            "http": {
                "method": "POST", "path": to.path, "protocol": "HTTP/1.1", "sourceIp": "0.0.0.0",
                "userAgent": merged.get("user-agent", ""),
            },
            "requestId": id, "routeKey": "$default", "stage": "$default",
            "time": f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000", "timeEpoch": int(now * 1000),
        },
        "body": text, "isBase64Encoded": encoded,
    }  # fmt: skip
    if to.query:
        found: dict[str, str] = {}
        for name, value in parse_qsl(to.query, keep_blank_values=True):
            found[name] = f"{found[name]},{value}" if name in found else value
        event["queryStringParameters"] = found
    return event


def answered(reply: HttpReply) -> tuple[HttpReply, str]:
    """The function's own answer, and where it failed or was not reached: why, in words. Raises NotAnAnswer."""
    if not 200 <= reply.status < 300:
        status = _FAILED if reply.status == 410 else reply.status
        return msgspec.structs.replace(reply, status=status), _refused_in_words(reply)
    if "x-amz-function-error" in reply.headers:
        return msgspec.structs.replace(reply, status=_FAILED), _failed_in_words(reply.body)
    kept = {name: reply.headers[name] for name in _KEPT if name in reply.headers}
    try:
        value = msgspec.json.decode(reply.body) if reply.body.lstrip()[:1] == b"{" else None
    except (msgspec.DecodeError, RecursionError):
        value = None  # the answer's reader says what is wrong with it
    if not isinstance(value, dict) or "statusCode" not in value:
        return msgspec.structs.replace(reply, headers={"content-type": "application/json"} | kept), ""
    status, body = _whole(value)
    return msgspec.structs.replace(reply, status=status, headers=_headers(value.get("headers")) | kept, body=body), ""


def _whole(value: Mapping[str, Any]) -> tuple[int, bytes]:
    status, body = value["statusCode"], value.get("body")
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise NotAnAnswer(f"the function's `statusCode` is {_cut(status)}, not a number from 200 to 599")
    if body is None:
        return status, b""
    if not isinstance(body, str):
        raise NotAnAnswer("the function's `body` is not a text: encode it as JSON (json.dumps, JSON.stringify)")
    if value.get("isBase64Encoded") is not True:
        return status, body.encode()
    try:
        return status, base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise NotAnAnswer("the function says `isBase64Encoded`, and its `body` is not base64") from None


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {"content-type": "application/json"}
    if not isinstance(given, dict):
        raise NotAnAnswer("the function's `headers` are not an object")
    found = {"content-type": "application/json"}
    for name, value in given.items():
        if not isinstance(value, str | int | float):
            raise NotAnAnswer(f"the function's header `{_cut(name)}` is not a text")
        found[name.lower()] = str(value)
    return found


def _failed_in_words(body: bytes) -> str:
    error = _object(body)
    what, kind = str(error.get("errorMessage") or ""), str(error.get("errorType") or "")
    return f"the function failed: {_cut(': '.join(filter(None, (kind, what))) or body.decode('utf-8', 'replace'))}"


def _refused_in_words(reply: HttpReply) -> str:
    error = _object(reply.body)
    kind = reply.headers.get("x-amzn-errortype", "") or str(error.get("__type") or "").rpartition("#")[2]
    kind = kind.partition(":")[0]
    what = error.get("message") or error.get("Message") or ""
    words = " ".join(filter(None, ("AWS answered", str(reply.status), kind)))
    remedy = _REMEDIES.get(kind, "")
    return f"{words}{f': {_cut(what)}' if what else ''}{f' ({remedy})' if remedy else ''}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _cut(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
