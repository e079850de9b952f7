"""The request's body and headers, to the byte."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter import __version__
from hookrouter.delivery.envelope import CallContext, Message, envelope, headers, traceparent
from hookrouter.delivery.signing import verify
from hookrouter.routing.endpoint import Endpoint

KEY = b"0123456789abcdef"
NOW = 1_795_396_880.9
TIME = "2026-11-23T01:21:20.227Z"
CALL = CallContext("1795396880.3", "main", "hookrouter", "ivr", 1, b'{"lang":"de"}')
TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def test_the_body_to_the_byte() -> None:
    """Members in the contract's order, without spaces of ours."""
    assert envelope("evt_1", "StasisStart", TIME, b'{ "a" : 1.0 }', CALL) == (
        b'{"id":"evt_1","type":"StasisStart","timestamp":"2026-11-23T01:21:20.227Z","data":{ "a" : 1.0 },'
        b'"call":{"id":"1795396880.3","asterisk":"main","app":"hookrouter","route":"ivr","sequence":1,"state":{"lang":"de"}}}'
    )


def test_optional_members() -> None:
    """`call` is absent without a call; `inferred` and `fallback` appear only where they hold."""
    assert envelope("e", "T", TIME, b"{}", None, inferred=True, fallback=b'{"reason":"timeout"}') == (
        b'{"id":"e","type":"T","timestamp":"2026-11-23T01:21:20.227Z","data":{},"inferred":true,"fallback":{"reason":"timeout"}}'
    )


@given(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, st.integers(1, 2**40))
def test_any_text_is_escaped(id: str, type: str, call: str, asterisk: str, app: str, route: str, sequence: int) -> None:
    """Quotes, control characters and everything beyond ASCII come back as they went in."""
    body = json.loads(envelope(id, type, TIME, b"null", CallContext(call, asterisk, app, route, sequence)))
    assert (body["id"], body["type"]) == (id, type)
    assert body["call"] == {
        "id": call, "asterisk": asterisk, "app": app, "route": route, "sequence": sequence, "state": {},
    }  # fmt: skip


def _headers(endpoint: Endpoint, message: Message, deadline_ms: int | None = 7999) -> dict[str, str]:
    found = headers(endpoint, message, 2, NOW, deadline_ms)
    assert len(dict(found)) == len(found), "a header came twice"
    return dict(found)


MESSAGE = Message("evt_1", "StasisStart", b"{}", "control", "1795396880.3", "ivr", TIME, "main")


def test_control_headers() -> None:
    """All that the contract names, and a signature over the very bytes of the body with this attempt's time."""
    found = _headers(Endpoint("http://x/", (KEY,)), MESSAGE)
    signature, trace = found.pop("webhook-signature"), found.pop("traceparent")
    assert found == {
        "content-type": "application/json",
        "user-agent": f"hookrouter/{__version__}",
        "accept-encoding": "identity",
        "webhook-id": "evt_1",
        "webhook-timestamp": "1795396880",
        "hookrouter-attempt": "2",
        "hookrouter-deadline-ms": "7999",
        "prefer": "reply",
    }
    assert verify("evt_1", "1795396880", MESSAGE.body, signature, [KEY], now=NOW) is None
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)


def test_notify_headers() -> None:
    """Nobody waits for a notify route's answer."""
    found = _headers(Endpoint("http://x/"), Message("evt_1", "StasisStart", b"{}", "notify"), None)
    assert not {"prefer", "hookrouter-deadline-ms", "webhook-signature"} & set(found)


def test_the_deadline_is_never_negative() -> None:
    """An attempt in the last moment still has a millisecond."""
    assert _headers(Endpoint("http://x/"), MESSAGE, -3)["hookrouter-deadline-ms"] == "1"


def test_the_routes_own_headers() -> None:
    """They come along and replace ours, but none that the contract defines."""
    own = (("X-Functions-Key", "k"), ("User-Agent", "me"), ("webhook-id", "bad"), ("Content-Type", "text/plain"))
    found = _headers(Endpoint("http://x/", headers=own), MESSAGE)
    assert (found["X-Functions-Key"], found["User-Agent"], found["webhook-id"]) == ("k", "me", "evt_1")
    assert found["content-type"] == "application/json"
    assert "user-agent" not in found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            MESSAGE,
            {
                "ce-specversion": "1.0",
                "ce-id": "evt_1",
                "ce-type": "org.asterisk.ari.StasisStart",
                "ce-source": "/asterisk/main",
                "ce-time": TIME,
                "ce-subject": "1795396880.3",
            },
            id="of a call",
        ),
        pytest.param(
            Message("evt_1", "Notify", b'{"timestamp":"%s","call":{"asterisk":"b"}}' % TIME.encode(), call='a "ü%'),
            {
                "ce-specversion": "1.0",
                "ce-id": "evt_1",
                "ce-type": "org.asterisk.ari.Notify",
                "ce-source": "/asterisk/b",
                "ce-time": TIME,
                "ce-subject": "a%20%22%C3%BC%25",
            },
            id="from the disk, to be percent-encoded",
        ),
        pytest.param(
            Message("evt_1", "DeviceStateChanged", b'{"timestamp":"%s"}' % TIME.encode()),
            {
                "ce-specversion": "1.0",
                "ce-id": "evt_1",
                "ce-type": "org.asterisk.ari.DeviceStateChanged",
                "ce-source": "/asterisk",
                "ce-time": TIME,
            },
            id="of no call",
        ),
    ],
)
def test_cloud_events(message: Message, expected: dict[str, str]) -> None:
    """Binary mode: the attributes are headers, and the content type stays JSON."""
    found = _headers(Endpoint("http://x/", format="cloudevents"), message)
    assert {name: value for name, value in found.items() if name.startswith("ce-")} == expected
    assert found["content-type"] == "application/json"


def test_a_trace_for_each_call_and_a_span_for_each_attempt() -> None:
    """The trace follows the call over all its events, the span is the attempt's own; both are the same again later."""
    first, second = traceparent("evt_1", "call", 1), traceparent("evt_2", "call", 1)
    assert first[:35] == second[:35]
    assert len({first, second, traceparent("evt_1", "call", 2)}) == 3
    assert first == traceparent("evt_1", "call", 1)
    assert traceparent("evt_1", "", 1)[:35] != traceparent("evt_2", "", 1)[:35]
