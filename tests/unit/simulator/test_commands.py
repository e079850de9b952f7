"""`hookrouter demo` and `simulate` as their users run them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from hookrouter.cli import main


def test_demo_shows_a_whole_call() -> None:
    """Every step is in the ladder, without colours, and the status is 0."""
    result = CliRunner().invoke(main, ["demo", "--speed", "10"])
    assert result.exit_code == 0, result.output
    for text in ("calls 1000", "DigitsCollected", "setVariable", "StasisEnd", "All is well"):
        assert text in result.output
    assert "\x1b" not in result.output


def test_simulate_says_that_nobody_answers() -> None:
    """Status 1, and what to do."""
    result = CliRunner().invoke(main, ["simulate", "http://127.0.0.1:1/"])
    assert result.exit_code == 1
    assert "is the endpoint running" in result.output


def test_simulate_refuses_a_wrong_script(tmp_path: Path) -> None:
    """Status 2, and nothing was started."""
    path = tmp_path / "script.toml"
    path.write_text("steps = 3")
    result = CliRunner().invoke(main, ["simulate", "http://127.0.0.1:1/", "--script", str(path)])
    assert result.exit_code == 2
    assert "steps" in result.output
