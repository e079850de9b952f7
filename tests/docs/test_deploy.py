"""What deploy/ and compose.yaml say fits together, and fits the program."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hookrouter.cli import main
from hookrouter.config import load

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"


def _sections(name: str) -> dict[str, dict[str, str]]:
    """A file of Asterisk's configuration: section → key → value."""
    found: dict[str, dict[str, str]] = {}
    for line in (_DEPLOY / "asterisk" / name).read_text().splitlines():
        text = line.partition(";")[0].strip()
        if match := re.fullmatch(r"\[(.+)\]", text):
            found[match[1]] = {}
        elif text:
            key, _, value = text.partition("=")
            found[list(found)[-1]][key.strip()] = value.strip()
    return found


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_ROOT / "compose.yaml").read_text())
    return found


def test_compose_names_files_that_are_there(compose: dict[str, Any]) -> None:
    """Each mounted file, each build folder, each named volume."""
    for service in compose["services"].values():
        assert ("image" in service) != ("build" in service)
        if "build" in service:
            assert (_ROOT / service["build"] / "Dockerfile").exists()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (_ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]


def test_its_routes_load_and_fit_its_asterisk(compose: dict[str, Any]) -> None:
    """Names, passwords and ports agree between routes.toml, websocket_client.conf, ari.conf and the dialplan."""
    environ = {"HOOKROUTER_SECRET": "whsec_MTIzNDU2Nzg5MGFiY2RlZg==", "HOOKROUTER_TOKEN": "0123456789abcdef"}
    config = load(_DEPLOY / "routes.compose.toml", environ)
    assert config.warnings == ()
    (settings,) = config.asterisks
    client = _sections("websocket_client.conf")["hookrouter-client"]
    assert (client["username"], client["password"]) == (settings.username, settings.password)
    assert client["uri"] == f"ws://router:{config.server.port}/ari/{settings.name}"
    assert client["connection_type"] == "persistent"
    out = _sections("ari.conf")["to-hookrouter"]
    assert out["type"] == "outbound_websocket"
    assert out["apps"] in settings.apps
    assert out["websocket_client_id"] == "hookrouter-client"
    assert _sections("ari.conf")[out["local_ari_user"]]["type"] == "user"
    dialplan = (_DEPLOY / "asterisk" / "extensions.conf").read_text()
    assert f"Stasis({out['apps']})" in dialplan
    assert "${STASISSTATUS}" in dialplan
    assert compose["services"]["router"]["environment"].keys() >= environ.keys()


def test_what_the_asterisk_image_copies() -> None:
    """Every configuration file, and none that is not there."""
    copied = re.search(r"^COPY (.*) /etc/asterisk/$", (_DEPLOY / "asterisk" / "Dockerfile").read_text(), re.MULTILINE)
    assert copied is not None
    assert sorted(copied[1].split()) == sorted(path.name for path in (_DEPLOY / "asterisk").glob("*.conf"))


def test_the_unit() -> None:
    """It starts a command that exists, stops it as it wants to be stopped, and systemd has nothing against it."""
    path = _DEPLOY / "hookrouter.service"
    text = path.read_text()
    started = re.search(r"^ExecStart=\S+/hookrouter (\w+)$", text, re.MULTILINE)
    assert started is not None
    assert started[1] in main.commands
    for line in ("KillSignal=SIGTERM", "Restart=always", "DynamicUser=yes", "NoNewPrivileges=yes"):
        assert line in text
    if shutil.which("systemd-analyze"):
        command = ["systemd-analyze", "verify", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        assert [line for line in said.splitlines() if "hookrouter" in line and "not executable" not in line] == []


def test_every_service_is_confined(compose: dict[str, Any]) -> None:
    """No rights to begin with, nothing of its own system to write to, bounds for memory, processes and log."""
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit", "logging"} <= service.keys()


def test_nothing_is_open_to_the_network_by_itself(compose: dict[str, Any]) -> None:
    """Each port is this machine's own, until somebody names another address; and no secret is one that everybody knows."""
    for service in compose["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith(("127.0.0.1:", "${SIP_ADDRESS:-127.0.0.1}:")), port
    text = (_ROOT / "compose.yaml").read_text()
    for name in ("HOOKROUTER_TOKEN", "PHONE_PASSWORD"):
        assert f"{name}: ${{{name}:?" in text
    assert "password" not in _sections("pjsip.conf")["phone"]
    assert "#include /run/asterisk/phone_password.conf" in (_DEPLOY / "asterisk/pjsip.conf").read_text()


@pytest.mark.parametrize(("given", "status"), [({}, 2), ({"PHONE_PASSWORD": "short"}, 2)])
def test_the_phone_has_a_password(given: dict[str, str], status: int) -> None:
    """Without one Asterisk is not started."""
    done = subprocess.run(["sh", str(_DEPLOY / "asterisk/start.sh")], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "PHONE_PASSWORD" in done.stderr
