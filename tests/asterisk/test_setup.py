"""`hookrouter setup` on real folders: Debian's as its package brings it, and one laid out as FreePBX lays it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from asterisk.conftest import need_asterisk
from click.testing import CliRunner
from examples.serving import start
from lab.asterisk import Asterisk, free_port
from lab.layouts import laid_out
from rig.endpoint import Endpoint
from rig.page import ROOT, Walk, blocks
from rig.talk import says_something

from hookrouter.checking.live import check_live
from hookrouter.cli import main
from hookrouter.config import load
from hookrouter.facts import Facts
from hookrouter.service.service import Service

HELLO = [{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]
LOCAL = '[policy]\nendpoints = ["*", "Local/*@from-internal"]\n'
ROUTER_PORT = free_port()
MODES = {"debian": "connect", "freepbx": "listen", "invited": "invite"}


@pytest.fixture(params=list(MODES))
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(layout: str) -> Iterator[Asterisk]:
    """Not started."""
    need_asterisk()
    found = laid_out(layout)
    yield found
    found.stop()


async def test_a_call_is_heard(lab: Asterisk, layout: str, tmp_path: Path, endpoint: Endpoint) -> None:
    """Set up by the command alone: the check finds nothing wrong, and 1000 says hello, or that something is wrong."""
    mode = MODES[layout]
    routes = tmp_path / "routes.toml"
    arguments = ["setup", str(lab.etc), "-c", str(routes), "--mode", mode, "--endpoint", endpoint.url, "--write"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "Nothing is missing." in CliRunner().invoke(main, arguments).output
    routes.write_text(routes.read_text() + f'[server]\nlisten = "127.0.0.1:{ROUTER_PORT}"\n' + LOCAL)
    client = lab.etc / "websocket_client.conf"
    if mode == "listen":
        client.write_text(client.read_text().replace(":8080/", f":{ROUTER_PORT}/"))
    config = load(routes, {})
    lab.password = config.asterisks[0].password
    lab.start()
    endpoint.answers["StasisStart"] = HELLO
    service = Service(config, facts=Facts(), store_url="memory:")
    await service.start()
    try:
        async with asyncio.timeout(15):
            while not all(client.ready for client in service.clients.values()):
                await asyncio.sleep(0.02)
        said: list[str] = []
        findings = await check_live(config, said.append, lab.etc)
        assert findings.wrong_count == 0, "\n".join(said)
        await says_something(lab, "1000")
        assert endpoint.of("StasisStart")[-1].body["data"]["args"] == []
        if layout == "freepbx":
            await says_something(lab, "5550100")  # by a custom destination: the number is the argument
            assert endpoint.of("StasisStart")[-1].body["data"]["args"] == ["5550100"]
            endpoint.answers["StasisStart"] = [{"action": "dial", "to": "Local/200@from-internal"}, {"action": "hangup"}]
            await says_something(lab, "1000")  # the extension, by FreePBX's own dialplan
    finally:
        await service.stop()
    if mode == "connect":  # with its own socket Asterisk keeps the call until the router is back
        await says_something(lab, "1000")


async def test_modules_of_a_folder_without_autoload(tmp_path: Path) -> None:
    """The modules that are added are enough: Asterisk's REST interface answers, and nothing is wrong."""
    need_asterisk()
    phones = "pbx_config codec_ulaw format_wav format_pcm res_sorcery_config res_sorcery_memory".split()  # noqa: SIM905
    text = "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in phones)
    found = Asterisk(files={"modules.conf": text, "ari.conf": "", "extensions.conf": "[default]\n"})
    found.prepare()
    try:
        arguments = ["setup", str(found.etc), "-c", str(tmp_path / "routes.toml"), "--mode", "listen", "--write"]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        config = load(tmp_path / "routes.toml", {})
        found.password = config.asterisks[0].password
        found.start()
        said: list[str] = []
        await check_live(config, said.append, found.etc)
        assert not [line for line in said if "not running" in line and "✗" in line], "\n".join(said)
    finally:
        found.stop()


def test_the_reload_that_is_printed_is_enough(tmp_path: Path) -> None:
    """For an Asterisk that runs already, its HTTP server off: the new user is let in, and the number is there."""
    need_asterisk()
    found = Asterisk()
    found.prepare()
    http = found.etc / "http.conf"
    http.write_text(http.read_text().replace("enabled=yes", "enabled=no"))
    try:
        found.boot()
        arguments = ["setup", str(found.etc), "-c", str(tmp_path / "routes.toml"), "--user", "router", "--write"]
        done = CliRunner().invoke(main, [*arguments, "--context", "in", "--number", "77"])
        assert done.exit_code == 0, done.output
        assert 'asterisk -rx "core reload"' in done.output
        found.username, found.password = "router", load(tmp_path / "routes.toml", {}).asterisks[0].password
        assert not found.answers()
        found.cli("core reload")
        found.wait()  # until the router's user is answered
        assert "to-hookrouter" in found.cli("dialplan show 77@in")
    finally:
        found.stop()


def test_it_reloads_and_checks_by_itself(tmp_path: Path, endpoint_of_a_program: str) -> None:
    """The new user is let in, and nothing is wrong; a URL in place of the folder tells the same, and what is wrong."""
    need_asterisk()
    found = laid_out("debian")
    walk = Walk(tmp_path, {}, found)
    try:
        found.boot()
        command = f"hookrouter setup {found.etc} --write --reload --endpoint {endpoint_of_a_program}"
        said = walk.run(command)
        assert "✓ asterisk -rx" in said
        assert "Nothing wrong was found." in said
        asked = walk.run(f"hookrouter setup {found.url}/")
        assert "Nothing wrong was found." in asked
        before = {path.name: path.read_bytes() for path in found.etc.iterdir()}
        routes = walk.home / "routes.toml"
        routes.write_text(re.sub('^password = .*$', 'password = "another"', routes.read_text(), flags=re.MULTILINE))
        wrong = walk.run(f"hookrouter setup {found.url} || test $? = 1")
        assert "1 thing wrong." in wrong
        assert "ari.conf" in wrong
        assert "setup /etc/asterisk" in wrong
        assert {path.name: path.read_bytes() for path in found.etc.iterdir()} == before
    finally:
        walk.end()
        found.stop()


@pytest.fixture
def endpoint_of_a_program(tmp_path: Path) -> Iterator[str]:
    """README's, in Python."""
    (source,) = blocks((ROOT / "README.md").read_text(), "python")
    folder = tmp_path / "endpoint"
    folder.mkdir()
    (folder / "hello.py").write_text(source)
    port = free_port()
    served = start("python", [sys.executable, "-m", "uvicorn", "hello:app", "--port", str(port)], port, folder, {})
    yield served.wait().url
    served.stop()
