"""Variables of a channel that Asterisk itself acts on: by a plain value they run, write, play, call, or lead into the dialplan.

Rules: what is in `LISTED` is set by endpoints whose route lists it by name in `functions`; the value of one of `PLACES` is a
context, and one that calls may go to. Underscores before a name (who inherits it) are no part of it. Reading and removing
are free.
Source: every pbx_builtin_getvar_helper() of Asterisk 20 to 23, and what is done with what it finds; names count to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from hookrouter.policy.functions import function_fault
from hookrouter.policy.places import context_fault
from hookrouter.text.dialplan import place_fault

LISTED = {
    "a command or a script": ("MONITOR_*", "MIXMONITOR_*", "MEETME_*", "MVM_*"),
    "a file that is written": ("TOUCH_MIXMONITOR*", "TOUCH_MONITOR*"),
    "a place in the dialplan, where you do not see it": (
        "CONNECTED_LINE_*", "REDIRECTING_*", "GOTO_ON_BLINDXFR", "GOSUB_RESULT", "MACRO_*",
        "WHILE_*", "END_WHILE_*", "IF_*", "END_IF_*",
    ),
    "what keys do in a talk, and for whom": ("DYNAMIC_FEATURES", "BRIDGE_FEATURES"),
    "who is called, and what for": (
        "BLINDTRANSFER", "ATTENDEDTRANSFER", "PARKINGDYN*", "OUTBOUND_GROUP", "OUTBOUND_GROUP_ONCE", "DUNDIDIALARGS",
    ),
    "a file that is played": (
        "BRIDGE_PLAY_SOUND", "ATTENDED_TRANSFER_COMPLETE_SOUND", "LIMIT_*_FILE", "CONF_LIMIT_*_FILE", "CALLWAITDELUXEANNOUNCEMENT",
    ),
    "a header": ("SIPADDHEADER*",),
}  # fmt: skip
"""What the value is → the names; `*` stands for anything."""
PLACES = ("TRANSFER_CONTEXT", "FORWARD_CONTEXT", "EXITCONTEXT", "SPY_EXIT_CONTEXT", "MEETME_EXIT_CONTEXT")


_LONGEST = 255  # none of them is as long


def _any_of(names: Sequence[str]) -> str:
    return "|".join(re.escape(name).replace(r"\*", ".*") for name in names)


_BEGINNINGS = frozenset(name[:3] for names in (*LISTED.values(), PLACES) for name in names)
_LISTED = re.compile("|".join(_any_of(names) for names in LISTED.values()), re.DOTALL)


@lru_cache(maxsize=4096)
def _acted_on(variable: str) -> str:
    """Its name without what says who inherits it; empty where Asterisk does nothing by it."""
    name = variable.strip().lstrip("_")
    return name if name in PLACES or _LISTED.fullmatch(name) else ""


def setting_fault(variable: str, value: str, functions: Sequence[str], contexts: Sequence[str]) -> str:
    """Why a variable may not have this value; empty where it may. `functions`, `contexts`: of the policy."""
    if not value or variable.lstrip("_ ")[:3] not in _BEGINNINGS or len(variable) > _LONGEST:
        return ""
    name = _acted_on(variable)
    if not name:
        return ""
    if name in PLACES:
        return place_fault(value) or context_fault(value, contexts)
    return function_fault(name.upper(), "", functions, what="variable")  # entries count in either case
