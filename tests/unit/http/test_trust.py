"""Why nobody could be reached, in words without the numbers of the system."""

from __future__ import annotations

import errno
import socket

import pytest

from hookrouter.http.trust import no_connection


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            "nothing listens at a:1 (connection refused)",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "no address is known for the name in a:1 (name or service not known)",
        ),
        (OSError(errno.EHOSTUNREACH, "Connect call failed"), "a:1 cannot be reached (no route to host)"),
        (OSError("closed"), "closed"),
        (ValueError(), "ValueError"),
    ],
)
def test_why_nobody_was_reached(error: Exception, words: str) -> None:
    assert no_connection(error, "a:1") == words
