"""`hookrouter check` and `schema`: what is wrong with the configuration, and what may be in it and in an answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from hookrouter.cli.options import FAILED, config_file, load_or_exit
from hookrouter.live_check import check_live
from hookrouter.openapi import openapi_document
from hookrouter.schemas import actions_schema, routes_document


@click.command()
@config_file
@click.option("--live", is_flag=True, help="Also asks every Asterisk and every endpoint.")
def check(path: Path, live: bool) -> None:
    """Says all that is wrong with routes.toml; starts nothing."""
    config = load_or_exit(path)
    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    if live and not asyncio.run(check_live(config, click.echo)):
        sys.exit(FAILED)
    click.echo(f"{path}: {len(config.routes)} routes, {len(config.asterisks)} Asterisk: all is well")


_SCHEMAS: dict[str, Any] = {"actions": actions_schema, "routes": routes_document, "openapi": openapi_document}


@click.command()
@click.argument("what", type=click.Choice(list(_SCHEMAS)))
def schema(what: str) -> None:
    """Prints the JSON Schema of answers or of routes.toml, or the OpenAPI document."""
    click.echo(json.dumps(_SCHEMAS[what](), indent=2))
