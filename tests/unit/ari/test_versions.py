"""Since when Asterisk has what: three branches got it at once."""

from __future__ import annotations

import pytest

from hookrouter.ari.versions import OUTBOUND_SOCKET, REQUESTS_ON_SOCKET, version_of


@pytest.mark.parametrize(
    ("text", "requests", "opens"),
    [
        ("13.38.3", False, False),
        ("16.28.0~dfsg-0+deb11u10", False, False),
        ("18.9-cert5", False, False),
        ("certified/20.7-cert4", False, False),
        ("20.13.0", False, False),
        ("20.14.1", True, False),
        ("20.15.0", True, True),
        ("21.8.0", False, False),
        ("21.9.0", True, False),
        ("21.10.0", True, True),
        ("22.3.0", False, False),
        ("22.4.0", True, False),
        ("22.5.2", True, True),
        ("22.10.1+dfsg+~cs6.17.60671434-1", True, True),
        ("23.0.0", True, True),
        ("GIT-master-0a1b2c3", True, True),
        ("", True, True),
    ],
)
def test_what_a_version_has(text: str, requests: bool, opens: bool) -> None:
    """Of a version that nobody can read, everything: the Asterisk itself will say."""
    version = version_of(text)
    assert REQUESTS_ON_SOCKET.there(version) is requests
    assert OUTBOUND_SOCKET.there(version) is opens


def test_it_says_so_in_words() -> None:
    """The newest branch first."""
    assert str(OUTBOUND_SOCKET) == "Asterisk 22.5 or newer (20.15 or 21.10 of the older branches)"
