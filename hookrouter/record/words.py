"""The words of a call by which it is found: numbers, ids, tags, reasons, and what answers and results say. Pure.

Rule: what Asterisk sends with every event (channel names, states, codecs) is not among them, except the values that
only one call has: everything else would fit every call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

MOST_WORDS = 2000  # of one call
LEAST_BEGUN = 3  # characters by which a word is found that begins so: fewer would fit every call
_LONGEST = 64
_WORD = re.compile(rf"[^\W_]{{2,{_LONGEST}}}")
_ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)).ljust(256)
_TELLING = frozenset({"StasisStart", "ChannelUserevent", "ChannelVarset", "TextMessageReceived"})
_NOISE = frozenset(
    """action actions type timestamp data call id asterisk app route sequence state channel name caller number connected
    accountcode dialplan context exten priority creationtime language protocol application args value variable true
    false null asterisk_id app_data app_name""".split()  # noqa: SIM905
).union("0123456789abcdefghijklmnopqrstuvwxyz")


class _Varset(msgspec.Struct):
    variable: str
    value: str


_varset = msgspec.json.Decoder(_Varset).decode


def texts_of(what: str, field: Callable[[str, Any], Any]) -> Iterable[bytes]:
    """What one fact says that words are looked for in. `what`: its kind; `field(name, default)`: what it has.

    Most of it was said before in the same call: who asks should remember what it has seen.
    """
    if what == "Exchanged":
        yield field("answer", b"")
        request: bytes = field("request", b"")
        yield request.rpartition(b'"state":')[2] if b"\0" in request else request
    elif what == "EventReceived":
        type = field("type", "")
        if type == "ChannelVarset":
            yield _set(field("raw", b""))
        elif type in _TELLING:
            yield field("raw", b"")
    elif what == "Warned":
        yield field("message", "").encode()


def _set(raw: bytes) -> bytes:
    """What was set: there are many of these in a call, and all else in them is said before."""
    try:
        found = _varset(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw
    return f"{found.variable} {found.value}".encode("utf-8", "replace")


def words_in_text(text: bytes) -> Iterable[str]:
    """Of plain ASCII, which nearly everything is, a fifth as dear as by `_WORD`; single characters are among them then."""
    if text.isascii():
        words = text.translate(_ASCII).decode().split()
        if len(max(words, key=len, default="")) <= _LONGEST:
            return words
    return _WORD.findall(text.decode("utf-8", "replace").lower())


def words_in(row: Mapping[str, Any]) -> Iterable[str]:
    """The words of what a list shows of a call."""
    keys = ("call_id", "caller", "called", "route", "reason", "sentence", "tags")
    return words_in_text(" ".join([str(row[key]) for key in keys]).encode("utf-8", "replace"))


def index_text(words: Iterable[str]) -> str:
    """What the index gets: each word once, numbers first where there are too many."""
    kept = set(words) - _NOISE
    return " ".join(kept if len(kept) <= MOST_WORDS else sorted(kept)[:MOST_WORDS])


def words_of_text(text: str) -> list[str]:
    """What somebody typed, word by word."""
    return _WORD.findall(text.lower())


def begun_of(text: str) -> bool:
    """Whether the last word may go on in the index: of short ones too many words begin."""
    return len((words_of_text(text) or [""])[-1]) >= LEAST_BEGUN


def match(text: str, *, begun: bool = False) -> str:
    """What somebody typed as SQLite's query of the index: every word of it must be there; `begun`: the last one may go on."""
    words = [f'"{word}"' for word in words_of_text(text)]
    if begun and words and begun_of(text):
        words[-1] += "*"
    return " AND ".join(words)


def fits(text: str, words: Iterable[str]) -> bool:
    """The same of a call that is not in the index yet."""
    *whole, last = words_of_text(text) or [""]
    wanted = {*whole, last} - {""}
    for word in words:
        if not wanted:
            break
        wanted.discard(word)
        if last in wanted and len(last) >= LEAST_BEGUN and word.startswith(last):
            wanted.discard(last)
    return not wanted


__all__ = ["begun_of", "fits", "index_text", "match", "texts_of", "words_in", "words_in_text", "words_of_text"]
