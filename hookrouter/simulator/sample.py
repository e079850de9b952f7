"""The sample endpoint of `hookrouter demo`: a menu in 30 lines, as any web function could do it."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_MENU = {
    "action": "gather",
    "prompt": [{"action": "play", "media": "sound:demo-instruct"}],
    "maxDigits": 1,
    "timeout": 5,
}


def answer(event: dict[str, Any]) -> dict[str, Any]:
    """What the endpoint says to one event."""
    match event["type"]:
        case "StasisStart":
            welcome = {"action": "play", "media": "sound:hello-world"}
            return {"actions": [{"action": "answer"}, welcome, _MENU], "state": {"step": "menu"}}
        case "DigitsCollected":
            digits = event["data"]["digits"]
            chosen = {"action": "setVariable", "variable": "CHOSEN", "value": digits or "nothing"}
            said = {"action": "play", "media": [f"digits:{digits or 0}", "sound:vm-goodbye"]}
            return {"actions": [chosen, said, {"action": "hangup"}], "state": {"chosen": digits}}
    return {}


async def _hook(request: Request) -> JSONResponse:
    return JSONResponse(answer(await request.json()))


def create_sample() -> Starlette:
    return Starlette(routes=[Route("/", _hook, methods=["POST"])])
