"""record, startRecording, pauseRecording, resumeRecording, stopRecording: what is said, as a file.

Rules: `record` records the caller alone and waits for the file; `startRecording` records both sides beside everything
else, through a snoop channel of its own (or a bridge), and its `RecordingCompleted` comes when the file is closed, also
after a hangup. Asterisk answers a call that it records and that is not up.
Source: Asterisk's channels.record, recordings.*, RecordingFinished (`duration` in whole seconds).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from hookrouter.actions.base import LEG, Action, Do, Reply, RequestAction, Run, error_message, fail_with
from hookrouter.ari.events import Event

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        max_length=200,
        description="Name of the recording, without its format; `/` makes folders. Default: made from the call's id.",
    ),
]
Format = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+$", description="A file format that Asterisk writes.")]
_BEGIN_DELAY, _BEGIN_TRIES = 0.1, 10
_CLOSING_TIMEOUT = 10.0
_ENTER_TIMEOUT = 2.0  # seconds in which a snoop is in the app
_FILE_TIMEOUT = 3.0  # seconds in which the file of a bridge that is no longer recorded is closed
_EVENT_DELAY = 0.5  # seconds in which a RecordingFinished comes that a reply has overtaken


def recording_url(name: str, asterisk: str) -> str:
    """Where the router serves the audio, relative to its own address."""
    return f"/v1/recordings/{quote(name)}?asterisk={quote(asterisk)}"


class Record(Action, frozen=True, tag="record"):
    """Records what the caller says until they stop, press a key, or hang up."""

    name: Name | None = None
    format: Format = "wav"
    max_duration_seconds: Annotated[int, Meta(ge=0, description="0: without limit.")] = 0
    max_silence_seconds: Annotated[int, Meta(ge=0, description="Silence that ends it; 0: none does.")] = 0
    beep: Annotated[bool, Meta(description="A tone before it begins.")] = False
    terminate_on: Annotated[Literal["none", "any", "*", "#"], Meta(description="The key that ends it.")] = "none"
    if_exists: Annotated[
        Literal["fail", "overwrite", "append"], Meta(description="What is done about a recording of this name.")
    ] = "fail"
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    result: ClassVar[str | None] = "RecordingCompleted"
    group: ClassVar[str] = "caller"
    completes: ClassVar[str] = (
        "When the file is closed: `RecordingCompleted` {name, format, duration, url}; it is sent, too, when the caller hangs up "
        "or the program is replaced."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "record", "format": "wav", "maxSilenceSeconds": 2, "maxDurationSeconds": 60, "terminateOn": "#", "beep": true}',
    )

    def run(self) -> Run:
        return RecordRun()


class FileRun(Run):
    """The base of runs whose result is a file: told when it is closed, looked for where nothing is heard of that."""

    name: str = ""
    again: bool = False  # it has been asked for twice: more is not tried
    live: bool = False  # it runs, or nobody knows that it does not

    def record(self, do: Do) -> None:
        """Asks for it."""
        raise NotImplementedError

    def release(self, do: Do) -> None:
        do.disown(self.name)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "record":
            if 200 <= reply.status < 300 or (reply.status == 409 and self.again):
                self.live = True
            elif reply.fate == "unknown":
                self.live = True
                self.on_resume(do)
            else:
                self.release(do)
                fail_with(do, reply, f"recording `{self.name}`")
        elif name == "live" and reply.status == 404:
            do.request("recordings.getStored", "stored", recordingName=self.name)
        elif name == "stored" and reply.status != 404:
            do.after(_EVENT_DELAY, "closed")  # it does not run, and nothing says that it is not there
        elif name == "stored" and (self.again or do.call.ended):
            self.release(do)
            do.fail("recording_failed", f"Asterisk has no recording `{self.name}`", reply.status)
        elif name == "stored":
            self.again = True  # it never began
            self.record(do)

    def on_event(self, event: Event, do: Do) -> None:
        recording = event.head.recording
        if recording is None or recording.name != self.name:
            return
        if event.type == "RecordingFinished":
            self._finish(recording.duration, do)
        elif event.type == "RecordingFailed":
            self.release(do)
            cause = recording.cause or "it gives no cause"
            do.fail("recording_failed", f"Asterisk could not record `{self.name}`: {cause}")

    def on_timer(self, name: str, do: Do) -> None:
        if name == "closed":
            self._finish(None, do)
        else:  # it should be closed by now
            do.request("recordings.getStored", "stored", recordingName=self.name)

    def on_resume(self, do: Do) -> None:
        if self.live:
            do.request("recordings.getLive", "live", recordingName=self.name)

    def on_hangup(self, do: Do) -> None:
        do.after(_CLOSING_TIMEOUT, "closing")  # the file is closed a moment later, and is kept

    def _finish(self, duration: float | None, do: Do) -> None:
        self.release(do)
        data: dict[str, Any] = {"name": self.name, "format": do.action.format, "duration": duration}
        do.finish(data | {"url": recording_url(self.name, do.call.asterisk)})


class RecordRun(FileRun, tag="record"):
    def start(self, do: Do) -> None:
        self.name = do.action.name or do.new_id("recording").replace(";", "-")
        do.own("recording", self.name)
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
            ifExists=action.if_exists,
        )

    def stop(self, do: Do) -> None:
        """What was said until now is kept, and told."""
        if self.live:
            do.cast("recordings.stop", recordingName=self.name)
            keep_recording(self.name, do, do.action.format)
        else:
            do.disown(self.name)


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
            self.bridge = next((id for id, kind in do.owned.items() if kind in ("bridge", "room")), "")
            if not self.bridge:
                do.fail("not_bridged", 'the call is in no bridge; record it with `"of": "call"`')
                return
            do.own("call-recording", self.name)
            self.record(do)
        else:
            self.snoop = do.new_id("snoop")
            do.own("call-recording", self.name)
            do.own("snoop", self.snoop)
            do.request("channels.snoopChannelWithId", "snoop", undo=("channels.hangup", {"channelId": self.snoop}),
                       channelId=do.channel, snoopId=self.snoop, spy="both", whisper="none", app=do.call.app,
                       appArgs=LEG)  # fmt: skip

    def record(self, do: Do) -> None:
        self.begun = True
        target: dict[str, Any] = {"bridgeId": self.bridge} if self.bridge else {"channelId": self.snoop}
        operation = "bridges.record" if self.bridge else "channels.record"
        do.request(operation, "record", name=self.name, format=do.action.format, ifExists="fail", **target)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name != "snoop":
            super().on_reply(name, reply, do)
        elif not 200 <= reply.status < 300:
            self.release(do)
            fail_with(do, reply, f"recording `{self.name}`")
        elif not self.begun:
            do.after(_ENTER_TIMEOUT, "enter")

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
        if self.snoop in do.owned:
            do.cast("channels.hangup", channelId=self.snoop)
            do.disown(self.snoop)

    def stop(self, do: Do) -> None:
        """What was said until now is kept, and told."""
        do.cast("recordings.stop", recordingName=self.name)
        self.release(do)
        if self.begun:
            keep_recording(self.name, do, do.action.format)

    def on_hangup(self, do: Do) -> None:
        do.cancel("enter")
        if self.begun:
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


class BridgeRecordingRun(Run):
    """The base of runs that have a bridge recorded beside what they do; their result comes when the file is closed.

    `ending`: why it is over.
    """

    recording: str = ""
    ending: str = ""

    def begin_recording(self, bridge: str, do: Do) -> None:
        wanted = do.action.record
        self.recording = wanted if isinstance(wanted, str) else do.new_id("recording").replace(";", "-")
        do.own("call-recording", self.recording)
        do.request("bridges.record", "record", bridgeId=bridge, name=self.recording, format="wav", ifExists="fail")

    def end_recording(self, do: Do) -> None:
        """`ending` is set. Where nothing is recorded, this is the end."""
        if self.recording:
            do.cast("recordings.stop", recordingName=self.recording)
            do.after(_FILE_TIMEOUT, "file")
        else:
            self.complete(do)

    def leave_recording(self, do: Do) -> None:
        """It goes on without this run, as long as its bridge does."""
        do.disown(self.recording)
        self.recording = ""

    def recording_reply(self, name: str, reply: Reply, do: Do) -> None:
        """Of the requests `record` and `stored`."""
        if name == "stored" and reply.status != 404:
            self._file_closed(None, do)
        elif name == "stored":
            self._no_file("", do)
        elif not 200 <= reply.status < 300 and reply.fate != "unknown":
            self._no_file(error_message(reply), do)

    def recording_event(self, event: Event, do: Do) -> None:
        """Any event that has a `recording`."""
        recording = event.head.recording
        if recording is None or recording.name != self.recording:
            return
        if event.type == "RecordingFinished":
            self._file_closed(recording.duration, do)
        elif event.type == "RecordingFailed":
            self._no_file(recording.cause or "Asterisk gives no cause", do)

    def recording_timer(self, do: Do) -> None:
        """Of `file`: nothing has been heard of it. Is it there?"""
        do.request("recordings.getStored", "stored", recordingName=self.recording)

    def _file_closed(self, duration: float | None, do: Do) -> None:
        name = self.recording
        self.leave_recording(do)
        data = {"name": name, "format": "wav", "duration": duration}
        do.tell("RecordingCompleted", data | {"url": recording_url(name, do.call.asterisk)})
        if self.ending:
            self.complete(do)

    def _no_file(self, why: str, do: Do) -> None:
        """Where it is over, too little was said for a file."""
        name = self.recording
        self.leave_recording(do)
        if self.ending:
            self.complete(do)
        else:
            do.tell("ActionFailed", {"error": {"reason": "recording_failed", "message": f"recording `{name}`: {why}"}})

    def complete(self, do: Do) -> None:
        """It is over, and the file is closed: tells the result."""
        raise NotImplementedError


def keep_recording(name: str, do: Do, format: str = "wav") -> None:
    """The file is told of when it is closed, although the action that asked for it is replaced before."""
    step = {"action": "~recording", "name": name, "format": format, "by": msgspec.Raw(do.raw), "wait": False}
    if not do.call.ended:  # else it has had its time
        do.beside(msgspec.json.encode(step))


class KeptRecording(Action, frozen=True, tag="~recording"):
    """A recording whose action is over before it: what tells of its file in the end. Only the router makes it."""

    name: str
    by: msgspec.Raw
    format: Format = "wav"

    result: ClassVar[str | None] = "RecordingCompleted"
    beside: ClassVar[bool] = True
    internal: ClassVar[bool] = True

    def run(self) -> Run:
        return KeptRecordingRun()


class KeptRecordingRun(FileRun, tag="keptRecording"):
    """It runs already, or was only just asked for: that is looked into after a while."""

    def start(self, do: Do) -> None:
        self.name, self.again, self.live = do.action.name, True, True
        do.own("call-recording", self.name)
        do.after(_CLOSING_TIMEOUT, "look")

    def on_timer(self, name: str, do: Do) -> None:
        if name == "look":
            self.on_resume(do)
        else:
            super().on_timer(name, do)

    def on_hangup(self, do: Do) -> None:
        do.cast("recordings.stop", recordingName=self.name)
        super().on_hangup(do)


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
        kinds = ("call-recording", "recording")
        running = [id for kind in kinds for id, owned in do.owned.items() if owned == kind]
        self.name = do.action.name or (running[0] if running else "")
        if self.name not in running and not (self.name and do.may_touch(self.name)):
            do.fail(
                "not_recording", f"no recording `{self.name}` of this call runs" if self.name else "no recording runs"
            )
            return
        do.request(do.action.operation, recordingName=self.name)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        self.tries += 1
        if reply.status == 404 and self.name in do.owned and self.tries < _BEGIN_TRIES:
            do.after(_BEGIN_DELAY, "again")
        else:
            super().on_reply(name, reply, do)

    def on_timer(self, name: str, do: Do) -> None:
        do.request(do.action.operation, recordingName=self.name)
