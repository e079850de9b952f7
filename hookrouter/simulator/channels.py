"""A channel: its state, its other half, its way through dialplan and Stasis, its end.

Rules: a channel's thread is a task (`begin`); a hangup cancels it, whatever it does, and what is destroyed is destroyed once.
A Local channel is two halves (`pair`); a phone is a channel whose other half is `hidden`.
Source: Asterisk's channel.c, core_local.c, res_stasis.c; event order as seen on 22.10.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from hookrouter.simulator.causes import cause_text
from hookrouter.simulator.line import Line

if TYPE_CHECKING:
    from hookrouter.simulator.bridges import Bridge
    from hookrouter.simulator.pbx import Pbx

SOFT = 32  # what ChannelHangupRequest has for `cause` when ARI asks: a flag, not a cause


class Channel:
    """One channel. `listener` gets what is given to whoever is at the end of it: (what, detail)."""

    def __init__(self, pbx: Pbx, id: str, name: str, *, state: str = "Down", hidden: bool = False) -> None:
        self.pbx = pbx
        self.id = id
        self.name = name
        self.state = state
        self.hidden = hidden
        self.caller = ("", "")
        self.connected = ("", "")
        self.context, self.exten, self.priority = "default", "s", 1
        self.app_name = self.app_data = ""
        self.created = pbx.timing.stamp()
        self.language = "en"
        self.variables: dict[str, str] = {}
        self.reported: set[str] = set()
        self.pair: Channel | None = None
        self.bridge: Bridge | None = None
        self.leaving = 0  # bridges that were destroyed with it in them
        self.stasis_app = ""
        self.line = Line()
        self.onward: tuple[str, ...] = ()
        self.cause = 0
        self.hanging = self.destroyed = False
        self.audible = False
        self.echo = False
        self.dialstring = ""
        self.outcome = asyncio.Event()
        self.status = ""
        self.on_digit: list[Callable[[str], None]] = []
        self.on_end: list[Callable[[], None]] = []
        self.listener: Callable[[str, str], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._helpers: set[asyncio.Task[None]] = set()
        pbx.channels[id] = self

    # ---- what others see --------------------------------------------------------------------------------------

    @property
    def topic(self) -> str:
        return f"channel:{self.id}"

    def described(self) -> dict[str, Any]:
        """As it stands in events and replies."""
        found: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "protocol_id": "",
            "caller": {"name": self.caller[0], "number": self.caller[1]},
            "connected": {"name": self.connected[0], "number": self.connected[1]},
            "accountcode": "",
            "dialplan": {
                "context": self.context,
                "exten": self.exten,
                "priority": self.priority,
                "app_name": self.app_name,
                "app_data": self.app_data,
            },
            "creationtime": self.created,
            "language": self.language,
        }
        if self.reported:
            found["channelvars"] = {name: self.variables.get(name, "") for name in sorted(self.reported)}
        return found

    def emit(self, type: str, **fields: Any) -> None:
        if not self.hidden:
            self.pbx.emit(type, self.topic, **fields, channel=self.described())

    def notice(self, what: str, detail: str = "") -> None:
        """Something is given to whoever is at the end of this channel."""
        if self.listener is not None:
            self.listener(what, detail)

    def at(self, app: str, data: str) -> None:
        """The thread is in this application of the dialplan now."""
        self.app_name, self.app_data = app, data
        self.emit("ChannelDialplan", dialplan_app=app, dialplan_app_data=data)

    def set_variable(self, name: str, value: str, *, report: bool = False) -> None:
        self.variables[name.lstrip("_")] = value
        if report:
            self.reported.add(name.lstrip("_"))
        self.emit("ChannelVarset", variable=name, value=value)

    def remove_variable(self, name: str) -> None:
        self.variables.pop(name, None)
        self.emit("ChannelVarset", variable=name, value="")

    # ---- state ------------------------------------------------------------------------------------------------

    def become(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self.emit("ChannelStateChange")

    def answer(self) -> None:
        """Whoever called hears that somebody is there."""
        if self.state == "Up":
            return
        self.become("Up")
        self.notice("answered")
        if self.pair is not None:
            self.pair.indicated("ANSWER")

    def indicate(self, what: str) -> None:
        """RINGING, PROGRESS, BUSY or CONGESTION towards whoever called."""
        self.notice(what.lower())
        if self.pair is not None and self.state != "Up":
            self.pair.indicated(what)

    def indicated(self, what: str) -> None:
        """The other half says how far it is; this one was dialled."""
        if self.outcome.is_set() or self.hanging:
            return
        if what == "RINGING":
            self.become("Ringing")
        elif what == "ANSWER":
            self.become("Up")
        self.dial_event(what)
        if what in ("ANSWER", "BUSY", "CONGESTION"):
            self.status = what
            self.outcome.set()

    def dial_event(self, status: str) -> None:
        if not self.hidden:
            self.pbx.emit(
                "Dial", self.topic, dialstatus=status, forward="", dialstring=self.dialstring, peer=self.described()
            )

    # ---- DTMF -------------------------------------------------------------------------------------------------

    def receive_digit(self, digit: str, duration: int) -> None:
        """A key was pressed at the end of this channel."""
        self.emit("ChannelDtmfReceived", digit=digit, duration_ms=duration)
        for watcher in list(self.on_digit):
            watcher(digit)
        if self.echo:
            self.send_digit(digit, duration)
        if self.bridge is not None:
            self.bridge.pass_digit(self, digit, duration)

    def send_digit(self, digit: str, duration: int) -> None:
        self.notice("digit", digit)
        if self.pair is not None:
            self.pair.receive_digit(digit, duration)

    @property
    def hears_audio(self) -> bool:
        """Whether frames come from the far side: a silent Local half sends none, and a recording then gives up."""
        return self.pair is None or self.pair.audible

    # ---- its thread -------------------------------------------------------------------------------------------

    def begin(self, life: Coroutine[Any, Any, None]) -> None:
        """Runs its thread; when that ends, the channel does."""
        self._task = asyncio.get_running_loop().create_task(self._live(life), name=self.name)
        self._task.add_done_callback(lambda task: self._over(task, life))

    async def _live(self, life: Coroutine[Any, Any, None]) -> None:
        await life

    def _over(self, task: asyncio.Task[None], life: Coroutine[Any, Any, None]) -> None:
        life.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": self.name, "exception": error})
        self.destroy()

    def help(self, work: Coroutine[Any, Any, None]) -> None:
        """Something beside the thread, which ends with the channel."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name} helper")
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    def on_its_way_out(self, seconds: float) -> None:
        """Its bridge was destroyed: for so long it takes no sound."""
        self.leaving += 1

        def out() -> None:
            self.leaving -= 1

        asyncio.get_running_loop().call_later(seconds, out)

    def hangup(self, cause: int = 16, *, soft: bool = True, asked: int | None = None) -> None:
        """Ends it: at once where it has no thread, else as soon as the thread is out of what it does."""
        if self.hanging:
            return
        self.hanging = True
        self.cause = self.cause or cause
        extra = {"soft": True} if soft else {}
        self.emit("ChannelHangupRequest", cause=asked if asked is not None else cause, **extra)
        if self.pair is not None and self.pair.hidden and self.pair.destroyed and not self.outcome.is_set():
            self.dial_event("BUSY" if cause == 17 else "NOANSWER")  # the phone refused
        if self._task is not None and not self._task.done():
            self._task.cancel()
        else:
            self.destroy()

    def destroy(self) -> None:
        if self.destroyed:
            return
        self.destroyed = self.hanging = True
        self.outcome.set()
        for helper in list(self._helpers):
            helper.cancel()
        self.line.abandon()
        if self.bridge is not None:
            self.bridge.remove(self)
        for ended in list(self.on_end):
            ended()
        self.pbx.channels.pop(self.id, None)
        cause = self.cause
        self.app_name = self.app_data = ""
        if self.pair is not None and not self.pair.hanging:
            self.pair.hangup(cause or 16, soft=False)
        self.emit("ChannelDestroyed", cause=cause, cause_txt=cause_text(cause))
        self.pbx.forget_topic(self.topic)
        self.notice("ended", str(cause))

    def drop(self) -> None:
        """Gone without a word: Asterisk was killed."""
        self.destroyed = self.hanging = True
        for task in (*self._helpers, *([self._task] if self._task else [])):
            task.cancel()
        self.line.abandon()
        self.pbx.channels.pop(self.id, None)
        self.notice("ended", "killed")
