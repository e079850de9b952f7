"""A small IVR as a function of AWS Lambda: the caller presses a key, and hears it.

It takes what `url = "lambda:NAME"` hands it, and what its function URL does. HOOKROUTER_SECRET is the secret of the route.
template.yaml puts it there: `sam build && sam deploy --guided`.
"""

import base64
import hashlib
import hmac
import json
import os
import time

KEY = base64.b64decode(os.environ["HOOKROUTER_SECRET"].removeprefix("whsec_"))
GATHER = {"action": "gather", "prompt": "sound:vm-press", "maxDigits": 1, "timeout": 8}


def signed(headers, body):
    """Whether the body is the router's, and of now: Standard Webhooks, https://www.standardwebhooks.com."""
    id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdecimal() or abs(time.time() - int(at)) > 300:
        return False
    made = hmac.new(KEY, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(made).decode()
    return any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split(" "))


def actions(event):
    """What the call does next; an empty list changes nothing."""
    if event["type"] == "StasisStart":
        return [{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, GATHER]
    if event["type"] == "DigitsCollected":
        return [{"action": "play", "media": f"digits:{event['data']['digits'] or '0'}"}, {"action": "hangup"}]
    return []


def handler(event, context):
    body = base64.b64decode(event["body"]) if event.get("isBase64Encoded") else event["body"].encode()
    if not signed(event["headers"], body):
        return {"statusCode": 401, "body": "wrong signature"}
    answer = json.dumps(actions(json.loads(body)))
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": answer}
