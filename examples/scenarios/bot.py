"""A bot talks to the caller over a WebSocket, and hands them over to a human: here when they press 0.

    [[routes]]
    name = "bot"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

Asterisk's websocket_client.conf says where the bot is; `stream` names that client:

    [bot]
    type = websocket_client
    uri = ws://127.0.0.1:8000/media
    protocols = media
    connection_type = per_call_config

This bot only says again what it hears. It hands the caller over by ending the stream; no bot at all is a reason for a human, too.
"""

import os

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from webhook import ANSWER, HANGUP, endpoint, play

HUMAN = os.environ.get("HUMAN", "PJSIP/agent")

STREAM = {"action": "stream", "to": "bot", "format": "ulaw"}
HAND_OVER = [play("sound:pls-hold-while-try"), {"action": "dial", "to": HUMAN, "timeout": 20}]


def start(data, call):
    return [ANSWER, STREAM]


def streamed(data, call):
    return HAND_OVER if data["reason"] == "ended" else []


def failed(data, call):
    return HAND_OVER if data["action"]["action"] == "stream" else [HANGUP]


def talked(data, call):
    return [HANGUP] if data["status"] == "answered" else [play("sound:vm-nobodyavail"), HANGUP]


async def media(socket: WebSocket):
    """chan_websocket: audio in binary messages, what happens on the channel in texts."""
    await socket.accept(subprotocol="media")
    async for message in messages(socket):
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        elif message.startswith("DTMF_END digit:0"):
            await socket.send_text("HANGUP")


async def messages(socket: WebSocket):
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        yield message.get("text") or message.get("bytes") or b""


app = endpoint(
    WebSocketRoute("/media", media),
    StasisStart=start, StreamCompleted=streamed, ActionFailed=failed, DialCompleted=talked,
)  # fmt: skip
