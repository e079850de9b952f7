"""A ring group: first the reception, then everybody, at last a mobile phone, whose owner must press 1.

    [[routes]]
    name = "ring-group"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

The confirmation keeps the mobile's own voicemail from taking the call: it presses nothing.
"""

import os

from webhook import ANSWER, HANGUP, endpoint, play

RECEPTION = os.environ.get("RECEPTION", "PJSIP/reception")
EVERYBODY = os.environ.get("EVERYBODY", "PJSIP/alice,PJSIP/bob").split(",")
MOBILE = os.environ.get("MOBILE", "PJSIP/+491701234567@trunk")
SECONDS = float(os.environ.get("SECONDS", "15"))

SCREEN = {
    "action": "gather",
    "prompt": "sound:screen-callee-options",
    "validDigits": ["1"],
    "timeout": 6,
    "branches": {"1": [], "default": [HANGUP]},
}
RING = {
    "action": "dial",
    "to": [[RECEPTION], [RECEPTION, *EVERYBODY], [{"endpoint": MOBILE, "confirm": [SCREEN]}]],
    "timeout": SECONDS,
    "apology": "sound:cancelled",
}


def start(data, call):
    return [RING]


def talked(data, call):
    if data["status"] == "answered":
        return [HANGUP]
    return [ANSWER, play("sound:vm-nobodyavail", "sound:vm-goodbye"), HANGUP]


app = endpoint(StasisStart=start, DialCompleted=talked)
