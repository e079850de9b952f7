"""Dial strings and caller ids: one endpoint, one name, one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.text.calling import caller_id, caller_id_fault, dial_fault, number, technology


def asterisk_reads(text: str) -> tuple[str, str]:
    """(name, number) as ast_callerid_parse takes them, for a text with `<…>`."""
    start = text.rfind("<")
    name, found = text[:start].strip(), text[start + 1 : text.rfind(">")]
    if name[:1] == name[-1:] == '"' and len(name) > 1:
        name = name[1:-1]
    plain, escaped = "", False
    for c in name:
        escaped, plain = (True, plain) if c == "\\" and not escaped else (False, plain + c)
    return plain, found


@given(st.text(), st.text())
def test_a_caller_id_reads_back_as_one_name_and_one_number(name: str, digits: str) -> None:
    """Whatever the network has sent: what Asterisk reads are the two, cleaned."""
    written = caller_id(name, digits)
    assert written.isprintable()
    assert not caller_id_fault(written)
    if written:
        read = asterisk_reads(written)
        assert read[1] == number(digits)
        assert read[0] == "".join(c for c in name if c.isprintable() and c not in "<>").strip()


def test_a_number_is_no_name_and_another_number() -> None:
    """The whole of it stays the number."""
    assert caller_id("", "CEO of Bank <110>") == "<CEOofBank110>"
    assert caller_id("", "") == ""
    assert caller_id("Müller", "+49 30") == '"Müller" <+4930>'


@given(st.text())
def test_a_number_in_a_dial_string_is_one_user(digits: str) -> None:
    """Nobody else is called by it."""
    if number(digits).replace("/", ""):
        assert not dial_fault(f"PJSIP/{number(digits)}")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("alice", "has no technology; did you mean `PJSIP/alice`?"),
        ("PJSIP/", "names nobody"),
        ("/alice", "is not a technology"),
        ("PJ SIP/alice", "is not a technology"),
        ("PJSIP/alice&PJSIP/bob", "somebody else too"),
        ("PJSIP/alice,30", "`,` cannot be in an endpoint"),
        ('PJSIP/"alice"', "cannot be in an endpoint"),
        ("PJSIP/<sip:a@h>", "cannot be in an endpoint"),
        ("Local/${EXTEN}@default", "the dialplan's"),
        ("PJSIP/alice\r\nX: 1", "cannot be printed"),
        ("PJSIP/alice ", "spaces around it"),
    ],
)
def test_what_is_no_endpoint_is_told_with_its_remedy(endpoint: str, said: str) -> None:
    assert said in dial_fault(endpoint)


@pytest.mark.parametrize(
    "endpoint", ["PJSIP/alice", "PJSIP/+4930@trunk", "PJSIP/far/sip:ua@127.0.0.1:5060;transport=tcp", "Local/1@c/n"]
)
def test_an_endpoint_is_let_through(endpoint: str) -> None:
    assert dial_fault(endpoint) == ""


def test_asterisk_reads_a_technology_in_either_case() -> None:
    assert technology("LOCAL/1@c") == "local"


@pytest.mark.parametrize("text", ['"A" <B> <C>', "A<B", 'say "x" <1>', "A\n<1>", "<1> A", '"A'])
def test_a_caller_id_that_reads_in_two_ways_is_refused(text: str) -> None:
    assert caller_id_fault(text)


@pytest.mark.parametrize("text", ["100", "+49 (30) 12", "Anna <100>", '"Anna \\"A.\\"" <100>', "<100>", "Anna", ""])
def test_a_caller_id_is_let_through(text: str) -> None:
    assert caller_id_fault(text) == ""
