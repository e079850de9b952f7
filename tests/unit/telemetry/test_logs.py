"""Log lines: what they say, and when they are written."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Literal, get_type_hints

import pytest

from hookrouter.facts import (
    ActionFinished,
    ActionStarted,
    AriConnected,
    AriLost,
    BreakerChanged,
    CallFinished,
    CallNotAnswered,
    CallStandsStill,
    CallStarted,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Fact,
    Facts,
    FallbackTaken,
    LateAnswer,
    RouterStopped,
    RoutesLoaded,
    Warned,
)
from hookrouter.telemetry.logs import FLUSH_DELAY, NAMES, Level, Log
from hookrouter.telemetry.phrases import duration

FINISHED = ActionFinished("1.2", "p1", 0, "play", "done", 1.2346)
FAILED = ActionFinished("1.2", "p1", 0, "play", "failed", 0.0, "not_found: no such sound")


def _written(fact: Fact, form: Literal["text", "json"] = "json", level: Level = "info") -> str:
    stream = io.BytesIO()
    log = Log(form, level, stream)
    facts = Facts()
    facts.subscribe(log, log.wants)
    facts.emit(fact)
    log.flush()
    return stream.getvalue().decode()


def test_a_line_for_machines() -> None:
    """One JSON object: the name, the level, the time, and what is not empty."""
    line = json.loads(_written(FINISHED))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "event": "action.finished", "level": "info", "call": "1.2", "program": "p1", "index": 0, "verb": "play",
        "outcome": "done", "seconds": 1.2346,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (FAILED, "warning action.finished call=1.2 play → failed (0 ms): not_found: no such sound"),
        (
            ActionFinished("1.2", "p1", 0, "dial", "done", 20.04, about="PJSIP/alice", result="unavailable"),
            "info    action.finished call=1.2 dial PJSIP/alice → unavailable (20.0 s)",
        ),
        (
            DeliveryAttempted(
                "evt_9f2c64f0a1b24f0d", "StasisStart", "1.2", "ivr", "http://a/", 2, 200, "response", 0.01234, "control"
            ),
            "info    delivery.attempted call=1.2 StasisStart to ivr (http://a/) → 200 (12 ms, attempt 2, evt_9f2c64f0…)",
        ),
        (
            CallStarted("1.2", "main", "hookrouter", "ivr", "+49 30", "1000"),
            'info    call.started call=1.2 "+49 30" → 1000, route ivr (app hookrouter of main)',
        ),
        (CallFinished("1.2", "main", "ivr", "hangup", 125.2), "info    call.finished call=1.2 hangup, after 2 min 5 s"),
        (
            AriLost("main", "no_answer", "refused", 0.5),
            "warning ari.reconnecting main: no_answer: refused; next try in 500 ms",
        ),
        (
            AriConnected("main", ("a", "b"), "22.10", True),
            "info    ari.connected main: connected again to Asterisk 22.10, apps a, b",
        ),
        (
            CallStarted("1.2", "main", "hookrouter", "ivr", "", "1000"),
            "info    call.started call=1.2 (no number) → 1000, route ivr (app hookrouter of main)",
        ),
        (
            ActionFinished("1.2", "p1", 0, "dial", "done", 0.004, about="PJSIP/nobody", result="unavailable"),
            "info    action.finished call=1.2 dial PJSIP/nobody → unavailable (4.0 ms): does Asterisk have this endpoint "
            "(`pjsip show endpoints`), is its phone registered, does the number exist?",
        ),
        (
            FallbackTaken("1.2", "ivr", "evt_9f2c64f0a1b24f0d", "timeout", "url"),
            "warning fallback.taken call=1.2 url, because of timeout (evt_9f2c64f0…)",
        ),
        (
            FallbackTaken("1.2", "ivr", "", "silence", "continue"),
            "warning fallback.taken call=1.2 continue, because of silence",
        ),
        (
            CallStandsStill("1.2", "ivr", "StasisStart", "200 and `[]`", 10.0, "Nothing runs."),
            "warning call.stands_still call=1.2 Nothing runs.",
        ),
        (
            LateAnswer("evt_9f2c64f0a1b24f0d", "1.2", "ivr"),
            "warning answer.late call=1.2 the answer of ivr to evt_9f2c64f0… came too late: thrown away",
        ),
        (CallNotAnswered("1.2", "main", "ivr", "busy", 17), "info    call.not_answered call=1.2 busy (cause 17)"),
        (RouterStopped(1), "info    router.stopped stopped; 1 call left as it is"),
        (RoutesLoaded("routes.toml", 1, True), "info    routes.loaded routes.toml: 1 route (edited)"),
        (Warned("x", "two\nlines"), "warning warned x: two\\nlines"),
        (BreakerChanged("http://a/", "open"), "warning breaker.changed url=http://a/ state=open"),
    ],
)
def test_a_line_for_people(fact: Fact, line: str) -> None:
    """Time, level, name, and what happened in words: short ids, rounded seconds, an arrow to what came of it."""
    assert _written(fact, "text").partition(" ")[2] == line + "\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.0123, "12 ms"),
        (0.9999, "1.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (11000, "3 h 3 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """As people say them."""
    assert duration(seconds) == text


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
def test_one_record_is_one_line(kind: type[Fact]) -> None:
    """Whatever its texts hold, and no value commands a terminal."""
    wild = 'a\nwarning call.finished call=9 \x1b[31m"\u202e'
    examples = {str: wild, bytes: b"secret", int: 1, int | None: 200, float: 1.0, bool: False}
    hints = get_type_hints(kind)
    values = [examples.get(hints[name], (wild,)) for name in kind.__struct_fields__]
    written = _written(kind(*values), "text", level="debug")
    assert written.count("\n") == 1
    assert written[:-1].isprintable()
    assert "secret" not in written


def test_an_event_and_the_name_of_a_line_are_kept_apart() -> None:
    """`event` is the name of the line; the event that it is about is `event_id`."""
    line = json.loads(_written(EventReceived("main", "StasisStart", "evt_1", "1.2"), level="debug"))
    assert (line["event"], line["event_id"]) == ("event.received", "evt_1")


@pytest.mark.parametrize(
    ("fact", "level", "lines"),
    [
        pytest.param(ActionStarted("1", "p1", 0, "play", b"{}"), "info", 0, id="debug-below-info"),
        pytest.param(ActionStarted("1", "p1", 0, "play", b"{}"), "debug", 1, id="debug"),
        pytest.param(FINISHED, "warning", 0, id="info-below-warning"),
        pytest.param(FAILED, "warning", 1, id="a-failure-is-a-warning"),
        pytest.param(DeliveryFinished("e", "t", "1", "r", "control", "answered", 1, 0.1), "info", 0, id="delivered"),
        pytest.param(DeliveryFinished("e", "t", "1", "r", "notify", "dead", 1, 0.1), "info", 1, id="dead-is-a-warning"),
    ],
)
def test_levels(fact: Fact, level: Level, lines: int) -> None:
    """A failure is a warning whatever its kind."""
    assert _written(fact, level=level).count("\n") == lines


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
def test_raw_bytes_are_never_logged(kind: type[Fact]) -> None:
    """Every kind of fact makes a line, and what is bytes in it stays out."""
    examples = {str: "x", bytes: b"secret", int: 1, int | None: 200, float: 1.0, bool: True}
    hints = get_type_hints(kind)
    values = [examples.get(hints[name], ("a",)) for name in kind.__struct_fields__]
    line = _written(kind(*values), level="debug")
    assert "secret" not in line
    assert json.loads(line)["event"] == NAMES[kind][0]


async def test_lines_of_a_moment_are_written_together_and_warnings_at_once() -> None:
    """One write for many calls; what is wrong is seen at once, with what came before it."""
    stream = io.BytesIO()
    log = Log("json", "info", stream)
    log(FINISHED)
    log(CallStarted("1", "main", "app", "ivr", "", ""))
    assert not stream.getvalue()
    log(Warned("routes", "no route"))
    assert stream.getvalue().count(b"\n") == 3
    log(FINISHED)
    async with asyncio.timeout(FLUSH_DELAY * 40):
        while stream.getvalue().count(b"\n") < 4:
            await asyncio.sleep(0.01)


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """A full disk, a closed pipe."""
    stream = io.BytesIO()
    stream.close()
    log = Log("text", "info", stream)
    log(Warned("routes", "no route"))


def test_an_observer_hears_of_what_it_wants() -> None:
    """Each kind goes to those that asked for it, in the order in which they came, until they leave."""
    facts, heard = Facts(), list[str]()
    facts.subscribe(lambda fact: heard.append(f"all {type(fact).__name__}"))
    leave = facts.subscribe(lambda fact: heard.append("calls"), {CallStarted}.__contains__)
    facts.emit(CallStarted("1", "main", "app", "ivr"))
    facts.emit(FINISHED)
    leave()
    facts.emit(CallStarted("2", "main", "app", "ivr"))
    assert heard == ["all CallStarted", "calls", "all ActionFinished", "all CallStarted"]


@pytest.mark.parametrize(
    "called",
    [
        '100" level=error',
        "100\n2026-11-26T00:00:00.000Z info    call.finished call=1",
        "\x1b]0;owned\x07",
        "\x9b31m",
        "\u202e001",
        "\u2028x",
    ],
)
def test_nothing_that_a_caller_sends_forges_a_line(called: str) -> None:
    """One line each, for people and for machines, that commands no terminal; machines read what was sent."""
    fact = CallStarted("1", "main", "app", "ivr", "<script>", called)
    text, line = _written(fact, "text"), _written(fact)
    assert text.count("\n") == line.count("\n") == 1
    assert text.strip().isprintable()
    assert line.strip().isprintable()
    assert json.loads(line)["called"] == called


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_behind_the_question_mark_of_a_url_is_in_no_line(form: Literal["text", "json"]) -> None:
    """Also where an answer has named it: as what an action is about, or within a fault."""
    for fact in (
        ActionFinished("1.2", "p1", 0, "play", "done", 1.0, "", "http://media.test/a.wav?code=SECRET"),
        Warned("answer", "/0/url: `https://evil.test/?code=SECRET` is of another origin"),
    ):
        line = _written(fact, form)
        assert "SECRET" not in line
        assert ".test/" in line


def test_who_wants_a_kind_is_asked_once_also_where_nobody_does() -> None:
    """Asking costs as much as there are observers; a new one is asked of all kinds again."""
    facts, asked = Facts(), list[type[Fact]]()

    def wants(kind: type[Fact]) -> bool:
        asked.append(kind)
        return False

    facts.subscribe(lambda fact: None, wants)
    for _ in range(3):
        facts.emit(FINISHED)
        assert not facts.wanted(ActionFinished)
    assert asked == [ActionFinished]
    facts.subscribe(lambda fact: None)
    assert facts.wanted(ActionFinished)
