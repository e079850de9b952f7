"""How long media last: the core sounds by name, numbers and digits by the sounds they are made of.

Source: the lengths in sounds.json are those of Debian's asterisk-core-sounds-en-wav, in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

NEVER = math.inf
"""Media without an end, such as a tone."""


class Unplayable(Exception):
    """The media cannot be opened. `told`: Asterisk reports the playback as failed; otherwise it reports nothing."""

    def __init__(self, told: bool) -> None:
        self.told = told


@cache
def core_sounds() -> Mapping[str, int]:
    """Name → milliseconds."""
    data = files("hookrouter.simulator").joinpath("sounds.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, int])


_SYMBOLS = {"*": "digits/star", "#": "digits/pound", "-": "digits/minus", "+": "letters/plus", ".": "letters/dot"}
_LETTERS = {"*": "letters/asterisk", "#": "digits/pound", "-": "letters/dash", " ": "letters/space", "@": "letters/at"}


class Media:
    """The sounds of one simulator; `recordings` is looked up by name."""

    def __init__(self, sounds: Mapping[str, int], recordings: Mapping[str, float]) -> None:
        self.sounds = dict(sounds)
        self.spoken: dict[str, str] = {}  # the texts of what `say` had made into sounds, by URI
        self._recordings = recordings

    def shown(self, uri: str) -> str:
        """As people read and write it: `say:TEXT` for what was said, any other media as it is."""
        return f"say:{self.spoken[uri]}" if uri in self.spoken else uri

    def seconds(self, uri: str) -> float:
        """How long `uri` plays. Raises Unplayable."""
        scheme, _, rest = uri.partition(":")
        match scheme:
            case "sound":
                return self._sum(part for part in rest.split("&"))
            case "recording" if rest in self._recordings:
                return self._recordings[rest]
            case "number" if rest.lstrip("-").isdigit():
                return self._sum(_number(int(rest)))
            case "digits":
                return self._sum(_SYMBOLS.get(one, f"digits/{one}") for one in rest)
            case "characters":
                return self._sum(_character(one) for one in rest.lower())
            case "tone":
                return NEVER
        raise Unplayable(told=False)

    def _sum(self, names: object) -> float:
        total = 0
        for name in names:  # type: ignore[attr-defined]
            if str(name).startswith(("http://", "https://")):
                total += 2000
                continue
            if name not in self.sounds:
                raise Unplayable(told=True)
            total += self.sounds[name]
        return total / 1000


def _character(one: str) -> str:
    if one.isdigit():
        return f"digits/{one}"
    return f"letters/{one}" if one.isalpha() else _LETTERS.get(one, _SYMBOLS.get(one, f"letters/{one}"))


def _number(value: int) -> list[str]:
    """The sounds of a number in English."""
    if value < 0:
        return ["digits/minus", *_number(-value)]
    for unit, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if value >= unit:
            rest = _number(value % unit) if value % unit else []
            return [*_number(value // unit), f"digits/{name}", *rest]
    if value <= 20:
        return [f"digits/{value}"]
    rest = [f"digits/{value % 10}"] if value % 10 else []
    return [f"digits/{value // 10 * 10}", *rest]
