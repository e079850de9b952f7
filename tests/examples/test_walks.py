"""From nothing to a call that is heard, as somebody walks who knows only the page: what is run is what is printed.

Not walked here: the installation, whose lines tests/packages runs; `hookrouter` is the one of this checkout.
The walk of an operator with containers is in tests/image/test_deploy_call.py.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asterisk.conftest import need_asterisk
from examples.lambdas import deployed
from examples.serving import EXAMPLES, missing
from lab.asterisk import Asterisk, free_port
from lab.layouts import laid_out
from rig.page import ROOT, Walk, blocks, commands, section
from rig.talk import says_something

FIRST = "Five minutes to a call that you hear"
Begin = Callable[[Asterisk | None], Walk]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """A walk of README's page; its ports are free ones."""
    begun: list[Walk] = []

    def make(asterisk: Asterisk | None) -> Walk:
        swap = {"127.0.0.1:8000": f"127.0.0.1:{free_port()}"}
        port = swap["127.0.0.1:8000"].rpartition(":")[2]
        swap |= {"listen(8000": f"listen({port}", "--port 8000": f"--port {port}"}
        if asterisk is not None:
            swap["/etc/asterisk"] = str(asterisk.etc)
        begun.append(Walk(tmp_path, swap, asterisk))
        return begun[0]

    yield make
    for walk in begun:
        walk.end()


def _endpoint(walk: Walk, name: str, text: str) -> str:
    """Saves the file of README's page; the command that starts it."""
    found = re.search(rf"`{name}`,\s+started by `([^`]+)`", text)
    assert found is not None
    kind = {".php": "php", ".mjs": "js", ".py": "python"}[Path(name).suffix]
    (source,) = blocks(text, kind) or blocks((ROOT / "README.md").read_text(), kind)
    walk.save(name, source)
    if not shutil.which(found[1].split()[0], path=walk.environ["PATH"]):
        missing(found[1].split()[0])
    return found[1]


def _own_listen(walk: Walk) -> None:
    """The router's own port, 8080, is a free one."""
    routes = walk.home / "routes.toml"
    routes.write_text(walk.here(routes.read_text()) + f'[server]\nlisten = "127.0.0.1:{free_port()}"\n')


def _reloaded(walk: Walk, asterisk: Asterisk, lines: list[str]) -> list[str]:
    """What each line says, with Asterisk running as it was before; after them the user that was written is let in."""
    asterisk.boot()
    said = [walk.run(line) for line in lines]
    routes = tomllib.loads((walk.home / "routes.toml").read_text())["asterisk"]["main"]
    asterisk.username, asterisk.password = routes["username"], routes["password"]
    asterisk.wait()
    return said


async def _serve(walk: Walk, line: str) -> None:
    await walk.start(line).says("ari.connected")


async def _dev(walk: Walk, text: str, started: str, name: str) -> None:
    """The call is heard without an Asterisk, and again when the file is saved; `dev` starts the endpoint."""
    (run,) = re.findall(rf"`(--run '{re.escape(started)}')`", text)
    path = walk.home / name
    source = path.read_text()
    dev = walk.start(f"{commands(text)[2]} {run} --listen 127.0.0.1:{free_port()}")
    await dev.says("Waiting for a file to be saved")
    path.write_text(source.replace("hello-world", "tt-weasels"))
    await dev.says("Waiting for a file to be saved", 2)
    assert dev.stop() == 0
    assert re.findall(r"♪ (sound:\S+)", dev.said) == ["sound:hello-world", "sound:tt-weasels"], dev.said
    assert dev.said.count("All is well") == 2
    path.write_text(source)


async def test_php_and_a_plain_asterisk(begin: Begin) -> None:
    """README: the endpoint, a call without Asterisk, its files, the check, and a phone that dials 1000."""
    need_asterisk()
    text = section("README.md", FIRST)
    *_, setup, reload, check, serve = commands(text)
    asterisk = laid_out("debian")
    walk = begin(asterisk)
    try:
        started = _endpoint(walk, "hello.php", text)
        await _dev(walk, text, started, "hello.php")
        walk.start(started)
        _reloaded(walk, asterisk, [setup, reload])
        _own_listen(walk)
        assert "✗" not in walk.run(check)
        await _serve(walk, serve)
        await says_something(asterisk, "1000")
    finally:
        asterisk.stop()


async def test_node_and_freepbx(begin: Begin) -> None:
    """setup.md with a folder as FreePBX lays it out (its web pages are not here: what a custom destination writes is in it)."""
    need_asterisk()
    text = section("README.md", FIRST)
    show, write, reload, check = commands(section("docs/setup.md", "Setting up Asterisk").partition("\n## ")[0])
    asterisk = laid_out("freepbx")
    walk = begin(asterisk)
    try:
        walk.start(_endpoint(walk, "hello.mjs", text))
        shown, written, _ = _reloaded(walk, asterisk, [show, write, reload])
        assert "nothing was written" in shown
        (target,) = re.findall(r"target\s+`([\w,-]+)`", section("docs/setup.md", "FreePBX"))
        assert f"target {target}, and an Inbound Route" in written
        assert f"Goto({target})" in (asterisk.etc / "extensions_additional.conf").read_text()
        _own_listen(walk)
        assert "✗" not in walk.run(check)
        await _serve(walk, commands(text)[-1])
        await says_something(asterisk, "1000")
        await says_something(asterisk, "5550100")
    finally:
        asterisk.stop()


async def test_a_python_developer_on_a_laptop(begin: Begin) -> None:
    """README without an Asterisk: what it says to install, the endpoint started by `dev`, and again when it is saved."""
    text = section("README.md", FIRST)
    walk = begin(None)
    (install,) = re.findall(r"`(pip install [^`]+)`", text)
    walk.run(install)
    await _dev(walk, text, _endpoint(walk, "hello.py", text), "hello.py")


async def test_n8n_without_asterisk(begin: Begin) -> None:
    """examples/README.md. n8n is its stand-in, with the workflow as it would be imported and the secret in its node."""
    walk = begin(None)
    port = free_port()
    walk.swap["127.0.0.1:5678"] = f"127.0.0.1:{port}"
    export, n8n, simulate = _lines("examples/README.md", "The same small IVR in every language", "npx n8n")
    stand_in = f"node {Path(__file__).with_name('n8n.mjs')} {EXAMPLES}/n8n/workflow.json {port}"
    walk.tool("npx", f'#!/bin/sh\ntest "$1" = n8n && exec {stand_in} "$HOOKROUTER_SECRET"\n')
    if not shutil.which("node"):
        missing("node")
    walk.export(export)
    await walk.start(n8n).listens(port)
    said = walk.run(simulate)
    assert "♪ digits:" in said
    assert "All is well" in said


async def test_node_on_lambda(begin: Begin, tmp_path: Path) -> None:
    """functions.md. There is no account of AWS here: `sam` takes what it is told, and Lambda's API is a stub that checks SigV4."""
    walk = begin(None)
    (walk.home / "examples").symlink_to(EXAMPLES)
    (export,) = _lines("docs/functions.md", "Functions in the cloud", "--new-secret")
    folder, build, deploy, simulate = _lines("docs/functions.md", "AWS Lambda", "sam build")
    (there,) = re.findall(r"in Node: (\S+)", folder)
    walk.tool("sam", '#!/bin/sh\ntest -f template.yaml && echo "$@" >> "$OLDPWD/sam"\n')
    walk.export(export)
    walk.run("\n".join([f"cd {there}", build, deploy]))
    (secret,) = re.findall(r"--parameter-overrides HookrouterSecret=(whsec_\S+)", (walk.home / "sam").read_text())
    with deployed(walk.home / there, tmp_path, secret) as api:
        walk.environ |= api.environ  # the credentials of the shell
        said = walk.run(f"cd {there}\n{simulate}")
    assert "♪ digits:7" in said
    assert "All is well" in said
    assert {name for name, _ in api.seen} == {"ivr:live"}


def _lines(page: str, heading: str, having: str) -> list[str]:
    """Those of the one block that has this in it."""
    (block,) = [block for block in blocks(section(page, heading), "sh") if having in block]
    return block.splitlines()
