"""Playbacks and recordings as the simulator and the real Asterisk have them."""

from __future__ import annotations

import asyncio

import pytest
from rig.pbx import Pbx
from wire.pbx_facts import call_up, not_found, playback, recording, until


async def test_a_sound_lasts_as_long_as_it_is(pbx: Pbx, app: Pbx) -> None:
    """PlaybackFinished comes when the file has been played."""
    call = await call_up(pbx, app)
    status, body = await app.ari("POST", f"channels/{call.id}/play/p", media="sound:hello-world")
    assert status == 201
    assert body["state"] in ("queued", "playing")
    await playback(app, "PlaybackStarted", "p")
    began = asyncio.get_running_loop().time()
    finished = await playback(app, "PlaybackFinished", "p")
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.4, abs=0.3)
    assert finished["playback"] == {
        "id": "p", "media_uri": "sound:hello-world", "target_uri": f"channel:{call.id}", "language": "en",
        "state": "done",
    }  # fmt: skip
    await not_found(app, "playbacks/p")
    await call.hangup()


async def test_several_media_are_one_playback(pbx: Pbx, app: Pbx) -> None:
    """PlaybackContinuing and a PlaybackStarted between them, one PlaybackFinished."""
    call = await call_up(pbx, app)
    await app.ari("POST", f"channels/{call.id}/play/p", media="sound:beep,sound:digits/1")
    await playback(app, "PlaybackFinished", "p")
    told = [event for event in app.events if "playback" in event]
    assert [event["type"] for event in told] == [
        "PlaybackStarted", "PlaybackContinuing", "PlaybackStarted", "PlaybackFinished",
    ]  # fmt: skip
    assert told[1]["playback"]["next_media_uri"] == "sound:digits/1"
    await call.hangup()


async def test_a_missing_sound_is_a_failed_playback(pbx: Pbx, app: Pbx) -> None:
    """Started, then Finished with the state failed."""
    call = await call_up(pbx, app)
    assert (await app.ari("POST", f"channels/{call.id}/play/p", media="sound:no-such-sound"))[0] == 201
    await playback(app, "PlaybackStarted", "p")
    assert (await playback(app, "PlaybackFinished", "p"))["playback"]["state"] == "failed"
    await call.hangup()


@pytest.mark.parametrize("media", ["recording:no-such-recording", "bogus:x"])
async def test_other_missing_media_never_finish(pbx: Pbx, app: Pbx, media: str) -> None:
    """Started, never Finished, and the playback is not there: what follows it is played."""
    call = await call_up(pbx, app)
    assert (await app.ari("POST", f"channels/{call.id}/play/lost", media=media))[0] == 201
    assert (await app.ari("POST", f"channels/{call.id}/play/next", media="sound:beep"))[0] == 201
    await playback(app, "PlaybackFinished", "next")
    assert not [e for e in app.events if e["type"] == "PlaybackFinished" and e["playback"]["id"] == "lost"]
    await not_found(app, "playbacks/lost")
    await call.hangup()


async def test_a_tone_ends_when_it_is_stopped(pbx: Pbx, app: Pbx) -> None:
    """Stopping is Finished with the state done, and then it is gone; a second stop is 404."""
    call = await call_up(pbx, app)
    await app.ari("POST", f"channels/{call.id}/play/p", media="tone:ring")
    await playback(app, "PlaybackStarted", "p")
    assert (await app.ari("DELETE", "playbacks/p"))[0] == 204
    assert (await playback(app, "PlaybackFinished", "p"))["playback"]["state"] == "done"
    await not_found(app, "playbacks/p")
    assert (await app.ari("DELETE", "playbacks/p"))[0] == 404
    await call.hangup()


async def test_a_hangup_fails_what_plays_and_what_waits(pbx: Pbx, app: Pbx) -> None:
    """Both playbacks finish, failed, before StasisEnd."""
    call = await call_up(pbx, app)
    for id in ("first", "second"):
        await app.ari("POST", f"channels/{call.id}/play/{id}", media="sound:demo-congrats")
    await playback(app, "PlaybackStarted", "first")
    await call.hangup()
    for id in ("first", "second"):
        assert (await playback(app, "PlaybackFinished", id))["playback"]["state"] == "failed"
    await app.event("StasisEnd", call.id)


async def test_some_requests_wait_for_the_playback(pbx: Pbx, app: Pbx) -> None:
    """A variable is set when the sound has ended; reading is not held up."""
    call = await call_up(pbx, app)
    await app.ari("POST", f"channels/{call.id}/play/p", media="sound:hello-world")
    await playback(app, "PlaybackStarted", "p")
    setting = asyncio.create_task(app.ari("POST", f"channels/{call.id}/variable", variable="A", value="b"))
    assert (await app.ari("GET", f"channels/{call.id}"))[0] == 200
    assert not setting.done()
    await playback(app, "PlaybackFinished", "p")
    assert (await setting)[0] == 204
    await call.hangup()


async def test_recording(pbx: Pbx, app: Pbx, app_name: str) -> None:
    """Started, ended by a key, stored, and not to be overwritten."""
    call = await call_up(pbx, app)
    wanted = {"name": app_name, "format": "wav", "terminateOn": "#"}
    status, body = await app.ari("POST", f"channels/{call.id}/record", **wanted)
    assert status == 201
    assert body["state"] in ("queued", "recording")
    await recording(app, "RecordingStarted", app_name)
    assert (await app.ari("GET", f"recordings/live/{app_name}"))[0] == 200
    await call.press("#")
    finished = await recording(app, "RecordingFinished", app_name)
    assert finished["recording"]["state"] == "done"
    assert await app.ari("GET", f"recordings/stored/{app_name}") == (200, {"name": app_name, "format": "wav"})
    assert (await app.ari("DELETE", f"recordings/stored/{app_name}"))[0] == 204
    assert (await app.ari("DELETE", f"recordings/stored/{app_name}"))[0] == 404
    await call.hangup()


async def test_a_paused_playback_waits(pbx: Pbx, app: Pbx) -> None:
    """Paused it is there and says so; unpaused it starts again and comes to its end."""
    call = await call_up(pbx, app)
    await app.ari("POST", f"channels/{call.id}/play/p", media="sound:beep")
    await playback(app, "PlaybackStarted", "p")
    assert (await app.ari("POST", "playbacks/p/control", operation="pause"))[0] == 204
    assert (await app.ari("POST", "playbacks/p/control", operation="unpause"))[0] == 204
    await until(app, lambda event: event["type"] == "PlaybackFinished")
    await call.hangup()
