"""Actions within an action (`onError`, a prompt, the branches of a menu), decoded with the answer that holds them.

Rule: what is nested is looked at once, at whatever depth, and written as JSON again only when it is about to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from hookrouter.actions.remembered import Remembered

if TYPE_CHECKING:
    from hookrouter.actions.base import Action

DECODED: Remembered[Action] = Remembered(1024 * 1024)
"""Actions by their JSON: a program holds bytes, and is decoded step by step."""


class Steps(Sequence[bytes]):
    """A nested list of actions, decoded and checked together with the answer that holds it.

    As a sequence it is the JSON of each, made when it is first asked for; `actions` are the same, decoded.
    """

    __slots__ = ("_raws", "_values", "actions")

    def __init__(self, values: Sequence[Any] = (), actions: Sequence[Action] = ()) -> None:
        """`values`: each action's JSON, decoded."""
        self._values = values
        self._raws: list[bytes] | None = None
        self.actions = tuple(actions)

    @property
    def raws(self) -> list[bytes]:
        if self._raws is None:
            self._raws = [msgspec.json.encode(value) for value in self._values]
            self._values = ()
            for raw, action in zip(self._raws, self.actions, strict=True):
                DECODED.put(raw, action)
        return self._raws

    def __len__(self) -> int:
        return len(self.actions)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self.raws[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.raws)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Steps) and type(self) is type(other) and self.raws == other.raws

    def __hash__(self) -> int:
        return hash(tuple(self.raws))

    @classmethod
    def items(cls, value: Any) -> list[tuple[str, Any]]:
        """The actions in `value`, each with its place below it. Raises ValueError where `value` holds none."""
        if not isinstance(value, list):
            raise ValueError("expected a list of actions (of one, too)")
        return [(str(index), item) for index, item in enumerate(value) if item is not None]

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return {"$ref": "#/$defs/Actions"}


class OnError(Steps):
    """`stop`, `continue`, or the actions that run in place of the rest (`mode` is then `actions`)."""

    __slots__ = ("mode",)

    def __init__(self, values: Sequence[Any] = (), actions: Sequence[Action] = (), mode: str = "actions") -> None:
        super().__init__(values, actions)
        self.mode = mode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnError) and self.mode == other.mode and self.raws == other.raws

    def __hash__(self) -> int:
        return hash((self.mode, *self.raws))

    @classmethod
    def items(cls, value: Any) -> list[tuple[str, Any]]:
        if isinstance(value, str):
            if value not in ("stop", "continue"):
                raise ValueError(f"expected `stop`, `continue` or a list of actions, got `{value[:64]}`")
            return []
        return super().items(value)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return {"anyOf": [{"enum": ["stop", "continue"]}, super().schema()]}


class Prompt(Steps):
    """What is played: one media URI, a list of them, or a list of `play` and `say` actions."""

    __slots__ = ()

    @classmethod
    def items(cls, value: Any) -> list[tuple[str, Any]]:
        if isinstance(value, str):
            return [("", {"action": "play", "media": value})]
        if not isinstance(value, list):
            raise ValueError("expected media (a string, or a list of them), or a list of `play`, `say` and `pause`")
        found = super().items(value)
        if found and all(isinstance(item, str) for _, item in found):
            return [("", {"action": "play", "media": value})]
        for index, item in found:
            if not isinstance(item, dict) or item.get("action") not in ("play", "say", "pause"):
                raise ValueError(f"expected media, or actions `play`, `say` or `pause`; number {index} is neither")
        return found

    @classmethod
    def schema(cls) -> dict[str, Any]:
        media = {"type": "string", "minLength": 1}
        return {"anyOf": [media, {"type": "array", "items": media, "minItems": 1}, super().schema()]}
