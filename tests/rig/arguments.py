"""How Asterisk takes a list of arguments apart.

Source: ast_app_separate_args (main/app.c), which the Stasis application and its players use.
"""

from __future__ import annotations


def separate(text: str) -> list[str]:
    """The arguments, apart."""
    found, part, level, quoted, escaped = [], "", {"(": 0, "[": 0}, False, False
    for c in text:
        if escaped:
            part, escaped = part + c, False
        elif c == "\\":
            escaped = True
        elif c == '"':
            quoted = not quoted
        elif c == "," and not quoted and not any(level.values()):
            found.append(part)
            part = ""
        else:
            opening = {")": "(", "]": "["}.get(c)
            if c in level:
                level[c] += 1
            elif opening and level[opening]:
                level[opening] -= 1
            part += c
    return [*found, part]
