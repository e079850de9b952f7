"""What the scenarios share: the signature's check, and one function for each type of event.

    pip install starlette uvicorn
    HOOKROUTER_SECRET=whsec_… uvicorn menu:app --port 8000

`hookrouter sign --new-secret` makes the secret; routes.toml gets the same one.
"""

import base64
import hashlib
import hmac
import inspect
import json
import os
import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}


def play(*media: str) -> dict:
    return {"action": "play", "media": list(media)}


def endpoint(*sockets: WebSocketRoute, **functions: Callable) -> Starlette:
    """An app that gives `data` and `call` of an event to the function of its type, and answers what that returns.

    A type without a function changes nothing; an action that failed ends the call, unless there is one for that.
    """
    functions.setdefault("ActionFailed", lambda data, call: [HANGUP])

    async def webhook(request: Request) -> Response:
        body = await request.body()
        if not signed(request.headers, body):
            return Response("wrong signature", 401)
        event = json.loads(body)
        function = functions.get(event["type"])
        answer = function(event["data"], event.get("call")) if function else []
        if inspect.isawaitable(answer):
            answer = await answer
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return Starlette(routes=[*sockets, Route("/{path:path}", webhook, methods=["POST"])])


def signed(headers, body: bytes) -> bool:
    """Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes."""
    key = base64.b64decode(os.environ["HOOKROUTER_SECRET"].removeprefix("whsec_"))
    id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(time.time() - int(at)) > 300:
        return False
    wanted = "v1," + base64.b64encode(hmac.digest(key, f"{id}.{at}.".encode() + body, hashlib.sha256)).decode()
    return any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split(" "))
