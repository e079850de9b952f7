"""Command lines: the words of a program's call, with texts put into them that are never options.

Rules: no shell reads the words. A word that is a text alone and would begin with `-` begins with a space, which no program
takes for an option. Where no word holds the text, it goes to the program's standard input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_HOLE = re.compile(r"\{[a-z]+\}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.:+@=-]|/(?!\.\.?(?:/|$)))*")


def words(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The command with `values` (`{text}` and the like) in it; what they hold is never looked at again."""
    return [_word(word, values) for word in command]


def _word(word: str, values: Mapping[str, str]) -> str:
    filled = _HOLE.sub(lambda found: _plain(values.get(found[0], found[0])), word)
    return f" {filled}" if filled.startswith("-") and not word.startswith("-") else filled


def _plain(text: str) -> str:
    """Without the characters that end a word for the system, or command a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def holds(command: Sequence[str], hole: str) -> bool:
    """Whether a word of the command has this hole."""
    return any(hole in word for word in command)


def shell_scripts(command: Sequence[str]) -> list[int]:
    """Where a word is a script (behind `-c` or the like) with a hole for what is said in it, counted from 0."""
    script = ("-c", "-lc", "-ec", "-e", "/c", "-Command")
    holed = [at for at, word in enumerate(command) if re.search(r"\{(text|lang|voice)\}", word)]
    return [at for at in holed if at and command[at - 1] in script]


def name_fault(text: str) -> str:
    """What is wrong with a name that goes into a command (a language, a voice)."""
    if not text or (_NAME.fullmatch(text) and ".." not in text.split("/")):
        return ""
    return f"`{text[:80]}` is not a name; it begins with a letter or digit, and leads out of no folder"
