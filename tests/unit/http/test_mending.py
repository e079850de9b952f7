"""Heads that curl and browsers read: mended where that is safe, else refused with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.http.mending import Unmendable, head_ends, mended

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    "given_head",
    [
        b"HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\nContent-Length: 2\r\n\nhi",
        b"\r\n\nHTTP/1.1  200  OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2, 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type : text/plain\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nno header\r\nContent-Type: text/plain\r\nX Y: z\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/plain\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/\x01plain\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_what_can_mean_one_thing_only_is_mended(given_head: bytes) -> None:
    """To the same answer as that of a careful server."""
    assert mended(given_head) == PLAIN


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n", "a Content-Length and a Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\n", "two lengths, Content-Length 2 and 3"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2, 3\n\n", "two lengths, Content-Length 2 and 3"),
        (b"HTTP/1.1 200 OK\nContent-Length: +2\n\n", "Content-Length `+2` is not a number of bytes"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2 bytes\n\n", "Content-Length `2 bytes` is not a number of bytes"),
        (b"HTTP/1.1 200 OK\nContent-Length: 99999999999999999999\n\n", "is not a number of bytes"),
        (b"HTTP/1.1 OK\n\n", "its first line is `HTTP/1.1 OK`"),
        (b"HTTP/1.1 2000 OK\n\n", "its first line is `HTTP/1.1 2000 OK`"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it begins with `SSH-2.0-OpenSSH_9.2`"),
        (b"<html>\n", "it begins with `<html>`"),
        (b"HTTP/1.1 100 Continue\n\n" * 12, "interim answers"),
    ],
)
def test_what_cannot_is_refused_with_the_reason(data: bytes, why: str) -> None:
    """Where an answer ends must be beyond doubt."""
    with pytest.raises(Unmendable, match=why.replace("+", r"\+")):
        mended(data)


def test_interim_answers_are_kept_before_the_last() -> None:
    """Of which there may be a few."""
    assert mended(b"HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\n" + PLAIN) == (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN
    )


@given(st.integers(0, 59))
def test_a_head_that_does_not_end_yet_is_waited_for(length: int) -> None:
    """However far it has come."""
    assert mended(PLAIN.replace(b"\r", b"")[:length]) is None


def test_the_end_is_found_across_two_pieces() -> None:
    """The last line end may come by itself."""
    assert head_ends(b"a\r\n\r\n", 4)
    assert head_ends(b"a\n\n", 2)
    assert not head_ends(b"a\n\nbbbbbbb", 8)


PIECES = st.sampled_from([b"HTTP/1.1 200 OK", b"\r\n", b"\n", b":", b" ", b"Content-Length", b"2", b"Transfer-Encoding", b"chunked",
                          b"x", b"\x00", b"\xff", b"HTTP/1.1 100 C\n\n"])  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(b"".join) | st.binary(max_size=100))
def test_any_bytes_are_mended_refused_or_waited_for(data: bytes) -> None:
    """Never another exception; and what is mended is mended for good."""
    try:
        found = mended(data)
    except Unmendable as error:
        assert str(error)
    else:
        assert found is None or mended(found) == found
