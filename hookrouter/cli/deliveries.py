"""`hookrouter deliveries`: looks at notify deliveries and sends dead letters again, through the running router."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.text import Text

from hookrouter.cli.asking import ask, client_of, give_up
from hookrouter.cli.calls import clock
from hookrouter.cli.options import FAILED, config_again, config_option, load_or_exit, say
from hookrouter.text.lines import shown

_FILTERS = ("status", "route", "call", "type", "reason")


@click.group()
@config_option
@click.pass_context
def deliveries(context: click.Context, path: Path) -> None:
    """Notify deliveries: list, show, replay."""
    context.obj = path


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command a client of the router, as it is named before the command or behind it."""

    @config_again
    @click.pass_context
    @functools.wraps(command)
    def with_client(context: click.Context, /, path: Path | None, **named: Any) -> None:
        command(context.with_resource(client_of(load_or_exit(path or context.obj))), **named)

    return with_client


def _filters(command: Any) -> Any:
    for name in reversed(_FILTERS):
        command = click.option(f"--{name}", help=f"Only with this {name}.")(command)
    return command


def _ask(client: httpx.Client, method: str, url: str, **params: Any) -> Any:
    try:
        return ask(client, method, url, **params)
    except httpx.ConnectError as error:
        give_up(f"the router at {client.base_url} does not answer ({error}): is `hookrouter serve` running?")


@deliveries.command("list")
@_filters
@click.option("--limit", default=50, show_default=True)
@_asking
def list_(client: httpx.Client, /, **which: Any) -> None:
    """Lists deliveries, the newest first."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text(
            f"{'made':<19}  {'status':<9}  {'tries':>5}  {'next try':<19}  {'route':<12}  {'type':<20}  id and reason",
            "dim",
        )
    )
    for found in _ask(client, "GET", "/v1/deliveries", **which)["deliveries"]:
        due = clock(found["next_at"]) if found["status"] == "pending" and found["next_at"] else "-"
        line = (
            f"{clock(found['created_at'])}  {found['status']:<9}  {found['attempts']:>5}  {due:<19}  {found['route']:<12}  "
            f"{found['type']:<20}  {found['id']}  {found['reason']}"
        )
        console.print(Text(shown(line.rstrip()), "red" if found["status"] == "dead" else ""))


@deliveries.command()
@click.argument("id")
@_asking
def show(client: httpx.Client, id: str) -> None:
    """Shows one delivery: the exact body, the attempts, and why."""
    found = _ask(client, "GET", "/v1/deliveries", id=id)["deliveries"]
    if not found:
        say(f"no delivery {id}", err=True)
        sys.exit(FAILED)
    click.echo(json.dumps(found, indent=2))


@deliveries.command()
@click.argument("id", required=False)
@_filters
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@_asking
def replay(client: httpx.Client, /, id: str | None, everything: bool, **which: Any) -> None:
    """Sends dead letters again, each with its old id: the one of ID, those that fit the filters, or --all."""
    if id is None and not everything and not any(which.values()):
        raise click.UsageError("give an id, a filter such as --route crm, or --all")
    if everything and (id or any(which.values())):
        raise click.UsageError("--all goes with neither an id nor a filter")
    url = f"/v1/deliveries/{id}/replay" if id else "/v1/deliveries/replay"
    which["all"] = "true" if everything else ""
    click.echo(f"{_ask(client, 'POST', url, **which)['replayed']} to be sent again")
