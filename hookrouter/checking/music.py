"""Music on hold: the classes that routes.toml and the endpoints' answers name, beside those of musiconhold.conf.

Rule: no request tells which classes there are. In place of one that is not there Asterisk plays the channel's own class or
`default`, and says so in its log alone.
Source: res_musiconhold.c; `default` in place of an unknown class was heard at a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from hookrouter.checking import asterisk_files as files
from hookrouter.checking.findings import Findings

_FIELDS = ("mohClass", "moh")


class Music:
    """`classes`: those that there are, in small letters (Asterisk has no cases); None: nobody knows."""

    def __init__(self, findings: Findings, classes: frozenset[str] | None = None) -> None:
        self._findings = findings
        self._classes = classes

    def judge(self, place: str, steps: Sequence[bytes]) -> None:
        """Says of each class that these actions name whether it is missing. `steps`: an action's JSON each."""
        if self._classes is None:
            return
        for name in sorted(set(_named([msgspec.json.decode(step) for step in steps]))):
            if name.lower() in self._classes:
                continue
            close = get_close_matches(name.lower(), self._classes, n=1)
            meant = f"did you mean `{close[0]}`? " if close else ""
            known = ", ".join(sorted(self._classes)) or "none"
            self._findings.wrong(
                place,
                f"musiconhold.conf has no class `{name}`: {meant}Callers hear the class `default` in its place, and only "
                f"Asterisk's log says so. Known: {known}",
            )


def read_music(folder: Path, findings: Findings) -> Music:
    """The classes of musiconhold.conf in `folder`."""
    try:
        sections = files.read_sections(folder, "musiconhold.conf")
        more = (files.read_sections(folder, "extconfig.conf") or {}).get("settings")
    except OSError as error:
        findings.not_asked("musiconhold.conf", f"cannot be read: {error}")
        return Music(findings)
    if more is not None and more.get("musiconhold"):
        findings.not_asked("musiconhold.conf", "extconfig.conf has Asterisk look for classes of music in a database")
        return Music(findings)
    if sections is None:
        findings.not_asked("musiconhold.conf", f"{folder} has none")
        return Music(findings)
    classes = frozenset(name.lower() for name in sections if name != "general")
    if "default" not in classes:
        findings.note(
            "musiconhold.conf", "there is no class [default]: music without a class, or of an unknown one, is silence"
        )
    return Music(findings, classes)


def _named(found: Any) -> Iterator[str]:
    """The classes in actions, at whatever depth; what is no action (a state, a body) names none."""
    if isinstance(found, list):
        for item in found:
            yield from _named(item)
    elif isinstance(found, dict):
        if isinstance(found.get("action"), str):
            yield from (found[field] for field in _FIELDS if isinstance(found.get(field), str))
        for value in found.values():
            yield from _named(value)
