"""A dialplan: extensions.conf read, matched and carried out, as far as a test dialplan needs it.

Rules: an application or expression that is not known here is skipped, as a NoOp. Patterns are Asterisk's (`_X.`, `_call-.`),
the most literal match first.
Source: Asterisk's pbx.c, pbx_config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files


@dataclass
class Step:
    """One priority of an extension."""

    app: str
    data: str
    label: str = ""


@dataclass
class Dialplan:
    """Contexts, each with its extensions in the file's order."""

    contexts: dict[str, dict[str, list[Step]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Dialplan:
        """Raises ValueError with the line that is wrong."""
        plan = cls()
        context: dict[str, list[Step]] = {}
        steps: list[Step] = []
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.split(";", 1)[0].strip()
            if not line:
                continue
            if found := re.fullmatch(r"\[([^\]]+)\].*", line):
                context = plan.contexts.setdefault(found[1], {})
                continue
            key, _, value = (part.strip() for part in line.partition("=>" if "=>" in line else "="))
            if key == "exten":
                name, _, value = (part.strip() for part in value.partition(","))
                steps = context.setdefault(name, [])
            elif key != "same":
                continue
            fitting = re.fullmatch(r"(?:n|\d+)(?:\(([^)]*)\))?\s*,\s*(\w+)(?:\((.*)\))?", value)
            if fitting is None:
                raise ValueError(f"line {number}: `{raw.strip()}` is not `exten => NAME,1,Application(data)`")
            steps.append(Step(fitting[2], fitting[3] or "", fitting[1] or ""))
        plan.contexts.pop("general", None)
        return plan

    @classmethod
    def default(cls) -> Dialplan:
        """The lab's dialplan."""
        return cls.parse(default_text())

    def find(self, context: str, exten: str) -> list[Step] | None:
        """The steps of the extension that fits best, or None."""
        extensions = self.contexts.get(context, {})
        if exten in extensions:
            return extensions[exten]
        fitting = [name for name in extensions if name.startswith("_") and _pattern(name).fullmatch(exten)]
        return extensions[max(fitting, key=_literalness)] if fitting else None

    def exists(self, context: str, exten: str, priority: int = 1) -> bool:
        steps = self.find(context, exten)
        return steps is not None and 1 <= priority <= len(steps)

    def priority(self, context: str, exten: str, wanted: str) -> int | None:
        """The number of a priority or label; None where there is no such."""
        steps = self.find(context, exten) or []
        if wanted.isdigit():
            return int(wanted) if int(wanted) <= len(steps) else None
        return next((number for number, step in enumerate(steps, 1) if step.label == wanted), None)


def default_text() -> str:
    """The lab's extensions.conf."""
    return files("hookrouter.simulator").joinpath("extensions.conf").read_text()


_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}


def _pattern(name: str) -> re.Pattern[str]:
    parts = re.findall(r"\[[^\]]*\]|.", name[1:])
    return re.compile("".join(_CLASSES.get(part, part if part.startswith("[") else re.escape(part)) for part in parts))


def _literalness(name: str) -> tuple[bool, int]:
    return not name.endswith((".", "!")), len(name)


def condition(text: str) -> bool:
    """A GotoIf condition after its variables were put in: `$["a" = "b"]`, `$[1 > 0]`, `1`."""
    text = text.strip()
    if text.startswith("$[") and text.endswith("]"):
        text = text[2:-1].strip()
        if found := re.fullmatch(r"(.*?)\s*(!=|=|>=|<=|>|<)\s*(.*)", text):
            left, sign, right = found[1].strip(' "'), found[2], found[3].strip(' "')
            if sign in ("=", "!="):
                return (left == right) == (sign == "=")
            try:
                first, second = float(left), float(right)
            except ValueError:
                return False
            return {">": first > second, "<": first < second, ">=": first >= second, "<=": first <= second}[sign]
    return text.strip('"') not in ("", "0")


def arguments(data: str) -> list[str]:
    """Application data split at commas outside of parentheses."""
    parts, depth, start = [], 0, 0
    for index, sign in enumerate(data):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(data[start:index].strip())
            start = index + 1
    return [*parts, data[start:].strip()]
