"""A small IVR: 1 reads the caller's number out, 2 records a message and plays it back.

    pip install starlette uvicorn standardwebhooks
    HOOKROUTER_SECRET=whsec_… uvicorn ivr:app --port 8000

The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.
"""

import os
import re

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SIGNED = Webhook(os.environ["HOOKROUTER_SECRET"])

MENU = {
    "action": "gather",
    "prompt": ["sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"],
    "validDigits": ["1", "2"],
    "timeout": 8,
    "tries": 2,
}
GOODBYE = [{"action": "play", "media": "sound:vm-goodbye"}, {"action": "hangup"}]


def actions(type: str, data: dict, call: dict) -> list[dict]:
    """What the call does next; an empty list changes nothing."""
    if type == "StasisStart":
        return [{"action": "answer"}, MENU]
    if type == "DigitsCollected":
        if data["digits"] == "1":
            number = re.sub("[^0-9*#]", "", call["state"].get("number") or "") or "0"  # whatever a caller calls themselves
            return [{"action": "play", "media": f"digits:{number}"}, MENU]
        if data["digits"] == "2":
            record = {"action": "record", "beep": True, "maxSilenceSeconds": 3, "maxDurationSeconds": 60, "terminateOn": "#"}
            return [{"action": "play", "media": "sound:vm-leavemsg"}, record]
        return GOODBYE
    if type == "RecordingCompleted":
        return [{"action": "play", "media": f"recording:{data['name']}"}, *GOODBYE]
    if type == "ActionFailed":
        return [{"action": "hangup"}]
    return []


async def webhook(request: Request) -> Response:
    try:
        event = SIGNED.verify(await request.body(), dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return Response("wrong signature", 401)
    if "call" not in event:
        return Response(status_code=204)
    answer = {"actions": actions(event["type"], event["data"], event["call"])}
    if event["type"] == "StasisStart":
        answer["state"] = {"number": event["data"]["channel"]["caller"]["number"]}
    return JSONResponse(answer)


app = Starlette(routes=[Route("/", webhook, methods=["POST"])])
