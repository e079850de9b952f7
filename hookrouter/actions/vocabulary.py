"""The one list of verbs. A new verb is one file and one line here; decoder, schema, docs and simulator follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from hookrouter.actions.answer import Answer, Progress, Ring, RingStop
from hookrouter.actions.base import Action, Run
from hookrouter.actions.bridge import Bridge, Bridged
from hookrouter.actions.called import Called
from hookrouter.actions.conference import Conference
from hookrouter.actions.dial import Dial
from hookrouter.actions.dialplan import Dialplan
from hookrouter.actions.dtmf import SendDtmf
from hookrouter.actions.function import Fetch, SetState, UserEvent
from hookrouter.actions.gather import Gather
from hookrouter.actions.leave import Continue, Hangup, Move, Redirect
from hookrouter.actions.messages import DeviceState, Mailbox, Notify, SendMessage
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.originate import Originate
from hookrouter.actions.pause import Pause
from hookrouter.actions.play import Play, PlayAll
from hookrouter.actions.queue import Dequeue, Enqueue
from hookrouter.actions.record import PauseRecording, Record, ResumeRecording, StartRecording, StopRecording
from hookrouter.actions.recorded import KeptRecording
from hookrouter.actions.say import Say
from hookrouter.actions.sound import Hold, Moh, MohStop, Mute, Silence, SilenceStop, Unhold, Unmute
from hookrouter.actions.spy import Spy
from hookrouter.actions.stream import Stream
from hookrouter.actions.transfer import Transfer
from hookrouter.actions.variables import GetVariable, SetVariable

VERBS: tuple[type[Action], ...] = (
    Answer,
    Ring,
    RingStop,
    Progress,
    Hangup,
    Pause,
    Play,
    Say,
    Gather,
    Record,
    StartRecording,
    PauseRecording,
    ResumeRecording,
    StopRecording,
    SendDtmf,
    Mute,
    Unmute,
    Hold,
    Unhold,
    Moh,
    MohStop,
    Silence,
    SilenceStop,
    SetVariable,
    GetVariable,
    Dial,
    Transfer,
    Bridge,
    Conference,
    Enqueue,
    Dequeue,
    Spy,
    Stream,
    Originate,
    Dialplan,
    Continue,
    Move,
    Redirect,
    Fetch,
    SetState,
    Notify,
    UserEvent,
    DeviceState,
    Mailbox,
    SendMessage,
)

INTERNAL: tuple[type[Action], ...] = (Bridged, Called, KeptRecording, PlayAll)
"""Verbs that only the router itself puts into a program."""

BY_NAME: dict[str, type[Action]] = {str(verb.__struct_config__.tag): verb for verb in VERBS}
_ALL: tuple[type[Action], ...] = (*VERBS, OperationAction)
RESULTS: frozenset[str] = frozenset(
    {verb.result for verb in _ALL if verb.result}
    | {"ActionFailed", "CallEnded", "CallerTaken", "EventsLeftOut", "QueueWaiting"}
)
"""Every event type that the router itself sends."""


def _runs(base: type[Run]) -> tuple[type[Run], ...]:
    """Every run that the verbs above brought in, whichever file it is in."""
    found: list[type[Run]] = []
    for run in base.__subclasses__():
        found.append(run)
        found.extend(_runs(run))
    return tuple(found)


if TYPE_CHECKING:
    AnyRun = Run
else:
    AnyRun = Union[_runs(Run)]  # noqa: UP007
