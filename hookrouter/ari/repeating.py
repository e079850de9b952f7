"""What happens when an ARI operation is sent a second time, what blocks, and what proves that it was done: one table.

Every operation that is not a GET is named here; `operations.py` refuses to load otherwise.
Source: Asterisk 22's res/ari and res/stasis, and trying (docs/asterisk.md).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Repeat(Enum):
    """What a second, identical request does."""

    SAFE = "safe"  # the same state as after the first
    GONE_IS_DONE = "gone-is-done"  # 404: the first one did it
    ASK = "ask"  # first ask whether the first one did it (`Proof`)
    NEVER = "never"  # done twice, and nothing can prove that it was done


class Proof(NamedTuple):
    """Ask `operation` with parameters renamed by `params`: 200 means done, 404 not done; else nothing is known."""

    operation: str
    params: tuple[tuple[str, str], ...]  # (its parameter, the parameter of the request that it comes from)


_CHANNEL = Proof("channels.get", (("channelId", "channelId"),))
_SNOOP = Proof("channels.get", (("channelId", "snoopId"),))
_BRIDGE = Proof("bridges.get", (("bridgeId", "bridgeId"),))
_PLAYBACK = Proof("playbacks.get", (("playbackId", "playbackId"),))
_RECORDING = Proof("recordings.getLive", (("recordingName", "name"),))

PROOFS: dict[str, Proof] = {
    "channels.originate": _CHANNEL,
    "channels.originateWithId": _CHANNEL,
    "channels.create": _CHANNEL,
    "channels.externalMedia": _CHANNEL,
    "channels.snoopChannel": _SNOOP,
    "channels.snoopChannelWithId": _SNOOP,
    "channels.play": _PLAYBACK,
    "channels.playWithId": _PLAYBACK,
    "channels.record": _RECORDING,
    "bridges.create": _BRIDGE,
    "bridges.createWithId": _BRIDGE,
    "bridges.play": _PLAYBACK,
    "bridges.playWithId": _PLAYBACK,
    "bridges.record": _RECORDING,
}

_SAFE = [
    "applications.subscribe",
    "applications.filter",
    "asterisk.updateObject",
    "asterisk.loadModule",
    "asterisk.reloadModule",
    "asterisk.addLog",
    "asterisk.setGlobalVar",
    "bridges.setBridgeVar",
    "bridges.setBridgeVars",
    "bridges.addChannel",
    "bridges.setVideoSource",
    "bridges.clearVideoSource",
    "bridges.startMoh",
    "bridges.stopMoh",
    "channels.answer",
    "channels.ring",
    "channels.ringStop",
    "channels.progress",
    "channels.mute",
    "channels.unmute",
    "channels.hold",
    "channels.unhold",
    "channels.startMoh",
    "channels.stopMoh",
    "channels.startSilence",
    "channels.stopSilence",
    "channels.setChannelVar",
    "channels.setChannelVars",
    "channels.transfer_progress",
    "deviceStates.update",
    "mailboxes.update",
    "recordings.pause",
    "recordings.unpause",
    "recordings.mute",
    "recordings.unmute",
]

_GONE_IS_DONE = [
    "applications.unsubscribe",
    "asterisk.deleteObject",
    "asterisk.unloadModule",
    "asterisk.deleteLog",
    "bridges.destroy",
    "bridges.removeChannel",
    "channels.hangup",
    "deviceStates.delete",
    "mailboxes.delete",
    "playbacks.stop",
    "recordings.stop",
    "recordings.cancel",
    "recordings.deleteStored",
]

_NEVER = [
    "asterisk.rotateLog",
    "channels.continueInDialplan",
    "channels.move",
    "channels.redirect",
    "channels.sendDTMF",
    "channels.dial",
    "endpoints.sendMessage",
    "endpoints.sendMessageToEndpoint",
    "endpoints.refer",
    "endpoints.referToEndpoint",
    "events.userEvent",
    "events.claimChannel",
    "playbacks.control",
    "recordings.copyStored",
]

REPEATS: dict[str, Repeat] = (
    dict.fromkeys(_SAFE, Repeat.SAFE)
    | dict.fromkeys(_GONE_IS_DONE, Repeat.GONE_IS_DONE)
    | dict.fromkeys(_NEVER, Repeat.NEVER)
    | dict.fromkeys(PROOFS, Repeat.ASK)
)

BLOCKING = frozenset(
    [
        "channels.answer",
        "channels.setChannelVar",
        "channels.setChannelVars",
        "channels.getChannelVar",
        "channels.getChannelVars",
        "bridges.addChannel",
        "bridges.removeChannel",
        "channels.record",
        "bridges.setVideoSource",
    ]
)
"""What may wait until a running play, record or DTMF of the channel has ended; the client's timeout does not cancel it."""

FINAL_5XX = frozenset({"channels.originate", "channels.originateWithId", "channels.create", "channels.record",
                       "channels.externalMedia", "bridges.record"})  # fmt: skip
"""A 500 from these is an answer (`Allocation failed`: the endpoint cannot be reached), not a passing fault."""
