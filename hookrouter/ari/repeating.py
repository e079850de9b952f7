"""What happens when an ARI operation is sent a second time, what blocks, and what proves that it was done: one table.

Rules: every operation that is not a GET is in REPEATS, by what a second, identical request does to a running Asterisk.
Where a repeat does harm and nothing can prove anything, it is NEVER. Each line was tried (tests/asterisk/test_repeating.py).
Source: Asterisk 22.10.1, on a running one.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Repeat(Enum):
    """What a second, identical request does."""

    SAFE = "safe"  # the same state as after the first
    GONE_IS_DONE = "gone-is-done"  # a status of DONE_ALREADY: the first one did it
    ASK = "ask"  # first ask whether the first one did it (`Proof`)
    NEVER = "never"  # done twice, and nothing can prove that it was done


class Proof(NamedTuple):
    """Ask `operation` with parameters renamed by `params`: 200 means done, 404 not done; else nothing is known.

    `lasting`: what was made stays until somebody removes it, so that 404 proves it at any time. A call or a sound may
    have come and gone: there 404 is proof only right after.
    """

    operation: str
    params: tuple[tuple[str, str], ...]  # (its parameter, the parameter of the request that it comes from)
    lasting: bool = False


_CHANNEL = Proof("channels.get", (("channelId", "channelId"),))
_SNOOP = Proof("channels.get", (("channelId", "snoopId"),))
_BRIDGE = Proof("bridges.get", (("bridgeId", "bridgeId"),), lasting=True)
_PLAYBACK = Proof("playbacks.get", (("playbackId", "playbackId"),))
_RECORDING = Proof("recordings.getLive", (("recordingName", "name"),))
_COPY = Proof("recordings.getStored", (("recordingName", "destinationRecordingName"),), lasting=True)
_MODULE = Proof("asterisk.getModule", (("moduleName", "moduleName"),), lasting=True)

PROOFS: dict[str, Proof] = {
    "asterisk.loadModule": _MODULE,  # 409 when it is loaded, and also when it cannot be
    "channels.originate": _CHANNEL,
    "channels.originateWithId": _CHANNEL,
    "channels.create": _CHANNEL,
    "channels.externalMedia": _CHANNEL,  # over a WebSocket, the same id twice ends Asterisk (signal 11)
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
    "recordings.copyStored": _COPY,
}

_SAFE = [
    "applications.subscribe",
    "applications.filter",
    "asterisk.updateObject",
    "asterisk.reloadModule",
    "asterisk.setGlobalVar",
    "bridges.setBridgeVar",
    "bridges.setBridgeVars",
    "bridges.addChannel",
    "bridges.setVideoSource",
    "bridges.clearVideoSource",
    "bridges.startMoh",
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
    "deviceStates.delete",
    "mailboxes.update",
    "recordings.pause",
    "recordings.unpause",
    "recordings.mute",
    "recordings.unmute",
]

_GONE = frozenset({404})
DONE_ALREADY: dict[str, frozenset[int]] = {
    "asterisk.addLog": frozenset({409}),
    "asterisk.deleteLog": _GONE,
    "asterisk.deleteObject": _GONE,
    "asterisk.unloadModule": _GONE,
    "bridges.destroy": frozenset({404, 409}),  # 409 for a moment: "not in Stasis application"
    "bridges.removeChannel": frozenset({400, 404, 422}),  # no such channel, no such bridge, not in it
    "bridges.stopMoh": frozenset({404, 409}),
    "channels.hangup": _GONE,
    "mailboxes.delete": _GONE,
    "playbacks.stop": _GONE,
    "recordings.cancel": frozenset({404, 409}),  # 409 for a moment: "not in session"
    "recordings.deleteStored": _GONE,
    "recordings.stop": frozenset({404, 409}),
}
"""The statuses of a repeat that say: the first one was carried out."""

_NEVER = [
    "applications.unsubscribe",  # subscriptions are counted: one too many takes away the events of a channel in the app
    "asterisk.rotateLog",
    "channels.continueInDialplan",
    "channels.move",
    "channels.redirect",
    "channels.sendDTMF",
    "channels.dial",  # 204 again, and then Asterisk ends (signal 11)
    "endpoints.sendMessage",
    "endpoints.sendMessageToEndpoint",
    "endpoints.refer",
    "endpoints.referToEndpoint",
    "events.userEvent",
    "events.claimChannel",
    "playbacks.control",
]

REPEATS: dict[str, Repeat] = (
    dict.fromkeys(_SAFE, Repeat.SAFE)
    | dict.fromkeys(DONE_ALREADY, Repeat.GONE_IS_DONE)
    | dict.fromkeys(_NEVER, Repeat.NEVER)
    | dict.fromkeys(PROOFS, Repeat.ASK)
)

BLOCKING = frozenset(
    [
        "channels.answer",
        "channels.setChannelVar",
        "channels.setChannelVars",
        "bridges.addChannel",
        "bridges.removeChannel",
        "bridges.setVideoSource",
    ]
)
"""What waits until a running play, record or DTMF of the channel has ended; the client's timeout does not cancel it.

Nothing else does, and these do not behind music on hold, silence, a bridge, or a sound that the bridge plays.
"""

DOUBTFUL_409 = frozenset({"channels.originate", "channels.originateWithId", "channels.create"})
"""409 is no proof that the id is taken: once a request of a connection was refused so, that connection answers 409 also for
each endpoint that cannot be reached. Only asking for the channel tells."""

TAKEN_500 = frozenset({"bridges.createWithId"})
"""A 500 may say that the id is taken: Asterisk 16 does, where 22 says 409. Only asking for the bridge tells."""

FINAL_5XX = frozenset({*DOUBTFUL_409, "bridges.create", "bridges.createWithId", "bridges.record", "channels.externalMedia",
                       "channels.record", "channels.redirect", "channels.snoopChannel",
                       "channels.snoopChannelWithId"})  # fmt: skip
"""A 500 from these is an answer (`Allocation failed`: the endpoint cannot be reached), not a passing fault."""
