"""Which of Asterisk's modules hookrouter needs, and for what."""

from __future__ import annotations

from collections.abc import Collection, Iterator

ALWAYS = (
    "res_ari", "res_ari_applications", "res_ari_asterisk", "res_ari_bridges", "res_ari_channels", "res_ari_events",
    "res_ari_playbacks", "res_ari_recordings", "res_http_websocket", "res_stasis", "res_stasis_answer",
    "res_stasis_playback", "res_stasis_recording", "app_stasis", "bridge_simple",
)  # fmt: skip
"""Without one of these no call is handled as the documentation says."""

FOR_LISTENING = ("res_websocket_client",)

FOR_SPEECH_OVER_HTTP = ("res_curl", "res_http_media_cache")
"""Asterisk fetches a sound whose name is a URL with these."""

BY_FEATURE: dict[str, tuple[str, ...]] = {
    "conferences of three and more": ("bridge_softmix",),
    "`enqueue` and holding bridges": ("bridge_holding",),
    "music on hold": ("res_musiconhold",),
    "`spy` and `whisper`": ("res_stasis_snoop",),
    "recordings in the format wav": ("format_wav",),
    "`play` with an http:// URL": FOR_SPEECH_OVER_HTTP,
    "`stream` over WebSocket": ("chan_websocket", "res_websocket_client"),
    "`stream` over TCP (AudioSocket)": ("chan_audiosocket", "res_audiosocket"),
    "`stream` over RTP": ("chan_rtp",),
    "`deviceState`": ("res_ari_device_states", "res_stasis_device_state"),
    "`mailbox`": ("res_ari_mailboxes", "res_stasis_mailbox", "res_mwi_external"),
    "`sounds.list` and `sounds.get`": ("res_ari_sounds",),
    "the state of endpoints": ("res_ari_endpoints",),
    "SIP phones": ("chan_pjsip",),
    "SIP messages (`sendMessage`)": ("res_pjsip_messaging",),
    "a phone's own transfers": ("res_pjsip_refer",),
}


def missing(needed: Collection[str], running: Collection[str]) -> list[str]:
    return [name for name in needed if name not in running]


def missing_features(running: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """What Asterisk cannot do as it runs now, and the modules that it would take."""
    for feature, needed in BY_FEATURE.items():
        if absent := missing(needed, running):
            yield feature, absent
