"""What a configuration folder lacks, found and added: whatever is in it, no line is lost and a second look finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.freepbx import FREEPBX_FILES

from hookrouter.ari.invitation import SORCERY
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking.asterisk_files import read_dialplan, read_sections
from hookrouter.setup.plan import Plan, Wanted, plan
from hookrouter.setup.styles import FREEPBX, style_of

CONNECT = AsteriskSettings("main", password="a-password")
LISTEN = AsteriskSettings("main", "", "hookrouter", "a-password", ("hookrouter",), "listen")
INVITE = AsteriskSettings("main", password="a-password", mode="invite")
URI = "ws://127.0.0.1:8080/ari/main"
MODULES = "[modules]\nautoload = yes\n"


def looked(folder: Path, settings: AsteriskSettings = LISTEN, contexts: tuple[str, ...] = (), number: str = "1000") -> Plan:
    return plan(folder, style_of(folder), Wanted(settings, URI, number, contexts))


def put(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))


_LINES = st.sampled_from(
    ["[general]", "[general](!)", "[general](+)", "[hookrouter]", "[hookrouter](!)", "[x](general)", "[to-hookrouter]",
     "[hookrouter-client]", "[res_ari]", "user=memory", "outbound_websocket=config,ari.conf,criteria=type=outbound_websocket",
     "[default]", "[from-internal-custom]", "[modules]", "[phone]", "enabled = no", "enabled=yes",
     "enabled = yes ; so", "bindaddr = ::", "bindport = 1", "websocket_write_timeout = 10", "websocket_write_timeout=9999",
     "type = user", "type = outbound_websocket", "type = endpoint", "context = phones", "apps = hookrouter", "read_only = yes",
     "password = p", "password = a-password", "password_format = crypt", "websocket_client_id = mine", "autoload = no",
     "noload = res_ari.so", "load => res_ari.so", "exten => 1000,1,NoOp()", "exten => 1000,1,Stasis(hookrouter)",
     "exten => _.,1,Goto(to-hookrouter,1,1)", " same => n,Hangup()", "; a comment", ";-- begins", "ends --;", ";--- none ---;",
     "#include more.conf", "#tryinclude none.conf", "#include *.conf", "#include ../..", "#include **x", "\\; x", "[", "]", "=",
     "a = b\r", "\x0c", "é", "\udcff\udc80", "\u2028", ""]
)  # fmt: skip
_TEXT = st.builds(
    lambda lines, end: "\n".join(lines) + end, st.lists(_LINES | st.text(max_size=8), max_size=14), st.sampled_from(["", "\n"])
).map(lambda text: text.encode("utf-8", "surrogateescape", ).decode(errors="surrogateescape") if _encodable(text) else "")  # fmt: skip
_NAMES = [
    "http.conf", "ari.conf", "extensions.conf", "websocket_client.conf", "modules.conf", "pjsip.conf", "sorcery.conf", "more.conf",
    "extensions_additional.conf", *(name for name in FREEPBX_FILES if name.endswith("_custom.conf")),
]  # fmt: skip


def _encodable(text: str) -> bool:
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


@given(st.dictionaries(st.sampled_from(_NAMES), _TEXT), st.sampled_from([CONNECT, LISTEN, INVITE]), st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_line_is_lost_and_a_second_look_finds_nothing(
    texts: dict[str, str], settings: AsteriskSettings, freepbx: bool
) -> None:
    """Each file begins with what it was, and what was added is there for Asterisk; the obstacles stay what they were."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        put(folder, ({**FREEPBX_FILES, **texts} if freepbx else texts))
        try:
            found = looked(folder, settings)
        except OSError as error:  # they include each other without end
            assert "are included" in str(error)
            return
        for file, after in found.after.items():
            before = found.before[file]
            assert before == ((folder / file).read_bytes().decode(errors="surrogateescape") if before is not None else None)
            assert after.startswith(before or "")
            assert len(after) > len(before or "")
        if freepbx:
            assert {name for name in found.after if "_custom" not in name} <= {"websocket_client.conf", "modules.conf", "sorcery.conf"}
        put(folder, found.after)
        again = looked(folder, settings)
        assert again.after == {}
        assert set(again.obstacles) == set(found.obstacles)


@pytest.mark.parametrize("settings", [CONNECT, LISTEN, INVITE], ids=["connect", "listen", "invite"])
@pytest.mark.parametrize("texts", [{"modules.conf": MODULES}, FREEPBX_FILES], ids=["plain", "freepbx"])
def test_what_is_added(tmp_path: Path, texts: dict[str, str], settings: AsteriskSettings) -> None:
    """All that the router needs, in the files that the admin may write; read back as Asterisk reads it."""
    put(tmp_path, texts)
    found = looked(tmp_path, settings)
    assert found.obstacles == []
    put(tmp_path, found.after)
    http, ari = read_sections(tmp_path, "http.conf"), read_sections(tmp_path, "ari.conf")
    clients, dialplan = read_sections(tmp_path, "websocket_client.conf") or {}, read_dialplan(tmp_path)
    assert http is not None
    assert ari is not None
    assert dialplan is not None
    assert (http["general"].get("enabled"), http["general"].get("bindaddr")) == ("yes", "127.0.0.1")
    assert ari["general"].get("websocket_write_timeout") == "5000"
    assert [ari["hookrouter"].get(key) for key in ("type", "read_only", "password")] == ["user", "no", "a-password"]
    assert ("to-hookrouter" in ari, "hookrouter-client" in clients) == (settings is LISTEN, settings is LISTEN)
    assert ("sorcery.conf" in found.after) == (settings is INVITE)
    inbound = "from-internal-custom" if texts is FREEPBX_FILES else "default"
    assert dialplan[inbound]["1000"][0].data == "to-hookrouter,${EXTEN},1"
    assert dialplan["to-hookrouter"]["_[+*#0-9]!"][0].data == "hookrouter"
    assert [step.data for step in dialplan["to-hookrouter"].get("s", [])][:1] == (
        ["hookrouter,${FROM_DID}"] if texts is FREEPBX_FILES else []
    )


def test_what_an_invited_asterisk_keeps_in_memory(tmp_path: Path) -> None:
    """Each line once, those of its files before those of its memory; what is there already is not added again."""
    put(tmp_path, {"modules.conf": MODULES, "sorcery.conf": "[res_ari]\nuser = config,ari.conf,criteria=type=user\nuser=memory\n"})
    put(tmp_path, looked(tmp_path, INVITE).after)
    sections = read_sections(tmp_path, "sorcery.conf")
    assert sections is not None
    for name, lines in SORCERY.items():
        assert [f"{item.key}={item.value}" for item in sections[name].items] == list(lines)
    assert looked(tmp_path, INVITE).after == {}


def test_numbers_go_where_phones_dial(tmp_path: Path) -> None:
    """Once into each context of pjsip.conf, also where a phone's name is that of its address too."""
    phones = "[a]\ntype=endpoint\ncontext=one\n[a]\ntype=aor\n[b](t)\ntype=endpoint\n[c]\ntype=endpoint\ncontext=two\n"
    put(tmp_path, {"modules.conf": MODULES, "pjsip.conf": f"[t](!)\ncontext=one\n{phones}"})
    added = looked(tmp_path).after["extensions.conf"]
    assert [line for line in added.split("\n") if line.startswith("[")] == ["[one]", "[two]", "[to-hookrouter]"]


GOOD_ARI = "[general]\nenabled=yes\nwebsocket_write_timeout=5000\n[hookrouter]\ntype=user\npassword=a-password\n"


@pytest.mark.parametrize(
    ("texts", "place", "words"),
    [
        pytest.param({"ari.conf": "[hookrouter]\ntype = x\n"}, "ari.conf:2", "is no user", id="no-user"),
        pytest.param({"ari.conf": GOOD_ARI.replace("a-pass", "b-pass")}, "ari.conf:6", "differs from", id="password"),
        pytest.param({"ari.conf": GOOD_ARI + "[to-hookrouter]\ntype=user\n"}, "ari.conf:8", "name it otherwise", id="socket"),
        pytest.param(
            {"extensions.conf": "[default]\nexten => 1000,1,NoOp()\n"}, "extensions.conf:2", "--number", id="number"
        ),
        pytest.param({"extensions.conf": "[to-hookrouter]\n"}, "extensions.conf", "does not lead", id="context"),
        pytest.param({"modules.conf": MODULES + "noload => res_ari.so\n"}, "modules.conf:3", "take the line out", id="noload"),
        pytest.param({"http.conf": "[general]\n;-- old\n"}, "http.conf", "comment", id="comment"),
        pytest.param({"ari.conf": GOOD_ARI + "[t](!)\n;--\n"}, "ari.conf", "comment", id="nested"),
    ],
)
def test_what_only_a_human_can_decide(tmp_path: Path, texts: dict[str, str], place: str, words: str) -> None:
    """One obstacle, with its place and the remedy."""
    put(tmp_path, {"modules.conf": MODULES, **texts})
    (fault,) = looked(tmp_path).obstacles
    assert fault.place == place
    assert words in fault.message


def test_an_app_that_a_file_leads_out_is_not_invited_too(tmp_path: Path) -> None:
    """Asterisk would take neither: a human must remove one."""
    put(tmp_path, {"modules.conf": MODULES, "ari.conf": GOOD_ARI + "[out]\ntype=outbound_websocket\napps=a, hookrouter\n"})
    (fault,) = looked(tmp_path, INVITE).obstacles
    assert (fault.place, fault.message.split()[0]) == ("ari.conf:8", "[out]")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(AsteriskSettings("main", password="a\nb"), id="line"),
        pytest.param(AsteriskSettings("main", password=" a"), id="space"),
        pytest.param(AsteriskSettings("main", password=">a"), id="arrow"),
        pytest.param(AsteriskSettings("main", password="a\\;b"), id="backslash"),
        pytest.param(AsteriskSettings("main", username="a]b"), id="user"),
        pytest.param(AsteriskSettings("main", apps=("a,b",)), id="app"),
    ],
)
def test_what_cannot_be_written_is_not(tmp_path: Path, settings: AsteriskSettings) -> None:
    """It would be read as something else."""
    put(tmp_path, {"modules.conf": MODULES})
    found = looked(tmp_path, settings)
    assert found.after == {}
    assert found.obstacles


@given(st.text(min_size=1, max_size=20))
def test_a_password_comes_back_as_it_was(password: str) -> None:
    """With semicolons and all, or it is refused."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        put(folder, {"modules.conf": MODULES})
        found = looked(folder, AsteriskSettings("main", password=password))
        if not found.after:
            return
        put(folder, found.after)
        ari = read_sections(folder, "ari.conf")
        assert ari is not None
        assert ari["hookrouter"].get("password") == password


def test_modules_without_autoload(tmp_path: Path) -> None:
    """Those that are not loaded yet."""
    put(tmp_path, {"modules.conf": "[modules]\nautoload = no\nload = res_ari.so\n"})
    added = looked(tmp_path).after["modules.conf"].splitlines()
    assert "load = res_websocket_client.so" in added
    assert "load = app_stasis.so" in added
    assert added.count("load = res_ari.so") == 1


def test_freepbx_is_known_by_its_generated_files(tmp_path: Path) -> None:
    """And an old one whose main files do not include those of the admin is left alone."""
    put(tmp_path, FREEPBX_FILES | {"ari.conf": "[general]\n#include ari_general_additional.conf\n#include ari_additional.conf\n"})
    assert style_of(tmp_path) is FREEPBX
    found = looked(tmp_path)
    assert found.after == {}
    assert {"ari_general_custom.conf", "ari_additional_custom.conf"} == {fault.place for fault in found.obstacles}


@pytest.mark.parametrize(("settings", "too_old"), [(LISTEN, True), (INVITE, True), (CONNECT, False)])
def test_an_asterisk_that_is_too_old_gets_no_socket(tmp_path: Path, settings: AsteriskSettings, too_old: bool) -> None:
    """With one in ari.conf its REST interface would not load at all; it is known by its modules."""
    there = tmp_path / "modules"
    there.mkdir()
    (there / "res_ari.so").touch()
    put(tmp_path, {"modules.conf": MODULES, "asterisk.conf": f"[directories]\nastmoddir => {there}\n"})
    found = looked(tmp_path, settings)
    assert bool(found.obstacles) is too_old
    assert (found.after == {}) is too_old
    if too_old:
        assert "needs Asterisk 22.5 or newer" in found.obstacles[0].message
    (there / "res_websocket_client.so").touch()
    assert looked(tmp_path, settings).obstacles == []
