"""This call is recorded: the caller is told so, both sides are in the file, and card data is not.

    [[routes]]
    name = "recorded"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"
    events = ["StasisStart", "StasisEnd", "ChannelDtmfReceived"]

    [[routes]]
    name = "archive"
    mode = "notify"
    events = ["RecordingCompleted"]
    url = "http://127.0.0.1:8000/archive"
    secret = "${HOOKROUTER_SECRET}"

The agent presses * before the caller reads out the card's number, and * again afterwards: a gap is in the file. The file's name
comes to the second route, when it is closed, however the call has ended.
"""

import os

from webhook import ANSWER, HANGUP, endpoint, play

AGENT = os.environ.get("AGENT", "PJSIP/agent")
NOTICE = os.environ.get("NOTICE", "sound:this-call-may-be-monitored-or-recorded")

DIAL = {"action": "dial", "to": AGENT, "timeout": 20}


def start(data, call):
    recording = {"action": "startRecording", "name": "calls/" + call["id"]}
    return [ANSWER, play(NOTICE), recording, DIAL, HANGUP]


def key(data, call):
    if data["digit"] != "*" or data["channel"]["id"] == call["id"]:
        return []
    paused = call["state"].get("paused", False)
    action = {"action": "resumeRecording" if paused else "pauseRecording"}
    return {"actions": [action], "mode": "parallel", "state": {"paused": not paused}}


def closed(data, call):
    if call["route"] == "archive":
        print(f"{data['name']}: {data['duration']} s, at {data['url']}")
    return []


app = endpoint(StasisStart=start, ChannelDtmfReceived=key, RecordingCompleted=closed)
