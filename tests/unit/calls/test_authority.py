"""With `scope = "call"` no answer reaches what belongs to another call: each way in on a table, and all of them at random."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rig.table import Table

from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import INTERNAL, VERBS
from hookrouter.ari.operations import operations
from hookrouter.calls.call import decode_call, encode_call
from hookrouter.errors import AnswerRefused
from hookrouter.policy.parameters import Kind, named

THEIRS = {
    (Kind.CHANNEL, "1795396880.2"), (Kind.CHANNEL, "hr-leg-2-1"), (Kind.BRIDGE, "hr-bridge-2-2"),
    (Kind.BRIDGE, "room"), (Kind.PLAYBACK, "hr-playback-2-3"), (Kind.RECORDING, "theirs"), (Kind.STORED, "theirs"),
    (Kind.STORED, "before"),
}  # fmt: skip
"""What the other call has; the recording `before` was there before the router."""


def stage(**route: Any) -> Table:
    table = Table(up=True, **route)
    for kind, id in THEIRS:
        if kind is not Kind.STORED:
            table.others.things[(kind.value, id)] = ""
    table.others.recordings["theirs"] = ("", "main/2 900.0")
    return table


def reached(table: Table) -> list[tuple[str, Kind, str]]:
    """What of the other call the requests name; whether a recording is there may be asked to say what is wrong."""
    return [
        (request.operation, thing.kind, thing.value)
        for request in table.asked
        for thing in (named(request.operation, request.params) if not request.operation.startswith("~") else ())
        if (thing.kind, thing.value) in THEIRS and (request.operation, thing.value) != ("recordings.getStored", "before")
    ]


def reason(table: Table) -> str:
    return str(table.data()["error"]["reason"]) if table.types[-1] == "ActionFailed" else ""


HANGUP_THEIRS = {"action": "channels.hangup", "channelId": "1795396880.2"}
WAYS: list[tuple[str, list[dict[str, Any]]]] = [
    ("a recording named like a channel", [{"action": "record", "name": "1795396880.2", "wait": False}, HANGUP_THEIRS]),
    ("beside", [{"action": "startRecording", "name": "1795396880.2"}, HANGUP_THEIRS]),
    ("a playback of that id", [
        {"action": "channels.play", "media": "sound:a", "playbackId": "1795396880.2", "wait": False}, HANGUP_THEIRS]),
    ("a bridge of that id", [{"action": "bridges.create", "bridgeId": "1795396880.2"}, HANGUP_THEIRS]),
    ("the other call's bridge", [{"action": "bridges.addChannel", "bridgeId": "hr-bridge-2-2", "channel": "1"}]),
    ("after having made it", [
        {"action": "bridges.create", "bridgeId": "room"},
        {"action": "bridges.addChannel", "bridgeId": "room", "channel": ["1"]}]),
    ("their sound", [{"action": "playbacks.stop", "playbackId": "hr-playback-2-3"}]),
    ("their recording", [{"action": "play", "media": "recording:theirs"}]),
    ("among others", [{"action": "play", "media": ["sound:a", "recording:theirs"]}]),
    ("in a comma list", [{"action": "channels.play", "media": "sound:a,recording:theirs"}]),
    ("in a prompt", [{"action": "gather", "prompt": "recording:theirs"}]),
    ("a file of before", [{"action": "play", "media": "recording:before"}]),
    ("their file", [{"action": "recordings.getStoredFile", "recordingName": "theirs"}]),
    ("a copy of it", [
        {"action": "recordings.copyStored", "recordingName": "theirs", "destinationRecordingName": "mine"}]),
    ("over it", [{"action": "channels.record", "name": "theirs", "format": "wav", "ifExists": "overwrite"}]),
    ("stopping it", [{"action": "recordings.stop", "recordingName": "theirs"}]),
    ("its events", [
        {"action": "applications.subscribe", "applicationName": "app", "eventSource": "channel:1795396880.2"}]),
    ("in its name", [
        {"action": "events.userEvent", "eventName": "e", "application": "app",
         "source": ["channel:1", "channel:1795396880.2"]}]),
    ("as who calls", [
        {"action": "channels.originate", "endpoint": "PJSIP/a", "app": "app", "originator": "1795396880.2"}]),
    ("dialled for it", [{"action": "channels.dial", "caller": "1795396880.2"}]),
    ("joined", [{"action": "bridge", "with": "1795396880.2"}]),
    ("heard", [{"action": "spy", "call": "1795396880.2"}]),
    ("heard raw", [{"action": "channels.snoopChannel", "channelId": "1795396880.2", "app": "app", "spy": "both"}]),
    ("claimed", [{"action": "events.claimChannel", "channelId": "1795396880.2", "application": "app"}]),
    ("when something fails", [
        {"action": "channels.hangup", "channelId": "nobody", "onError": [HANGUP_THEIRS]}]),
]  # fmt: skip


@pytest.mark.parametrize(("way", "actions"), WAYS, ids=[way for way, _ in WAYS])
def test_what_is_another_calls_stays_out_of_reach(way: str, actions: list[Any]) -> None:
    """Whatever an answer says before; and it is told as `forbidden`."""
    table = stage()
    table.start(actions)
    table.settle()
    assert reached(table) == []
    told = [json.loads(out.data)["error"]["reason"] for out in table.call.outbox if out.type == "ActionFailed"]
    assert set(told) == {"forbidden"}


def test_an_operations_name_is_nobodys_id() -> None:
    """A recording that is called `asterisk.setGlobalVar` unlocks nothing."""
    table = stage()
    table.start(
        [
            {"action": "record", "name": "asterisk.setGlobalVar", "wait": False},
            {"action": "asterisk.setGlobalVar", "variable": "X", "value": "1"},
        ]
    )
    table.settle()
    assert "asterisk.setGlobalVar" not in table.operations
    assert reason(table) == "forbidden"


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ({"action": "record", "name": "hr-recording-2-7"}, "/0/name"),
        ({"action": "startRecording", "name": "HR-x"}, "/0/name"),
        ({"action": "conference", "name": "a", "record": "hr-x"}, "/0/record"),
        ({"action": "dial", "to": "PJSIP/a", "record": "../x"}, "/0/record"),
        ({"action": "channels.record", "name": "a/../b", "format": "wav"}, "/0/name"),
        ({"action": "channels.create", "endpoint": "PJSIP/a", "app": "a", "channelId": "1795396880.7"}, "/0/channelId"),
        ({"action": "channels.create", "endpoint": "PJSIP/a", "app": "a", "channelId": "pbx-1795396880.7"}, "/0/channelId"),
        ({"action": "channels.create", "endpoint": "PJSIP/a", "app": "a", "channelId": "hr-leg-2-9"}, "/0/channelId"),
        ({"action": "channels.create", "endpoint": "PJSIP/a", "app": "a", "channelId": "PJSIP/a-00000001"}, "/0/channelId"),
        ({"action": "channels.originate", "endpoint": "Local/a", "app": "a", "otherChannelId": "hr-x"}, "/0/otherChannelId"),
        ({"action": "bridges.create", "bridgeId": "hr-room-1"}, "/0/bridgeId"),
        ({"action": "channels.playWithId", "media": "sound:a", "playbackId": "hr-playback-1-9"}, "/0/playbackId"),
    ],
)
def test_an_id_that_could_be_anothers_is_refused_with_its_place(action: Any, place: str) -> None:
    """Our own prefix, Asterisk's own form, a channel's name, a way out of the folder: before anything runs."""
    with pytest.raises(AnswerRefused) as refused:
        decode_answer(json.dumps([action]).encode())
    assert [fault.place for fault in refused.value.faults] == [place]


@pytest.mark.parametrize("verb", [str(verb.__struct_config__.tag) for verb in INTERNAL])
@pytest.mark.parametrize(
    "around",
    [
        pytest.param(lambda a: [a], id="alone"),
        pytest.param(lambda a: [{"action": "answer", "onError": [a]}], id="onError"),
        pytest.param(lambda a: [{"action": "dial", "to": "PJSIP/a", "confirm": [a]}], id="confirm"),
        pytest.param(lambda a: [{"action": "dial", "to": {"endpoint": "PJSIP/a", "confirm": [a]}}], id="leg"),
        pytest.param(lambda a: [{"action": "gather", "branches": {"1": [a]}}], id="branch"),
        pytest.param(lambda a: [{"action": "gather", "prompt": [a]}], id="prompt"),
        pytest.param(lambda a: [{"action": "dequeue", "queue": "q", "confirm": [a], "whisper": "sound:a"}], id="agent"),
        pytest.param(lambda a: [{"action": "originate", "to": "PJSIP/a", "actions": [a]}], id="originate"),
        pytest.param(
            lambda a: [{"action": "channels.hold", "onError": [{"action": "answer", "onError": [a]}]}], id="twice"
        ),
        pytest.param(lambda a: {"actions": [{"action": "answer", "onError": [a]}]}, id="object"),
    ],
)
def test_the_routers_own_verbs_are_refused_at_every_depth(verb: str, around: Any) -> None:
    """Only the router itself puts them into a program."""
    inner = {
        "~bridged": {"bridge": "hr-bridge-2-2", "with": "2"},
        "~called": {"channel": "2", "timeout": 1, "by": {}},
        "~recording": {"name": "theirs", "by": {}},
        "~playAll": {"bridge": "theirs", "media": "sound:x"},
    }[verb]
    with pytest.raises(AnswerRefused):
        decode_answer(json.dumps(around({"action": verb, **inner})).encode())


def test_what_a_call_has_made_is_its_own() -> None:
    """By kind: its recording is no channel, and an id that is free again is nobody's."""
    table = stage()
    table.start([{"action": "bridges.create", "bridgeId": "mine"}, {"action": "bridges.get", "bridgeId": "mine"},
                 {"action": "channels.get", "channelId": "mine"}])  # fmt: skip
    table.settle()
    assert table.operations == ["bridges.get", "bridges.createWithId", "bridges.get"] or table.operations == [
        "bridges.get", "bridges.create", "bridges.get"]  # fmt: skip
    assert reason(table) == "forbidden"
    table.happen("BridgeDestroyed", "", bridge={"id": "mine", "channels": []})
    table.turn("inject", decode_answer(b'[{"action":"bridges.get","bridgeId":"mine"}]'))
    assert table.operations.count("bridges.get") == 2


def test_an_id_is_the_calls_only_once_asterisk_has_agreed() -> None:
    """Until then nothing can be done with it; what it is refused for is told."""
    table = stage()
    table.start([{"action": "bridges.create", "bridgeId": "mine", "wait": False},
                 {"action": "bridges.destroy", "bridgeId": "mine"}])  # fmt: skip
    assert table.operations == ["bridges.get"]
    assert table.owned == {}
    table.reply("bridges.get", 200)  # somebody has it already
    assert table.operations == ["bridges.get"]
    assert table.call.claimed == {}
    assert {json.loads(out.data)["error"]["reason"] for out in table.call.outbox if out.type == "ActionFailed"} == {"forbidden"}


def test_both_halves_of_a_local_channel_are_the_calls() -> None:
    """Once they are there; a half of an id that somebody has is refused, and the other one with it."""
    local = {"action": "channels.create", "endpoint": "Local/a@b", "app": "app"}
    table = stage()
    table.start([local | {"channelId": "one", "otherChannelId": "two"}, {"action": "channels.hangup", "channelId": "two"}])
    assert table.owned == {}
    table.settle()
    assert table.owned == {"one": "leg", "two": "leg"}
    assert table.operations[-1] == "channels.hangup"
    table = stage()
    table.others.things[("channel", "two")] = ""
    table.start([local | {"channelId": "one", "otherChannelId": "two"}])
    assert (table.operations, table.owned, table.call.claimed, reason(table)) == ([], {}, {}, "forbidden")


def test_what_was_asked_for_and_comes_too_late_is_taken_back() -> None:
    """The program was replaced before Asterisk agreed."""
    table = stage()
    table.start([{"action": "bridges.create", "bridgeId": "mine"}])
    table.reply("bridges.get", 404)
    table.turn("inject", decode_answer(b'[{"action":"pause","seconds":9}]'))
    table.reply("bridges.create", 200)
    assert [request.params for request in table.asked if request.operation == "bridges.destroy"] == [{"bridgeId": "mine"}]
    assert table.owned == {}
    assert table.call.claimed == {}


def test_a_recording_is_played_by_who_has_made_it() -> None:
    """By the same call; another call of the same route is another call."""
    table = stage()
    table.start([{"action": "record", "name": "mine"}, {"action": "play", "media": "recording:mine"}])
    table.settle()
    table.happen("RecordingFinished", "", recording={"name": "mine", "duration": 3})
    while table.types[-1] == "RecordingCompleted" and table.call.in_flight:
        table.answer([])
    assert table.operations[-1] == "channels.playWithId"


@pytest.mark.parametrize(
    ("allow", "name", "good"),
    [
        (("recording:before",), "before", True),
        (("recording:be*",), "before", True),
        (("recording:greetings/*",), "greetings/a", True),
        (("recording:greetings/*",), "greetings/../theirs", False),
        (("recording:*",), "theirs", True),
        (("recording:b",), "before", False),
        (("recording:[a-z]*",), "before", False),
        (("channels.playWithId",), "before", False),
    ],
)
def test_a_recording_that_nobodys_call_made_is_granted_by_the_route(allow: Any, name: str, good: bool) -> None:
    """By its name, or the beginning of it; never by another way of writing a file's place."""
    table = stage(allow=allow)
    try:
        table.start([{"action": "play", "media": f"recording:{name}"}])
    except AnswerRefused:
        assert not good
        return
    assert ("channels.playWithId" in table.operations) is good


def test_a_recording_that_is_not_there_is_told_as_such() -> None:
    """As far as nobody else's is concerned."""
    table = stage()
    table.start([{"action": "play", "media": "recording:none"}])
    table.reply("recordings.getStored", 404)
    table.later(5)
    assert reason(table) in ("media_failed", "")


@pytest.mark.parametrize(
    ("thing", "reach"),
    [({"tenant": ""}, True), ({"tenant": "other"}, False)],
    ids=["same tenant", "another tenant"],
)
@pytest.mark.parametrize(
    "action",
    [
        HANGUP_THEIRS,
        {"action": "bridges.destroy", "bridgeId": "hr-bridge-2-2"},
        {"action": "playbacks.stop", "playbackId": "hr-playback-2-3"},
        {"action": "recordings.stop", "recordingName": "theirs"},
        {"action": "play", "media": "recording:theirs"},
        {"action": "spy", "call": "1795396880.2"},
        {"action": "bridge", "with": "1795396880.2"},
    ],
    ids=lambda action: action["action"],
)
def test_scope_any_reaches_what_is_others_but_not_of_another_tenant(thing: Any, reach: bool, action: Any) -> None:
    """Also where the operation is allowed by its name."""
    table = stage(scope="any", allow=(action["action"], "recording:*"))
    table.others.things = dict.fromkeys(table.others.things, thing["tenant"])
    table.others.recordings["theirs"] = (thing["tenant"], "main/2 900.0")
    table.start([action])
    table.settle()
    assert bool(reached(table)) is reach
    assert reason(table) == ("" if reach else "forbidden")


# ---- all of it at random ---------------------------------------------------------------------------------------

EXAMPLES = [json.loads(example) for verb in VERBS for example in verb.examples]
OWN = ["1", "mine", "a", "b"]
HOSTILE = st.one_of(
    st.sampled_from([id for _, id in sorted(THEIRS, key=str)]),
    st.sampled_from([f"{prefix}{id}" for _, id in sorted(THEIRS, key=str) for prefix in ("recording:", "channel:", "bridge:", "1,")]),
    st.sampled_from([*OWN, "recording:before,sound:a", 'rec"ord"ing:theirs', "1795396880.2;2", "app", "PJSIP/a", "asterisk.ping"]),
)  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the strings of an action are."""
    if isinstance(value, str):
        return [path] if path[-1] != "action" else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in leaves(item, (*path, key))]


@st.composite
def verb(draw: st.DrawFn) -> Any:
    """An example of a verb with something of somebody else's in it."""
    action = json.loads(json.dumps(draw(st.sampled_from(EXAMPLES))))
    places = leaves(action)
    for place in draw(st.lists(st.sampled_from(places), max_size=2)) if places else ():
        at = action
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = draw(HOSTILE)
    if draw(st.booleans()):
        action[draw(st.sampled_from(["name", "with", "call", "record", "prompt", "announce", "whisper", "id", "to"]))] = draw(HOSTILE)
    return action


@st.composite
def operation(draw: st.DrawFn) -> Any:
    """An operation with all of its parameters that are needed, and some of the others."""
    found = operations()[draw(st.sampled_from(sorted(operations())))]
    action: dict[str, Any] = {"action": found.name}
    for parameter in found.parameters:
        if not parameter.required and not draw(st.booleans()):
            continue
        if parameter.values:
            value: Any = draw(st.sampled_from(parameter.values))
        elif parameter.type in ("int", "long", "double"):
            value = 1
        elif parameter.type == "boolean":
            value = True
        elif parameter.name == "fields":
            value = [{"attribute": "a", "value": draw(HOSTILE)}]
        elif parameter.type in ("containers", "object"):
            value = {"A": draw(HOSTILE)}
        else:
            value = draw(st.lists(HOSTILE, min_size=1, max_size=2)) if parameter.multiple and draw(st.booleans()) else draw(HOSTILE)
        action[parameter.name] = value
    return action


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def around(what: str, steps: list[Any], outer: Any) -> Any:
        if what == "onError":
            return {**outer, "onError": steps}
        if what == "branches":
            return {"action": "gather", "branches": {"default": steps, "timeout": steps}, "timeout": 1}
        if what == "confirm":
            return {"action": "dial", "to": "PJSIP/a", "confirm": steps}
        return {"action": "originate", "to": "PJSIP/a", "actions": steps}

    return st.builds(around, st.sampled_from(["onError", "branches", "confirm", "originate"]), st.lists(inner, min_size=1, max_size=2),
                     st.one_of(verb(), operation()))  # fmt: skip


ACTIONS = st.recursive(st.one_of(verb(), operation()), nested, max_leaves=5)
NEXT = st.one_of(
    st.tuples(st.just("reply"), st.sampled_from([200, 201, 204, 404, 404, 409, 500, 0])),
    st.tuples(st.just("later"), st.sampled_from([0.3, 2.0, 12.0])),
    st.tuples(st.just("leg"), st.sampled_from(["StasisStart", "ChannelDestroyed"])),
    st.tuples(st.just("recording"), st.just("RecordingFinished")),
    st.tuples(st.just("answer"), st.none()),
    st.tuples(st.just("hangup"), st.none()),
)


def go_on(table: Table, what: str, value: Any) -> None:
    call = table.call
    if what == "reply" and call.requests:
        table.reply(status=value, body={"value": "x", "media": "sound:x"}, fate="unknown" if value == 0 else "replied")
    elif what == "later":
        table.later(value)
    elif what == "answer" and call.in_flight:
        table.answer([])
    elif what == "hangup" and not call.ended:
        table.hangup()
    elif what == "leg" and (ids := [id for id, role in table.owned.items() if role in ("leg", "snoop")]):
        table.happen(value, ids[-1], cause=16)
    elif what == "recording" and (names := list(call.owned.get("recording", {}))):
        table.happen(value, "", recording={"name": names[-1], "duration": 1})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, min_size=1, max_size=4), st.lists(NEXT, max_size=12))
def test_no_request_leaves_that_names_a_thing_of_another_call(actions: list[Any], inputs: list[Any]) -> None:
    """All verbs and all 109 operations, nested, whatever Asterisk replies and whatever happens in between."""
    accepted = []
    for action in actions:  # what is refused alone would have all of the answer refused
        try:
            decode_answer(json.dumps([action]).encode())
            accepted.append(action)
        except AnswerRefused:
            continue
    assume(accepted)
    table = stage(allow_urls=("http://127.0.0.1",))
    table.start(accepted)
    for what, value in inputs:
        go_on(table, what, value)
        assert reached(table) == [], accepted
    for _ in range(100):
        go_on(table, "reply", 200)
    assert reached(table) == [], accepted


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_call_owned_before_it_was_kept_by_kind_is_read(version: int) -> None:
    """A router of an earlier version has written it; what is no thing of Asterisk's any more is left out."""
    old = msgspec.msgpack.decode(encode_call(stage().call))
    del old["things"]
    old["owned"] = {"hr-leg-1-1": "leg", "hr-bridge-1-2": "bridge", "mine": "recording", "strange": "whatever"}
    old["version"] = version
    call = decode_call(msgspec.msgpack.encode(old))
    assert call.owned == {
        "channel": {"hr-leg-1-1": "leg"},
        "bridge": {"hr-bridge-1-2": "bridge"},
        "recording": {"mine": "recording"},
    }
    assert decode_call(encode_call(call)).owned == call.owned
