"""A conference with a PIN: guests hear music until the moderator is there, and leave with them. `#` leaves it.

    [[routes]]
    name = "conference"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

Each conference has two PINs. Three wrong ones end the call.
"""

import json
import os

from webhook import ANSWER, HANGUP, endpoint, play

PINS = json.loads(os.environ.get("PINS", '{"board": {"guest": "1234", "moderator": "9876"}}'))

ASK = {
    "action": "gather",
    "prompt": "sound:conf-getpin",
    "validDigits": [pin for pins in PINS.values() for pin in pins.values()],
    "maxDigits": 4,
    "tries": 3,
    "invalid": "sound:conf-invalidpin",
}


def start(data, call):
    return [ANSWER, ASK]


def entered(data, call):
    for name, pins in PINS.items():
        room = {"action": "conference", "name": name, "exitOn": "#", "beep": True, "maxMembers": 20}
        if data["digits"] == pins["moderator"]:
            return [play("sound:conf-placeintoconf"), room | {"endOnExit": True}]
        if data["digits"] == pins["guest"]:
            return [play("sound:conf-placeintoconf"), room | {"startOnEnter": False}]
    return [play("sound:vm-goodbye"), HANGUP]


def left(data, call):
    said = {"full": "sound:conf-full", "ended": "sound:conf-leaderhasleft"}
    return [play(said.get(data["reason"], "sound:vm-goodbye")), HANGUP]


app = endpoint(StasisStart=start, DigitsCollected=entered, ConferenceCompleted=left)
