"""Attended transfer: the agent types #, three digits of a colleague, talks to them, and hangs up to hand the caller over.

    [[routes]]
    name = "transfer"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"
    events = ["StasisStart", "StasisEnd", "ChannelDtmfReceived", "ChannelTransfer"]

`*` takes the caller back. The transfer key of the agent's phone works, too: its REFER comes as `ChannelTransfer`, because
the leg says so in `PJSIP_TRANSFER_HANDLING()` (else Asterisk does what it thinks best). A caller cannot transfer anybody.
"""

import os

from webhook import HANGUP, endpoint

AGENT = os.environ.get("AGENT", "PJSIP/agent")
COLLEAGUE = os.environ.get("COLLEAGUE", "PJSIP/{}")

DIAL = {"action": "dial", "to": {"endpoint": AGENT, "variables": {"PJSIP_TRANSFER_HANDLING()": "ari-only"}}}


def to(number, mode):
    return [{"action": "transfer", "to": COLLEAGUE.format(number), "mode": mode, "timeout": 20}, HANGUP]


def start(data, call):
    return [DIAL, HANGUP]


def key(data, call):
    if data["channel"]["id"] == call["id"]:
        return []
    typed = call["state"].get("typed", "") + data["digit"]
    if not typed.startswith("#"):
        return []
    if len(typed) < 4:
        return {"state": {"typed": typed}}
    return {"actions": to(typed[1:], "attended"), "state": {}}


def refer(data, call):
    number = data["refer_to"].get("requested_destination", {}).get("destination", "").removeprefix("sip:").partition("@")[0]
    return to(number, "blind") if number.isascii() and number.isdigit() and "state" not in data else []


app = endpoint(StasisStart=start, ChannelDtmfReceived=key, ChannelTransfer=refer)
