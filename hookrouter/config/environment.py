"""The environment, put into every string of routes.toml.

Rules: `${NAME}` is the variable, and a fault where it is not set; `${NAME:-default}` takes the default where it is not set
or empty; `$$` is a dollar sign. A `$` before anything else is itself: regular expressions end with one. What a
variable holds is not looked into again; white space around it is dropped: files and shells put a line's end there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hookrouter.config.collecting import Findings, join

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}|(\{[^}]*\}?))")

_SURROGATE = re.compile("[\ud800-\udfff]")  # how Python holds bytes of the environment that are no text


def fill_in(value: Any, environ: Mapping[str, str], place: str, findings: Findings) -> Any:
    """The same value with the environment in its strings; keys stay as they are."""
    if isinstance(value, dict):
        return {key: fill_in(item, environ, join(place, key), findings) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, environ, f"{place}[{index}]", findings) for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def put(match: re.Match[str]) -> str:
        dollar, name, default, odd = match.groups()
        if dollar:
            return "$"
        if odd:
            hint = "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign"
            findings.fault(place, f"`${odd}` is not a variable; {hint}")
        elif name in environ and ((held := environ[name].strip()) or default is None):
            if not _SURROGATE.search(held):
                return held or environ[name]
            findings.fault(place, f"the variable {name} is not UTF-8")
        elif default is not None:
            return str(default)
        else:
            hint = f"set it, or write ${{{name}:-a default}}"
            findings.fault(place, f"the variable {name} is not set in the environment; {hint}")
        return ""

    return _VARIABLE.sub(put, value)
