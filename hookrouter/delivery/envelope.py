"""The webhook request's body and headers, to the byte.

Rules: Asterisk's event is spliced in as it came, never decoded and encoded again; so is the call's state. What is signed
is what is sent.
Source: the contract; Standard Webhooks (`webhook-*`); RFC 7240 (`prefer`); W3C Trace Context; CloudEvents' HTTP binding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring
from urllib.parse import quote

import msgspec

from hookrouter import __version__
from hookrouter.delivery.signing import sign
from hookrouter.routing.endpoint import Endpoint

USER_AGENT = f"hookrouter/{__version__}"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


class CallContext(msgspec.Struct, frozen=True, gc=False):
    """The `call` of an envelope. `state` is raw JSON; `sequence` counts this call's deliveries to this endpoint from 1."""

    id: str
    asterisk: str
    app: str
    route: str
    sequence: int
    state: bytes = b"{}"


@lru_cache(maxsize=4096)
def _quoted(text: str) -> bytes:
    return encode_basestring(text).encode()


def envelope(
    id: str,
    type: str,
    timestamp: str,
    data: bytes,
    call: CallContext | None,
    *,
    inferred: bool = False,
    fallback: bytes | None = None,
) -> bytes:
    """The body. `data` and `fallback` are JSON; `timestamp` is RFC 3339."""
    body = b'{"id":%s,"type":%s,"timestamp":%s,"data":%s' % (
        encode_basestring(id).encode(),
        _quoted(type),
        encode_basestring(timestamp).encode(),
        data,
    )
    if inferred:
        body += b',"inferred":true'
    if fallback:
        body += b',"fallback":' + fallback
    if call is not None:
        body += b',"call":{"id":%s,"asterisk":%s,"app":%s,"route":%s,"sequence":%d,"state":%s}' % (
            encode_basestring(call.id).encode(),
            _quoted(call.asterisk),
            _quoted(call.app),
            _quoted(call.route),
            call.sequence,
            call.state,
        )
    return body + b"}"


class Message(msgspec.Struct, frozen=True, gc=False):
    """One event for one endpoint, ready to be sent any number of times.

    `kind`: `control`, `notify`, or `shadow`: what is answered is compared, and not done.
    """

    id: str
    type: str
    body: bytes
    kind: str = "control"
    call: str = ""
    route: str = ""
    time: str = ""
    asterisk: str = ""


def traceparent(id: str, call: str, attempt: int) -> str:
    """W3C traceparent: the trace is the call's (or the event's), the span is this attempt's."""
    span = blake2b(f"{id}/{attempt}".encode(), digest_size=8).hexdigest()
    return f"00-{_trace(call or id)}-{span}-01"


@lru_cache(maxsize=4096)
def _trace(of: str) -> str:
    return blake2b(of.encode(), digest_size=16).hexdigest()


RESERVED = ("webhook-", "hookrouter-", "ce-", "content-")
"""What the names of the headers begin with that the contract defines: a route sets none of them."""


def headers(
    endpoint: Endpoint, message: Message, attempt: int, now: float, deadline_ms: int | None
) -> list[tuple[str, str]]:
    """The request's headers for attempt number `attempt` (from 1) at `now` (seconds since the epoch).

    `deadline_ms`: what is left of the deadline, None where there is none. The route's own headers replace ours of the
    same name, but none that the contract defines.
    """
    timestamp = int(now)
    found = [
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        ("accept-encoding", "identity"),
        ("webhook-id", message.id),
        ("webhook-timestamp", str(timestamp)),
        ("hookrouter-attempt", str(attempt)),
        ("traceparent", traceparent(message.id, message.call, attempt)),
    ]
    if endpoint.secrets:
        found.append(("webhook-signature", sign(message.id, timestamp, message.body, endpoint.secrets)))
    if deadline_ms is not None:
        found.append(("hookrouter-deadline-ms", str(max(1, deadline_ms))))
    if message.kind != "notify":
        found.append(("prefer", "reply"))
    if message.kind == "shadow":
        found.append(("hookrouter-shadow", "true"))
    if endpoint.format == "cloudevents":
        found.extend(cloud_headers(message))
    if endpoint.headers:
        theirs = [(name, value) for name, value in endpoint.headers if not name.lower().startswith(RESERVED)]
        names = {name.lower() for name, _ in theirs}
        found = [(name, value) for name, value in found if name not in names] + theirs
    return found


class _CallPeek(msgspec.Struct):
    asterisk: str = ""


class _Peek(msgspec.Struct):
    """What the `ce-*` headers repeat of a body."""

    timestamp: str = ""
    call: _CallPeek = msgspec.field(default_factory=_CallPeek)


_peek = msgspec.json.Decoder(_Peek).decode


def cloud_headers(message: Message) -> Sequence[tuple[str, str]]:
    """The `ce-*` headers, binary mode. Source: CloudEvents 1.0.2, HTTP protocol binding, 3.1.3.2 (percent-encoding)."""
    time, asterisk = message.time, message.asterisk
    if not time or not asterisk:  # a delivery from the disk is its body and its ids
        peek = _peek(message.body)
        time, asterisk = time or peek.timestamp, asterisk or peek.call.asterisk
    found = [
        ("ce-specversion", "1.0"),
        ("ce-id", message.id),
        ("ce-type", f"org.asterisk.ari.{message.type}"),
        ("ce-source", f"/asterisk/{quote(asterisk, safe='')}" if asterisk else "/asterisk"),
        ("ce-time", time),
    ]
    if message.call:
        found.append(("ce-subject", quote(message.call, safe=_PRINTABLE)))
    return found
