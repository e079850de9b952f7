"""pause: waits."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Run


class Pause(Action, frozen=True, tag="pause"):
    """Waits before the next action; the call stays as it is."""

    seconds: Annotated[float, Meta(ge=0, le=86_400, description="How long.")]
    callless: ClassVar[bool] = True
    completes: ClassVar[str] = "After `seconds`."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "pause", "seconds": 0.5}',)

    def run(self) -> Run:
        return PauseRun()


class PauseRun(Run, tag="pause"):
    def start(self, do: Do) -> None:
        do.after(do.action.seconds)

    def on_timer(self, name: str, do: Do) -> None:
        do.finish()
