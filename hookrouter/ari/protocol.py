"""REST over ARI's WebSocket, both roles: text in, events and replies out. No socket, no clock.

Source: Asterisk ≥ 22.4, RESTRequest and RESTResponse on the event socket. Requests are served one after another.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hookrouter.ari.events import Head, decode_head


class RestResponse(msgspec.Struct, frozen=True, gc=False):
    """Asterisk's reply to one request on the socket."""

    request_id: str
    status: int
    body: bytes


class RestRequest(msgspec.Struct, frozen=True, gc=False):
    """The server role's view of one request; `uri` is below /ari, without a leading slash."""

    request_id: str
    method: str
    uri: str
    body: bytes = b""


_encode = msgspec.json.Encoder().encode


def encode_request(request_id: str, method: str, target: str, body: bytes = b"") -> bytes:
    """The message for one request; `target` as in `HttpRequest`, with its leading slash."""
    head = b'{"type":"RESTRequest","request_id":"%s","method":"%s","uri":%s' % (
        request_id.encode(),
        method.encode(),
        _encode(target[1:]),
    )
    if body:
        head += b',"content_type":"application/json","message_body":' + _encode(body.decode())
    return head + b"}"


def decode_message(raw: bytes) -> Head | RestResponse:
    """One message from Asterisk: an event's head, or the reply to a request. Raises msgspec.DecodeError."""
    head = decode_head(raw)
    if head.type == "RESTResponse":
        return RestResponse(head.request_id, head.status_code, head.message_body.encode())
    return head


class _Wire(msgspec.Struct):
    type: str
    request_id: str = ""
    method: str = "GET"
    uri: str = ""
    query_strings: list[dict[str, str]] | None = None
    message_body: str = ""


_decode_wire = msgspec.json.Decoder(_Wire).decode


def decode_request(raw: bytes) -> RestRequest:
    """The server role: one request from a client. Raises msgspec.DecodeError."""
    from urllib.parse import quote, urlencode

    wire = _decode_wire(raw)
    uri = wire.uri
    if wire.query_strings:
        pairs = [(item.get("name", ""), item.get("value", "")) for item in wire.query_strings]
        uri += ("&" if "?" in uri else "?") + urlencode(pairs, quote_via=quote)
    return RestRequest(wire.request_id, wire.method, uri, wire.message_body.encode())


def encode_response(request: RestRequest, status: int, reason: str, body: bytes, **more: Any) -> bytes:
    """The server role: the reply to `request`."""
    return _encode(
        {
            "type": "RESTResponse",
            "request_id": request.request_id,
            "status_code": status,
            "reason_phrase": reason,
            "uri": request.uri,
            "content_type": "application/json",
            "message_body": body.decode(),
            **more,
        }
    )
