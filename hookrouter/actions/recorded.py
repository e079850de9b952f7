"""What a recording's action waits for and tells: its file, when it is closed.

Rules: nothing is told of before its file is closed, also after a hangup; one whose action is replaced is told of all the same;
where no event says that it is closed, Asterisk is asked.
Source: Asterisk's recordings.*, RecordingFinished (`duration` in whole seconds: the file's size tells).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, error_message, fail_with
from hookrouter.ari.events import Event
from hookrouter.policy.authority import OURS, unfit
from hookrouter.policy.parameters import Kind

Format = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+(?!\n)$", description="A file format that Asterisk writes.")]
_CLOSING_TIMEOUT = 10.0
_FILE_TIMEOUT = 3.0  # seconds in which the file of a bridge that is no longer recorded is closed
_EVENT_DELAY = 0.5  # seconds in which a RecordingFinished comes that a reply has overtaken


LENGTH = "~length"
"""Not one of Asterisk's operations: the runner looks at the size of the stored file; its reply is {"seconds": …}."""


def length_of(reply: Reply, rough: float | None) -> float | None:
    """Seconds, to the millisecond; `rough` where nobody knows better."""
    if reply.status != 200:
        return rough
    found: float = msgspec.json.decode(reply.body, type=dict[str, float])["seconds"]
    return found


def recording_url(name: str, asterisk: str) -> str:
    """Where the router serves the audio, relative to its own address."""
    return f"/v1/recordings/{quote(name)}?asterisk={quote(asterisk)}"


def name_faults(name: object, place: str = "/name") -> Iterator[tuple[str, str]]:
    """What is wrong with a recording's name that an answer has chosen; anything but a string says that there is none."""
    if isinstance(name, str) and (why := unfit(Kind.RECORDING, name)):
        yield place, why


class FileRun(Run):
    """The base of runs whose result is a file: told when it is closed, looked for where nothing is heard of that."""

    role: ClassVar[str] = "call-recording"
    name: str = ""
    again: bool = False  # it has been asked for twice: more is not tried
    live: bool = False  # it runs, or nobody knows that it does not
    refusal: str = ""
    rough: float | None = None  # its length in Asterisk's whole seconds

    def record(self, do: Do) -> None:
        """Asks for it."""
        raise NotImplementedError

    def confirmed(self, do: Do) -> None:
        """Asterisk records."""

    def taken(self, do: Do) -> None:
        """Asterisk does not record: there is one of this name already."""
        remedy = "take another name, or none, which makes one for this call"
        do.fail("exists", f"there is a recording `{self.name}` already: {remedy}")

    def release(self, do: Do) -> None:
        do.disown(self.role, self.name)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "record":
            if 200 <= reply.status < 300 or (reply.status == 409 and self.again):
                self.live = True
                do.own(self.role, self.name)
                self.confirmed(do)
            elif reply.fate == "unknown":
                self.live = True
                self.on_resume(do)
            elif reply.status == 409:
                self.refusal = error_message(reply)  # of the name, or of a channel that has just hung up?
                do.request("recordings.getStored", "exists", recordingName=self.name)
            else:
                self.release(do)
                fail_with(do, reply, f"recording `{self.name}`")
        elif name == "exists":
            self.release(do)
            if reply.status == 200 or reply.fate == "forbidden":
                self.taken(do)
            else:
                do.fail("conflict", f"recording `{self.name}`: {self.refusal}", 409)
        elif name == "live" and reply.status == 200 and self.name.startswith(OURS):
            do.own(self.role, self.name)  # of a name that an answer chose, nobody knows whose recording it is
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
        elif name == "length":
            self._finish(length_of(reply, self.rough), do)

    def on_event(self, event: Event, do: Do) -> None:
        recording = event.head.recording
        if recording is None or recording.name != self.name:
            return
        if event.type == "RecordingFinished":
            self.rough = recording.duration
            self._closed(do)
        elif event.type == "RecordingFailed":
            self.release(do)
            cause = recording.cause or "it gives no cause"
            do.fail("recording_failed", f"Asterisk could not record `{self.name}`: {cause}")

    def on_timer(self, name: str, do: Do) -> None:
        if name == "closed":
            self._closed(do)
        else:  # it should be closed by now
            do.request("recordings.getStored", "stored", recordingName=self.name)

    def on_resume(self, do: Do) -> None:
        if self.live:
            do.request("recordings.getLive", "live", recordingName=self.name)

    def on_hangup(self, do: Do) -> None:
        do.after(_CLOSING_TIMEOUT, "closing")  # the file is closed a moment later, and is kept

    def _closed(self, do: Do) -> None:
        do.request(LENGTH, "length", name=self.name, format=do.action.format)

    def _finish(self, duration: float | None, do: Do) -> None:
        self.release(do)
        data: dict[str, Any] = {"name": self.name, "format": do.action.format, "duration": duration}
        do.finish(data | {"url": recording_url(self.name, do.call.asterisk)})


class BridgeRecordingRun(Run):
    """The base of runs that have a bridge recorded beside what they do; their result comes when the file is closed.

    `ending`: why it is over.
    """

    recording: str = ""
    ending: str = ""
    closed: bool = False  # the file is; how long it is has been asked for
    rough: float | None = None  # in Asterisk's whole seconds

    def begin_recording(self, bridge: str, do: Do) -> None:
        wanted = do.action.record
        self.recording = wanted if isinstance(wanted, str) else do.new_id("recording").replace(";", "-")
        if why := do.claim("call-recording", self.recording, ours=not isinstance(wanted, str)):
            name, self.recording = self.recording, ""
            do.tell("ActionFailed", {"error": {"reason": "forbidden", "message": f"recording `{name}`: {why}"}})
            return
        do.request("bridges.record", "record", undo=("recordings.stop", {"recordingName": self.recording}),
                   bridgeId=bridge, name=self.recording, format="wav", ifExists="fail")  # fmt: skip

    def end_recording(self, do: Do) -> None:
        """`ending` is set. Where nothing is recorded, this is the end."""
        if self.recording:
            self.close_recording(do)
            do.after(_FILE_TIMEOUT, "file")
        else:
            self.complete(do)

    def close_recording(self, do: Do) -> None:
        """One that Asterisk has not confirmed yet is closed when it has."""
        if do.owns("call-recording", self.recording):
            do.cast("recordings.stop", recordingName=self.recording)

    def give_up_recording(self, do: Do) -> None:
        """This run is replaced, and its bridge goes: what was said until now is kept, and told."""
        if self.recording:
            self.close_recording(do)
            self.keep_recording(do)

    def keep_recording(self, do: Do) -> None:
        """Its file is told of all the same."""
        confirmed = do.owns("call-recording", self.recording)
        do.disown("call-recording", self.recording)
        keep_recording(self.recording, do, confirmed=confirmed)

    def leave_recording(self, do: Do) -> None:
        """It goes on without this run, as long as its bridge does."""
        do.disown("call-recording", self.recording)
        self.recording = ""

    def recording_reply(self, name: str, reply: Reply, do: Do) -> None:
        """Of the requests `record` and `stored`."""
        if name == "stored" and self.closed:
            self._file_closed(length_of(reply, self.rough), do)
        elif name == "stored" and reply.status != 404:
            self._ask_length(None, do)
        elif name == "stored":
            self._no_file("", do)
        elif 200 <= reply.status < 300:
            do.own("call-recording", self.recording)
            if self.ending:
                self.close_recording(do)
        elif reply.fate != "unknown":
            self._no_file(error_message(reply), do)

    def recording_event(self, event: Event, do: Do) -> None:
        """Any event that has a `recording`."""
        recording = event.head.recording
        if recording is None or recording.name != self.recording:
            return
        if event.type == "RecordingFinished":
            self._ask_length(recording.duration, do)
        elif event.type == "RecordingFailed":
            self._no_file(recording.cause or "Asterisk gives no cause", do)

    def recording_timer(self, do: Do) -> None:
        """Of `file`: nothing has been heard of it. Is it there?"""
        do.request("recordings.getStored", "stored", recordingName=self.recording)

    def _ask_length(self, rough: float | None, do: Do) -> None:
        self.closed, self.rough = True, rough
        do.request(LENGTH, "stored", name=self.recording, format="wav")

    def _file_closed(self, duration: float | None, do: Do) -> None:
        name, self.closed = self.recording, False
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


def keep_recording(name: str, do: Do, format: str = "wav", *, confirmed: bool = True) -> None:
    """The file is told of when it is closed, although the action that asked for it is replaced before.

    `confirmed`: Asterisk has said that it records.
    """
    step = {"action": "~recording", "name": name, "format": format, "by": msgspec.Raw(do.raw), "wait": False,
            "confirmed": confirmed}  # fmt: skip
    if not do.call.ended:  # else it has had its time
        do.beside(msgspec.json.encode(step))


class KeptRecording(Action, frozen=True, tag="~recording"):
    """A recording whose action is over before it: what tells of its file in the end. Only the router makes it."""

    name: str
    by: msgspec.Raw
    format: Format = "wav"
    confirmed: bool = True

    result: ClassVar[str | None] = "RecordingCompleted"
    beside: ClassVar[bool] = True
    internal: ClassVar[bool] = True

    def run(self) -> Run:
        return KeptRecordingRun()


class KeptRecordingRun(FileRun, tag="keptRecording"):
    """It runs already, or was only just asked for: that is looked into after a while."""

    def start(self, do: Do) -> None:
        self.name, self.again, self.live = do.action.name, True, True
        if do.action.confirmed:
            do.own(self.role, self.name)
        else:
            do.claim(self.role, self.name, ours=True)
        do.after(_CLOSING_TIMEOUT, "look")

    def on_timer(self, name: str, do: Do) -> None:
        if name == "look":
            self.on_resume(do)
        else:
            super().on_timer(name, do)

    def on_hangup(self, do: Do) -> None:
        if do.owns(self.role, self.name):
            do.cast("recordings.stop", recordingName=self.name)
        super().on_hangup(do)
