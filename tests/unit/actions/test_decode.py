"""What an answer may be, and how everything that is wrong with one is told."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookrouter.actions.decode import NOTHING, decode_answer, decode_steps, depth
from hookrouter.actions.new_call import decode_new_call
from hookrouter.actions.vocabulary import BY_NAME, VERBS
from hookrouter.errors import AnswerRefused
from hookrouter.published.openapi import openapi_document
from hookrouter.published.schemas import actions_schema


def faults(answer: Any, **options: Any) -> list[str]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with pytest.raises(AnswerRefused) as refused:
        decode_answer(body, **options)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("body", [b"", b"  \n", b"[]", b"{}", b"null", b'{"actions":[]}'])
def test_nothing_changes(body: bytes) -> None:
    """An empty answer, in all its forms."""
    assert not decode_answer(body, first=True).steps


def test_a_list_and_an_object_say_the_same() -> None:
    """The object may say more."""
    steps = decode_answer(b'[{"action":"answer"}]').steps
    whole = decode_answer(b'{"actions":[{"action":"answer"}],"state":{"a":1},"mode":"append","whenDone":"hangup"}')
    assert [step.action for step in whole.steps] == [step.action for step in steps]
    assert (whole.state, whole.mode, whole.when_done) == (b'{"a":1}', "append", "hangup")


def test_tags_are_words_by_which_a_call_is_found() -> None:
    """Text, or what is text without doubt; none is none."""
    answer = decode_answer(b'{"tags":{"customer":"4711","order":12,"vip":true,"gone":null}}')
    assert answer.tags == (("customer", "4711"), ("order", "12"), ("vip", "true"))
    for empty in (b'{"tags":[]}', b'{"tags":null}', b'{"tags":{}}'):
        assert decode_answer(empty).tags == ()


def test_an_action_is_kept_as_it_was_given() -> None:
    """Its bytes come back in results."""
    raw = b'{ "action":"play",  "media":"sound:a" , "id":"x" }'
    assert decode_answer(b"[" + raw + b"]").steps[0].raw == raw


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([{"action": "plai"}], ["/0/action: unknown action `plai`; did you mean `play`?"]),
        ([{"action": "play"}], ["/0/media: missing"]),
        ([{"action": "play", "media": "sound:a", "lop": 2}], ["/0/lop: unknown field; did you mean `loop`?"]),
        ([{"action": "dial", "endpoint": "PJSIP/alice"}],
         ["/0/endpoint: unknown field; did you mean `to`, which is missing?", "/0/to: missing"]),
        ([{"action": "play", "media": "hello"}], ["/0/media: `hello` has no scheme; did you mean `sound:hello`?"]),
        ([{"action": "play", "media": ["sound:a", 3]}], ["/0/media/1: expected a string, got a whole number"]),
        ([{"action": "mute", "direction": "inn"}], ["/0/direction: invalid enum value 'inn'; did you mean `in`?"]),
        ({"tags": {"a": ["b"]}}, ["/tags: expected true or false or a whole number or a number or a string, got a list"]),
        ({"tags": "vip"}, ["/tags: expected an object, got a string"]),
        ({"tags": {str(n): "" for n in range(21)}}, ["/tags: expected an object of length <= 20"]),
        ([3], ["/0: expected an action (an object with `action`), got a number"]),
        ([{"media": "sound:a"}], ["/0/action: missing: the name of a verb"]),
        ({"action": "answer"}, ["/action: unknown field; an answer with one action is a list with one action"]),
        ({"actions": {"action": "answer"}}, ["/actions: expected a list of actions, got an object"]),
        ({"actions": [], "mode": "repl"}, ["/mode: invalid enum value 'repl'; did you mean `replace`?"]),
        ([{"action": "answer", "onError": "skip"}], ["/0/onError: expected `stop`, `continue` or a list of actions, got `skip`"]),
        ([{"action": "~bridged", "bridge": "x", "with": "y"}], ["/0/action: unknown action `~bridged`"]),
        ([{"action": "channels.plai"}], ["/0/action: Asterisk has no operation `channels.plai`; did you mean `channels.play`?"]),
        ([{"action": "channels.play", "media": "sound:a", "lng": "de"}], None),
        ([{"action": "setVariable", "variable": "a", "variables": {"b": "c"}}],
         ["/0/variable: give either `variable` or `variables`"]),
        ([{"action": "gather", "branches": {"1": [{"action": "x"}]}}], None),
        ([{"action": "dial", "to": [["PJSIP/a"], []]}], ["/0/to: is empty: name at least one endpoint in each group"]),
        ([{"action": "dial", "to": []}], ["/0/to: is empty: name at least one endpoint in each group"]),
        ([{"action": "dial", "to": ["alice"]}], ["/0/to/0: `alice` has no technology; did you mean `PJSIP/alice`?"]),
        ([{"action": "transfer", "to": "bob"}], ["/0/to: `bob` has no technology; did you mean `PJSIP/bob`?"]),
        ([{"action": "bridge"}], ["/0/with: give either `with` (a call's id) or `name` (a shared room)"]),
        ([{"action": "hangup", "reason": "busy", "reason_code": 17}], ["/0/reason_code: give either `reason` or `reason_code`"]),
        ([{"action": "continue", "label": "a", "priority": 1}], ["/0/label: give either `label` or `priority`"]),
        ([{"action": "notify", "body": 1}], ["/0/url: give either `url` or `route`"]),
        ([{"action": "getVariable"}], ["/0/variable: give either `variable` or `variables`"]),
        ([{"action": "setVariable", "variables": {"a": "b"}, "value": "c"}],
         ["/0/value: belongs to `variable`; with `variables` each has its own value"]),
        ([{"action": "gather", "validDigits": "[9-1]"}],
         ["/0/validDigits: `[9-1]` is not a dialplan pattern: bad character range 9-1 at position 1"]),
        ([{"action": "gather", "minDigits": 5, "maxDigits": 4}],
         ["/0/minDigits: 5 is more than `maxDigits` (4): nothing could be entered"]),
        ([{"action": "gather", "prompt": [{"action": "hangup"}]}], None),
        ([{"action": "gather", "prompt": 5}],
         ["/0/prompt: expected media (a string, or a list of them), or a list of `play`, `say` and `pause`, got a number"]),
        ([{"action": "gather", "prompt": "hello"}], ["/0/prompt: `hello` has no scheme; did you mean `sound:hello`?"]),
        ([{"action": "gather", "prompt": [{"action": "say", "text": "x"}, {"action": "ring"}]}],
         ["/0/prompt: expected media, or actions `play`, `say` or `pause`; number 1 is neither"]),
        ([{"action": 5}], ["/0/action: expected a string, got a number"]),
        ({"actions": [{"action": "plai"}], "state": 1}, ["/actions/0/action: unknown action `plai`; did you mean `play`?"]),
        ({"actions": [], "mode": "repl", "state": {"a": 1}}, ["/mode: invalid enum value 'repl'; did you mean `replace`?"]),
        ([{"action": "qqqq.zzzz"}], None),
        ([{"action": "channels.hangup", "reason": 5, "wait": 7}],
         ["/0/reason: expected a string", "/0/wait: expected true or false, got a whole number"]),
        (b'[{"action":"play","media":5,"media":"sound:a"}]', ["/0: could not be decoded: is a field there twice?"]),
        (b'[{"action":"pause","seconds":1e999}]', ["/0/seconds: not JSON: Number out of range"]),
        (b'{"actions":[}', ["not JSON: JSON is malformed: invalid character (byte 12)"]),
        (5, ["expected a list of actions or an object, got a number `5`"]),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(answer: Any, told: list[str] | None) -> None:
    """A JSON pointer, what is wrong, and what was perhaps meant."""
    found = faults(answer)
    if told is not None:
        assert found == told
    else:
        assert len(found) == 1
        assert found[0].startswith("/0/")


def test_every_fault_is_told_at_once() -> None:
    """Nothing of the answer runs, and one look is enough to mend it."""
    found = faults([{"action": "plai"}, {"action": "answer"}, {"action": "pause", "seconds": -1, "wat": 1}])
    assert [text.split(":")[0] for text in found] == ["/0/action", "/2/seconds", "/2/wat"]


def test_a_body_that_is_no_json_is_a_fault_where_nothing_runs_yet() -> None:
    """With a hint for who forgot a node; later events may be answered `OK`."""
    assert "Using Respond to Webhook node" in faults(b"Accepted", content_type="text/plain", first=True)[0]
    assert "this is XML" in faults(b"<Response><Say/></Response>", content_type="text/xml", first=True)[0]
    assert faults(b"hello", content_type="application/x", first=True)[0].startswith("answered application/x `hello`: answer a JSON")
    assert "web page" in faults(b"<html>", content_type="text/html", first=False)[0]
    assert decode_answer(b"OK", "text/plain", first=False) is NOTHING


def test_limits_hold() -> None:
    """256 KiB, 64 levels, 16 KiB of state, 1,000 actions."""
    assert "262144" in faults(b"[" + b" " * 262_200 + b"]")[0]
    assert "at most 1000" in faults([{"action": "answer"}] * 1001)[0]
    large = "x" * 17_000
    assert "16384" in faults({"state": large})[0]
    assert faults([{"action": "setState", "state": large}])[0].startswith("/0/state: 17002 bytes")
    assert faults([{"action": "originate", "to": "PJSIP/a", "state": large}])[0].startswith("/0/state: 17002 bytes")
    deep: Any = {"action": "answer"}
    for _ in range(40):
        deep = {"action": "answer", "onError": [deep]}
    assert faults([deep]) == ["nested over 64 deep"]
    assert faults(b"[" * 100_000)[0] == "nested over 64 deep"
    assert depth(b'["[[[[", {"a": []}]') == 3


def test_every_example_decodes_and_fits_the_published_schema() -> None:
    """Schema, decoder and documentation come from one definition."""
    schema = actions_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for verb in VERBS:
        for example in verb.examples:
            decode_steps(f"[{example}]".encode())
            validator.validate([json.loads(example)])
    assert not validator.is_valid([{"action": "answr"}])
    assert set(schema["$defs"]["Action"]["discriminator"]["mapping"]) >= set(BY_NAME)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ([{"type": "play", "media": "sound:x"}], "/0/action: missing: the name of a verb; `type` is called `action` here"),
        ([{"play": "sound:x"}], '/0/action: missing: the name of a verb; did you mean {"action": "play", …}?'),
        (["answer"], '/0: expected an action (an object with `action`), got a string; did you mean {"action": "answer"}?'),
        ({"data": [{"action": "answer"}]}, "/data: unknown field; did you mean `actions`? If a platform has put it there: "
         "in n8n's Webhook node remove the option *Put Response in Field*, in Laravel call JsonResource::withoutWrapping()"),
        ({"action": "answer"}, "/action: unknown field; an answer with one action is a list with one action"),
        ([{"action": "gather", "maxDigits": "4"}], "/0/maxDigits: expected a whole number, got a string"),
        ([{"action": "play", "media": 5}], "/0/media: expected a string or a list, got a whole number"),
        ([{"action": "dial", "to": [{"endpoint": "PJSIP/a", "callerid": "x"}]}],
         "/0/to/0/callerid: unknown field; did you mean `callerId`?"),
        ([{"action": "dial", "to": {"timeout": 5}}], "/0/to/endpoint: missing"),
        ([{"action": "gather", "branches": {"1": {"action": "hangup"}}}],
         "/0/branches/1: expected a list of actions (of one, too), got an object"),
        ([{"action": "gather", "branches": {"timout": [{"action": "hangup"}]}}],
         "/0/branches/timout: neither keys nor `timeout`, `invalid` or `default`: it could never be taken"),
        ([{"action": "gather", "branches": {"#": [{"action": "hangup"}]}}],
         "/0/branches/#: `#` ends an entry (`finishOnKey`): it could never be taken"),
        ([{"action": "gather", "validDigits": ["1", "#"]}],
         "/0/validDigits: `#` ends an entry (`finishOnKey`): it could never be typed"),
        (b'"[{\\"action\\":\\"answer\\"}]"',
         'expected a list of actions or an object, got a string `"[{\\"action\\":\\"answer\\"}]"`: '
         "this is JSON inside a string, encoded twice"),
        ({"message": "Workflow was started"}, "/message: unknown field: n8n has answered before the workflow ran; "
         "in n8n set Respond to *Using Respond to Webhook node*"),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_what_was_meant(answer: Any, fault: str) -> None:
    """The usual ones of who comes from another system, or types in a hurry."""
    assert faults(answer, first=True) == [fault]


def test_any_json_is_no_fault_where_any_json_may_stand() -> None:
    """Beside a field that is wrong."""
    assert faults([{"action": "notify", "body": {"a": [1]}, "route": 5}]) == ["/0/route: expected a string, got a whole number"]


def test_an_action_that_is_right_is_no_fault_beside_one_that_is_wrong() -> None:
    """Also where it holds any JSON, and nested actions."""
    right = [
        {"action": "setState", "state": {"a": 1}},
        {"action": "notify", "body": 1, "url": "/x"},
        {"action": "originate", "to": "PJSIP/a", "state": 5, "actions": [{"action": "answer", "onError": "continue"}]},
        {"action": "play", "media": "sound:a", "onError": "continue"},
        {"action": "dial", "to": "PJSIP/a", "announce": "sound:a", "apology": ["sound:b"]},
    ]
    told = ["/mode: invalid enum value 'x'; did you mean `replace`?"]
    assert [text.split(";")[0] for text in faults({"actions": right, "mode": "x"})] == [text.split(";")[0] for text in told]
    assert faults([*right, {"action": "plai"}]) == ["/5/action: unknown action `plai`; did you mean `play`?"]


def test_a_new_call_is_told_what_is_wrong_with_it() -> None:
    """`POST /v1/calls`: each field with its place, as in an answer."""
    with pytest.raises(AnswerRefused) as refused:
        decode_new_call(b'{"to":5,"callerid":"x","state":[1],"actions":[]}')
    assert [str(fault) for fault in refused.value.faults] == [
        "/to: expected a string, got a whole number", "/callerid: unknown field; did you mean `callerId`?"
    ]  # fmt: skip


def test_a_key_that_ends_nothing_may_be_an_entry() -> None:
    """`#` is a choice like any other once `finishOnKey` is another."""
    answer = [{"action": "gather", "validDigits": ["1", "#"], "finishOnKey": "", "branches": {"#": [{"action": "hangup"}]}}]
    assert decode_answer(json.dumps(answer).encode()).steps


def test_a_byte_order_mark_is_passed_over() -> None:
    """As editors on Windows put it before the first line of a PHP page."""
    assert decode_answer(b'\xef\xbb\xbf[{"action":"answer"}]', "application/json", first=True).steps


def test_every_field_of_every_verb_is_described() -> None:
    """On the property itself, where editors and generators of types look for it."""
    definitions = actions_schema()["$defs"]
    shown = {f"{verb.__name__}Action" for verb in VERBS} | {"Leg", "Answer"}
    fields = {
        f"{name}.{field}": schema
        for name in shown
        for shape in (definitions[name], *definitions[name].get("anyOf", []))
        for field, schema in shape.get("properties", {}).items()
        if not field.startswith("action")
    }
    assert len(fields) > 150
    assert [field for field, schema in fields.items() if not schema.get("description")] == []
    assert [field for field, schema in fields.items() if any("anyOf" in part for part in schema.get("anyOf", []))] == []


def test_the_openapi_document_has_a_webhook_for_every_event() -> None:
    """3.1, with the answers in it, and every reference leads somewhere."""
    document = openapi_document()
    assert document["openapi"].startswith("3.1")
    assert {"StasisStart", "DigitsCollected", "ActionFailed"} <= set(document["webhooks"])
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["action", "media", "id", "wait", "onError", "to", "prompt", "branches", "with", "seconds", "x"]), inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from([*BY_NAME, "channels.play", "bridges.create", "nope", "a.b"])
ACTIONS = st.builds(lambda name, more: {**more, "action": name} if isinstance(more, dict) else more, NAMES, JSON)


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, max_size=4) | JSON)
def test_any_json_is_taken_or_refused_with_places(answer: Any) -> None:
    """Never another exception; and what is taken fits the schema."""
    try:
        decoded = decode_answer(json.dumps(answer).encode(), "application/json", first=True)
    except AnswerRefused as refused:
        assert refused.faults
        assert all(fault.message for fault in refused.faults)
    else:
        for step in decoded.steps:
            assert step.action.verb


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    """Also what is not even text."""
    try:
        decode_answer(body, "text/plain", first=True)
    except AnswerRefused as refused:
        assert refused.faults
