r"""Lines of a log, and text on a terminal: one value stays one value, and nothing in it commands the terminal.

Rule: what cannot be printed (control characters, those that change the direction of writing, line separators, halves of
surrogate pairs) is shown as its escape, such as `\x1b` or `\u202e`.
"""

from __future__ import annotations

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_QUOTED = {'"': '\\"', "\\": "\\\\"}


def shown(text: str) -> str:
    """`text` for a terminal: on one line, and without commands to it. What can be printed stays as it is."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def log_value(text: str) -> str:
    """`text` as the value of `key=value`: as it is where it is one plain word, else in quotes."""
    if text.isprintable() and text and " " not in text and '"' not in text and "\\" not in text:
        return text
    return '"' + "".join(_QUOTED.get(c) or (c if c.isprintable() else _escape(c)) for c in text) + '"'


def json_line(line: bytes) -> bytes:
    """A line of JSON with what cannot be printed as JSON's own escapes; it means the same."""
    if line.isascii():
        return line  # msgspec has escaped the control characters
    text = line.decode("utf-8", "replace")
    return line if text.isprintable() else "".join(c if c.isprintable() else _json_escape(c) for c in text).encode()


def cut(text: str, most: int = 64) -> str:
    """The beginning of a text that somebody else has written, for a message."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable_fault(text: str) -> str:
    """What is wrong with a text that is to be one printable line."""
    if text.isprintable():
        return ""
    found = next(c for c in text if not c.isprintable())
    return f"has a character that cannot be printed (U+{ord(found):04X}); leave it out"


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
