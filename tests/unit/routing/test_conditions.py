"""What fits a value of `match`, and what stands at a path."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.routing.conditions import Condition, Pattern, pattern, regex, values_at


@pytest.mark.parametrize(
    ("value", "found", "fits"),
    [
        pytest.param("100", "100", True, id="text"),
        pytest.param("100", "1000", False, id="whole-text"),
        pytest.param("up", "Up", False, id="case-counts"),
        pytest.param(100, "100", True, id="number-fits-its-text"),
        pytest.param("100", 100, True, id="text-fits-the-number"),
        pytest.param(1, 1.0, True, id="whole-and-broken-numbers"),
        pytest.param(1, True, False, id="one-is-not-true"),
        pytest.param(True, 1, False, id="true-is-not-one"),
        pytest.param(True, True, True, id="true"),
        pytest.param(True, "true", True, id="true-fits-its-text"),
        pytest.param(False, None, False, id="null-fits-nothing"),
        pytest.param("*", None, False, id="null-fits-no-glob"),
        pytest.param("x", {"x": 1}, False, id="a-table-fits-nothing"),
        pytest.param("1*", "123", True, id="star"),
        pytest.param("1*", "213", False, id="star-from-the-start"),
        pytest.param("1??", "123", True, id="question-marks"),
        pytest.param("1??", "12", False, id="question-marks-are-one-each"),
        pytest.param("[13]0", "30", True, id="set"),
        pytest.param("[!13]0", "30", False, id="set-turned-round"),
        pytest.param("[*]97", "*97", True, id="a-star-itself"),
        pytest.param("[*]97", "197", False, id="a-star-itself-only"),
        pytest.param("1*", 123, True, id="glob-on-a-number"),
        pytest.param("*", "two\nlines", True, id="star-over-lines"),
        pytest.param("a.c", "abc", False, id="a-dot-is-a-dot"),
    ],
)
def test_pattern(value: str | int | float | bool, found: Any, fits: bool) -> None:
    """Literals are equal, globs fit the whole text."""
    assert pattern(value).fits(found) is fits


@pytest.mark.parametrize(
    ("value", "found", "fits"),
    [
        pytest.param("^\\+49", "+4930", True, id="anchored"),
        pytest.param("^\\+49", "0+4930", False, id="anchored-elsewhere"),
        pytest.param("30", "+4930", True, id="searched-for"),
        pytest.param("^1$", 1, True, id="number"),
        pytest.param("(?i)sip", "PJSIP/1", True, id="flag"),
        pytest.param(".", [], False, id="list"),
    ],
)
def test_regex(value: str, found: Any, fits: bool) -> None:
    """Regular expressions are searched for."""
    assert regex(value).fits(found) is fits


@pytest.mark.parametrize("value", ["(", "[", "*", "a{2,1}", "(?P<a>x)(?P<a>y)"])
def test_a_bad_regex_says_where(value: str) -> None:
    """A regular expression that is none is refused with the reason."""
    with pytest.raises(ValueError, match="is not a regular expression"):
        regex(value)


@given(st.text("ab*?[]!-^\\.\n0", max_size=12), st.text("ab*?[]!-^\\.\n0", max_size=12))
def test_globs_are_those_of_fnmatch(glob: str, text: str) -> None:
    """A glob fits exactly what the standard library's case-sensitive one does."""
    assert Pattern("glob", glob).fits(text) == fnmatchcase(text, glob)


@given(st.text(max_size=20))
def test_any_text_without_glob_marks_fits_itself_only(text: str) -> None:
    """A literal fits itself and not itself with something more."""
    plain = re.sub(r"[*?\[]", "", text)
    assert pattern(plain).fits(plain)
    assert not pattern(plain).fits(plain + "x")


@pytest.mark.parametrize(
    ("event", "path", "found"),
    [
        pytest.param({"a": {"b": 1}}, "a.b", [1], id="down"),
        pytest.param({"a": {"b": 1}}, "a.c", [], id="nowhere"),
        pytest.param({"a": 1}, "a.b", [], id="through-a-number"),
        pytest.param({"a": None}, "a", [None], id="null"),
        pytest.param({"a": [1, 2]}, "a", [1, 2], id="the-items-of-a-list"),
        pytest.param({"a": [{"b": 1}, {"b": 2}, {}]}, "a.b", [1, 2], id="through-a-list"),
        pytest.param({"a": {"X-A.B": 1}}, "a.X-A.B", [1], id="a-key-with-dots"),
        pytest.param([], "a", [], id="an-empty-list"),
        pytest.param("a", "a", [], id="no-table"),
    ],
)
def test_values_at(event: Any, path: str, found: list[Any]) -> None:
    """What stands at a dotted path."""
    assert list(values_at(event, path.split("."))) == found


@pytest.mark.parametrize(
    ("event", "holds"),
    [
        pytest.param({"channel": {"dialplan": {"exten": "12"}}}, True, id="there"),
        pytest.param({"channel": {"dialplan": {"exten": "22"}}}, False, id="another"),
        pytest.param({"channel": {}}, False, id="missing"),
        pytest.param({"channel": {"dialplan": {"exten": ["9", "12"]}}}, True, id="one-of-a-list"),
        pytest.param({"channel": [{"dialplan": {"exten": "12"}}]}, True, id="through-a-list"),
        pytest.param({"channel.dialplan.exten": "12"}, True, id="a-key-with-dots"),
    ],
)
def test_condition(event: Any, holds: bool) -> None:
    """A condition holds where one of its values fits what is at its path."""
    condition = Condition("channel.dialplan.exten", (pattern("1*"), pattern(30)))
    assert condition.holds(event) is holds
    assert not condition.own


@pytest.mark.parametrize(
    ("args", "holds"),
    [
        pytest.param(["sales", "de"], True, id="exact"),
        pytest.param(["support", "de", "more"], True, id="prefix"),
        pytest.param(["sales"], False, id="too-few"),
        pytest.param(["sales", "en"], False, id="another"),
        pytest.param([], False, id="none"),
    ],
)
def test_args_are_a_prefix(args: list[str], holds: bool) -> None:
    """Each of the first arguments must fit its alternatives."""
    condition = Condition("args", args=((pattern("sales"), pattern("sup*")), (pattern("de"),)))
    assert condition.own
    assert condition.holds_for_args(args) is holds


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", max_size=4), inner, max_size=3),
    max_leaves=10,
)


def _walk(event: Any, path: list[str]) -> list[Any]:
    """The plainest reading of a path, where no list and no key with dots is on the way."""
    for name in path:
        if not isinstance(event, dict) or name not in event:
            return []
        event = event[name]
    return [] if isinstance(event, list) else [event]


@given(_json, st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3))
def test_a_path_finds_what_stands_there(event: Any, path: list[str]) -> None:
    """Whatever the event, the plain way down is found, asking never fails, and a condition agrees."""
    found = list(values_at(event, path))
    assert all(item in found for item in _walk(event, path))
    condition = Condition(".".join(path), (pattern("*"),))
    assert condition.holds(event) == any(pattern("*").fits(item) for item in found)
