"""Asterisk's configuration files, read as Asterisk reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookrouter.ari.invitation import SORCERY
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking.asterisk_files import fits_h, leads_to_stasis, read_dialplan, read_sections
from hookrouter.checking.findings import Findings
from hookrouter.checking.folder import check_folder

CONNECT = AsteriskSettings("main", apps=("hookrouter",))
LISTEN = AsteriskSettings("main", "", "hookrouter", "secret", ("hookrouter",), "listen")
INVITE = AsteriskSettings("main", apps=("hookrouter",), mode="invite")
ARI = "[hookrouter]\ntype = user\nread_only = no\npassword = x\n"
OUT = (
    "[out]\ntype = outbound_websocket\nwebsocket_client_id = client\napps = hookrouter\nlocal_ari_user = hookrouter\n"
    "subscribe_all = no\n"
)
CLIENT = (
    "[client]\ntype = websocket_client\nuri = ws://router:8080/ari/main\nprotocols = ari\nusername = hookrouter\n"
    "password = secret\nconnection_type = persistent\nreconnect_attempts = 10\n"
)


def checked(folder: Path, settings: AsteriskSettings = CONNECT, **files: str) -> list[str]:
    """What is wrong; each of `files` is written as NAME.conf."""
    for name, text in {"extensions": "[in]\nexten => 1,1,Stasis(hookrouter)\n", "ari": ARI, **files}.items():
        (folder / f"{name}.conf").write_text(text)
    said: list[str] = []
    check_folder(folder, [settings], Findings(said.append))
    return [line.removeprefix("  ✗ ") for line in said if line.startswith("  ✗")]


@pytest.mark.parametrize("name", ["_.", "_!", "_[a-z]", "_[a-z]!", "_h", "_h!", "_-.", "_[ghi]", "_[*h]"])
def test_patterns_that_fit_h(name: str) -> None:
    """As Asterisk matches the one letter."""
    assert fits_h(name)


@pytest.mark.parametrize(
    "name", ["h", "_X.", "_X!", "_[0-9*#+].", "_N.", "_h.", "_hX", "_[a-g]", "_call-.", "s", "_", "_[a-z]."]
)
def test_patterns_that_do_not(name: str) -> None:
    """Digits, longer ones, and an `h` that was meant."""
    assert not fits_h(name)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[in]\nexten => _.,1,Stasis(hookrouter)\n", id="directly"),
        pytest.param("[in]\nexten => _!,1,NoOp()\n same => n,Stasis(hookrouter,a)\n", id="later"),
        pytest.param("[in]\nexten => _.,1,Goto(app,s,1)\n[app]\nexten => s,1,Stasis(hookrouter)\n", id="by-goto"),
        pytest.param(
            '[in]\nexten => _.,1,GotoIf($["${X}" = ""]?app,s,1:app,x,1)\n[app]\nexten => x,1,Stasis(hookrouter)\n',
            id="by-gotoif",
        ),
        pytest.param("[in]\nexten => _.,1,Stasis(${APP})\n", id="variable"),
        pytest.param("[t](!)\nexten => _.,1,Stasis(hookrouter)\n[in](t)\n", id="template"),
    ],
)
def test_a_pattern_that_brings_dead_calls(tmp_path: Path, text: str) -> None:
    """The line is named, and what to write instead."""
    (found,) = checked(tmp_path, extensions=text)
    assert found.startswith(("extensions.conf:2: `_", "extensions.conf:3: `_"))
    assert "also fits `h`" in found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[in]\nexten => _X.,1,Stasis(hookrouter)\n", id="digits"),
        pytest.param("[in]\nexten => _.,1,Stasis(hookrouter)\nexten => h,1,NoOp()\n", id="h-of-its-own"),
        pytest.param("[in]\nexten => _.,1,Dial(PJSIP/${EXTEN})\n", id="no-app"),
        pytest.param("[in]\nexten => _.,1,Stasis(somebody-elses)\n", id="another-program"),
        pytest.param(
            "[in]\n;exten => _.,1,Stasis(hookrouter)\n;-- exten => _!,1,Stasis(hookrouter)\n--;\n", id="comments"
        ),
        pytest.param("[in]\nexten => _.,1,Goto(${EXTEN},1)\n", id="round"),
    ],
)
def test_a_pattern_that_is_good(tmp_path: Path, text: str) -> None:
    """Nothing is wrong."""
    assert checked(tmp_path, extensions=text) == []


def test_included_files(tmp_path: Path) -> None:
    """With their own line numbers."""
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/a.conf").write_text("\nexten => _.,1,Stasis(hookrouter)\n")
    (found,) = checked(tmp_path, extensions="[in]\n#include custom/*.conf\n")
    assert found.startswith("a.conf:2: ")


def test_sections(tmp_path: Path) -> None:
    """Templates give what they have, `(+)` adds, the last value counts."""
    (tmp_path / "x.conf").write_text("[t](!)\na = 1\nb = 2\n[one](t)\nb => 3 ; three\n[one](+)\nc = \\;\n")
    sections = read_sections(tmp_path, "x.conf")
    assert sections is not None
    assert list(sections) == ["one"]
    assert [(item.key, item.value) for item in sections["one"].items] == [
        ("a", "1"),
        ("b", "2"),
        ("b", "3"),
        ("c", ";"),
    ]
    assert sections["one"].get("b") == "3"
    assert read_sections(tmp_path, "none.conf") is None


def test_loops_end(tmp_path: Path) -> None:
    """Files that include themselves, and extensions that lead to each other."""
    (tmp_path / "extensions.conf").write_text(
        "[in]\n#include extensions.conf\nexten => a,1,Goto(b,1)\nexten => b,1,Goto(a,1)\n"
    )
    dialplan = read_dialplan(tmp_path)
    assert dialplan is not None
    assert leads_to_stasis(dialplan, "in", "a") is None


def test_a_socket_as_it_should_be(tmp_path: Path) -> None:
    """Nothing is wrong."""
    assert checked(tmp_path, LISTEN, ari=ARI + OUT, websocket_client=CLIENT) == []


@pytest.mark.parametrize(
    ("ari", "client", "told"),
    [
        pytest.param(("", ""), ("= 10", "= 101"), "reconnect_attempts = 101: set 10", id="attempts"),
        pytest.param(("apps = hookrouter", "apps = hookruoter"), ("", ""), "apps = hookruoter, but", id="apps"),
        pytest.param(
            ("apps = hookrouter", "apps = hookrouter,more"), ("", ""), "apps = hookrouter,more, but", id="more-apps"
        ),
        pytest.param(("read_only = no", "read_only = yes"), ("", ""), "is read-only", id="read-only"),
        pytest.param(("local_ari_user = hookrouter", "local_ari_user = x"), ("", ""), "names no user", id="no-user"),
        pytest.param(("client_id = client", "client_id = x"), ("", ""), "names no section", id="no-client"),
        pytest.param(("", ""), ("/ari/main", "/ari/mian"), "at /ari/main", id="uri"),
        pytest.param(("", ""), ("= persistent", "= per_call_config"), "set persistent", id="type"),
        pytest.param(("", ""), ("protocols = ari", "protocols = media"), "set ari", id="protocol"),
        pytest.param(("", ""), ("username = hookrouter", "username = x"), "username = x, but", id="username"),
        pytest.param(("", ""), ("password = secret", "password = x"), "the password differs", id="password"),
        pytest.param(("type = outbound_websocket", "type = x"), ("", ""), "has no outbound_websocket", id="none"),
    ],
)
def test_a_socket_that_does_no_good(tmp_path: Path, ari: tuple[str, str], client: tuple[str, str], told: str) -> None:
    """One fault each, with its section."""
    (found,) = checked(tmp_path, LISTEN, ari=(ARI + OUT).replace(*ari), websocket_client=CLIENT.replace(*client))
    assert told in found
    assert "secret" not in found


def test_a_user_that_is_not_there(tmp_path: Path) -> None:
    """In mode connect."""
    (found,) = checked(tmp_path, AsteriskSettings("main", username="else"))
    assert "ari.conf has no user [else]" in found


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param("hookruoter", True, id="misspelt"),
        pytest.param("HookRouter", True, id="capitals"),
        pytest.param("hook-router", True, id="hyphen"),
        pytest.param("queue-stats", False, id="another program"),
    ],
)
def test_an_app_that_the_dialplan_spells_in_another_way(tmp_path: Path, name: str, wrong: bool) -> None:
    """Where no line enters ours, and one enters something like it."""
    said = checked(tmp_path, extensions=f"[in]\nexten => 1,1,Stasis({name})\n")
    assert [line.partition(": did you mean `hookrouter`")[0] for line in said] == [f"extensions.conf:2: Stasis({name})"] * wrong
    both = f"[in]\nexten => 1,1,Stasis(hookrouter)\nexten => 2,1,Stasis({name})\n"
    assert checked(tmp_path, extensions=both) == []


def test_an_invited_asterisk_must_keep_what_it_is_told(tmp_path: Path) -> None:
    """The lines that sorcery.conf lacks, section by section; with all of them nothing is wrong."""
    sorcery = {name: "\n".join(lines) for name, lines in SORCERY.items()}
    half = f"[res_ari]\n{sorcery['res_ari']}\n"
    (found,) = checked(tmp_path, INVITE, sorcery=half)
    assert found.startswith("sorcery.conf [res_websocket_client]: mode invite")
    assert "websocket_client=memory" in found
    assert len(checked(tmp_path, INVITE, sorcery="")) == 2
    whole = half + f"[res_websocket_client]\n{sorcery['res_websocket_client']}\n"
    assert checked(tmp_path, INVITE, sorcery=whole) == []
    (found,) = checked(tmp_path, INVITE, sorcery=whole, ari=ARI + OUT, websocket_client=CLIENT)
    assert found.startswith("ari.conf:6: [out] leads an app out")
    assert checked(tmp_path, CONNECT, sorcery="") == []
