"""What every language writes is taken where it can mean one thing only; decoder, schema and OpenAPI agree on it."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookrouter.actions.decode import NOTHING, decode_answer, decode_step
from hookrouter.actions.json_text import given_state
from hookrouter.actions.nested import Steps
from hookrouter.actions.new_call import NewCall, decode_new_call
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.vocabulary import VERBS
from hookrouter.errors import AnswerRefused
from hookrouter.published.openapi import openapi_document
from hookrouter.published.schemas import actions_schema

SCHEMA = jsonschema.Draft202012Validator(actions_schema())
EXAMPLES: list[dict[str, Any]] = [json.loads(example) for verb in VERBS for example in verb.examples]


def taken(answer: Any) -> list[Any]:
    """The decoded actions; what is taken fits the published schema as well."""
    found = [step.action for step in decode_answer(json.dumps(answer).encode(), "application/json", first=True).steps]
    SCHEMA.validate(answer)
    return found


def plain(action: Any) -> Any:
    """An action as values that compare: nested ones too, and any JSON by what it says."""
    if isinstance(action, msgspec.Raw):
        return json.loads(bytes(action))
    if isinstance(action, Steps):
        return [getattr(action, "mode", ""), *map(plain, action.actions)]
    if isinstance(action, msgspec.Struct):
        return type(action), {name: plain(getattr(action, name)) for name in action.__struct_fields__}
    if isinstance(action, dict):
        return {key: plain(value) for key, value in action.items()}
    return [plain(value) for value in action] if isinstance(action, list) else action


def refused(body: Any, content_type: str = "application/json") -> list[str]:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(AnswerRefused) as error:
        decode_answer(body, content_type, first=True)
    return [str(fault) for fault in error.value.faults]


def optional_fields(verb: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(verb) if not field.required]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.__struct_config__.tag))
def test_null_is_left_out_of_every_verb(verb: Any) -> None:
    """As C#, Java and Go write what was not set: the same action as without it."""
    for example in verb.examples:
        bare = json.loads(example)
        full = dict.fromkeys(optional_fields(verb)) | bare
        assert plain(taken([full])) == plain(taken([bare]))


def test_null_is_left_out_wherever_it_stands() -> None:
    """At the top, in nested objects, in lists, in maps and in nested actions."""
    leg = {"endpoint": "PJSIP/a", "callerId": None, "variables": {"X": None, "Y": "1"}, "headers": None, "confirm": None}
    bare_leg = {"endpoint": "PJSIP/a", "variables": {"Y": "1"}}
    assert taken([{"action": "dial", "to": [leg, None]}]) == taken([{"action": "dial", "to": [bare_leg]}])
    branches = {"1": [{"action": "hangup", "reason": None}, None], "2": None}
    menu = {"action": "gather", "prompt": ["sound:a", None], "branches": branches}
    bare_menu = {"action": "gather", "prompt": ["sound:a"], "branches": {"1": [{"action": "hangup"}]}}
    assert plain(taken([menu])) == plain(taken([bare_menu]))
    assert taken([None, {"action": "answer", "id": None, "wait": None, "onError": None}]) == taken([{"action": "answer"}])
    whole = {"actions": None, "state": None, "mode": None, "whenDone": None}
    assert decode_answer(json.dumps(whole).encode()) == NOTHING
    SCHEMA.validate(whole)


def test_null_is_left_out_of_asterisks_operations() -> None:
    """Of the parameters, and within them."""
    (found,) = taken(
        [{"action": "channels.originate", "endpoint": "PJSIP/a", "app": "ivr", "callerId": None, "timeout": 30.0, "id": None,
          "variables": {"A": "1", "B": None}}]
    )  # fmt: skip
    assert isinstance(found, OperationAction)
    assert found.params == {"endpoint": "PJSIP/a", "app": "ivr", "timeout": 30, "variables": {"A": "1"}}
    (found,) = taken([{"action": "channels.play", "media": ["sound:a", None], "offsetms": 4.0}])
    assert found.params == {"media": ["sound:a"], "offsetms": 4}
    (found,) = taken([{"action": "channels.setChannelVars", "variables": []}])
    assert found.params == {"variables": {}}


def test_any_json_may_be_null_where_it_must_stand() -> None:
    """`setState` and `notify` say that it is the value; an answer's or a new call's `state` says nothing by it."""
    (action,) = taken([{"action": "setState", "state": None}])
    assert bytes(action.state) == b"null"
    (action,) = taken([{"action": "notify", "url": "/log", "body": None}])
    assert bytes(action.body) == b"null"
    (action,) = taken([{"action": "originate", "to": "PJSIP/a", "state": None}])
    assert given_state(action.state) is None
    assert given_state(decode_new_call(b'{"to":"PJSIP/a","state":null}').state) is None


def test_a_whole_number_may_have_a_point() -> None:
    """As Lua, JavaScript's libraries and Excel's exports write it; 4.5 is none."""
    (action,) = taken([{"action": "gather", "maxDigits": 4.0, "tries": 2.0}])
    assert (action.max_digits, action.tries) == (4, 2)
    assert isinstance(action.max_digits, int)
    (action,) = taken([{"action": "hangup", "reason_code": 17.0}])
    assert action.reason_code == 17
    assert refused([{"action": "gather", "maxDigits": 4.5}]) == ["/0/maxDigits: expected a whole number, got a number"]
    assert refused([{"action": "channels.play", "media": "sound:a", "offsetms": 4.5}]) == ["/0/offsetms: expected a whole number"]


def test_an_empty_list_is_an_empty_map_where_a_map_belongs() -> None:
    """PHP writes an empty array so."""
    assert taken([{"action": "originate", "to": "PJSIP/a", "variables": []}])[0].variables == {}
    assert taken([{"action": "dial", "to": {"endpoint": "PJSIP/a", "headers": [], "variables": []}}])[0].groups[0][0].headers == {}
    assert not taken([{"action": "gather", "branches": []}])[0].branches
    assert refused([{"action": "originate", "to": "PJSIP/a", "variables": [1]}]) == ["/0/variables: expected an object, got a list"]


@pytest.mark.parametrize("state", ["[]", "[ ]", "{}"])
def test_an_empty_state_stays_an_empty_map(state: str) -> None:
    """PHP decodes `{}` to an empty array, and gives `[]` back."""
    assert decode_answer(f'{{"state":{state},"actions":[]}}'.encode()).state == (b"{}" if state != "{}" else state.encode())


def test_a_list_with_gaps_is_told_with_its_remedy() -> None:
    """PHP makes an object of an array out of which something was taken."""
    gaps = {"0": {"action": "answer"}, "2": {"action": "hangup"}}
    remedy = "array_values()"
    assert remedy in refused(gaps)[0]
    assert refused({"actions": gaps})[0].startswith("/actions: a list with gaps")
    assert refused([{"action": "play", "media": {"0": "sound:a", "2": "sound:b"}}])[0].startswith("/0/media: a list with gaps")
    assert refused([{"action": "gather", "branches": {"1": gaps}}])[0].startswith("/0/branches/1: a list with gaps")
    assert remedy in refused([{"action": "answer", "onError": gaps}])[0]


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    """A text that was cut within an emoji: JavaScript's and Python's encoders write the half that is left."""
    (action,) = decode_answer(b'[{"action":"say","text":"a\\ud83d b\\udc00 \\ud83d\\ude00 \\\\ud83d"}]').steps
    assert action.action.text == "a\ufffd b\ufffd \U0001f600 \\ud83d"
    assert json.loads(action.raw)["text"] == action.action.text
    assert decode_answer(b'{"state":{"x":"\\ud83d"}}').state == b'{"x":"\\ufffd"}'


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'[{"action":"answer"},{"action":"say","text":"Gr\xfc\xdfe"}]', "/1/text: not JSON: 'utf-8'"),
        (b'{"state":{"name":"M\xfcller"}}', "/state/name: not JSON: 'utf-8'"),
        (b'[{"action":"setState","state":{"x":1e999}}]', "/0/state/x: not JSON: Number out of range"),
        (b'[{"action":"notify","url":"/a","body":1e999}]', "/0/body: not JSON: Number out of range"),
        (b'{"state":{"x":[0,1e999]}}', "/state/x/1: not JSON: Number out of range"),
        (b'{"state":{"x":NaN}}', "not JSON"),
        (b'{"state":{"x":1234567890123456789012}}', "/state: an integer of more than 64 bits; write it as a string"),
        (b'[{"action":"setState","state":[-9223372036854775809]}]', "/0/state: an integer of more than 64 bits"),
        (b'[{"action":"notify","url":"/a","body":{"a":[99999999999999999999]}}]', "/0/body: an integer of more than 64 bits"),
        (b'[{"action":"channels.play","media":"sound:a","offsetms":1234567890123456789012}]', "/0/offsetms: 12345678901234567890"),
        (b'[{"action":"channels.originate","endpoint":"PJSIP/a","app":"a","timeout":9999999}]', "/0/timeout: 9999999 is more than"),
        (b'[{"action":"channels.record","name":"a","format":"wav","maxDurationSeconds":2e9}]', "/0/maxDurationSeconds: 2000000000 is"),
        (b'[{"action":"events.userEvent","eventName":"a","application":"b","variables":{"x":99999999999999999999}}]',
         "/0/variables: an integer"),
        (b'[{"action":"play","media":"sound:a","skipms":1234567890123456789012}]', "/0/skipms: expected a whole number <= 86400000"),
    ],
)  # fmt: skip
def test_what_not_every_language_reads_is_told_with_its_place(body: bytes, place: str) -> None:
    """It would come back in an event, in the journal, or in GET /v1/calls."""
    assert refused(body)[0].startswith(place)


def test_every_number_has_its_limits() -> None:
    """In the published schema, and so in the decoder."""

    def unlimited(schema: Any, place: str) -> list[str]:
        if isinstance(schema, list):
            return [found for index, item in enumerate(schema) for found in unlimited(item, f"{place}/{index}")]
        if not isinstance(schema, dict):
            return []
        here = []
        if schema.get("type") in ("integer", "number") and not (
            {"minimum", "exclusiveMinimum"} & schema.keys() and {"maximum", "exclusiveMaximum"} & schema.keys()
        ):
            here = [place]
        return here + [found for key, item in schema.items() for found in unlimited(item, f"{place}/{key}")]

    assert unlimited(actions_schema()["$defs"], "") == []
    assert unlimited(openapi_document()["components"]["schemas"]["NewCall"], "") == []


ANSWER = [{"action": "answer"}]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"statusCode": 200, "body": json.dumps(ANSWER)}, "Lambda proxy integration"),
        ({"statusCode": 200, "headers": {}, "body": base64.b64encode(json.dumps(ANSWER).encode()).decode(), "isBase64Encoded": True},
         "Lambda proxy integration"),
        ([{"statusCode": 200, "body": json.dumps(ANSWER)}], "Lambda proxy integration"),
        ({"json": {"actions": ANSWER}}, "*Respond With* to JSON"),
        ([{"json": {"action": "answer"}}], "*Respond With* to JSON"),
        ({"output": json.dumps(ANSWER)}, "Step Functions"),
        ([{"output": ANSWER}], "AI Agent"),
        ({"data": ANSWER}, "*Put Response in Field*"),
        ({"data": {"actions": ANSWER}}, "withoutWrapping()"),
    ],
)  # fmt: skip
def test_an_envelope_of_a_platform_is_told_with_the_setting_that_takes_it_off(answer: Any, hint: str) -> None:
    """One fault, not one for each of its fields."""
    (found,) = refused(answer)
    assert hint in found


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ('<br />\n<b>Warning</b>:  Undefined variable $menu in <b>/var/www/ivr.php</b> on line <b>3</b><br />\n[{"action":"answer"}]',
         "Warning: Undefined variable $menu in /var/www/ivr.php on line 3"),
        ("\nNotice: Undefined index: digits in /srv/ivr.php on line 12\n[]",
         "Notice: Undefined index: digits in /srv/ivr.php on line 12"),
        ('PHP Deprecated:  x() is deprecated in /a.php on line 1\n{"actions":[]}',
         "PHP Deprecated: x() is deprecated in /a.php on line 1"),
        ("<br />\n<b>Fatal error</b>:  Uncaught Error: Call to undefined function sya() in /a.php:7\nStack trace:\n"
         "#0 {main}\n  thrown in <b>/a.php</b> on line <b>7</b><br />\n",
         "Fatal error: Uncaught Error: Call to undefined function sya() in /a.php:7 Stack trace: #0 {main} "
         "thrown in /a.php on line 7"),
        ("<br />\n<b>Parse error</b>:  syntax error, unexpected &quot;;&quot; in <b>/a.php</b> on line <b>2</b><br />",
         'Parse error: syntax error, unexpected ";" in /a.php on line 2'),
        ('[{"action":"answer"}]<br />\n<b>Warning</b>:  late in <b>/a.php</b> on line <b>9</b><br />',
         "Warning: late in /a.php on line 9"),
    ],
)  # fmt: skip
def test_what_php_says_beside_the_json_is_shown_whole(words: str, shown: str) -> None:
    """With file and line, without the tags; at a later event, too."""
    (found,) = refused(words.encode(), "text/html")
    assert f"`{shown}`" in found
    assert "display_errors" in found
    with pytest.raises(AnswerRefused):
        decode_answer(words.encode(), "text/html", first=False)


def test_a_new_call_is_read_like_an_answer() -> None:
    """`POST /v1/calls`: null, 4.0 and PHP's empty array; and its published schema agrees."""
    body = {"to": "PJSIP/a", "route": None, "actions": None, "state": None, "asterisk": None, "app": None, "callerId": None,
            "timeout": 20.0, "variables": [], "id": None}  # fmt: skip
    assert decode_new_call(json.dumps(body).encode()) == decode_new_call(b'{"to":"PJSIP/a","timeout":20}')
    assert decode_new_call(b'{"to":"PJSIP/a","variables":{"A":null,"B":"1"}}').variables == {"B": "1"}
    document = openapi_document()
    schema = {"$ref": "#/components/schemas/NewCall", "components": document["components"]}
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(body)) == []


LOOSE = st.sampled_from([None, 4.0, [], {}, "x", True, [None], {"0": None}])


@st.composite
def loosened(draw: st.DrawFn) -> Any:
    """An example's action with some of its fields, or others of the verb, set to what a language may write."""
    action = dict(draw(st.sampled_from(EXAMPLES)))
    verb = next(verb for verb in VERBS if verb.__struct_config__.tag == action["action"])
    for field in draw(st.lists(st.sampled_from([field.encode_name for field in msgspec.structs.fields(verb)]), max_size=3)):
        action[field] = draw(LOOSE)
    if draw(st.booleans()):
        action["onError"] = [draw(st.sampled_from(EXAMPLES)), None]
    return action


@settings(deadline=None, max_examples=30)
@given(st.lists(loosened(), max_size=3))
def test_what_the_decoder_takes_fits_the_published_schema(answer: list[Any]) -> None:
    """Never the other way: the schema may take more, as it knows no action's own check."""
    try:
        decode_answer(json.dumps(answer).encode(), "application/json", first=True)
    except AnswerRefused:
        return
    SCHEMA.validate(answer)


@settings(deadline=None)
@given(loosened())
def test_both_ways_to_read_an_action_agree(action: dict[str, Any]) -> None:
    """The same action whether it was decoded at once or read leniently, as it is where a null is added."""
    bare, with_null = json.dumps(action).encode(), json.dumps({"id": None} | action).encode()
    try:
        found = decode_step(bare)
    except AnswerRefused:
        with pytest.raises(AnswerRefused):
            decode_step(with_null)
    else:
        assert plain(decode_step(with_null)) == plain(found)


def _patterns(annotation: Any, seen: set[Any]) -> set[str]:
    """Every pattern in a type, whatever it is within."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        seen.add(annotation)
        return {found for field in msgspec.structs.fields(annotation) for found in _patterns(field.type, seen)}
    own = {meta.pattern for meta in getattr(annotation, "__metadata__", ()) if getattr(meta, "pattern", None)}
    return own | {found for part in get_args(annotation) for found in _patterns(part, seen)}


PATTERNS = sorted({found for kind in (*VERBS, NewCall) for found in _patterns(kind, set())})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_takes_no_line_break_at_the_end(pattern: str) -> None:
    """`$` alone would: in Python it is also before the last line break of a text."""
    assert len(PATTERNS) > 5
    taken = [text for text in ("a", "1", "", "Stasis:a", "wav") if re.search(pattern, text)]
    assert taken
    assert not any(re.search(pattern, text + "\n") for text in taken)
