"""The simulator's parts alone: dialplan, media, ladder, scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookrouter.errors import ConfigurationError
from hookrouter.simulator.dialplan import Dialplan, condition
from hookrouter.simulator.ladder import Ladder, wrapped
from hookrouter.simulator.media import Media, Unplayable, core_sounds
from hookrouter.simulator.script import from_digits, read_script

LAB = Path(__file__).parents[2] / "lab/extensions.conf"


def test_the_dialplan_is_the_labs() -> None:
    """Both PBXes of the wire tests run the same one."""
    assert Dialplan.default() == Dialplan.parse(LAB.read_text())


def test_the_most_literal_extension_fits() -> None:
    """A name before a pattern, a pattern before a longer reach."""
    plan = Dialplan.parse("[c]\nexten => _1.,1,NoOp(any)\nexten => _1X,1,NoOp(two)\nexten => 12,1,NoOp(twelve)\n")
    found = [(plan.find("c", exten) or [None])[0] for exten in ("12", "13", "134", "2")]
    assert [step and step.data for step in found] == ["twelve", "two", "any", None]


@pytest.mark.parametrize(
    ("text", "true"), [('$["" = ""]', True), ('$["x" = ""]', False), ("1", True), ("$[2 > 10]", False)]
)
def test_conditions(text: str, true: bool) -> None:
    """As GotoIf sees them."""
    assert condition(text) is true


def test_a_wrong_line_is_named() -> None:
    """With its number."""
    with pytest.raises(ValueError, match="line 2"):
        Dialplan.parse("[c]\nexten => s,1\n")


def test_media_lengths() -> None:
    """Sounds by name, numbers by what they are made of; what cannot be opened is told in two ways."""
    media = Media(core_sounds(), {"mine": 2.5})
    sounds = core_sounds()
    assert media.seconds("sound:hello-world") == sounds["hello-world"] / 1000
    assert media.seconds("number:21") == (sounds["digits/20"] + sounds["digits/1"]) / 1000
    assert media.seconds("digits:1#") == (sounds["digits/1"] + sounds["digits/pound"]) / 1000
    assert media.seconds("recording:mine") == 2.5
    for uri, told in (("sound:none", True), ("recording:none", False), ("bogus:x", False)):
        with pytest.raises(Unplayable) as refused:
            media.seconds(uri)
        assert refused.value.told is told


def test_a_ladder_fits_the_terminal() -> None:
    """Rungs in the order of time, at most 100 columns, long labels above their arrows."""
    ladder = Ladder()
    ladder.add(1.0, "endpoint", "hookrouter", "200, 6 ms: answer, play, gather, setVariable, hangup")
    ladder.add(0.5, "caller", "Asterisk", "calls 1000")
    ladder.add(2.0, "endpoint", "endpoint", "a note")
    lines = ladder.text().splitlines()
    assert max(map(len, lines)) <= 100
    assert "calls 1000" in lines[1]
    assert "▶" in lines[1]
    assert len(lines) > 5


def test_scripts_say_all_that_is_wrong(tmp_path: Path) -> None:
    """With its place."""
    path = tmp_path / "script.toml"
    path.write_text('[[steps]]\npress = "1"\npause = 1.0\n[[steps]]\n[expect]\nended_by = "nobody"\n')
    with pytest.raises(ConfigurationError) as refused:
        read_script(path)
    assert [fault.place for fault in refused.value.faults] == ["steps[0]", "steps[1]", "expect.ended_by"]


def test_digits_wait_for_a_prompt() -> None:
    """Each group for one of its own."""
    assert [step.press for step in from_digits("1,23") if step.press] == ["1", "23"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("200, 6 ms: answer, setVariable", ["200, 6 ms: answer,", "setVariable"]),
        ("play sound:basic-pbx-ivr-main", ["play sound:basic-", "pbx-ivr-main"]),
        ("originate PJSIP/+491701234567@trunk", ["originate PJSIP/", "+491701234567@trunk"]),
        ("x" * 25, ["x" * 20, "x" * 5]),
        ("", []),
    ],
)
def test_labels_break_at_words(text: str, lines: list[str]) -> None:
    """And within a long word at what separates its parts."""
    assert wrapped(text, 20) == lines
