"""Whatever an endpoint answers, it is refused or taken with little work: time and memory grow with its length only."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookrouter.actions import decode, judging
from hookrouter.actions.decode import MAX_ANSWER_BYTES, decode_answer, decode_step
from hookrouter.actions.faults import MOST_TOLD
from hookrouter.actions.judging import Rules, refuse
from hookrouter.actions.nested import DECODED
from hookrouter.actions.remembered import Remembered
from hookrouter.errors import AnswerRefused
from hookrouter.policy.policy import Policy

MOST = MAX_ANSWER_BYTES
MOST_SECONDS, MOST_BYTES = 0.05, 2 * 1024 * 1024
TIMES_AS_MUCH = 10
LONGEST_FAULT = 4000
RULES = Rules(Policy(), "https://a.example/x")


def nested(inner: Any, levels: int, key: str = "onError", verb: str = "answer") -> Any:
    for _ in range(levels):
        inner = {"action": verb, key: [inner]}
    return inner


def full(pattern: bytes, begin: bytes = b"", end: bytes = b"") -> bytes:
    """`pattern` again and again, up to the most that is read."""
    room = MOST - len(begin) - len(end)
    return begin + (pattern * (room // len(pattern) + 1))[: room // len(pattern) * len(pattern)] + end


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


GOOD = text([{"action": "play", "media": [f"sound:a{number}"] * 4, "id": "x" * 180} for number in range(900)])

CORPUS: dict[str, bytes] = {
    "brackets": full(b"["),
    "brackets and escapes": full(b'\\"', b'["' + b"[" * 64_000),
    "an endless string of escapes": full(b"\\", b'["'),
    "escaped quotes": full(b'\\"', b'["'),
    "half strings": full(b'"\\"'),
    "empty lists": full(b"[],", b"[", b"[]]"),
    "empty maps": full(b"{},", b"[", b"{}]"),
    "maps in maps": full(b'{"a":{"a":{}}},', b"[", b"{}]"),
    "numbers": full(b"1,", b"[", b"1]"),
    "empty texts": full(b'","', b'["', b'"]'),
    "nulls": full(b"null,", b"[", b"null]"),
    "good actions": GOOD,
    "good actions, deep": text([nested({"action": "play", "media": "sound:" + "a" * 4000}, 28) for _ in range(45)]),
    "one wrong action, deep": text([nested({"action": "plai"}, 28)]),
    "wrong actions, deep": text([nested({"action": "plai", "x": "y" * 7000}, 28) for _ in range(30)]),
    "wrong actions, deep in a menu": text(
        [nested({"action": "plai"}, 15, "prompt", "gather"), {"action": "gather", "branches": {"1": [nested(5, 28)]}}] * 100
    ),
    "an operation, deep": text([nested({"action": "channels.ring", "x": "y" * 200_000}, 28, verb="channels.ring")]),
    "wrong verbs": text([{"action": "plai"}] * 1000),
    "wrong verbs, long": text([{"action": "p" * 240}] * 1000),
    "too many actions": text([{"action": "answer"}] * 3000),
    "a long verb": text([{"action": "p" * (MOST - 20)}]),
    "a long operation": text([{"action": "a." + "p" * (MOST - 25)}]),
    "a long key": text([{"action": "play", "p" * (MOST - 40): 1}]),
    "a long value": text([{"action": "hangup", "reason": "p" * (MOST - 40)}]),
    "many unknown fields": text([{"action": "play", "media": "sound:a", **{f"f{number}": 1 for number in range(9000)}}]),
    "many unknown parameters": text(
        [{"action": "channels.play", "media": "sound:a", **{f"f{number}": 1 for number in range(9000)}}]
    ),
    "many fields at the top": text({f"f{number}": 1 for number in range(9000)}),
    "many variables that are none": text([{"action": "channels.setChannelVars", "variables": {f"v{n}": n for n in range(9000)}}]),
    "commas": text([{"action": "channels.play", "media": "," * (MOST - 60)}]),
    "many media": text([{"action": "play", "media": ["aaa"] * 9900}]),
    "a long prompt": text([{"action": "gather", "prompt": ["sound:a"] * 9900}]),
    "many endpoints": text([{"action": "dial", "to": ["a" * 20] * 9900}]),
    "brackets in a dialplan pattern": text([{"action": "gather", "validDigits": "[" * (MOST - 60)}]),
    "many dialplan patterns": text([{"action": "gather", "validDigits": ["X" * 20] * 9900}]),
    "many branches": text([{"action": "gather", "branches": {str(number): [] for number in range(4900)}}]),
    "an endless whole number": full(b"1", b'[{"action":"pause","seconds":', b"}]"),
    "an endless fraction": full(b"1", b'[{"action":"pause","seconds":0.', b"}]"),
    "an endless number in the state": full(b"1", b'{"state":', b"}"),
    "a large state": full(b"x", b'{"state":"', b'"}'),
    "a large body for a notify route": full(b"x", b'[{"action":"notify","url":"/x","body":"', b'"}]'),
    "surrogates": full(b"\\ud800", b'[{"action":"say","text":"', b'"}]'),
    "one surrogate and many escapes": full(b"\\n\\\\", b'[{"action":"say","text":"\\ud800', b'"}]'),
    "no UTF-8": full(b"\xff", b'[{"action":"say","text":"', b'"}]'),
    "JSON in a string": full(b"[", b'"', b'"'),
    "PHP's words": full(b"<br />\n<b>Warning</b>:  x in <b>/a.php</b> on line <b>3</b>"),
    "PHP's words behind the answer": full(b"PHP Warning: ", b"["),
    "a page": full(b"<p>"),
    "a host of one number": full(b"9", b'[{"action":"stream","to":"rtp:', b':9"}]'),
    "a host of one hexadecimal number": full(b"f", b'[{"action":"stream","to":"rtp:0x', b':9"}]'),
    "a host of many parts": full(b"a.", b'[{"action":"play","media":"http://', b'x/"}]'),
    "an address of many parts": full(b":", b'[{"action":"play","media":"http://[', b']/"}]'),
    "an endpoint of many parts": full(b"/1", b'[{"action":"dial","to":"MulticastRTP', b'"}]'),
    "an endpoint that is not allowed": full(b"@a", b'[{"action":"dial","to":"Local/', b'"}]'),
    "a caller id of quotes": full(b'\\"', b'[{"action":"dial","to":"PJSIP/a","callerId":"', b'"}]'),
    "variables to be read": full(b"(", b'[{"action":"channels.getChannelVars","variables":"', b'"}]'),
    "functions in a value": full(b"}(", b'[{"action":"setVariable","variable":"X","value":"${', b'"}]'),
    "a URL that goes up and up": full(b"../", b'[{"action":"fetch","url":"', b'"}]'),
    "a URL of somebody else": full(b";", b'[{"action":"fetch","url":"https://b/', b'"}]'),
    "media in one text": full(b"http://a.b/c,", b'[{"action":"channels.play","media":"', b'"}]'),
    "a list with gaps": text({str(number): {"action": "answer"} for number in range(3000)}),
}


def forget() -> None:
    """As if nothing had been decoded before."""
    for cache in (DECODED, decode._known):
        cache.clear()
    judging._known.cache_clear()


def read(body: bytes) -> list[Any]:
    """The faults of an answer, those included that are against a route's policy."""
    try:
        refuse(decode_answer(body, "text/html", first=True).steps, RULES, "")
    except AnswerRefused as refused:
        return list(refused.faults)
    return []


def seconds(work: Callable[[], Any]) -> float:
    """CPU time, the best of several: what else the machine does is not counted."""
    found = []
    for _ in range(5):
        forget()
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def most_bytes(work: Callable[[], Any]) -> int:
    """How much memory it takes at its height, what it leaves behind included."""
    forget()
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def good() -> float:
    """What a good answer of the same size costs, in seconds of CPU; never counted as less than a millisecond."""
    assert not read(GOOD)
    assert len(GOOD) > MOST * 0.9
    return max(0.001, seconds(lambda: read(GOOD)))


@pytest.mark.parametrize("body", CORPUS.values(), ids=CORPUS)
def test_any_256_kib_cost_little(body: bytes, good: float) -> None:
    """At most ten times a good answer of the same size (which takes some milliseconds), and 2 MB."""
    body = body[:MOST]
    assert seconds(lambda: read(body)) < max(TIMES_AS_MUCH * good, MOST_SECONDS)
    assert most_bytes(lambda: read(body)) < MOST_BYTES
    assert all(len(str(fault)) < LONGEST_FAULT for fault in read(body))


PIECES = st.sampled_from(
    [b"[", b"]", b"{", b"}", b'"', b"\\", b'\\"', b",", b":", b"1", b"e9", b"null", b"\\ud800", b'"a":', b'{"action":"play",',
     b'"onError":[', b'{"action":"gather","prompt":[', b'"media":"sound:a"', b'{"action":"a.b"}', b"<b>Warning</b>: ", b"\xff"]
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(begin=st.lists(PIECES, max_size=8), repeated=st.lists(PIECES, min_size=1, max_size=6), end=st.lists(PIECES, max_size=8))
def test_any_pattern_again_and_again_costs_little(good: float, begin: list[bytes], repeated: list[bytes], end: list[bytes]) -> None:
    """Whatever is repeated until 256 KiB are full."""
    body = full(b"".join(repeated), b"".join(begin), b"".join(end))
    assert seconds(lambda: read(body)) < max(TIMES_AS_MUCH * good, MOST_SECONDS)
    assert most_bytes(lambda: read(body)) < MOST_BYTES


def test_at_most_twenty_faults_are_told_and_the_others_counted() -> None:
    """What a log is given of them is small, whatever was answered."""
    told = read(text([{"action": "plai"}] * 1000))
    assert len(told) == MOST_TOLD + 1
    assert str(told[-1]) == "and 980 more"
    for body in CORPUS.values():
        assert len("\n".join(map(str, read(body[:MOST])))) < 20_000


def test_what_was_decoded_lately_is_bounded_by_its_bytes() -> None:
    """Not by how many there were: 4,096 entries of 256 KiB are a gigabyte."""
    cache: Remembered[int] = Remembered(1000)
    for number in range(1000):
        cache.put(str(number).zfill(10).encode(), number)
        cache.get(b"0000000000")
    kept = len(cache)
    assert 40 <= kept <= 100
    assert cache.get(b"0000000999") == 999
    assert cache.get(b"0000000001") is None
    assert cache.get(b"0000000000") == 0  # asked for again and again
    cache.put(b"x" * 600, 1)
    assert cache.get(b"x" * 600) is None


def test_nested_actions_are_not_decoded_again_at_each_level() -> None:
    """Running through them level by level costs no more than the answer itself, many times over."""
    (step,) = decode_answer(text([nested({"action": "play", "media": "sound:a", "id": "y" * 200}, 28)])).steps
    action, levels = step.action, 0
    while action.on_error:
        (raw,) = action.on_error
        assert decode_step(raw) is action.on_error.actions[0]
        action, levels = decode_step(raw), levels + 1
    assert (levels, action.verb) == (28, "play")
