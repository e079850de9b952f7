"""Asterisk's configuration files read: sections with their templates and includes, and the dialplan's extensions.

Rules: as Asterisk reads them: `[name](template)`, `(!)` for a template, `(+)` for more of a section, `#include` and
`#tryinclude` beside the file, `;` and `;-- … --;` for comments, one inside another too. `#exec` is not carried out.
Files may be given as they would be (`Texts`) instead of as they are. Bytes that are no UTF-8 come back as they were.
Source: Asterisk's config.c, pbx_config.c, pbx.c (patterns).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from errno import ELOOP
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType

Texts = Mapping[str, str]
"""File name → its text, for files that are to be read so and not from the disk."""

_DEEPEST, _MOST_INCLUDED = 10, 200
ON_DISK: Texts = MappingProxyType({})


@dataclass
class Item:
    """One `key = value`, and where it stands (`extensions.conf:12`)."""

    key: str
    value: str
    place: str


@dataclass
class Section:
    """One section with what its templates gave it."""

    name: str
    template: bool = False
    items: list[Item] = field(default_factory=list)

    def get(self, key: str, default: str = "") -> str:
        """The last value of that name."""
        return next((item.value for item in reversed(self.items) if item.key == key), default)

    def place(self, key: str = "") -> str:
        found = [item.place for item in self.items if item.key == key or not key]
        return found[-1 if key else 0] if found else f"[{self.name}]"


def read_text(folder: Path, name: str) -> str | None:
    """A file to the byte; None where there is none. Raises OSError where it cannot be read."""
    path = folder / name
    return path.read_bytes().decode(errors="surrogateescape") if path.exists() else None


def read_sections(folder: Path, name: str, texts: Texts = ON_DISK) -> dict[str, Section] | None:
    """A file's sections by name, in its order; None where there is no such file. Raises OSError where it cannot be read."""
    if name not in texts and not (folder / name).exists():
        return None
    sections: dict[str, Section] = {}
    current: Section | None = None
    for line, place in _Reading(folder, texts).lines(name):
        if found := re.fullmatch(r"\[([^\]]+)\](?:\(([^)]*)\))?.*", line):
            options = [one.strip() for one in (found[2] or "").split(",") if one.strip()]
            old = sections.get(found[1])
            current = old if old is not None and "+" in options else sections.setdefault(found[1], Section(found[1]))
            current.template = current.template or "!" in options
            for option in options:
                if option in sections and sections[option] is not current:
                    current.items += sections[option].items
        elif current is not None and "=" in line:
            key, _, value = line.partition("=")
            current.items.append(Item(key.strip(), value.removeprefix(">").strip(), place))
    return {name: section for name, section in sections.items() if not section.template}


LED_OUT_TWICE = "leads an app out that the router invites Asterisk for, too, and Asterisk then takes neither: remove it"


def led_out(ari: Mapping[str, Section], apps: Collection[str]) -> Iterator[Section]:
    """The sections of ari.conf that have Asterisk connect for one of these apps."""
    for section in ari.values():
        named = {app.strip() for app in section.get("apps").split(",")}
        if section.get("type") == "outbound_websocket" and named & set(apps):
            yield section


def lacking(there: Mapping[str, Section], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Of wanted lines (`key=value`), by their section, those that a file has not."""
    found = {}
    for name, lines in wanted.items():
        has = {f"{item.key}={item.value}" for item in there[name].items} if name in there else set()
        if missing := [line for line in lines if line not in has]:
            found[name] = missing
    return found


class _Reading:
    """One file with those that it includes. One that includes itself is not read once more; of too many OSError tells."""

    def __init__(self, folder: Path, texts: Texts) -> None:
        self._folder, self._texts = folder, texts
        self._included = 0

    def lines(self, name: str, within: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
        """Lines without their comments, each with its place; those of included files in their place."""
        text = self._texts[name] if name in self._texts else read_text(self._folder, name) or ""
        place = Path(name).name
        for number, line in _without_comments(text):
            if found := re.fullmatch(r'#(?:try)?include\s+[<"]?([^">]+)[">]?', line):
                for included in self._meant(found[1].strip()):
                    if included != name and included not in within and len(within) < _DEEPEST:
                        self._included += 1
                        if self._included > _MOST_INCLUDED:
                            raise OSError(ELOOP, f"more than {_MOST_INCLUDED} files are included", place)
                        yield from self.lines(included, (*within, name))
            elif not line.startswith("#"):
                yield line, f"{place}:{number}"

    def _meant(self, pattern: str) -> list[str]:
        """The names of the files beneath the folder that an `#include` means."""
        pattern = pattern.removeprefix(f"{self._folder}/").lstrip("/")
        names = {name for name in self._texts if fnmatch(name, pattern)}
        try:
            names |= {str(path.relative_to(self._folder)) for path in self._folder.glob(pattern) if path.is_file()}
        except ValueError:  # no pattern for names of files, or one that leads out of the folder
            pass
        return sorted(names)


def _without_comments(text: str) -> Iterator[tuple[int, str]]:
    """Each line that has something in it, with its number. Source: config_text_file_load of Asterisk's config.c."""
    level = 0
    for number, line in enumerate(text.split("\n"), 1):
        kept, begin = "", None if level else 0
        at = line.find(";")
        while at >= 0:
            if at and line[at - 1] == "\\":
                line = line[: at - 1] + line[at:]
                at = line.find(";", at)
            elif line[at + 1 : at + 3] == "--" and line[at + 3 : at + 4] != "-":
                if begin is not None:
                    kept, begin = kept + line[begin:at], None
                level += 1
                at = line.find(";", at + 3)
            elif level and line[at - 2 : at] == "--" and at >= 2:
                level -= 1
                if not level:
                    begin = at + 1
                at = line.find(";", at + 1)
            elif level:
                at = line.find(";", at + 1)
            else:
                line = line[:at]
                break
        if begin is not None:
            kept += line[begin:]
        if kept := kept.strip():
            yield number, kept


@dataclass
class Priority:
    """One step of an extension."""

    app: str
    data: str
    place: str


Dialplan = dict[str, dict[str, list[Priority]]]
"""Context → extension → its steps."""


def read_dialplan(folder: Path, texts: Texts = ON_DISK) -> Dialplan | None:
    """Context → extension → its steps; None where there is no extensions.conf."""
    sections = read_sections(folder, "extensions.conf", texts)
    if sections is None:
        return None
    found: Dialplan = {}
    for section in sections.values():
        if section.name in ("general", "globals"):
            continue
        extensions: dict[str, list[Priority]] = found.setdefault(section.name, {})
        current: list[Priority] = []
        for item in section.items:
            value = item.value
            if item.key == "exten":
                name, _, value = (part.strip() for part in value.partition(","))
                current = extensions.setdefault(name.partition("/")[0], [])
            elif item.key != "same":
                continue
            _, _, call = value.partition(",")
            if step := re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", call):
                current.append(Priority(step[1], step[2] or "", item.place))
    return found


def fits_h(extension: str) -> bool:
    """Whether an extension is a pattern that fits `h`, where Asterisk sends a channel that was hung up."""
    if not extension.startswith("_"):
        return False
    parts = [part for part in re.findall(r"\[[^\]]*\]|.", extension[1:]) if part not in "- "]
    if not parts:
        return False
    if parts[0] in ".!":
        return True
    return _has_h(parts[0]) and parts[1:] in ([], ["!"])


def _has_h(part: str) -> bool:
    if not part.startswith("["):
        return part == "h"
    inside = part[1:-1]
    ranges = re.findall(r"(.)-(.)", inside)
    return any(low <= "h" <= high for low, high in ranges) or "h" in re.sub(r".-.", "", inside)


def leads_to_stasis(dialplan: Dialplan, context: str, extension: str) -> Priority | None:
    """The step with which it enters a Stasis app, by itself or by where it goes; None where it does not."""
    waiting, seen = [(context, extension)], {(context, extension)}
    while waiting:
        context, extension = waiting.pop()
        for step in dialplan.get(context, {}).get(extension, ()):
            if step.app.lower() == "stasis":
                return step
            found = set(_targets(step, context)) - seen
            seen |= found
            waiting += found
    return None


def _targets(step: Priority, context: str) -> Iterator[tuple[str, str]]:
    """Where a Goto or Gosub leads, as far as its text tells."""
    app = step.app.lower()
    if app not in ("goto", "gotoif", "gosub", "gosubif"):
        return
    branches = step.data.rpartition("?")[2].split(":") if app.endswith("if") else [step.data]
    for branch in branches:
        parts = [part.strip() for part in branch.partition("(")[0].replace("${EXTEN}", "h").split(",")]
        if len(parts) > 1:
            yield (parts[-3] if len(parts) > 2 else context), parts[-2]


def stasis_apps(dialplan: Dialplan) -> dict[str, str]:
    """App → the first place where the dialplan enters it; names that have variables in them are left out."""
    found: dict[str, str] = {}
    for extensions in dialplan.values():
        for steps in extensions.values():
            for step in steps:
                app = step.data.partition(",")[0].strip()
                if step.app.lower() == "stasis" and app and "$" not in app:
                    found.setdefault(app, step.place)
    return found
