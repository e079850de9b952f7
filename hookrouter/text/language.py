"""The name of a language, which Asterisk makes a folder of: `sounds/LANGUAGE/NAME`. Pure.

Source: Asterisk's file.c, fileexists_test(): what stands there is put before the sound's name as it is.
"""

from __future__ import annotations

import re

from hookrouter.text.lines import cut

_LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,39}")


def language_fault(text: str) -> str:
    """What is wrong with the name of a language in an answer, such as `de` or `en_GB`; empty is Asterisk's default."""
    if not text or (_LANGUAGE.fullmatch(text) and ".." not in text):
        return ""
    return f"`{cut(text)}` is not the name of a language, such as `de` or `en_GB`; a path would lead to other sounds"
