"""One attempt: what becomes of every way in which a request can end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import httpx
import pytest

from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.sender import MAX_ANSWER_BYTES, Sender
from hookrouter.http.client import Http, StaleConnection
from hookrouter.routing.endpoint import Auth, Endpoint

MESSAGE = Message(
    "evt_1", "StasisStart", b'{"id":"evt_1"}', "control", "1.1", "ivr", "2026-11-23T01:21:20.227Z", "main"
)
ENDPOINT = Endpoint("http://test/ivr", (b"0123456789abcdef",))


class StillClock:
    """Time stands still, at the contract's example."""

    def now(self) -> float:
        return 1_795_396_880.0

    def monotonic(self) -> float:
        return 7.0

    async def sleep(self, delay: float) -> None:
        raise AssertionError("an attempt does not sleep")


async def attempt(
    handle: Callable[[httpx.Request], httpx.Response], endpoint: Endpoint = ENDPOINT, left: float | None = 8.0
) -> Attempt:
    sender = Sender(Http(transport=httpx.MockTransport(handle)), StillClock())
    return await sender.attempt(endpoint, MESSAGE, 2, 3.0, left)


async def test_what_is_sent() -> None:
    """A POST of the very bytes, signed with the time of this attempt, and with what is left of the deadline."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, headers={"content-type": "application/json"}, content=b"[]")

    found = await attempt(handle)
    assert found == Attempt(2, "response", 200, "application/json", b"[]")
    [request] = seen
    assert (request.method, str(request.url), request.content) == ("POST", "http://test/ivr", MESSAGE.body)
    assert request.headers["webhook-timestamp"] == "1795396880"
    assert request.headers["hookrouter-deadline-ms"] == "8000"
    assert request.headers["hookrouter-attempt"] == "2"


def _raises(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    return handle


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(httpx.ConnectError("no"), Attempt(2, "refused_connection", detail="no"), id="refused"),
        pytest.param(httpx.ConnectTimeout("no"), Attempt(2, "refused_connection", detail="no"), id="connect timeout"),
        pytest.param(httpx.UnsupportedProtocol("no"), Attempt(2, "refused_connection", detail="no"), id="no URL"),
        pytest.param(httpx.ReadTimeout("no"), Attempt(2, "timeout", detail="no"), id="timeout"),
        pytest.param(httpx.ReadError("no"), Attempt(2, "reset", detail="no"), id="reset"),
        pytest.param(httpx.WriteError("no"), Attempt(2, "reset", detail="no"), id="reset while sending"),
        pytest.param(StaleConnection("no"), Attempt(2, "reset", detail="no", stale=True), id="stale"),
        pytest.param(httpx.RemoteProtocolError("no"), Attempt(2, "bad_response", detail="no"), id="not HTTP"),
        pytest.param(httpx.ReadError("x" * 1000), Attempt(2, "reset", detail="x" * 300), id="long words"),
    ],
)
async def test_what_goes_wrong(error: Exception, expected: Attempt) -> None:
    """No failure of the network raises; each has its reason."""
    assert await attempt(_raises(error)) == expected


@pytest.mark.parametrize(
    ("response", "reason", "status", "retry_after"),
    [
        pytest.param(httpx.Response(503, headers={"retry-after": "7"}), "response", 503, 7.0, id="Retry-After"),
        pytest.param(httpx.Response(503, headers={"retry-after": "x"}), "response", 503, None, id="no Retry-After"),
        pytest.param(
            httpx.Response(200, content=b" " * (MAX_ANSWER_BYTES + 1)), "too_large", None, None, id="too large"
        ),
        pytest.param(
            httpx.Response(500, content=b" " * (MAX_ANSWER_BYTES + 1)), "response", 500, None, id="500, large"
        ),
        pytest.param(
            httpx.Response(200, headers={"content-encoding": "identity"}), "response", 200, None, id="identity"
        ),
    ],
)
async def test_what_is_read(
    response: httpx.Response, reason: str, status: int | None, retry_after: float | None
) -> None:
    """A status that is no 2xx stands whatever its body; a 2xx is only as good as its body."""
    found = await attempt(lambda request: response)
    assert (found.reason, found.status, found.retry_after) == (reason, status, retry_after)


@pytest.mark.parametrize(("status", "reason"), [(200, "bad_response"), (503, "response")])
async def test_compressed_answers(status: int, reason: str) -> None:
    """Compression was not asked for: a 2xx with it is not understood."""
    stream = httpx.ByteStream(b"\x1f\x8b")
    found = await attempt(lambda request: httpx.Response(status, headers={"content-encoding": "gzip"}, stream=stream))
    assert (found.reason, found.status) == (reason, status)


@pytest.mark.parametrize(
    ("auth", "value"),
    [
        (Auth("basic", "ivr", "pässword"), "Basic " + base64.b64encode("ivr:pässword".encode()).decode()),
        (Auth("bearer", token="abc"), "Bearer abc"),
    ],
)
async def test_authorization(auth: Auth, value: str) -> None:
    """Basic and bearer, beside the signature."""
    seen: list[httpx.Headers] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(204)

    await attempt(handle, Endpoint("http://test/", (b"0123456789abcdef",), auth=auth))
    assert seen[0]["authorization"] == value
    assert seen[0]["webhook-signature"].startswith("v1,")


async def test_late_answers_are_passed_on() -> None:
    """The listener for a late answer reaches the connection."""
    heard: list[object] = []

    class Listening:
        async def send(self, *request: object, late: object, **options: object) -> object:
            heard.append(late)
            raise httpx.ReadTimeout("no")

    def late() -> None: ...

    await Sender(Listening(), StillClock()).attempt(ENDPOINT, MESSAGE, 1, 3.0, 8.0, late)  # type: ignore[arg-type]
    assert heard == [late]


async def test_cancelling_is_passed_on() -> None:
    """An attempt that is given up is given up."""

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    task = asyncio.create_task(attempt(hang))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (500, {}, b" oops,\n  line 7 ", "answered 500 `oops, line 7`"),
        (503, {}, b"", "answered 503"),
        (302, {"location": "/login"}, b"<html>", "answered 302, a redirect to `/login`: redirects are not followed; give that "
         "address in the route"),
        (304, {}, b"", "answered 304"),
        (404, {}, b"x" * 900, "answered 404: nothing is at this path; is the url right, and is the flow active? `" + "x" * 200 + "`"),
        (403, {}, b"\xff", "answered 403: it does not let us in; does it have the route's secret, or want an `auth`? `\ufffd`"),
    ],
)  # fmt: skip
async def test_a_status_that_is_none_of_ours_comes_in_words(
    status: int, headers: dict[str, str], body: bytes, words: str
) -> None:
    """What was answered, as far as a line of a log can hold it, and what can be done about it."""
    found = await attempt(lambda _: httpx.Response(status, headers=headers, content=body))
    assert (found.status, found.detail) == (status, words)
