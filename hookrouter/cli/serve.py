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

from hookrouter.cli.options import FAILED, config_file, load_or_exit, refuse
from hookrouter.config import Config, load
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.facts import Facts, Warned
from hookrouter.service import Service
from hookrouter.store.opening import DEFAULT_STORE
from hookrouter.telemetry.logs import Level, Log


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
    facts = Facts(log)
    for warning in config.warnings:
        facts.emit(Warned("routes", warning))
    service = Service(config, facts=facts, store_url=store, path=path, load=lambda: load(path, os.environ))
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
        click.echo(f"server.listen: cannot listen on {server.host}:{server.port}: {error}", err=True)
        return FAILED
    await stop.wait()
    await service.stop()
    return 0
