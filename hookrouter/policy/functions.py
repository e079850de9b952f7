"""Which functions of the dialplan an endpoint may name, alone or within something else.

Rules: `harmless` stands for the functions below; `NAME` for a function, `NAME(BEGINNING*)` for what begins so of one. What
an entry with a beginning is needed for (`NEEDS_ITS_OWN`) is not among what `NAME` or `harmless` give; `*` gives all.
Source: Asterisk 22's functions, and what each of them reaches: files, programs, the network, the database, other channels,
all of Asterisk.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from hookrouter.text.lines import cut

HARMLESS = (
    "AGC", "BASE64_DECODE", "BASE64_ENCODE", "CALLERID", "CALLERPRES", "CDR", "CDR_PROP", "CHANNEL", "CONNECTEDLINE",
    "CSV_QUOTE", "DENOISE", "DIALPLAN_EXISTS", "FAXOPT", "HANGUPCAUSE", "HANGUPCAUSE_KEYS", "ISNULL", "JITTERBUFFER",
    "LEN", "MD5", "MUTEAUDIO", "PITCH_SHIFT", "PJSIP_DTMF_MODE", "PJSIP_HANGUP", "PJSIP_HEADER",
    "PJSIP_HEADERS", "PJSIP_HEADER_PARAM", "PJSIP_MEDIA_OFFER", "PJSIP_MOH_PASSTHROUGH", "PJSIP_PARSE_URI",
    "PJSIP_RESPONSE_HEADER", "PJSIP_RESPONSE_HEADERS", "PJSIP_SEND_SESSION_REFRESH", "PJSIP_TRANSFER_HANDLING", "RAND",
    "REDIRECTING", "RX_LEVEL", "SCRAMBLE", "SHA1", "STRFTIME", "TALK_DETECT", "TIMEOUT", "TOLOWER", "TOUPPER",
    "URIDECODE", "URIENCODE", "VOLUME",
)  # fmt: skip
NEEDS_ITS_OWN = {"CHANNEL": ("hangup_handler", "after_bridge_goto", "dtmf_features")}
"""What of a function runs or reaches the dialplan, or lets keys do so, and must be listed by itself."""
_TAKEN_OUT = str.maketrans("", "", '"\\')  # what Asterisk takes out of arguments


@lru_cache(maxsize=256)
def _granted(listed: tuple[str, ...]) -> tuple[frozenset[str], tuple[tuple[str, str], ...], bool]:
    """(whole functions, (function, beginning of its arguments), whether it is all of them)."""
    whole: set[str] = set()
    parts: list[tuple[str, str]] = []
    for entry in listed:
        if entry == "harmless":
            whole.update(HARMLESS)
            continue
        name, parenthesis, beginning = entry.partition("(")
        if parenthesis:
            parts.append((name.upper(), beginning.removesuffix(")").rstrip("*").strip().lower()))
        else:
            whole.add(name.upper())
    return frozenset(whole), tuple(parts), "*" in listed


def function_fault(function: str, argument: str, listed: Sequence[str], *, what: str = "function") -> str:
    """Why a function may not be named with this argument; empty where it may. `what`: it is, for the message."""
    whole, parts, everything = _granted(tuple(listed))
    argument = argument.translate(_TAKEN_OUT).strip().lower()
    if everything or any(function == name and argument.startswith(beginning) for name, beginning in parts):
        return ""
    own = next((start for start in NEEDS_ITS_OWN.get(function, ()) if argument.startswith(start)), "")
    if function in whole and not own:
        return ""
    entry = f"{function}({own}*)" if own else function
    return (
        f"the {what} `{cut(entry)}` is not one that this route's endpoint may {'set' if what == 'variable' else 'name'}; "
        f'if it is to, write functions = ["harmless", "{entry}"] in [policy], or in the route'
    )
