"""SIP headers: a name and a value on one line.

Source: RFC 3261, §25.1 (`token`), §7.3. What the call itself is made of is Asterisk's to write.
"""

from __future__ import annotations

import re

from hookrouter.text.lines import printable_fault

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_ASTERISK = frozenset(
    {
        "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "contact", "m", "route",
        "record-route", "content-length", "l", "content-type", "c", "content-encoding", "e", "content-disposition",
        "authorization", "proxy-authorization", "require", "proxy-require",
    }
)  # fmt: skip


def header_name_fault(name: str) -> str:
    """What is wrong with the name of a header of an answer."""
    if not _TOKEN.fullmatch(name):
        return f"`{name[:80]}` is not the name of a header; letters, digits and `-` make one"
    if name.lower() in _ASTERISK:
        return f"`{name}` is Asterisk's to write, a second one would lead the call elsewhere; use a header of your own (`X-…`)"
    return ""


def header_value_fault(value: str) -> str:
    """What is wrong with a header's value: a line break would begin another header."""
    return printable_fault(value.replace("\t", " "))
