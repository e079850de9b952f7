"""REST over the event socket: both roles against each other, and what tells a reply from an event."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.ari.events import Head
from hookrouter.ari.protocol import (
    RestRequest,
    RestResponse,
    decode_message,
    decode_request,
    encode_request,
    encode_response,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.text("0123456789abcdef", min_size=1), st.sampled_from(["GET", "POST", "PUT", "DELETE"]), TEXT, TEXT)
def test_what_one_role_says_the_other_understands(id: str, method: str, uri: str, body: str) -> None:
    """A request survives the way whatever is in its target and body."""
    raw = encode_request(id, method, "/" + uri, body.encode())
    assert decode_request(raw) == RestRequest(id, method, uri, body.encode())
    assert json.loads(raw)["type"] == "RESTRequest"


@given(TEXT, st.integers(100, 599))
def test_a_reply_survives_the_way(body: str, status: int) -> None:
    """Whatever is in the reply's body, it comes out as it went in, with the id of its request."""
    raw = encode_response(RestRequest("7", "GET", "channels"), status, "OK", body.encode())
    assert decode_message(raw) == RestResponse("7", status, body.encode())


def test_a_request_without_a_body_names_no_content_type() -> None:
    """Asterisk refuses an empty message_body of type JSON."""
    assert set(json.loads(encode_request("1", "DELETE", "/channels/1"))) == {"type", "request_id", "method", "uri"}


def test_query_strings_are_put_into_the_uri() -> None:
    """The server role takes the longer form of a query too, and escapes it."""
    raw = b'{"type":"RESTRequest","request_id":"1","uri":"a?x=1","query_strings":[{"name":"media","value":"sound:a b&c"}]}'
    assert decode_request(raw).uri == "a?x=1&media=sound%3Aa%20b%26c"


@pytest.mark.parametrize(
    ("raw", "type"),
    [
        pytest.param(b'{"type":"StasisStart","channel":{"id":"1"}}', "StasisStart", id="event"),
        pytest.param(b'{"type":"NoSuchEvent","new":{"deep":[1]}}', "NoSuchEvent", id="unknown type and fields"),
        pytest.param(b'{"type":"RESTResponseX","request_id":"1"}', "RESTResponseX", id="not quite a reply"),
    ],
)
def test_events_pass_whatever_they_are(raw: bytes, type: str) -> None:
    """What is no reply is an event, known or not."""
    message = decode_message(raw)
    assert isinstance(message, Head)
    assert message.type == type


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"null", b'{"type":1}', b"\xff\xfe"])
def test_what_is_not_an_event_is_refused(raw: bytes) -> None:
    """Garbage raises one kind of error, which the reader survives."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_message(raw)
