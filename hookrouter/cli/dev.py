"""`hookrouter dev`: a simulated Asterisk, the router and its console in one process, and a call at each save of a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hookrouter.checking.router import address
from hookrouter.cli.options import FAILED, host_and_port, not_listening, refuse, say
from hookrouter.cli.trying import show
from hookrouter.config.watching import changes
from hookrouter.errors import ConfigurationError
from hookrouter.facts import Facts
from hookrouter.service.service import Service
from hookrouter.simulator.server import Simulator
from hookrouter.simulator.setting import Setting, for_url
from hookrouter.simulator.tries import Tries
from hookrouter.text.functions import is_function

_MOST_FILES = 3000
_NOT_LOOKED_AT = {"node_modules", "vendor", "venv", "__pycache__", "target", "dist", "build"}
_WRITTEN = (
    ".log",
    ".db",
    ".db-wal",
    ".db-shm",
    ".sqlite",
    ".sqlite3",
    ".pyc",
    ".tmp",
    "~",
)  # by programs, not by editors
_START_TIMEOUT = 30.0
_TELL_EVERY = 2.0


@click.command()
@click.argument("url", default="http://127.0.0.1:8000/")
@click.option("--run", "command", default="", help="The command that starts the endpoint; again at each save.")
@click.option(
    "--watch",
    "watched",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A folder or file to look at; may be repeated. Default: where it is started.",
)
@click.option("--caller", default="", help="The caller's number.")
@click.option("--called", default="", help="The number that is called.")
@click.option("--digits", default="", help="Keys to press: 1,23 is 1 at the first prompt, 2 and 3 at the next.")
@click.option("--secret", envvar="HOOKROUTER_SECRET", default="", help="whsec_… that signs the requests.")
@click.option(
    "--listen",
    type=host_and_port,
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the console is.",
)
@click.option("--speed", default=4.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
def dev(
    url: str,
    command: str,
    watched: tuple[Path, ...],
    caller: str,
    called: str,
    digits: str,
    secret: str,
    listen: tuple[str, int],
    speed: float,
) -> None:
    """Calls the endpoint at URL, shows the call, and calls again whenever a file is saved. It needs no Asterisk."""
    given = {"caller": caller, "called": called, "digits": digits}
    try:
        setting = for_url(url, secret=secret, listen=listen, environ=os.environ)
        asyncio.run(_dev(setting, url, command, watched or (Path(),), given, speed))
    except ConfigurationError as error:
        refuse(error)
    except OSError as error:
        say(f"--listen: {not_listening(*listen, error)}", err=True)
        sys.exit(FAILED)


async def _dev(
    setting: Setting, url: str, command: str, watched: tuple[Path, ...], given: dict[str, str], speed: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Simulator(speed=speed) as simulator:
        config = setting.at(simulator.url, simulator.username, simulator.password)
        service = Service(config, facts=Facts(), store_url="memory:")
        tries = service.console.tries = Tries(lambda: service.config, speed)
        await service.start()
        try:
            say(f"The console: {address(config.server)}/   Ctrl-C ends it.")
            ending = asyncio.create_task(stop.wait())
            saved = changes(lambda: _files(watched), stop)
            saving = asyncio.create_task(_next(saved))
            while not stop.is_set():
                async with _running(command) as endpoint:
                    if await _first(_answers(url), endpoint, saving, ending):
                        await _first(_call(tries, service, given), ending)
                    if endpoint.done():
                        say(
                            f"--run: the program has ended with status {endpoint.result()}; what answers is not this one."
                        )
                    if not stop.is_set() and not saving.done():
                        say("Waiting for a file to be saved …")
                    await asyncio.wait({saving, ending}, return_when=asyncio.FIRST_COMPLETED)
                saving = asyncio.create_task(_next(saved)) if saving.done() else saving
            saving.cancel()
        finally:
            await tries.stop()
            await service.stop()


async def _next(saved: AsyncIterator[None]) -> None:
    await anext(saved, None)


async def _first(work: Coroutine[Any, Any, None], *others: asyncio.Future[Any]) -> bool:
    """Whether it was done before any of the others; else it is given up. Raises what it raises."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return False
        task.result()
        return not any(other.done() for other in others)
    finally:
        task.cancel()


async def _call(tries: Tries, service: Service, given: dict[str, str]) -> None:
    """One call to its end. Where that takes a while, how far it is."""
    (route,) = service.config.routes.routes
    say(f"Calling {route.endpoint.url} …")
    playing = asyncio.create_task(tries.play(route, given))
    try:
        while not (await asyncio.wait({playing}, timeout=_TELL_EVERY))[0]:
            for going in tries.of(route.name)[:1]:
                say(f"  {time.time() - going.at:.0f} s: {going.steps()[-1].label if going.steps() else 'begins'}")
        made = await playing
    finally:
        playing.cancel()
    say("")
    if made.result is not None:
        show(made.result)
    else:
        say("; ".join(made.problems))


async def _answers(url: str) -> None:
    """Until somebody takes connections there, or it has had its time; then the call itself tells what is wrong."""
    if is_function(url):
        return
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_TIMEOUT):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(parts.hostname, port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _running(command: str) -> AsyncIterator[asyncio.Future[int]]:
    """The endpoint's own process, with its children: done with its status when it has ended. Never, where there is none."""
    if not command:
        yield asyncio.get_running_loop().create_future()
        return
    try:
        process = await asyncio.create_subprocess_exec(*shlex.split(command), start_new_session=True)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--run {command!r} cannot be started: {error}") from None
    ended = asyncio.create_task(process.wait())
    try:
        yield ended
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await ended


def _files(watched: tuple[Path, ...]) -> Iterator[Path]:
    """The files that are looked at: none that is hidden, none of installed packages, none that
    programs write, and not more than some thousands."""
    count = 0
    for place in watched:
        if place.is_file():
            yield place
        for folder, folders, names in os.walk(place):
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_LOOKED_AT]
            for name in names:
                if not name.startswith(".") and not name.endswith(_WRITTEN) and count < _MOST_FILES:
                    count += 1
                    yield Path(folder, name)
