"""Two answers side by side: what they mean counts, and each difference is told with its place."""

from __future__ import annotations

import pytest

from hookrouter.actions.comparing import Given, compared, differences, meaning

PLAY = b'[{"action":"play","media":"sound:a"}]'


@pytest.mark.parametrize(
    ("recorded", "now", "told"),
    [
        ((200, PLAY), (200, b'{"actions": [ {"media":"sound:a", "action":"play"} ], "mode": "replace"}'), []),
        ((200, b""), (204, b""), []),
        ((204, b""), (202, b'{"message": "Workflow was started"}'), []),
        ((200, b"[]"), (200, b"{}"), []),
        ((200, PLAY), (200, PLAY.replace(b"sound:a", b"sound:b")), ['/actions/0/media: "sound:a" was recorded, "sound:b" came']),
        ((200, PLAY), (204, b""), ['/actions/0: {"action": "play", "media": "sound:a"} was recorded, nothing came']),
        ((200, b'{"state":{"a":1}}'), (200, b'{"state":{"a":true}}'), ["/state/a: 1 was recorded, true came"]),
        ((200, PLAY), (500, b"oops"), [
            '/actions: [{"action": "play", "media": "sound:a"}] was recorded, nothing came',
            '/mode: "replace" was recorded, nothing came', "/whenDone: null was recorded, nothing came",
            "/tags: {} was recorded, nothing came", "/status: nothing was recorded, 500 came",
        ]),
        ((500, b""), (500, b"another page"), []),
        ((None, b""), (None, b""), []),
    ],
)  # fmt: skip
def test_differences(recorded: tuple[int | None, bytes], now: tuple[int | None, bytes], told: list[str]) -> None:
    """Spaces, the order of keys and the form of nothing make none."""
    assert [one.told() for one in differences(meaning(Given(*recorded)), meaning(Given(*now)))] == told


def test_a_refused_answer_says_what_is_wrong_with_it() -> None:
    """It is a meaning, too."""
    assert "unknown action `plai`" in meaning(Given(200, b'[{"action":"plai"}]'))["refused"]


def test_what_may_differ() -> None:
    """By its place, in which `*` is any key; with nothing to compare with there is no difference."""
    first, second = Given(200, b'{"state":{"at":1,"n":1}}'), Given(200, b'{"state":{"at":2,"n":2}}')
    assert [one.place for one in compared(first, second)] == ["/state/at", "/state/n"]
    assert [one.place for one in compared(first, second, ["/*/at"])] == ["/state/n"]
    assert list(compared(Given(None, reason="timeout"), second)) == []
