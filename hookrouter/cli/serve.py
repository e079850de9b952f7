"""`hookrouter serve`: runs the router until SIGTERM or SIGINT, which leave every call where it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from hookrouter import __version__
from hookrouter.checking.router import address
from hookrouter.cli.options import FAILED, config_file, load_or_exit, not_listening, refuse, say
from hookrouter.config import Config, load
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.facts import Facts, RouterStarted, RouterStopped, Warned
from hookrouter.service.service import Service
from hookrouter.simulator.tries import Tries
from hookrouter.store.opening import DEFAULT_STORE
from hookrouter.telemetry.logs import Level, Log
from hookrouter.telemetry.otel import tracing


@click.command()
@config_file
@click.option("--log", type=click.Choice(["text", "json"]), envvar="HOOKROUTER_LOG", default="text", show_default=True)
@click.option(
    "--level", type=click.Choice(["debug", "info", "warning", "error"]), envvar="HOOKROUTER_LOG_LEVEL", default="info"
)
@click.option("--store", envvar="HOOKROUTER_STORE", default=DEFAULT_STORE, show_default=True, help="The journal.")
def serve(path: Path, log: Literal["text", "json"], level: Level, store: str) -> None:
    """Runs the router."""
    config = load_or_exit(path)
    run = _runner()
    lines = Log(log, level)
    try:
        sys.exit(run(_serve(config, path, lines, store)))
    finally:
        lines.flush()


def _runner() -> Callable[..., int]:
    """asyncio's own runner, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _raise_descriptors() -> None:
    """Each endpoint connection takes a descriptor; the soft limit of 1,024 is for programs that use select()."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(config: Config, path: Path, log: Log, store: str) -> int:
    facts = Facts()
    facts.subscribe(log, log.wants)
    for warning in config.warnings:
        facts.emit(Warned("routes", warning))
    try:
        spans = tracing(facts, os.environ)
    except ConfigurationError as error:
        refuse(error)
    service = Service(config, facts=facts, store_url=store, path=path, load=lambda: load(path, os.environ))
    service.console.tries = Tries(lambda: service.config)
    _raise_descriptors()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await service.start()
    except ConfigurationError as error:
        refuse(error)
    except StoreError as error:
        click.echo(f"{store}: {error}", err=True)
        return FAILED
    except (OSError, SystemExit) as error:
        server = config.server
        say(f"server.listen: {not_listening(server.host, server.port, error)}", err=True)
        return FAILED
    url = address(config.server)
    facts.emit(RouterStarted(url, f"{url}/", __version__))
    await stop.wait()
    await service.console.tries.stop()
    await service.stop()
    facts.emit(RouterStopped(sum(not live.call.channelless for live in service.board)))
    if spans is not None:
        spans.close()
    return 0
