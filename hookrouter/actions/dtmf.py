"""sendDtmf: presses keys towards the caller."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from hookrouter.actions.base import RequestAction

Milliseconds = Annotated[int, Meta(ge=0, le=60_000, description="Milliseconds.")]


class SendDtmf(RequestAction, frozen=True, tag="sendDtmf"):
    """Sends DTMF to the caller. The tones follow one another by themselves."""

    dtmf: Annotated[str, Meta(pattern=r"^[0-9A-Da-d*#wWfF]+(?!\n)$", max_length=256, description="The keys, in order.")]
    before: Milliseconds | None = None
    between: Milliseconds | None = None
    duration: Milliseconds | None = None
    after: Milliseconds | None = None
    group: ClassVar[str] = "sound"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "sendDtmf", "dtmf": "12#", "duration": 200}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {"channelId": channel, "dtmf": self.dtmf}
        for name in ("before", "between", "duration", "after"):
            if (value := getattr(self, name)) is not None:
                params[name] = value
        return "channels.sendDTMF", params
