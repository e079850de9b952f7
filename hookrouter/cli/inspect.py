"""`hookrouter check` and `schema`: what is wrong with the configuration, and what may be in it and in an answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from hookrouter.checking.live import check_live
from hookrouter.cli.options import FAILED, config_file, load_or_exit, say
from hookrouter.published.openapi import openapi_document
from hookrouter.published.schemas import actions_schema, routes_document


@click.command()
@config_file
@click.option("--live", is_flag=True, help="Also asks every Asterisk, the router that runs and every endpoint.")
@click.option(
    "--asterisk-config",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Asterisk's configuration, such as /etc/asterisk: the dialplan and ari.conf are read, too. With --live.",
)
def check(path: Path, live: bool, folder: Path | None) -> None:
    """Says all that is wrong with routes.toml; starts nothing."""
    if folder is not None and not live:
        raise click.UsageError("--asterisk-config goes with --live")
    config = load_or_exit(path)
    for warning in config.warnings:
        say(f"warning: {warning}")
    routes, asterisks = _counted(len(config.routes), "route"), _counted(len(config.asterisks), "Asterisk")
    if not live:
        say(f"{path}: {routes}, {asterisks}: no faults. Neither Asterisk nor an endpoint was asked: --live does.")
        return
    findings = asyncio.run(check_live(config, say, folder))
    unasked = f" Not asked: {', '.join(findings.unasked)}." if findings.unasked else ""
    if findings.wrong_count:
        say(f"{path}: {_counted(findings.wrong_count, 'thing')} wrong.{unasked}")
        sys.exit(FAILED)
    say(f"{path}: {routes}, {asterisks}: nothing wrong was found.{unasked}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


_SCHEMAS: dict[str, Any] = {"actions": actions_schema, "routes": routes_document, "openapi": openapi_document}


@click.command()
@click.argument("what", type=click.Choice(list(_SCHEMAS)))
def schema(what: str) -> None:
    """Prints the JSON Schema of answers or of routes.toml, or the OpenAPI document."""
    click.echo(json.dumps(_SCHEMAS[what](), indent=2))
