"""Dial strings (`TECHNOLOGY/RESOURCE`) and caller ids (`"NAME" <NUMBER>`).

Source: Asterisk's Dial() (`&` is another endpoint), ast_callerid_parse: what stands between the last `<` and `>` is the
number; a text without them is a number where it looks like one, else a name.
"""

from __future__ import annotations

import re

from hookrouter.text.lines import cut, printable_fault

_TECHNOLOGY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_CALLER_ID = re.compile(r'(?:"(?:[^"\\]|\\.)*"\s*|[^"<>\\]*)(?:<[^<>"\\]*>)?')
_LONGEST = 256  # of a caller id
_LONGEST_DIAL = 512
_NO_NUMBER = re.compile(r"[^0-9A-Za-z+*#._~!@:;=/-]")


def dial_fault(endpoint: str) -> str:
    """What is wrong with one endpoint of an answer, such as `PJSIP/alice` or `Local/100@default/n`."""
    if len(endpoint) > _LONGEST_DIAL:
        return f"has {len(endpoint)} characters; an endpoint may have {_LONGEST_DIAL}"
    if unprintable := printable_fault(endpoint):
        return unprintable
    technology, slash, resource = endpoint.partition("/")
    if not slash:
        return f"`{cut(endpoint)}` has no technology; did you mean `PJSIP/{endpoint}`?"
    if not _TECHNOLOGY.fullmatch(technology):
        return f"`{cut(technology)}` is not a technology; an endpoint is written as `PJSIP/alice`"
    if not resource:
        return f"`{cut(endpoint)}` names nobody; an endpoint is written as `{technology}/alice`"
    if "&" in resource:
        return "`&` would call somebody else too; one endpoint is named here (`dial` takes a list)"
    for character in ',"<>\\|':
        if character in resource:
            return f"`{character}` cannot be in an endpoint; leave it out"
    if "${" in resource or "$[" in resource:
        return "`${…}` and `$[…]` are the dialplan's, which does not read this; leave them out"
    return "" if resource == resource.strip() else "has spaces around it; leave them out"


def technology(endpoint: str) -> str:
    """The technology of a dial string in lower case: Asterisk takes `local/` for `Local/`."""
    return endpoint.partition("/")[0].lower()


def number(text: str) -> str:
    """A number that the network sent, as it can stand in a caller id or a dial string's user: only what numbers are made of."""
    return _NO_NUMBER.sub("", text)


def caller_id(name: str, text: str) -> str:
    r"""`"NAME" <NUMBER>`: Asterisk reads back this name and this number. Both are cleaned: of the name what cannot be
    printed and `<>`, of the number all that no number has; empty where nothing is left of either.
    """
    name = "".join(c for c in name if c.isprintable() and c not in "<>").strip()
    found = number(text)
    if not name:
        return f"<{found}>" if found else ""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{found}>'


def caller_id_fault(text: str) -> str:
    """What is wrong with a caller id of an answer: `Name <number>`, `"Name" <number>`, a number or a name."""
    if unprintable := printable_fault(text):
        return unprintable
    if len(text) > _LONGEST:
        return f"has {len(text)} characters; a caller id may have {_LONGEST}"
    if not _CALLER_ID.fullmatch(text.strip()):
        return f'`{cut(text)}` can be read in two ways; write `"Name" <number>`, or a number alone'
    return ""
