"""`hookrouter check`: its last line says what was looked at, and its exit status what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hookrouter.cli import main

_ROUTES = '[asterisk.main]\nmode = "listen"\npassword = "x"\n[server]\nlisten = "127.0.0.1:1"\n[[routes]]\nurl = "http://127.0.0.1:1/"\n'


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    path = tmp_path / "routes.toml"
    path.write_text(_ROUTES)
    return path


def test_without_live(routes: Path) -> None:
    """It says that nobody was asked."""
    result = CliRunner().invoke(main, ["check", "-c", str(routes)])
    assert result.exit_code == 0
    assert result.output.endswith(
        "1 route, 1 Asterisk: no faults. Neither Asterisk nor an endpoint was asked: --live does.\n"
    )


def test_live(routes: Path) -> None:
    """One thing is wrong, and what was not asked is named in the last line."""
    result = CliRunner().invoke(main, ["check", "--live", "-c", str(routes)])
    assert result.exit_code == 1
    assert (
        "routes[0].url: http://127.0.0.1:1/ cannot be reached: nothing listens at 127.0.0.1:1 (connection refused)"
        in result.output
    )
    assert result.output.splitlines()[-1].endswith("1 thing wrong. Not asked: asterisk.main, the dialplan.")


def test_files_are_for_live(routes: Path) -> None:
    """Wrong usage otherwise."""
    result = CliRunner().invoke(main, ["check", "--asterisk-config", str(routes.parent), "-c", str(routes)])
    assert result.exit_code == 2
