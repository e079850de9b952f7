"""The dialplan's own texts: variables and functions, places (context, extension, priority), arguments of applications.

Source: Asterisk's pbx_functions, pbx_variables (`${…}`, `$[…]`), ast_app_separate_args (the arguments), and trying.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hookrouter.text.language import language_fault
from hookrouter.text.lines import printable_fault
from hookrouter.text.sip import header_name_fault, header_value_fault

_VARIABLE = re.compile(r"[^\s(){}\[\]$,;&\"<>|\\=`']+")
_FUNCTION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\((.*)\)", re.DOTALL)
_CALL = re.compile(r"((?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*|[}\]])\s*\(")
_MOST_CALLS, _MOST_SHOWN = 64, 256
_HEADER = re.compile(r"PJSIP_HEADER\(\s*(?:add|update)\s*,\s*([^,)]*)", re.IGNORECASE)
_LANGUAGE = re.compile(r"CHANNEL\(\s*language", re.IGNORECASE)
_TAKEN_OUT = str.maketrans("", "", '"\\')  # quotes and backslashes of a function's arguments
_PLACE = re.compile(r"[^\s,()\"\\${}\[\]&|<>;^]+")
_LONGEST_PLACE = 79  # AST_MAX_CONTEXT and AST_MAX_EXTENSION, and the byte that ends them
_SPECIAL = re.compile(r'([\\,"()\[\]])')


def variable_fault(name: str) -> str:
    """What is wrong with the name of a channel variable or function of an answer."""
    if unprintable := printable_fault(name):
        return unprintable
    if _VARIABLE.fullmatch(name) or _FUNCTION.fullmatch(name):
        return ""
    return f"`{name[:80]}` is neither the name of a variable, such as `LANG`, nor a function, such as `CALLERID(num)`"


def value_fault(name: str, value: str) -> str:
    """What is wrong with the value that the variable or function `name` is to have."""
    if "\0" in value:
        return "has a character U+0000, at which Asterisk would end it; leave it out"
    plain = name.translate(_TAKEN_OUT).lstrip("_ ")
    if header := _HEADER.match(plain):
        return header_name_fault(header[1].strip()) or header_value_fault(value)
    if _LANGUAGE.match(plain):
        return language_fault(value)
    return header_value_fault(value) if name.endswith(")") else ""


def functions_named(name: str) -> list[tuple[str, str]]:
    """The functions that a variable's name is or holds, each with its arguments: `EVAL(${CURL(x)})` names two."""
    return _calls(name)


def functions_in(value: str) -> list[tuple[str, str]]:
    """The functions that the dialplan would run where it reads `value`: those within `${…}` and `$[…]`."""
    return _calls(value) if "${" in value or "$[" in value else []


def _calls(text: str) -> list[tuple[str, str]]:
    """Every function in a text, from the outermost, with the beginning of what is in its parentheses.

    Of more than `_MOST_CALLS` the others are one, which has no name; one whose name comes about only when the dialplan reads
    it (`${${X}(y)}`) is `…}`.
    """
    found: list[tuple[str, str]] = []
    for call in _CALL.finditer(text):
        if len(found) == _MOST_CALLS:
            return [*found, ("", "")]
        found.append((_name(call[1]), _within(text[call.end() : call.end() + _MOST_SHOWN])))
    return found


def _name(text: str) -> str:
    return f"…{text}" if text in "}]" else text.upper()


def _within(text: str) -> str:
    """What stands before the parenthesis that closes; all of it where none does."""
    level = 1
    for at, character in enumerate(text):
        level += {"(": 1, ")": -1}.get(character, 0)
        if level == 0:
            return text[:at]
    return text


def place_fault(text: str) -> str:
    """What is wrong with a context, an extension or a label of an answer."""
    if len(text) > _LONGEST_PLACE:
        return f"has {len(text)} characters; a name in the dialplan has at most {_LONGEST_PLACE}, and Asterisk would cut it"
    if unprintable := printable_fault(text):
        return unprintable
    if not _PLACE.fullmatch(text):
        return (
            f"`{text[:80]}` can be no name in the dialplan; leave out spaces, commas, parentheses, quotes and `$&|<>;`"
        )
    return ""


def place(context: str, extension: str, priority: int | str = 1) -> str:
    """`context,extension,priority`, as the dialplan reads it. Raises ValueError where a part would be read as two."""
    for part in (context, extension, str(priority)):
        if fault := place_fault(part):
            raise ValueError(fault)
    return f"{context},{extension},{priority}"


def arguments(items: Sequence[str]) -> str:
    r"""The arguments of an application: the comma, quotes, brackets and backslashes within one are escaped."""
    return ",".join(_SPECIAL.sub(r"\\\1", item) for item in items)


def separated(text: str) -> list[str]:
    """A list of variables and functions, taken apart at the commas outside of parentheses."""
    found: list[str] = []
    level = start = 0
    for at, character in enumerate(text):
        if character == "(":
            level += 1
        elif character == ")":
            level = max(0, level - 1)
        elif character == "," and not level:
            found.append(text[start:at])
            start = at + 1
    return [*found, text[start:]]


def arguments_fault(text: str) -> str:
    """What is wrong with the arguments of an application, as one text."""
    if unprintable := printable_fault(text):
        return unprintable
    if "${" in text or "$[" in text:
        return "`${…}` and `$[…]` are not read here; give the value itself"
    return ""
