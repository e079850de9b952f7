"""The functions of examples/functions, each in the runtime that its platform has, as far as a registry has that one."""

from __future__ import annotations

import json
import os
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from examples.lambdas import Template, deployed
from examples.serving import EXAMPLES, SECRET, Served, node_packages, with_packages
from lab.asterisk import free_port
from rig.functions import LambdaApi

from hookrouter.config import parse
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.script import Expect, Script
from hookrouter.simulator.setting import for_routes

FOLDER = EXAMPLES / "functions"
KEY = "a-function-key"
HEARD = ["sound:hello-world", "digits:7"]
LAMBDAS = ("lambda", "lambda-node")


def _start(name: str, command: list[str], folder: Path, **environ: str) -> Served:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | {"HOOKROUTER_SECRET": SECRET} | environ, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    return Served(name, int(environ.get("PORT", "0")), process, log)


def gcf(folder: Path, port: str) -> Served:
    """As `npm start` does; the functions framework is what Google's buildpack starts."""
    copy = with_packages(folder, "functions/gcf")
    _, *options = json.loads((copy / "package.json").read_text())["scripts"]["start"].split()
    command = ["node", "node_modules/@google-cloud/functions-framework/build/src/main.js", *options]
    return _start("gcf", command, copy, PORT=port)


def azure(folder: Path, port: str) -> Served:
    node_packages()
    host = str(Path(__file__).with_name("azure_host.mjs"))
    return _start("azure", ["node", host, str(FOLDER / "azure"), port, KEY], folder, PORT=port)


def workers(folder: Path, port: str) -> Served:
    """In workerd, which is what runs them at Cloudflare; the secret is a binding of text, as `wrangler secret` makes it."""
    copy = with_packages(folder, "functions/workers")
    settings = tomllib.loads((copy / "wrangler.toml").read_text())
    (copy / "config.capnp").write_text(
        'using Workerd = import "/workerd/workerd.capnp";\n'
        "const config :Workerd.Config = (\n"
        f'  services = [(name = "{settings["name"]}", worker = (\n'
        f'    modules = [(name = "worker", esModule = embed "{settings["main"]}")],\n'
        f'    compatibilityDate = "{settings["compatibility_date"]}",\n'
        f'    bindings = [(name = "HOOKROUTER_SECRET", text = "{SECRET}")]))],\n'
        f'  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "{settings["name"]}")]);\n'
    )
    binary = "node_modules/@cloudflare/workerd-linux-64/bin/workerd"
    return _start("workers", [binary, "serve", "config.capnp"], copy, PORT=port)


STARTS: dict[str, Callable[[Path, str], Served]] = {"gcf": gcf, "azure": azure, "workers": workers}
HEADERS = {"azure": {"x-functions-key": KEY}}
PATHS = {"azure": "api/ivr"}


@pytest.fixture(scope="module", params=list(STARTS))
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, float]]:
    """Its platform, its address, and how long it took from nothing until it took connections."""
    began = time.monotonic()
    running = STARTS[request.param](tmp_path_factory.mktemp(request.param), str(free_port()))
    try:
        running.wait()
        url = f"http://127.0.0.1:{running.port}/{PATHS.get(request.param, '')}"
        yield request.param, url, time.monotonic() - began
    finally:
        running.stop()


async def _called(url: str, environ: dict[str, str] | None = None, **headers: str) -> Result:
    """A caller who presses 7."""
    given = "".join(f'"{name}" = "{value}", ' for name, value in headers.items()).removesuffix(", ")
    text = f'[asterisk.main]\npassword = "x"\n[[routes]]\nurl = "{url}"\nsecret = "{SECRET}"\nheaders = {{ {given} }}\n'
    script = Script(digits="7", hangup_after=20, expect=Expect(heard=HEARD, ended_by="endpoint"))
    return await Play("", script, speed=6.0, setting=for_routes(parse(text, environ or {}), [])).run()


async def test_a_call(web: tuple[str, str, float]) -> None:
    """The caller hears the greeting, presses a key, and hears it."""
    name, url, seconds = web
    result = await _called(url, **HEADERS.get(name, {}))
    assert not result.problems, result.problems
    assert seconds < 20


def test_who_does_not_sign(web: tuple[str, str, float]) -> None:
    """Is not let in: without a signature, with an old one, with another's; nor without the platform's key."""
    name, url, _ = web
    headers = HEADERS.get(name, {})
    at = str(int(time.time()))
    for signed in (
        {}, {"webhook-id": "e", "webhook-timestamp": at, "webhook-signature": "v1,AAAA"},
        {"webhook-id": "e", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
        {"webhook-id": "e", "webhook-timestamp": at, "webhook-signature": "v1," + "A" * 43 + "="},
    ):  # fmt: skip
        answer = httpx.post(url, content=b'{"type":"StasisStart"}', headers=headers | signed, trust_env=False)
        assert (answer.status_code, answer.text) == (401, "wrong signature")
    if headers:
        assert httpx.post(url, content=b"{}", trust_env=False).status_code == 401


@pytest.fixture(scope="module", params=LAMBDAS)
def aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaApi]:
    """The function in Python and in Node, behind Lambda's API and behind a function URL."""
    with deployed(FOLDER / request.param, tmp_path_factory.mktemp(request.param)) as api:
        yield api


async def test_a_call_by_the_name_of_a_function(aws: LambdaApi) -> None:
    """Without a gateway."""
    result = await _called("lambda:ivr:live", aws.environ)
    assert not result.problems, result.problems
    assert {name for name, _ in aws.seen} == {"ivr:live"}


async def test_a_call_by_a_function_url(aws: LambdaApi) -> None:
    """The same handler, with the body in base64."""
    result = await _called(f"{aws.url}/url/ivr")
    assert not result.problems, result.problems
    assert aws.seen[-1][1]["isBase64Encoded"] is True


def test_a_function_that_is_called_by_somebody_else(aws: LambdaApi) -> None:
    """Its own 401."""
    for signed in ({}, {"webhook-id": "e", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}):
        answer = httpx.post(f"{aws.url}/url/ivr", content=b"{}", headers=signed, trust_env=False)
        assert (answer.status_code, answer.text) == (401, "wrong signature")


def test_the_deployment_names_what_is_there() -> None:
    """The function, its file, the secret's variable."""
    build = yaml.safe_load((FOLDER / "gcf/cloudbuild.yaml").read_text())
    assert "--function=ivr" in build["steps"][0]["args"]
    assert any(one.startswith("--set-secrets=HOOKROUTER_SECRET=") for one in build["steps"][0]["args"])
    assert "functions.http('ivr'" in (FOLDER / "gcf" / json.loads((FOLDER / "gcf/package.json").read_text())["main"]).read_text()
    for name in LAMBDAS:
        ivr = yaml.load((FOLDER / name / "template.yaml").read_text(), Template)["Resources"]["Ivr"]["Properties"]
        assert ivr["Environment"]["Variables"] == {"HOOKROUTER_SECRET": "Ref HookrouterSecret"}
        assert (ivr["FunctionName"], ivr["AutoPublishAlias"]) == ("ivr", "live")
