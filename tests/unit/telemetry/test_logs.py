"""Log lines: what they say, and when they are written."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Literal, get_type_hints

import pytest

from hookrouter.facts import ActionFinished, ActionStarted, CallStarted, DeliveryFinished, EventReceived, Fact, Warned
from hookrouter.telemetry.logs import FLUSH_DELAY, NAMES, Level, Log

FINISHED = ActionFinished("1.2", "p1", 0, "play", "done", 1.23456789)
FAILED = ActionFinished("1.2", "p1", 0, "play", "failed", 0.0, "not_found: no such sound")


def _written(fact: Fact, form: Literal["text", "json"] = "json", level: Level = "info") -> str:
    stream = io.BytesIO()
    log = Log(form, level, stream)
    log(fact)
    log.flush()
    return stream.getvalue().decode()


def test_a_line_for_machines() -> None:
    """One JSON object: the name, the level, the time, and what is not empty; seconds to a tenth of a millisecond."""
    line = json.loads(_written(FINISHED))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "event": "action.finished", "level": "info", "call": "1.2", "program": "p1", "index": 0, "verb": "play",
        "outcome": "done", "seconds": 1.2346,
    }  # fmt: skip


def test_a_line_for_people() -> None:
    """Time, level, name, then the fields; a value with a space is quoted."""
    line = _written(FAILED, "text")
    assert line.endswith('detail="not_found: no such sound"\n')
    assert " warning action.finished call=1.2 " in line


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
