"""The dialplan's texts, and SIP headers that are set by one of its functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.arguments import separate

from hookrouter.text.dialplan import (
    arguments,
    arguments_fault,
    functions_in,
    functions_named,
    place,
    place_fault,
    separated,
    value_fault,
    variable_fault,
)
from hookrouter.text.sip import header_name_fault, header_value_fault


@given(st.lists(st.text(st.sampled_from('ab,"\\()[] $')) | st.text(), min_size=1, max_size=5))
def test_arguments_read_back_as_these(items: list[str]) -> None:
    """Also those with commas, quotes and brackets in them."""
    assert separate(arguments(items)) == items


@given(st.text(), st.text(), st.integers(1, 99))
def test_a_place_has_three_parts(context: str, extension: str, priority: int) -> None:
    """What can be written reads back as exactly this place; the rest is refused."""
    if place_fault(context) or place_fault(extension):
        with pytest.raises(ValueError):
            place(context, extension, priority)
    else:
        written = place(context, extension, priority)
        assert written.split(",") == [context, extension, str(priority)]
        assert functions_named(f"DIALPLAN_EXISTS({written})") == [("DIALPLAN_EXISTS", written)]


@pytest.mark.parametrize(
    "name", ["LANG", "__INHERITED", "CALLERID(num)", "PJSIP_HEADER(add,X-Id)", "my-var.1", "EVAL(${A})"]
)
def test_a_variable_is_let_through(name: str) -> None:
    assert variable_fault(name) == ""


@pytest.mark.parametrize("name", ["", "A B", "A(", "A)", "${A}", "A=1", "A\nB", "(x)", "A,B", "1(x)"])
def test_what_is_no_variable_is_refused(name: str) -> None:
    assert variable_fault(name)


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("LANG", []),
        ("CALLERID(num)", [("CALLERID", "num")]),
        ("EVAL(${CURL(http://h/)})", [("EVAL", "${CURL(http://h/)}"), ("CURL", "http://h/")]),
        ("CUT(CURL(http://h/),x,1)", [("CUT", "CURL(http://h/),x,1"), ("CURL", "http://h/")]),
        ("LEN(${SHELL (ls", [("LEN", "${SHELL (ls"), ("SHELL", "ls")]),
    ],
)
def test_functions_within_functions_are_found(name: str, functions: list[tuple[str, str]]) -> None:
    assert functions_named(name) == functions


def test_functions_in_a_value_are_those_that_the_dialplan_would_run() -> None:
    assert functions_in("Anna (Sales)") == []
    assert functions_in("${CURL(x)}") == [("CURL", "x")]
    assert functions_in("$[${LEN(x)} + 1]") == [("LEN", "x")]


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("NOTE", "two\nlines", True),
        ("NOTE", "a\0b", False),
        ("CALLERID(name)", "Anna\r\nX: 1", False),
        ("PJSIP_HEADER(add,X-Id)", "7", True),
        ("PJSIP_HEADER(add,X-Id)", "7\r\nX-Evil: 1", False),
        ("_PJSIP_HEADER(add,Via)", "x", False),
        ("PJSIP_HEADER(update, Route)", "<sip:evil>", False),
        ('PJSIP_HEADER("add",Via)', "x", False),
        ('PJSIP_HEADER(add,"Contact")', "x", False),
        ("PJSIP_HEADER(\\add,V\\ia)", "x", False),
        ("PJSIP_HEADER(remove,X-Id)", "", True),
        ("CHANNEL(language)", "en_GB", True),
        ("CHANNEL(language)", "../../spool", False),
        ("channel( LANGUAGE )", "/etc", False),
        ('_CHANNEL("lang\\uage")', "a/b", False),
        ("CHANNEL(musicclass)", "a/b", True),
    ],
)
def test_a_value_writes_no_header_of_its_own(name: str, value: str, good: bool) -> None:
    assert (value_fault(name, value) == "") is good


@given(st.text(), st.text())
def test_a_header_is_one_line_of_one_header(name: str, value: str) -> None:
    if not header_name_fault(name) and not header_value_fault(value):
        assert len(f"{name}: {value}".splitlines()) == 1
        assert f"{name}: {value}".partition(": ")[0] == name


@pytest.mark.parametrize("name", ["X Id", "X:Id", "X-Id)", "X\r\nY", "", "Via", "content-length", "Route", "m"])
def test_what_is_no_header_of_yours_is_refused(name: str) -> None:
    assert header_name_fault(name)


def test_arguments_as_one_text_hold_no_dialplan() -> None:
    assert arguments_fault("a,b") == ""
    assert "not read here" in arguments_fault("${SHELL(ls)}")
    assert arguments_fault("a\nb")


@given(st.text(st.sampled_from("ab,()")))
def test_a_list_of_variables_is_parted_at_its_own_commas(text: str) -> None:
    """And put together again it is as it was."""
    parts = separated(text)
    assert ",".join(parts) == text
    assert not [part for part in parts if "," in part and "(" not in part]
