"""The head of an answer that is not quite HTTP, as curl and browsers read it; pure.

Rules:
- Only what can be understood in one way is mended: line ends without CR, spaces around names, folded lines, lines that are
  no header, control characters in values, one Content-Length said twice.
- Where the answer ends must be beyond doubt: two different lengths, a length beside chunks, a length that is no number are
  refused, and it is said which.
Source: RFC 9112, 2.2, 5.2, 6.3; RFC 9110, 8.6.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"\r?\n")
_STATUS = re.compile(rb"HTTP/(\d\.\d)[ \t]+([1-9]\d\d)(?:[ \t]+(.*))?$")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\r]")
_MOST_SHOWN = 60
_MOST_INTERIM = 10


class Unmendable(ValueError):
    """What is wrong with the answer, in words."""


def head_ends(data: bytes | bytearray, start: int) -> bool:
    """Whether a head ends at or after `start`."""
    return _END.search(data, max(0, start - 3)) is not None


def mended(data: bytes) -> bytes | None:
    """`data` with its head as HTTP has it, interim answers before it included; None while the head does not end.

    Raises Unmendable.
    """
    heads: list[bytes] = []
    rest = data
    while len(heads) <= _MOST_INTERIM:
        rest = rest.lstrip(b"\r\n")
        if not rest.startswith(b"HTTP/"):
            if b"HTTP/".startswith(rest[:5]):
                return None
            raise Unmendable(_no_http(rest))
        end = _END.search(rest)
        if end is None:
            return None
        status, head = _head(rest[: end.start()])
        heads.append(head)
        rest = rest[end.end() :]
        if not 100 <= status < 200 or not rest:
            return b"".join(heads) + rest
    raise Unmendable(f"over {_MOST_INTERIM} interim answers came before it")


def _head(text: bytes) -> tuple[int, bytes]:
    first, *lines = _LINE.split(text)
    found = _STATUS.match(first.rstrip())
    if found is None:
        raise Unmendable(f"its first line is `{_shown(first)}`, and should be like `HTTP/1.1 200 OK`")
    headers = list(_headers(lines))
    lengths = {value for name, value in headers if name == b"content-length"}
    coding = b",".join(value for name, value in headers if name == b"transfer-encoding").lower().strip()
    if coding == b"identity":  # it says nothing
        headers = [(name, value) for name, value in headers if name != b"transfer-encoding"]
        coding = b""
    if coding and lengths:
        raise Unmendable(
            "it has a Content-Length and a Transfer-Encoding, which contradict each other: leave one of them out"
        )
    if lengths:
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        headers.append((b"content-length", _length(lengths)))
    out = [b"HTTP/%s %s %s" % (found[1], found[2], _CONTROL.sub(b"", found[3] or b""))]
    out += [name + b": " + value for name, value in headers]
    return int(found[2]), b"\r\n".join(out) + b"\r\n\r\n"


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and found:  # folded
            found[-1] = (found[-1][0], (found[-1][1] + b" " + _CONTROL.sub(b"", line).strip()).strip())
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if colon and _NAME.match(name):
            found.append((name, _CONTROL.sub(b"", value).strip()))
    return found


def _length(said: set[bytes]) -> bytes:
    values = {part.strip() for value in said for part in value.split(b",")}
    for value in values:
        if not value.isdigit() or len(value) > 18:
            raise Unmendable(f"its Content-Length `{_shown(value)}` is not a number of bytes")
    if len({int(value) for value in values}) != 1:
        shown = " and ".join(sorted(_shown(value) for value in values))
        raise Unmendable(f"it says two lengths, Content-Length {shown}: leave one of them out")
    return values.pop()


def _no_http(data: bytes) -> str:
    return f"it begins with `{_shown(data)}`, and not with `HTTP/1.1`"


def _shown(text: bytes) -> str:
    line = text[:_MOST_SHOWN].split(b"\n")[0].decode("latin-1").strip()
    return "".join(letter if letter.isprintable() else "." for letter in line)
