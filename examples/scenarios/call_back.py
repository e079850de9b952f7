"""Call back later: who presses 1 may hang up, and is called when the time has come, with an agent on the line.

    [[routes]]
    name = "call-back"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

    [[routes]]
    name = "wishes"
    mode = "notify"
    events = ["Notify"]
    url = "http://127.0.0.1:8000/wishes"
    secret = "${HOOKROUTER_SECRET}"

The wish is kept by the router, not here: `notify` delivers it until this function answers 2xx. Too early, it answers 503 with
`Retry-After` and gets it again. The call back is a `POST /v1/calls` whose id is the wish's: asked for twice, it is one call.
"""

import json
import os
import re
import time
import urllib.request

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from webhook import ANSWER, HANGUP, endpoint, play

AGENT = os.environ.get("AGENT", "PJSIP/agent")
CUSTOMER = os.environ.get("CUSTOMER", "PJSIP/{}@trunk")
ROUTER = os.environ.get("ROUTER", "http://127.0.0.1:8080")
AFTER = float(os.environ.get("AFTER", "300"))

OFFER = {"action": "gather", "prompt": "sound:vm-tocallback", "validDigits": ["1"], "timeout": 5}


def start(data, call):
    number = re.sub("[^0-9+]", "", data["channel"]["caller"]["number"])  # whatever they call themselves: it is dialled
    return {"actions": [ANSWER, OFFER], "state": {"number": number}}


def chosen(data, call):
    if data["digits"] != "1" or not call["state"]["number"]:
        return [play("sound:vm-goodbye"), HANGUP]
    wish = {"id": "back-" + call["id"].replace(".", "-"), "number": call["state"]["number"], "at": time.time() + AFTER}
    return [{"action": "notify", "route": "wishes", "body": wish}, play("sound:vm-goodbye"), HANGUP]


async def due(wish, call):
    seconds = wish["at"] - time.time()
    if seconds > 0:
        return Response(status_code=503, headers={"retry-after": str(int(seconds) + 1)})
    await run_in_threadpool(call_customer, wish)
    return []


def call_customer(wish):
    """The customer first; the agent is rung when they have answered."""
    actions = [play("sound:pls-hold-while-try"), {"action": "dial", "to": AGENT, "timeout": 20}, HANGUP]
    new = {"id": wish["id"], "to": CUSTOMER.format(wish["number"]), "route": "call-back", "actions": actions}
    headers = {"content-type": "application/json"}
    if token := os.environ.get("HOOKROUTER_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{ROUTER}/v1/calls", json.dumps(new).encode(), headers)
    with urllib.request.urlopen(request, timeout=10):
        pass


app = endpoint(StasisStart=start, DigitsCollected=chosen, Notify=due)
