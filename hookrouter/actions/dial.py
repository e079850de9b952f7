"""dial: calls somebody for the caller, and joins the two until one hangs up.

Rules:
- `to` is one endpoint, a list that rings together, or a list of lists that ring one after another.
- The first who answers (and passes `confirm`) wins; the others stop ringing, and one who had answered too is told so
  (`apology`). When the caller hangs up, every leg does.
- The caller is answered when the callee has; until then they hear `ringback`, or the callee's own early media.
- A phone that forwards (302) or is picked up elsewhere is another leg in the same place. When a phone transfers the talk,
  it goes on with the new party (`transferred`).
- The caller's channel never leaves the app: the two are joined by a bridge of ours, and the program goes on afterwards.
Source: Asterisk's channels.originateWithId (StasisStart comes with the answer; a failure is `Dial` and
`ChannelDestroyed` with a Q.850 cause), channels.create and channels.dial for early media.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from hookrouter.actions.base import Action, Run
from hookrouter.actions.dialling import DialRun
from hookrouter.actions.legs import Leg, as_leg
from hookrouter.actions.nested import Prompt, Steps
from hookrouter.actions.play import MediaUri
from hookrouter.actions.recorded import name_faults
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language


class Dial(Action, frozen=True, tag="dial"):
    """Calls one or several endpoints and joins the first who answers with the caller."""

    to: Annotated[
        str | Leg | Annotated[list[str | Leg | Annotated[list[str | Leg], Meta(max_length=100)]], Meta(max_length=100)],
        Meta(
            description="An endpoint, a list rung together, or a list of lists rung one after another.",
            extra=in_language(Kind.ENDPOINT),
        ),
    ]
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Seconds of ringing, for each group.")] = 30.0
    caller_id: (
        Annotated[str, Meta(description='What the callee sees: `"Name" <number>`.', extra=in_language(Kind.CALLER_ID))]
        | None
    ) = None
    early_media: Annotated[
        bool, Meta(description="The caller hears what the callee's side sends before the answer.")
    ] = False
    ringback: Annotated[MediaUri, Meta(description="What the caller hears meanwhile; default: ringing.")] | None = None
    announce: Annotated[Prompt | None, Meta(description="What the callee hears before they are joined.")] = None
    confirm: Annotated[
        Steps | None, Meta(description="Actions that run for the callee first; a `hangup` in them rejects the call.")
    ] = None
    apology: Annotated[
        Prompt | None, Meta(description="What those hear who answer when somebody else already has.")
    ] = None
    whisper: (
        Annotated[MediaUri, Meta(description="Played to the callee when they are joined; the caller does not hear it.")]
        | None
    ) = None
    record: Annotated[bool | str, Meta(description="Records both sides; a string is the recording's name.")] = False
    time_limit: Annotated[float, Meta(gt=0, le=86_400, description="Seconds of talk after which it ends.")] | None = (
        None
    )
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "DialCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the talk is over or nobody came: `DialCompleted` {status: `answered` `busy` `noAnswer` `rejected` "
        "`unavailable` `cancelled`, endpoint, cause, talkSeconds}; `transferred`, `transferredTo` where a phone has handed "
        "the talk on."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "dial", "to": "PJSIP/alice", "timeout": 20}',
        '{"action": "dial", "to": [["PJSIP/reception"], ["PJSIP/alice", "PJSIP/bob"]], "timeout": 10}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        yield from name_faults(self.record, "/record")
        if not self.groups or not all(self.groups):
            yield "/to", "is empty: name at least one endpoint in each group"

    def about(self) -> str:
        return (
            self.to if isinstance(self.to, str) else ", ".join(leg.endpoint for group in self.groups for leg in group)
        )

    @property
    def groups(self) -> list[list[Leg]]:
        """Who rings when."""
        if isinstance(self.to, str | Leg):
            return [[as_leg(self.to)]]
        if any(isinstance(item, list) for item in self.to):
            return [[as_leg(leg) for leg in item] if isinstance(item, list) else [as_leg(item)] for item in self.to]
        return [[as_leg(item) for item in self.to if not isinstance(item, list)]]

    def run(self) -> Run:
        return DialRun()
