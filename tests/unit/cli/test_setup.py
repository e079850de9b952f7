"""`hookrouter setup`: what it shows, what it writes, and what it leaves alone."""

from __future__ import annotations

import importlib
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hookrouter.cli import main
from hookrouter.config import load

FILES = {
    "modules.conf": "[modules]\nautoload = yes\n",
    "http.conf": "[general]\nbindaddr = 127.0.0.1\nbindport = 8188",
    "extensions.conf": "[default]\nexten => 1,1,NoOp()\n",
}
ROUTES = '[asterisk.main]\npassword = "p"\nurl = "http://127.0.0.1:8088"\n[[routes]]\nname = "a"\nurl = "http://127.0.0.1:1/"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
        (made / name).chmod(0o640)
    return made


def ran(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["setup", str(folder), "-c", str(folder.parent / "routes.toml"), *more])


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_it_shows_and_writes_nothing(folder: Path) -> None:
    """The differences of each file, without the password; and how to have them."""
    result = ran(folder, "--mode", "listen")
    assert result.exit_code == 0, result.output
    assert texts(folder) == FILES
    assert not (folder.parent / "routes.toml").exists()
    for name in ("http.conf", "ari.conf", "websocket_client.conf", "extensions.conf"):
        assert f"+++ {folder / name}" in result.output
    assert "+[general](+)\n+enabled = yes" in result.output
    assert result.output.count("password = (not shown)") == 2
    assert "nothing was written: --write does it" in result.output


def test_it_writes_and_a_second_run_changes_nothing(folder: Path) -> None:
    """The old file stays beside the new one, with its rights; a strong password is in both places, for its owner only."""
    result = ran(folder, "--write", "--mode", "listen")
    assert result.exit_code == 0, result.output
    config = load(folder.parent / "routes.toml", {})
    (settings,) = config.asterisks
    assert (settings.url, settings.mode) == ("http://127.0.0.1:8188", "listen")
    assert len(settings.password) >= 32
    assert settings.password not in result.output
    for name in ("ari.conf", "websocket_client.conf"):
        assert f"password = {settings.password}\n" in (folder / name).read_text()
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o640
    assert stat.S_IMODE((folder.parent / "routes.toml").stat().st_mode) == 0o600
    for name in ("http.conf", "extensions.conf"):
        copy = folder / f"{name}.before-hookrouter-1"
        assert copy.read_text() == FILES[name]
        assert (folder / name).read_text().startswith(FILES[name] + "\n")
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o640
    before = texts(folder)
    again = ran(folder, "--write")
    assert again.exit_code == 0, again.output
    assert "Nothing is missing." in again.output
    assert texts(folder) == before


def test_the_owner_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is given to whom it belonged, a new one to the owner of its neighbours."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr("os.geteuid", lambda: 1 << 20)
    monkeypatch.setattr("os.fchown", lambda _, user, group: given.append((user, group)))
    assert ran(folder, "--write").exit_code == 0
    owner = (folder / "http.conf").stat()
    assert given == [(owner.st_uid, owner.st_gid)] * 3  # http.conf, ari.conf, extensions.conf


def test_it_fits_the_routes_that_are_there(folder: Path) -> None:
    """User, password, app and mode are taken from routes.toml, which is left as it is."""
    routes = folder.parent / "routes.toml"
    text = (
        '[asterisk.pbx]\nmode = "listen"\nusername = "router"\npassword = "semi;colon"\napps = ["ivr"]\n'
        '[server]\nlisten = "0.0.0.0:9000"\ntoken = "0123456789abcdef0123456789abcdef"\n'
        '[[routes]]\nname = "a"\nurl = "http://127.0.0.1:1/"\n'
    )
    routes.write_text(text)
    assert "give digits" in ran(folder, "--write", "--number", "a9").output
    result = ran(folder, "--write", "--context", "phones", "--number", "*9")
    assert result.exit_code == 0, result.output
    assert routes.read_text() == text
    assert "password = semi\\;colon\n" in (folder / "ari.conf").read_text()
    assert "uri = ws://127.0.0.1:9000/ari/pbx\n" in (folder / "websocket_client.conf").read_text()
    assert "[phones]\nexten => *9,1,Goto(to-ivr,${EXTEN},1)\n" in (folder / "extensions.conf").read_text()


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """The file that it leads to stays as it was, and the link says so."""
    elsewhere = tmp_path / "elsewhere.conf"
    (folder / "http.conf").rename(elsewhere)
    (folder / "http.conf").symlink_to(elsewhere)
    result = ran(folder, "--write")
    assert result.exit_code == 2
    assert "is a link" in result.output
    assert elsewhere.read_text() == FILES["http.conf"]


def test_what_was_changed_meanwhile_is_not_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the writing."""
    command = importlib.import_module("hookrouter.cli.setup")
    monkeypatch.setattr(command, "_show", lambda folder, _: (folder / "http.conf").write_text("new"))
    result = ran(folder, "--write")
    assert result.exit_code == 2
    assert "run it again" in result.output
    assert (folder / "http.conf").read_text() == "new"


@pytest.mark.parametrize(
    ("prepare", "more", "words"),
    [
        pytest.param({"modules.conf": None, "extensions.conf": None}, [], "name Asterisk's folder", id="no-asterisk"),
        pytest.param(
            {"ari.conf": "[hookrouter]\ntype=user\npassword_format=crypt\npassword=x\n"}, [], "another --user", id="crypted"
        ),
        pytest.param({"../routes.toml": ROUTES}, ["--mode", "listen"], "--mode", id="mode"),
        pytest.param({"../routes.toml": ROUTES}, ["--asterisk", "x"], "--asterisk", id="name"),
    ],
)
def test_what_it_refuses(folder: Path, prepare: dict[str, str | None], more: list[str], words: str) -> None:
    """With the remedy, and before anything is written."""
    for name, text in prepare.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    before = texts(folder)
    result = ran(folder, "--write", *more)
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert texts(folder) == before


@pytest.mark.parametrize(
    ("more", "place"),
    [(["--number", "abc"], "--number"), (["--context", "a]"], "--context"), (["--user", "a]"], "asterisk.main.username")],
)
def test_what_does_not_fit_into_asterisks_files_has_its_place(folder: Path, more: list[str], place: str) -> None:
    """The option, or the key of routes.toml, that says it."""
    result = ran(folder, *more)
    assert result.exit_code == 1, result.output
    assert f"✗ {place}: " in result.output
    assert "✗ routes.toml" not in result.output


def test_obstacles_are_a_failure(folder: Path) -> None:
    """What can be added is added all the same."""
    (folder / "modules.conf").write_text("[modules]\nautoload = yes\nnoload = res_ari.so\n")
    result = ran(folder, "--write")
    assert result.exit_code == 1
    assert "✗ modules.conf:3: noload = res_ari.so" in result.output
    assert (folder / "ari.conf").exists()
    assert ran(folder, "--write").exit_code == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_routes_belong_to_who_has_the_folder(folder: Path) -> None:
    """After `sudo hookrouter setup` the router can be started without it."""
    os.chown(folder.parent, 12345, 12345)
    assert ran(folder, "--write").exit_code == 0
    routes = (folder.parent / "routes.toml").stat()
    assert (routes.st_uid, routes.st_gid, stat.S_IMODE(routes.st_mode)) == (12345, 12345, 0o600)


def test_a_password_that_everybody_can_read_is_told(folder: Path) -> None:
    """The rights of a file that is there stay; that they are too wide is said."""
    (folder / "ari.conf").write_text("[general]\n")
    (folder / "ari.conf").chmod(0o640)
    assert "chmod o-r" not in ran(folder).output
    (folder / "ari.conf").chmod(0o644)
    result = ran(folder, "--write")
    assert f"{folder / 'ari.conf'}: everybody on this machine can read its passwords: chmod o-r" in result.output
    assert stat.S_IMODE((folder / "ari.conf").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "there is no command asterisk on the PATH: run"),
        ("#!/bin/sh\necho Unable to connect >&2\nexit 1\n", "failed: Unable to connect"),
    ],
)
def test_a_reload_that_cannot_be(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    """The files are written, and what was not done is said: status 1."""
    tools = folder.parent / "bin"
    tools.mkdir()
    if script:
        (tools / "asterisk").write_text(script)
        (tools / "asterisk").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    result = ran(folder, "--write", "--reload")
    assert result.exit_code == 1
    assert said in result.output
    assert "to-hookrouter" in (folder / "extensions.conf").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reload"], "--reload goes with --write"),
        (["http://127.0.0.1:8088", "--write"], "--write wants a FOLDER"),
        (["/no/such/folder"], "there is no such folder"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], said: str) -> None:
    """Wrong usage, with the remedy."""
    result = CliRunner().invoke(main, ["setup", *arguments])
    assert result.exit_code == 2
    assert said in result.output
