"""What the lab's phones read of SIP: a message's parts, and where its SDP wants the sound."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.srtp import SUITE, Srtp

if TYPE_CHECKING:
    from lab.ua import Call


def parse(data: bytes) -> dict[str, Any] | None:
    """None of what is no message."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    if not first.strip():
        return None
    headers: dict[str, str] = {}
    vias, routes = [], []
    for line in lines:
        name, _, value = line.partition(":")
        name = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "r": "refer-to"}.get(
            name.lower().strip(), name.lower().strip()
        )
        if name == "via":
            vias.append(value.strip())
        elif name == "record-route":
            routes.append(value.strip())
        headers[name] = value.strip()
    words = first.split(" ", 2)
    response = words[0].startswith("SIP/")
    return {
        "method": "" if response else words[0], "status": int(words[1]) if response else 0, "headers": headers,
        "vias": vias, "routes": routes, "body": body, "text": head,
    }  # fmt: skip


def tag_of(address: str) -> str:
    return address.partition(";tag=")[2].partition(";")[0]


def take_media(message: dict[str, Any], call: Call) -> None:
    """Address, direction and key, into the call."""
    found = re.search(r"m=audio (\d+)", message["body"])
    call.heard_direction = (re.findall(r"a=(sendrecv|sendonly|recvonly|inactive)", message["body"]) or [""])[-1]
    if found:
        host = re.search(r"c=IN IP4 (\S+)", message["body"])
        call.rtp.remote = (host[1] if host else "127.0.0.1", int(found[1]))
    if call.rtp.sealed is not None and (key := re.search(rf"a=crypto:\d+ {SUITE} inline:(\S+)", message["body"])):
        call.rtp.sealed = (call.rtp.sealed[0], Srtp.read(key[1]))
    if call.video is not None and (seen := re.search(r"m=video (\d+)", message["body"])):
        call.video.remote = ("127.0.0.1", int(seen[1])) if int(seen[1]) else None
