"""Voicemail: the phone rings; if nobody comes, a message is recorded and mailed, and the message lamp goes on.

    [[routes]]
    name = "voicemail"
    url = "http://127.0.0.1:8000/"
    secret = "${HOOKROUTER_SECRET}"

    [[routes]]
    name = "messages"
    mode = "notify"
    events = ["RecordingCompleted"]
    url = "http://127.0.0.1:8000/messages"
    secret = "${HOOKROUTER_SECRET}"

The second route is the reason that no message is lost: it is delivered until this function has answered 2xx. If the mail
server is down the function fails, and the message comes again, for days if need be. A caller who hangs up has left one,
too. The lamp needs Asterisk's res_mwi_external; without it everything else goes on.
"""

import os
import re
import smtplib
import urllib.request
from email.message import EmailMessage

from starlette.concurrency import run_in_threadpool
from webhook import ANSWER, HANGUP, endpoint, play

OWNER = os.environ.get("OWNER", "PJSIP/alice")
MAILBOX = os.environ.get("MAILBOX", "alice@default")
MAIL = os.environ.get("MAIL", "alice@example.com")
SMTP = os.environ.get("SMTP", "127.0.0.1:25")
ROUTER = os.environ.get("ROUTER", "http://127.0.0.1:8080")
SHORTEST = 1

GREETING = os.environ.get("GREETING", "sound:vm-theperson,sound:vm-isunavail,sound:vm-intro").split(",")
LAMP = {"action": "mailbox", "mailbox": MAILBOX, "newMessages": 1, "onError": "continue"}
RECORD = {"action": "record", "beep": True, "maxDurationSeconds": 180, "maxSilenceSeconds": 5, "terminateOn": "#"}


def start(data, call):
    caller = re.sub("[^0-9A-Za-z+]", "", data["channel"]["caller"]["number"]) or "unknown"  # it goes into a file's name
    return {"actions": [{"action": "dial", "to": OWNER, "timeout": 20}], "state": {"caller": caller}}


def talked(data, call):
    if data["status"] in ("answered", "cancelled"):
        return [HANGUP]
    return [ANSWER, play(*GREETING), LAMP, RECORD]


async def recorded(data, call):
    """Both routes bring it: the first says goodbye to the caller, the second delivers the message."""
    if call["route"] == "voicemail":
        return [play("sound:vm-msgsaved", "sound:vm-goodbye"), HANGUP]
    if data["duration"] is None or data["duration"] >= SHORTEST:
        await run_in_threadpool(mail, data, call["state"]["caller"])
    return []


def mail(recording, caller):
    request = urllib.request.Request(ROUTER + recording["url"])
    if token := os.environ.get("HOOKROUTER_TOKEN"):
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        audio = reply.read()
    message = EmailMessage()
    message["subject"], message["from"], message["to"] = f"Message from {caller}", MAIL, MAIL
    message.set_content(f"{caller} has left a message of {recording['duration']} seconds.")
    message.add_attachment(audio, maintype="audio", subtype="wav", filename=f"{caller}.wav")
    host, _, port = SMTP.partition(":")
    with smtplib.SMTP(host, int(port or 25), timeout=10) as server:
        server.send_message(message)


app = endpoint(StasisStart=start, DialCompleted=talked, RecordingCompleted=recorded)
