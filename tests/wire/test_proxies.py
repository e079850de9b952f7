"""Behind nginx and Caddy, with the settings that docs/operations.md gives: pages, listeners, uploads, and Asterisk's socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from lab.asterisk import free_port
from rig.certificates import Authority, Pair
from rig.router import Router, route

from hookrouter.facts import AriConnected, AriLost, AuthRefused, HttpRefused
from hookrouter.simulator.server import Simulator

TOKEN = "a-token-of-sixteen-and-more"
NOWHERE = "http://127.0.0.1:9"
_DOCS = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def settings(language: str) -> str:
    """The block of the documentation."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", _DOCS, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def nginx(folder: Path, port: int, behind: int, pair: Pair) -> list[str]:
    text = settings("nginx").replace("listen 443", f"listen 127.0.0.1:{port}").replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
    text = text.replace("/etc/nginx/tls/fullchain.pem", str(pair.certificate)).replace("/etc/nginx/tls/privkey.pem", str(pair.key))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}pid {folder}/pid;\nerror_log stderr;\ndaemon off;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy(folder: Path, port: int, behind: int, pair: Pair) -> list[str]:
    text = settings("caddy").replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
    sites = f"https://router.example.com:{port}, https://localhost:{port}"
    text = text.replace("router.example.com {", f"{sites} {{\n\ttls {pair.certificate} {pair.key}")
    head = "{\n\tadmin off\n\tauto_https off\n\tstorage file_system " + f"{folder}/storage\n}}\n"
    (folder / "Caddyfile").write_text(head + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@contextlib.contextmanager
def standing_in_front(command: list[str], folder: Path) -> Iterator[None]:
    program = shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        message = f"no {command[0]} here; `make lab` installs it (root, Debian)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    environ = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), *command[1:]], stdout=log, stderr=log, env=environ)
    try:
        yield
    finally:
        process.kill()  # what ends nicely waits for the sockets that go through it
        process.wait(10)


@contextlib.asynccontextmanager
async def behind(kind: str, authority: Authority, folder: Path) -> AsyncIterator[tuple[Router, httpx.AsyncClient, int]]:
    pair = authority.issue(kind, "DNS:router.example.com,DNS:localhost")
    port = free_port()
    make = {"nginx": nginx, "caddy": caddy}[kind]
    keys = f'token = "{TOKEN}"'
    async with Router("", "app", route(NOWHERE), mode="listen", serve=True, extra=keys) as router:
        ours = int(router.service.address.rpartition(":")[2])
        with standing_in_front(make(folder, port, ours, pair), folder):
            context = ssl.create_default_context(cafile=str(authority.certificate))
            async with httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{port}", verify=context, trust_env=False, timeout=10,
                headers={"host": f"router.example.com:{port}"},
            ) as http:  # fmt: skip
                named = {"sni_hostname": "router.example.com"}
                http.event_hooks = {"request": [_named(named)]}
                try:
                    async with asyncio.timeout(20):
                        while True:
                            with contextlib.suppress(httpx.TransportError):
                                if (await http.get("/healthz")).status_code == 200:
                                    break
                            await asyncio.sleep(0.05)  # another process
                except TimeoutError:
                    raise AssertionError((folder / "log").read_text()[-3000:]) from None
                yield router, http, port


def _named(extensions: dict[str, str]) -> Callable[[httpx.Request], Awaitable[None]]:
    async def add(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, **extensions}

    return add


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_behind_a_proxy(kind: str, authority: Authority, tmp_path: Path) -> None:
    """A login from a browser, a page, what happens as it happens, a body that is too large; and nothing is local."""
    async with behind(kind, authority, tmp_path) as (router, http, port):
        origin = {"origin": f"https://router.example.com:{port}"}
        assert (await http.get("/v1/calls")).status_code == 401
        assert (await http.post("/login", data={"token": TOKEN}, headers={"origin": "https://evil.example"})).status_code == 403
        done = await http.post("/login", data={"token": TOKEN}, headers=origin)
        assert done.status_code == 303
        assert "; Secure" in done.headers["set-cookie"]
        session = {"cookie": done.headers["set-cookie"].partition(";")[0]}
        assert (await http.get("/", headers=session)).status_code == 200
        async with http.stream("GET", "/v1/events", headers=session) as events:
            lines = events.aiter_lines()
            assert await anext(lines) == ": hookrouter"
            router.service.facts.emit(HttpRefused("at once", "test"))
            async with asyncio.timeout(5):
                while "at once" not in await anext(lines):
                    pass
        huge = await http.post("/v1/calls", content=b"x" * 300_000, headers=session | origin)
        assert huge.status_code == 413
        assert router.of(AuthRefused)


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_the_socket_of_an_asterisk(
    kind: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes the proxy, and stays."""
    async with behind(kind, authority, tmp_path) as (router, _, port):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        async with Simulator() as simulator:
            simulator.listen("app", f"wss://localhost:{port}/ari/main")
            await router.fact(AriConnected)
            assert [fact for fact in router.facts if isinstance(fact, AriLost)] == []
