"""The table of operations: what is wrong with a request, what it looks like as HTTP, what a repeat of it does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.ari.operations import (
    HttpRequest,
    Request,
    build,
    check,
    event_types,
    operation,
    operations,
    proof_request,
    proved,
    suggest,
)
from hookrouter.ari.repeating import BLOCKING, DONE_ALREADY, DOUBTFUL_409, FINAL_5XX, PROOFS, REPEATS, Repeat


def test_all_of_them_are_there() -> None:
    """109 operations, 45 event types (and the one message that is none), each with its fields."""
    assert len(operations()) == 109
    assert len(set(event_types()) - {"MissingParams"}) == 45
    assert event_types()["StasisStart"]["args"] == "List[string]"
    assert all("type" in fields for fields in event_types().values())


def test_every_operation_that_changes_something_says_what_a_repeat_does() -> None:
    """Nobody has to guess: the table names all of them, and nothing else."""
    assert {name for name, found in operations().items() if found.method != "GET"} == set(REPEATS)
    assert set(PROOFS) | set(DONE_ALREADY) | BLOCKING | DOUBTFUL_409 | FINAL_5XX <= set(REPEATS)


@pytest.mark.parametrize("name", sorted(PROOFS))
def test_a_proof_asks_with_parameters_that_exist(name: str) -> None:
    """What proves it is a GET; each parameter of it comes from one of the request's."""
    proof, found = PROOFS[name], operation(name)
    asked = operation(proof.operation)
    assert found is not None
    assert asked is not None
    assert asked.method == "GET"
    assert {own for own, _ in proof.params} == {p.name for p in asked.parameters if p.required}
    assert {source for _, source in proof.params} <= {p.name for p in found.parameters}
    assert found.repeat is Repeat.ASK
    assert found.proof is proof


def test_a_get_is_safe_and_a_hangup_that_finds_nobody_is_done() -> None:
    """What the table says is what an operation says of itself."""
    get, hangup, destroy = operation("channels.get"), operation("channels.hangup"), operation("bridges.destroy")
    assert get
    assert hangup
    assert destroy
    assert (get.repeat, get.proof, get.blocks, get.returns) == (Repeat.SAFE, None, False, True)
    assert (hangup.repeat, hangup.done_already, hangup.returns) == (Repeat.GONE_IS_DONE, {404}, False)
    assert destroy.done_already == {404, 409}
    assert get.done_already == frozenset()


def _one(operation: str, /, **params: Any) -> HttpRequest:
    return build(Request(operation, params))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            Request("channels.play", {"channelId": "a/b c", "media": ["sound:a", "sound:ü&="], "skipms": 5}),
            HttpRequest("POST", "/channels/a%2Fb%20c/play?media=sound%3Aa%2Csound%3A%C3%BC%26%3D&skipms=5"),
            id="path and list",
        ),
        pytest.param(
            Request("bridges.addChannel", {"bridgeId": "b", "channel": "c", "mute": True, "absorbDTMF": False}),
            HttpRequest("POST", "/bridges/b/addChannel?channel=c&mute=true&absorbDTMF=false"),
            id="booleans",
        ),
        pytest.param(
            Request("channels.setChannelVars", {"channelId": "c", "variables": {"A": "ü"}}),
            HttpRequest("POST", "/channels/c/variables", '{"variables":{"A":"ü"}}'.encode()),
            id="body",
        ),
        pytest.param(
            Request("channels.getChannelVars", {"channelId": "c", "variables": ["A", "B"]}),
            HttpRequest("GET", "/channels/c/variables?variables=A%2CB"),
            id="the same name in a query",
        ),
        pytest.param(
            Request("applications.filter", {"applicationName": "x", "filter": {"allowed": [{"type": "Dial"}]}}),
            HttpRequest("PUT", "/applications/x/eventFilter", b'{"allowed":[{"type":"Dial"}]}'),
            id="the filter is the whole body",
        ),
        pytest.param(
            Request("applications.filter", {"applicationName": "x", "filter": {}}),
            HttpRequest("PUT", "/applications/x/eventFilter", b"{}"),
            id="an empty filter is a body",
        ),
        pytest.param(
            Request("channels.mute", {"channelId": "c"}),
            HttpRequest("POST", "/channels/c/mute?direction=both"),
            id="mute says its default",
        ),
        pytest.param(
            Request("channels.unmute", {"channelId": "c", "direction": "in"}),
            HttpRequest("DELETE", "/channels/c/mute?direction=in"),
            id="unmute as asked",
        ),
        pytest.param(
            Request("bridges.create", {"bridgeId": "b", "variables": {"A": "1"}}),
            HttpRequest("POST", "/bridges/b", b'{"variables":{"A":"1"}}'),
            id="a bridge with an id",
        ),
        pytest.param(
            Request("bridges.create", {"type": "mixing"}), HttpRequest("POST", "/bridges?type=mixing"), id="one without"
        ),
        pytest.param(
            Request("channels.hangup", {"channelId": "c", "reason": None}),
            HttpRequest("DELETE", "/channels/c"),
            id="None is not sent",
        ),
        pytest.param(
            Request("endpoints.get", {"tech": "PJSIP", "resource": "6001@trunk"}),
            HttpRequest("GET", "/endpoints/PJSIP/6001%40trunk"),
            id="two path parameters",
        ),
    ],
)
def test_build(request_: Request, expected: HttpRequest) -> None:
    """Where each parameter goes is in the api-docs; how it is written is HTTP's."""
    before = dict(request_.params)
    assert build(request_) == expected
    assert request_.params == before


def test_build_needs_its_path() -> None:
    """An operation or a path parameter that is not there is the caller's mistake."""
    with pytest.raises(KeyError):
        _one("channels.nothing")
    with pytest.raises(KeyError):
        _one("channels.answer")


@given(st.text(min_size=1), st.text())
def test_whatever_the_text_it_arrives(channel: str, value: str) -> None:
    """No text breaks out of its place in the path or the query."""
    target = _one("channels.setChannelVar", channelId=channel, variable="X", value=value).target
    assert target.isascii()
    parts = urlsplit("http://x" + target)
    assert [unquote(piece) for piece in parts.path.split("/")] == ["", "channels", channel, "variable"]
    assert dict(parse_qsl(parts.query, keep_blank_values=True)) == {"variable": "X", "value": value}


@pytest.mark.parametrize(
    ("name", "params", "faults"),
    [
        pytest.param("channels.hold", {"channelId": "c"}, [], id="nothing wrong"),
        pytest.param(
            "channel.hold", {}, ["/a: Asterisk has no operation `channel.hold`; did you mean `channels.hold`?"], id="typo"
        ),
        pytest.param("weather", {}, ["/a: Asterisk has no operation `weather`"], id="nonsense"),
        pytest.param(
            "channels.play",
            {"chanelId": "c", "skipms": "x", "offsetms": True},
            [
                "/a/chanelId: `channels.play` has no parameter `chanelId`; did you mean `channelId`?",
                "/a/skipms: expected a whole number",
                "/a/offsetms: expected a whole number",
                "/a/channelId: missing",
                "/a/media: missing",
            ],
            id="every fault at once",
        ),
        pytest.param("channels.list", {"x": 1}, ["/a/x: `channels.list` has no parameter `x`; known: none"], id="none known"),
        pytest.param(
            "channels.mute", {"channelId": "c", "direction": "up"}, ["/a/direction: `up` is none of: both, in, out"], id="enum"
        ),
        pytest.param("channels.answer", {"channelId": ""}, ["/a/channelId: must not be empty"], id="empty path"),
        pytest.param(
            "bridges.play",
            {"bridgeId": "b", "media": ["sound:x"], "offsetms": -1},
            ["/a/offsetms: -1 is less than 0"],
            id="minimum",
        ),
        pytest.param("asterisk.getInfo", {"only": "status,system"}, [], id="a list as text"),
        pytest.param(
            "asterisk.getInfo",
            {"only": ["status", "x"]},
            ["/a/only/1: `x` is none of: build, system, config, status"],
            id="one of a list",
        ),
        pytest.param(
            "channels.play", {"channelId": "c", "media": []}, ["/a/media: at least one is needed"], id="an empty list"
        ),
        pytest.param(
            "channels.play",
            {"channelId": "c", "media": ["sound:http://x/a,b.wav"]},
            ["/a/media/0: Asterisk would split this at its comma (in a URL, write %2C)"],
            id="a comma",
        ),
        pytest.param(
            "channels.setChannelVars",
            {"channelId": "c", "variables": {"A": 1, "B": {"value": "x", "report_events": True}, "C": {"x": 1}, "D": "d"}},
            [
                "/a/variables/A: expected a string, or an object with `value` and perhaps `report_events`",
                "/a/variables/C: expected a string, or an object with `value` and perhaps `report_events`",
            ],
            id="variables of a channel",
        ),
        pytest.param(
            "endpoints.sendMessage",
            {"to": "pjsip:x", "from": "sip:y", "variables": {"A": {"value": "x"}}},
            ["/a/variables/A: expected a string"],
            id="variables of a message",
        ),
        pytest.param(
            "events.userEvent",
            {"eventName": "e", "application": "a", "variables": {"A": [1, {"b": None}]}},
            [],
            id="variables of an event",
        ),
        pytest.param(
            "events.userEvent",
            {"eventName": "e", "application": "a", "variables": "A=1"},
            ["/a/variables: expected an object"],
            id="no object",
        ),
        pytest.param(
            "asterisk.updateObject",
            {"configClass": "c", "objectType": "t", "id": "i", "fields": [{"attribute": "a", "value": "v"}, {"attribute": "b"}]},
            ["/a/fields/1: expected an object with `attribute` and `value`, both strings"],
            id="fields",
        ),
        pytest.param(
            "asterisk.updateObject",
            {"configClass": "c", "objectType": "t", "id": "i", "fields": {"a": "v"}},
            ["/a/fields: expected a list of objects with `attribute` and `value`"],
            id="fields are a list",
        ),
        pytest.param(
            "bridges.create",
            {"variables": {"A": "1"}},
            ["/a/bridgeId: missing: without it Asterisk refuses `variables`, and leaks a bridge"],
            id="a bridge that would leak",
        ),
    ],
)
def test_check(name: str, params: dict[str, Any], faults: list[str]) -> None:
    """Every fault at once, each with its pointer and what to do."""
    assert [str(fault) for fault in check(name, params, place="/a")] == faults


@pytest.mark.parametrize("name", sorted(operations()))
def test_what_passes_the_check_can_be_built(name: str) -> None:
    """A request with every parameter, each of its own kind."""
    found = operations()[name]
    samples: dict[str, Any] = {"string": "x", "int": 1, "long": 1, "double": 1.5, "boolean": True}
    params: dict[str, Any] = {
        p.name: (p.values[0] if p.values else samples.get(p.type, [] if p.name == "fields" else {})) for p in found.parameters
    }
    assert check(name, params) == []
    http = build(Request(name, params))
    assert http.method == found.method
    assert "{" not in http.target


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("channels.snoopchannelwithid", "channels.snoopChannelWithId"),
        ("bridge.addChannel", "bridges.addChannel"),
        ("zzz", None),
    ],
)
def test_suggest(name: str, expected: str | None) -> None:
    """What was perhaps meant, whatever the case."""
    assert suggest(name) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            Request("channels.play", {"channelId": "c", "media": "sound:x", "playbackId": "p"}),
            Request("playbacks.get", {"playbackId": "p"}),
            id="play",
        ),
        pytest.param(Request("channels.play", {"channelId": "c", "media": "sound:x"}), None, id="play without an id"),
        pytest.param(
            Request("channels.record", {"channelId": "c", "name": "r", "format": "wav"}),
            Request("recordings.getLive", {"recordingName": "r"}),
            id="record",
        ),
        pytest.param(
            Request("channels.snoopChannelWithId", {"channelId": "c", "snoopId": "s", "app": "a"}),
            Request("channels.get", {"channelId": "s"}),
            id="snoop",
        ),
        pytest.param(
            Request("recordings.copyStored", {"recordingName": "a", "destinationRecordingName": "b"}),
            Request("recordings.getStored", {"recordingName": "b"}),
            id="copy",
        ),
        pytest.param(Request("channels.dial", {"channelId": "c"}), None, id="nothing proves a dial"),
    ],
)
def test_proof_request(request_: Request, expected: Request | None) -> None:
    """The question that shows whether it was done, with ids from the request."""
    assert proof_request(request_) == expected


@pytest.mark.parametrize(("status", "expected"), [(200, True), (404, False), (0, None), (500, None)])
def test_proved(status: int, expected: bool | None) -> None:
    """Only 200 and 404 say something."""
    assert proved(Request("channels.play", {}), status) is expected


def test_importing_reads_no_file() -> None:
    """The spec is read when the first operation is asked for, not when the module is imported."""
    code = "import hookrouter.ari.operations as o; print(o._spec.cache_info().currsize)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "0"
