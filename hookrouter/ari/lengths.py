"""How long a request may be that Asterisk takes. Pure.

Source: Asterisk's main/http.c and res_http_websocket, on a running 22.10.1.
"""

from __future__ import annotations

from hookrouter.ari.operations import HttpRequest
from hookrouter.ari.protocol import encode_request

LONGEST_MESSAGE = 65_535
"""Bytes that Asterisk takes as one message: after a longer one it closes the socket (1009)."""
LONGEST_LINE = 4_000
"""Bytes of a request's line that Asterisk's HTTP server takes: more is 414, or no answer."""


def too_long(http: HttpRequest, base: int, on_socket: bool) -> str | None:
    """Why Asterisk would not take it, and what to do; one that is too long for the socket would cost all calls it.

    `base`: bytes before its target in a request by HTTP; `on_socket`: whether it may go over the event socket.
    """
    line, size = base + len(http.target), len(http.target) + len(http.body)
    if line > LONGEST_LINE and not on_socket:
        return f"the request has a line of {line} bytes, and Asterisk's HTTP server takes {LONGEST_LINE}: shorten it"
    if size > LONGEST_MESSAGE // 2:  # quotes in a body are escaped once more
        size = len(encode_request("0" * 10, http.method, http.target, http.body))
        if size > LONGEST_MESSAGE:
            each = "what is no letter or digit counts three times"
            return f"the request is {size} bytes long ({each}), and Asterisk takes {LONGEST_MESSAGE}: shorten it"
    return None


__all__ = ["LONGEST_LINE", "LONGEST_MESSAGE", "too_long"]
