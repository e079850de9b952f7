"""Folders of an Asterisk that belongs to somebody: Debian's as its package brings it, and one laid out as FreePBX lays it."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.freepbx import FREEPBX_FILES
from lab.installing import TESTING, installed

_BARE = ("ari.conf", "extensions.conf", "websocket_client.conf", "sorcery.conf")
_PHONES = """
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[phone]
type=endpoint
context={context}
allow=ulaw
identify_by=ip
[phone]
type=identify
endpoint=phone
match=127.0.0.1
"""
_CONTEXTS = {"freepbx": "from-internal"}


def _files(layout: str, suite: str) -> dict[str, str]:
    """What is in it before; PORT is the HTTP server's."""
    root = installed(suite)
    assert root is not None
    if layout != "freepbx":
        brought = {name: root / "etc/asterisk" / name for name in (*_BARE, "http.conf")}
        texts = {name: path.read_text() if path.exists() else "" for name, path in brought.items()}  # an old one has fewer
        return texts | {"http.conf": texts["http.conf"] + "\nbindport = PORT\n"}
    texts = dict(FREEPBX_FILES)
    del texts["modules.conf"]
    texts["http_additional.conf"] = texts["http_additional.conf"].replace("8088", "PORT")
    did = "exten => 5550100,1,Set(__FROM_DID=${EXTEN})\n same => n,Goto(to-hookrouter,s,1)\n"
    extension = "exten => 200,1,Answer()\n same => n,Playback(hello-world)\n same => n,Hangup()\n"
    texts["extensions_additional.conf"] = f"[from-internal-additional]\n{extension}[from-trunk]\n{did}"
    texts["extensions.conf"] += "include => from-internal-additional\ninclude => from-trunk\n"
    return texts


def laid_out(layout: str, suite: str = TESTING) -> Asterisk:
    """`freepbx`, or as Debian's package brings it; a phone of this machine may call, and nothing of hookrouter is there. Not started.

    In FreePBX's, 5550100 is called from outside, and leads to a custom destination; 200 is an extension.
    """
    found = Asterisk(suite=suite)
    files = {name: text.replace("PORT", str(found.http_port)) for name, text in _files(layout, suite).items()}
    found.files = files | {"pjsip.conf": _PHONES.format(port=found.sip_port, context=_CONTEXTS.get(layout, "default"))}
    found.prepare()
    return found
