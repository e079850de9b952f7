"""An IVR menu: a key interrupts the prompt, a wrong one gets another try, and after three the caller gets a human.

    [[routes]]
    name = "menu"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

1 calls sales, 2 says the opening hours and comes back, anything else the operator.
"""

import os

from webhook import ANSWER, HANGUP, endpoint, play

SALES = os.environ.get("SALES", "PJSIP/sales")
OPERATOR = os.environ.get("OPERATOR", "PJSIP/operator")
MENU = {
    "action": "gather",
    "prompt": ["sound:basic-pbx-ivr-main"],
    "validDigits": ["1", "2"],
    "timeout": 5,
    "tries": 3,
    "invalid": "sound:invalid",
}


def dial(whom):
    return {"action": "dial", "to": whom, "timeout": 20}


def start(data, call):
    return [ANSWER, MENU]


def chosen(data, call):
    if data["reason"] == "hangup":
        return []
    if data["digits"] == "1":
        return [dial(SALES)]
    if data["digits"] == "2":
        return [play("sound:hours"), MENU]
    return [dial(OPERATOR)]


def talked(data, call):
    """The talk is over, or nobody came: the caller may choose again."""
    return [HANGUP] if data["status"] == "answered" else [play("sound:vm-nobodyavail"), MENU]


app = endpoint(StasisStart=start, DigitsCollected=chosen, DialCompleted=talked)
