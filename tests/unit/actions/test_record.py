"""Recordings beside the program: what is asked of one that has only just been asked for."""

from __future__ import annotations

from rig.table import Table

_PAUSED = [{"action": "startRecording", "name": "both"}, {"action": "pauseRecording", "id": "card"}, {"action": "hangup"}]


def _asked_to_pause() -> Table:
    table = Table(up=True).start(_PAUSED)
    table.reply("channels.snoopChannelWithId", 200, {"id": "snoop"})
    assert "channels.record" not in table.operations  # Asterisk would say 409: it is not in the app yet
    table.happen("StasisStart", next(str(p.params["snoopId"]) for p in table.asked if "snoopId" in p.params))
    assert table.operations[-1] == "channels.record"
    return table


def test_a_recording_that_has_not_begun_is_paused_as_soon_as_it_has() -> None:
    """404 is asked again, and the program goes on once it is done."""
    table = _asked_to_pause()
    table.reply("recordings.pause", 404)
    assert "channels.hangup" not in table.operations
    table.later(0.2)
    assert table.operations.count("recordings.pause") == 2
    table.reply("recordings.pause", 204)
    assert ("pauseRecording", "done") in table.outcomes()
    assert "channels.hangup" in table.operations


def test_a_recording_that_never_begins_is_told() -> None:
    """After a second of asking, not for ever."""
    table = _asked_to_pause()
    for _ in range(10):
        table.reply("recordings.pause", 404)
        table.later(0.2)
    assert table.operations.count("recordings.pause") == 10
    table.later(5)  # a 404 might have been a hangup: that is looked at first
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["status"] == 404


def test_a_recording_of_nobody_is_not_waited_for() -> None:
    """One that this call does not have is refused at once."""
    table = Table(up=True).start([{"action": "stopRecording", "name": "another"}])
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "not_recording"
