"""How a call that we made ended, from what Asterisk says of it: `Dial` events and the Q.850 cause of the hangup. Pure.

Rules: the cause decides where it says what became of the call; `dialstatus` only where the cause is that of any ended call,
as Asterisk says NOANSWER there for everything but busy and congestion, also for a number that does not exist.
Source: Q.850; chan_pjsip's table of SIP statuses (docs/asterisk.md: what the phones that we tried made of each).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Status = Literal["answered", "busy", "noAnswer", "rejected", "unavailable", "cancelled"]

_UNKNOWN, _NORMAL, _ELSEWHERE = 0, 16, 26
_CAUSES: Mapping[int, Status] = {
    17: "busy",  # SIP 486, 600
    18: "noAnswer",  # 408
    19: "noAnswer",  # 480, and who has let it ring
    21: "rejected",  # 401, 403, 407, 603
}
"""All others are of somebody who could not be reached: 404, 410, 484, 488, 500, 503, …"""

DIALSTATUS: Mapping[str, Status] = {
    "BUSY": "busy",
    "NOANSWER": "noAnswer",
    "CONGESTION": "unavailable",
    "CHANUNAVAIL": "unavailable",
    "CANCEL": "cancelled",
}


def status_of(status: str, cause: int) -> str:
    """What a leg that is gone came to. `status`: what `DIALSTATUS` has for its `Dial`, or what we know ourselves."""
    if cause in _CAUSES:
        return _CAUSES[cause]
    if cause in (_UNKNOWN, _NORMAL, _ELSEWHERE):
        return status or ("unavailable" if cause == _UNKNOWN else "noAnswer")
    return "unavailable"
