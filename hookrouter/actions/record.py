"""record, startRecording, pauseRecording, resumeRecording, stopRecording: what is said, as a file.

Rules: `record` records the caller alone and waits for the file; `startRecording` records both sides beside everything
else, through a snoop channel of its own (or a bridge), and its `RecordingCompleted` comes when the file is closed, also
after a hangup. Asterisk answers a call that it records and that is not up.
Source: Asterisk's channels.record, recordings.*, RecordingFinished (`duration` in whole seconds: the file's size tells).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from hookrouter.actions.base import LEG, Action, Do, Reply, RequestAction, Run, fail_with
from hookrouter.actions.recorded import FileRun, Format, keep_recording, name_faults
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*(?!\n)$",
        max_length=200,
        description="Name of the recording, without its format; `/` makes folders. Default: made from the call's id.",
        extra=in_language(Kind.RECORDING),
    ),
]
_BEGIN_DELAY, _BEGIN_TRIES = 0.1, 10
_ENTER_TIMEOUT = 2.0  # seconds in which a snoop is in the app


class Record(Action, frozen=True, tag="record"):
    """Records what the caller says until they stop, press a key, or hang up. Keys pressed meanwhile answer no later question."""

    name: Name | None = None
    format: Format = "wav"
    max_duration_seconds: Annotated[int, Meta(ge=0, le=86_400, description="0: without limit.")] = 0
    max_silence_seconds: Annotated[int, Meta(ge=0, le=86_400, description="Silence that ends it; 0: none does.")] = 0
    beep: Annotated[bool, Meta(description="A tone before it begins.")] = False
    terminate_on: Annotated[Literal["none", "any", "*", "#"], Meta(description="The key that ends it.")] = "none"
    if_exists: Annotated[
        Literal["fail", "overwrite", "append"], Meta(description="What happens when there is a recording of this name.")
    ] = "fail"
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "RecordingCompleted"
    group: ClassVar[str] = "caller"
    completes: ClassVar[str] = (
        "When the file is closed: `RecordingCompleted` {name, format, duration, url}; it is sent, too, when the caller hangs up "
        "or the program is replaced."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "record", "format": "wav", "maxSilenceSeconds": 2, "maxDurationSeconds": 60, "terminateOn": "#", "beep": true}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        return name_faults(self.name)

    def run(self) -> Run:
        return RecordRun()


class RecordRun(FileRun, tag="record"):
    role: ClassVar[str] = "recording"

    def start(self, do: Do) -> None:
        action: Record = do.action
        self.name = action.name or do.new_id("recording").replace(";", "-")
        if why := do.claim(self.role, self.name, ours=action.name is None):
            do.fail("forbidden", why)
            return
        self.record(do)

    def record(self, do: Do) -> None:
        action = do.action
        do.request(
            "channels.record",
            "record",
            undo=("recordings.stop", {"recordingName": self.name}),
            channelId=do.channel,
            name=self.name,
            format=action.format,
            maxDurationSeconds=action.max_duration_seconds,
            maxSilenceSeconds=action.max_silence_seconds,
            beep=action.beep,
            terminateOn=action.terminate_on,
            ifExists=self.if_exists(do),
        )

    def taken(self, do: Do) -> None:
        if do.action.if_exists != self.if_exists(do):
            grant = f'`allow = ["recording:{self.name}"]` of the route grants it'
            do.fail("forbidden", f"the recording `{self.name}` was not made by this call; {grant}")
        else:
            super().taken(do)

    def if_exists(self, do: Do) -> str:
        """What is another's is neither replaced nor lengthened; what is not there yet can be made all the same."""
        action: Record = do.action
        return action.if_exists if do.may_touch(Kind.STORED, self.name) else "fail"

    def stop(self, do: Do) -> None:
        """What was said until now is kept, and told."""
        if self.live and do.owns(self.role, self.name):
            do.cast("recordings.stop", recordingName=self.name)
            keep_recording(self.name, do, do.action.format)
        else:
            self.release(do)


class StartRecording(Action, frozen=True, tag="startRecording"):
    """Records the call beside its program: both sides, until `stopRecording` or the end."""

    name: Name | None = None
    format: Format = "wav"
    of: Annotated[
        Literal["call", "bridge"],
        Meta(description="`call`: all that the caller says and hears; `bridge`: the bridge it is in."),
    ] = "call"
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None
    wait: Annotated[bool, Meta(description="`true`: the program waits for the file.")] = False

    result: ClassVar[str | None] = "RecordingCompleted"
    beside: ClassVar[bool] = True
    group: ClassVar[str] = "caller"
    completes: ClassVar[str] = "At once; when the file is closed: `RecordingCompleted` {name, format, duration, url}."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "startRecording", "name": "calls/4711", "format": "wav"}',)

    def check(self) -> Iterator[tuple[str, str]]:
        return name_faults(self.name)

    def run(self) -> Run:
        return StartRecordingRun()


class StartRecordingRun(FileRun, tag="startRecording"):
    """A snoop channel that hears both directions is recorded; a bridge is recorded as it is."""

    snoop: str = ""
    bridge: str = ""
    begun: bool = False

    def start(self, do: Do) -> None:
        action = do.action
        self.name = action.name or do.new_id("recording").replace(";", "-")
        if action.of == "bridge":
            self.bridge = next(iter(do.owned("bridge", "room")), "")
            if not self.bridge:
                do.fail("not_bridged", 'the call is in no bridge; record it with `"of": "call"`')
                return
        if why := do.claim(self.role, self.name, ours=action.name is None):
            do.fail("forbidden", why)
        elif self.bridge:
            self.record(do)
        else:
            self.snoop = do.new_id("snoop")
            do.own("snoop", self.snoop)
            do.request("channels.snoopChannelWithId", "snoop", undo=("channels.hangup", {"channelId": self.snoop}),
                       channelId=do.channel, snoopId=self.snoop, spy="both", whisper="none", app=do.call.app,
                       appArgs=do.arguments(LEG, self.snoop))  # fmt: skip

    def record(self, do: Do) -> None:
        self.begun = True
        target: dict[str, Any] = {"bridgeId": self.bridge} if self.bridge else {"channelId": self.snoop}
        operation = "bridges.record" if self.bridge else "channels.record"
        do.request(operation, "record", undo=("recordings.stop", {"recordingName": self.name}), name=self.name,
                   format=do.action.format, ifExists="fail", **target)  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name != "snoop":
            super().on_reply(name, reply, do)
        elif not 200 <= reply.status < 300:
            self.release(do)
            fail_with(do, reply, f"recording `{self.name}`")
        elif not self.begun:
            do.after(_ENTER_TIMEOUT, "enter")

    def confirmed(self, do: Do) -> None:
        if do.call.ended:
            do.cast("recordings.stop", recordingName=self.name)

    def on_event(self, event: Event, do: Do) -> None:
        channel = event.head.channel
        if channel is None:
            super().on_event(event, do)
        elif event.type == "StasisStart" and channel.id == self.snoop:
            self._entered(do)

    def _entered(self, do: Do) -> None:
        """The snoop is in the app: before that Asterisk says 409."""
        do.cancel("enter")
        if not (self.begun or do.call.ended):
            self.record(do)

    def release(self, do: Do) -> None:
        super().release(do)
        if do.owns("snoop", self.snoop):
            do.cast("channels.hangup", channelId=self.snoop)
            do.disown("snoop", self.snoop)

    def stop(self, do: Do) -> None:
        """What was said until now is kept, and told."""
        confirmed = do.owns(self.role, self.name)  # else it is stopped when Asterisk says that it runs
        if confirmed:
            do.cast("recordings.stop", recordingName=self.name)
        self.release(do)
        if self.begun:
            keep_recording(self.name, do, do.action.format, confirmed=confirmed)

    def on_hangup(self, do: Do) -> None:
        do.cancel("enter")
        if self.begun:
            if do.owns(self.role, self.name):
                do.cast("recordings.stop", recordingName=self.name)
            super().on_hangup(do)
        else:
            self.release(do)
            do.finish(told=True)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "enter":
            self._entered(do)  # its StasisStart was lost, or Asterisk says what is wrong
        else:
            super().on_timer(name, do)


class _Control(RequestAction, frozen=True):
    name: Annotated[str, Meta(description="Which one; default: the one that runs.")] | None = None
    group: ClassVar[str] = "caller"
    operation: ClassVar[str]

    def run(self) -> Run:
        return RecordingControlRun()


class PauseRecording(_Control, frozen=True, tag="pauseRecording"):
    """Leaves a gap in a running recording, until `resumeRecording`: for card data."""

    operation: ClassVar[str] = "recordings.pause"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "pauseRecording"}',)


class ResumeRecording(_Control, frozen=True, tag="resumeRecording"):
    """Ends `pauseRecording`."""

    operation: ClassVar[str] = "recordings.unpause"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "resumeRecording"}',)


class StopRecording(_Control, frozen=True, tag="stopRecording"):
    """Ends a recording and keeps it; its `RecordingCompleted` follows."""

    operation: ClassVar[str] = "recordings.stop"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "stopRecording"}',)


class RecordingControlRun(Run, tag="recordingControl"):
    """A recording that was only just asked for is not there yet: a 404 is asked again, while it is ours, for a second."""

    name: str = ""
    tries: int = 0

    def start(self, do: Do) -> None:
        running = [*do.owned("call-recording", "recording"), *do.claimed("call-recording", "recording")]
        self.name = do.action.name or (running[0] if running else "")
        if self.name not in running and not (self.name and do.may_touch(Kind.RECORDING, self.name)):
            do.fail(
                "not_recording",
                f"this call has no running recording `{self.name}`" if self.name else "no recording runs",
            )
            return
        self.on_timer("again", do)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        self.tries += 1
        if reply.status == 404 and self._ours(do) and self.tries < _BEGIN_TRIES:
            do.after(_BEGIN_DELAY, "again")
        else:
            super().on_reply(name, reply, do)

    def _ours(self, do: Do) -> bool:
        return self.name in do.owned("call-recording", "recording")

    def on_timer(self, name: str, do: Do) -> None:
        if self.name in do.claimed("call-recording", "recording") and self.tries < _BEGIN_TRIES:
            self.tries += 1
            do.after(_BEGIN_DELAY, "again")
        else:
            do.request(do.action.operation, recordingName=self.name)
