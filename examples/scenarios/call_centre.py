"""A call centre: callers wait with music and hear their place; agents call in and get one caller after another.

    [[routes]]
    name = "call-centre"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

Who calls from a number in AGENTS is an agent. A caller may press 9 to give up waiting, and is sent home after ten minutes;
one who hangs up has left the queue. The function remembers nothing: the queue is the router's.
"""

import os

from webhook import ANSWER, HANGUP, endpoint, play

AGENTS = os.environ.get("AGENTS", "201,202,203").split(",")
EVERY = float(os.environ.get("EVERY", "30"))

WAIT = {"action": "enqueue", "queue": "support", "waitUrl": "position", "every": EVERY, "timeout": 600, "exitOn": "9"}
NEXT = {"action": "dequeue", "queue": "support", "whisper": "sound:beep"}


def start(data, call):
    caller = data["channel"]["caller"]["number"]
    if caller in AGENTS:
        return {"actions": [ANSWER, play("sound:agent-loginok"), NEXT], "state": {"agent": caller}}
    return {"actions": [ANSWER, WAIT], "state": {"caller": caller}}


def position(data, call):
    if data["position"] == 1:
        return [play("sound:queue-youarenext")]
    return [play("sound:queue-thereare", f"number:{data['position'] - 1}", "sound:queue-callswaiting")]


def done(data, call):
    if "agent" in call["state"]:  # the talk is over, or nobody waits: look again in a second
        return [{"action": "pause", "seconds": 1}, NEXT] if data["reason"] == "empty" else [NEXT]
    if data["reason"] in ("timeout", "exit"):
        return [play("sound:vm-nobodyavail", "sound:vm-goodbye"), HANGUP]
    return [HANGUP]


app = endpoint(StasisStart=start, QueueWaiting=position, QueueCompleted=done)
