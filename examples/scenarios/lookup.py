"""Who is calling? The number is looked up before the phone rings, which then shows the name; unwanted callers hear busy.

    [[routes]]
    name = "lookup"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"
    timeout = 2.5
    deadline = 2.5
    while_waiting = [{ action = "ring" }]

In the dialplan the phone is dialled where `Stasis` ends:

    exten => 100,1,Stasis(hookrouter)
     same => n,Dial(PJSIP/100)

The call is not answered here, and goes on there. A slow lookup lets the caller hear ringing after a second; after 2.5 s, or
without this function, or without the router, the phone rings as it always did.
"""

import json
import os
import urllib.parse
import urllib.request

from starlette.concurrency import run_in_threadpool
from webhook import endpoint

CRM = os.environ.get("CRM", "http://127.0.0.1:8001/number/")


async def start(data, call):
    found = await run_in_threadpool(look_up, data["channel"]["caller"]["number"])
    if found.get("unwanted"):
        return [{"action": "hangup", "reason": "busy"}]
    if name := found.get("name"):
        return [{"action": "setVariable", "variable": "CALLERID(name)", "value": name}, {"action": "continue"}]
    return [{"action": "continue"}]


def look_up(number):
    with urllib.request.urlopen(CRM + urllib.parse.quote(number, safe=""), timeout=10) as reply:
        return json.load(reply)


app = endpoint(StasisStart=start)
