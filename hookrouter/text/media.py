"""Media lists of Asterisk: URIs with commas between them.

Rules: each URI is one medium, whatever is in it. Sounds and recordings are named below the folders that Asterisk has for
them; a scheme with `//` is the web's.
Source: Asterisk's channels.playWithId, and trying: a list is split at commas outside of quotes, brackets and parentheses;
quotes and backslashes are taken out of it, and percent signs are nothing special.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hookrouter.text.lines import cut, printable_fault
from hookrouter.text.urls import web_address

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_WEB = ("http://", "https://")
_SPELT = {
    "number": (re.compile(r"-?[0-9]{1,10}"), "a whole number, such as `number:42`"),
    "digits": (re.compile(r"[0-9A-Za-z*#+._ -]*"), "digits, letters and `*#+-._`; leave the rest out"),
}


def media_fault(uri: str) -> str:
    """What is wrong with one media URI of an answer."""
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return f"`{cut(uri)}` has no scheme; did you mean `sound:{uri}`?"
    if unprintable := printable_fault(uri):
        return unprintable
    kind, rest = scheme[1].lower(), uri[scheme.end() :]
    if kind == "sound" and rest.lower().startswith(_WEB):
        kind, rest = "http", rest[rest.index(":") + 1 :]
    if kind in ("http", "https"):
        return _web_fault(f"{kind}:{rest}")
    return _list_fault(uri) or _local_fault(kind, rest)


def _list_fault(uri: str) -> str:
    """What would make more than one medium of it, or another."""
    if "," in uri:
        return "a comma begins another medium; give a list of media, one in each"
    if _ENCODED.search(uri):
        return (
            f"`{_ENCODED.findall(uri)[0]}` is percent-encoded, and only web addresses are; write the character itself"
        )
    if '"' in uri or "\\" in uri:
        return 'Asterisk takes `"` and `\\` out of media; leave them out'
    if not _balanced(uri):
        return "has a parenthesis or bracket without its other half, which joins it with the next medium; leave it out"
    return "" if uri == uri.strip() else "has spaces around it; leave them out"


def _local_fault(kind: str, rest: str) -> str:
    if "://" in rest or rest.startswith("//"):
        return "only http:// and https:// addresses are played from elsewhere"
    if kind in ("sound", "recording"):
        if rest.startswith(("/", "~")):
            return f"`{cut(rest)}` is the path of a file; name a {kind} below Asterisk's own folder of them"
        if ".." in rest.split("/"):
            return f"`..` leads out of Asterisk's folder of {kind}s; name one that is in it"
    grammar = _SPELT.get(kind)
    if grammar is not None and not grammar[0].fullmatch(rest):
        return f"`{kind}:` takes {grammar[1]}"
    return ""


def _web_fault(url: str) -> str:
    kind = web_address(url)
    if kind == "user":
        return "has a user and password in it, which everybody who sees the event would learn; leave them out"
    if kind == "bad":
        return f"`{cut(url)}` is not an http:// or https:// address"
    if "," in url:
        return "Asterisk would split this at its comma; in a web address write %2C"
    if not re.fullmatch(r"[!-~]+", url) or '"' in url or "\\" in url:
        return "has spaces, quotes, backslashes or characters that are not ASCII; percent-encode them"
    return "" if _balanced(url) else "has a parenthesis or bracket without its other half; percent-encode it"


def _balanced(text: str) -> bool:
    """Whether no comma behind it is taken to be within it."""
    for opening, closing in ("()", "[]"):
        level = 0
        for character in text:
            if character == opening:
                level += 1
            elif character == closing and level:
                level -= 1
        if level:
            return False
    return True


def media_list(uris: Sequence[str]) -> list[str]:
    """The URIs as Asterisk wants them: a web address is a sound to it."""
    return [f"sound:{uri}" if uri.lower().startswith(_WEB) else uri for uri in uris]


def media_address(uri: str) -> str:
    """The web address that a media URI leads to; empty where it leads to none."""
    found = uri[6:] if uri[:6].lower() == "sound:" else uri
    return found if "://" in found else ""
