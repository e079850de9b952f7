"""Answers, heads of events, routes.toml, and rows of the journal: taken or refused, and never another exception."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from rig.router import Router, route
from rig.table import URL, Others

from fuzz.conftest import Fuzz, damaged
from hookrouter.actions.decode import decode_answer, decode_step
from hookrouter.actions.faults import MOST_TOLD
from hookrouter.actions.new_call import decode_new_call
from hookrouter.actions.vocabulary import VERBS
from hookrouter.ari.events import make_event, rfc3339
from hookrouter.calls.board import ids_of
from hookrouter.calls.call import Call, Outgoing, Pending, Program, encode_call
from hookrouter.calls.doer import Doer
from hookrouter.calls.effects import Announce
from hookrouter.calls.journal import StoredCall
from hookrouter.calls.machine import Turn
from hookrouter.config.loader import parse
from hookrouter.errors import AnswerRefused, ConfigurationError
from hookrouter.routing.endpoint import Endpoint, Route

EXAMPLES = [example.encode() for verb in VERBS for example in verb.examples]
JSON = [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"null", b"true", b"-", b"1e999", b"4.0", b"[]", b"{}",
        b"99999999999999999999", b"\\ud83d", b"\xff", b'"a":', b'"onError":[', b'"action":"gather"', b'"prompt":', b'"channels.play"',
        b'"state":', b"NaN"]  # fmt: skip


def test_answers(fuzz: Fuzz) -> None:
    """What is taken is JSON that is taken again; what is refused has a few faults, each in words."""
    good = [b"[" + example + b"]" for example in EXAMPLES]
    good += [b'{"actions":[' + b",".join(EXAMPLES[:6]) + b'],"state":{"a":[1,2.5,null]},"mode":"append","whenDone":"hangup"}']

    def check(body: bytes) -> None:
        try:
            answer = decode_answer(body, "application/json", first=True)
        except AnswerRefused as refused:
            assert 1 <= len(refused.faults) <= MOST_TOLD + 1
            assert all(fault.message for fault in refused.faults)
            assert len(str(refused)) < 20_000
            return
        for step in answer.steps:
            json.loads(step.raw)
            assert type(decode_step(step.raw)) is type(step.action)
        if answer.state is not None:
            json.dumps(json.loads(answer.state), allow_nan=False)

    fuzz(check, damaged(good, JSON) | st.binary(max_size=300), 300)
    news = [b'{"to":"PJSIP/a","route":"ivr","timeout":20,"variables":{"A":"b"},"state":{},"actions":[{"action":"answer"}],"id":"x"}']

    def check_new(body: bytes) -> None:
        try:
            decode_new_call(body)
        except AnswerRefused as refused:
            assert refused.faults

    fuzz(check_new, damaged(news, JSON))


CHANNEL = (
    b'"channel":{"id":"1","name":"PJSIP/a-1","state":"Up","caller":{"name":"","number":"1"},'
    b'"dialplan":{"context":"d","exten":"1","priority":1,"app_name":"Stasis","app_data":"ivr"}}'
)
EVENTS = [
    b'{"type":"StasisStart","timestamp":"2026-11-23T01:21:20.227+0000","args":["a"],"application":"ivr",' + CHANNEL + b"}",
    b'{"type":"ChannelDtmfReceived","digit":"1","duration_ms":100,' + CHANNEL + b"}",
    b'{"type":"PlaybackFinished","playback":{"id":"p","media_uri":"sound:a","target_uri":"channel:1","state":"done"}}',
    b'{"type":"RecordingFailed","recording":{"name":"r","format":"wav","state":"failed","target_uri":"channel:1","duration":1}}',
    b'{"type":"ChannelEnteredBridge","bridge":{"id":"b","channels":["1"]},' + CHANNEL + b"}",
    b'{"type":"Dial","dialstatus":"ANSWER","peer":{"id":"2"},"caller":{"id":"1"}}',
    b'{"type":"StasisEnd",' + CHANNEL + b"}",
]


def test_heads_of_events(fuzz: Fuzz) -> None:
    """What is an event finds its calls and goes through the machine; what is none is told as such."""
    route = Route("ivr", Endpoint(URL), events=None)

    def check(raw: bytes) -> None:
        try:
            event = make_event("main", raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        assert len(event.id) == 36
        assert isinstance(rfc3339(event.head.timestamp), str)
        assert len(list(ids_of(event.head))) < 20
        call = Call(key="main/1", id="1", asterisk="main", app="ivr", route="ivr", started_at=1.0)
        steps = [b'{"action":"play","media":"sound:a"}', b'{"action":"gather","maxDigits":2}', b'{"action":"dial","to":"PJSIP/a"}']
        for step in steps:
            turn = Turn(call, route, Others(), 2.0, Doer)
            turn._spawn("parallel", [step])
            turn.on_event(event)
        encode_call(call)

    fuzz(check, damaged(EVENTS, JSON))


TOML = [b"[", b"]", b"[[", b"]]", b"=", b'"', b"'''", b"{", b"}", b"\n", b"#", b"true", b"1e999", b"-1", b"0x", b"routes",
        b"[policy]\n", b"url", b"\xff", b"\x00", b'"${env:X}"', b"timeout = nan\n", b"99999999999999999999999", b"1979-05-27",
        b"events = []\n"]  # fmt: skip


def test_routes_toml(fuzz: Fuzz) -> None:
    """A configuration, or every fault of it with its place."""
    good = [path.read_bytes() for path in sorted(Path(__file__).parents[2].glob("**/routes*.toml")) if ".venv" not in path.parts]
    assert good

    def check(text: bytes) -> None:
        try:
            parse(text.decode("utf-8", "replace"), {}, Path("routes.toml"))
        except ConfigurationError as error:
            assert error.faults

    fuzz(check, damaged(good, TOML), 60)


def _rows() -> list[bytes]:
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=1.0)
    call.programs["p1"] = Program("p1", "main", [b'{"action":"play","media":"sound:a"}', b'{"action":"hangup"}'], "1")
    call.requests["r1"] = Pending("channels.answer", {"channelId": "1"}, "p1")
    call.outbox.append(Outgoing("evt_1", "StasisStart", "2026-11-23T01:21:20.227Z", EVENTS[0], 1))
    call.timers["p1:x"] = 5.0
    return [encode_call(call), encode_call(Call(key="main/2", id="2", asterisk="main", app="app", route="x", started_at=2.0))]


def test_rows_of_the_journal(fuzz: Fuzz) -> None:
    """Whatever stands in a row, the start goes on, the good call is there, and all can be shown."""
    good = _rows()
    metas = [msgspec.msgpack.encode(("main", Announce("new", "ivr", (b"{}",), b"{}")))]
    pieces = [b"\xc0", b"\xc1", b"\x80", b"\x90", b"\xcf" + b"\xff" * 8, b"\xcb\x7f\xf8" + bytes(6), b"\xdf" + b"\xff" * 4]

    async def start(row: Any, meta: bytes) -> None:
        router = Router("http://127.0.0.1:9", "app", route(URL))
        store = router.service.store
        stored = [StoredCall("main/x", "main", row, 0.0), StoredCall("main/1", "main", good[0], 0.0)]

        async def load_calls() -> list[StoredCall]:
            return stored

        async def load_meta(prefix: str = "") -> dict[str, bytes]:
            return {"announced/main/new": meta, "startup/main": meta, "recording/main/x": meta, "recording/": meta}

        store.load_calls, store.load_meta = load_calls, load_meta  # type: ignore[method-assign]
        async with router:
            assert router.service.board.by_channel("1") is not None
            shown = router.service.calls()
            json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()

    def check(drawn: tuple[Any, bytes]) -> None:
        asyncio.run(start(*drawn))

    row = damaged(good, pieces) | st.integers() | st.none() | st.text()
    fuzz(check, st.tuples(row, damaged(metas, pieces)), 60)
