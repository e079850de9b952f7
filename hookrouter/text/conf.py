"""Asterisk's configuration files (`key = value` in `[sections]`): what can be written into one. Pure.

Source: Asterisk's config.c.
"""

from __future__ import annotations

import re

from hookrouter.text.lines import printable_fault

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")


def section_fault(name: str) -> str:
    """What is wrong with the name of a section."""
    if _NAME.fullmatch(name):
        return ""
    return f"`{name[:80]}` can be no section's name; use letters, digits and `_.@-`"


def value_fault(text: str) -> str:
    """What is wrong with a value: Asterisk would read another one."""
    if unprintable := printable_fault(text):
        return unprintable
    if text != text.strip():
        return "begins or ends with a space, which Asterisk leaves out; take it away"
    if text.startswith(">"):
        return "begins with `>`, which Asterisk takes for a part of `=>`; begin with another character"
    if "\\" in text:
        return "has a backslash, which means something else before a semicolon; leave it out"
    return ""


def written(text: str) -> str:
    """A value as it stands in the file. Raises ValueError where `value_fault` has something to say."""
    if fault := value_fault(text):
        raise ValueError(fault)
    return text.replace(";", "\\;")
