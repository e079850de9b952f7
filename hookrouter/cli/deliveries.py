"""`hookrouter deliveries`: looks at notify deliveries and sends dead letters again, through the running router."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import httpx

from hookrouter.cli.options import FAILED, config_option, load_or_exit

_FILTERS = ("status", "route", "call", "type", "reason")


@click.group()
@config_option
@click.pass_context
def deliveries(context: click.Context, path: Path) -> None:
    """Notify deliveries: list, show, replay."""
    server = load_or_exit(path).server
    host = "127.0.0.1" if server.host == "0.0.0.0" else server.host
    headers = {"authorization": f"Bearer {server.token}"} if server.token else {}
    context.obj = httpx.Client(base_url=f"http://{host}:{server.port}", headers=headers, timeout=30, trust_env=False)


def _filters(command: Any) -> Any:
    for name in reversed(_FILTERS):
        command = click.option(f"--{name}", help=f"Only with this {name}.")(command)
    return command


def _ask(client: httpx.Client, method: str, url: str, **params: Any) -> Any:
    try:
        response = client.request(method, url, params={key: value for key, value in params.items() if value})
    except httpx.TransportError as error:
        click.echo(
            f"the router at {client.base_url} does not answer ({error}): is `hookrouter serve` running?", err=True
        )
        sys.exit(FAILED)
    if response.status_code >= 400:
        click.echo(response.json().get("detail", response.text), err=True)
        sys.exit(FAILED)
    return response.json()


@deliveries.command("list")
@_filters
@click.option("--limit", default=50, show_default=True)
@click.pass_obj
def list_(client: httpx.Client, /, **which: Any) -> None:
    """Lists deliveries, the newest first."""
    for found in _ask(client, "GET", "/v1/deliveries", **which)["deliveries"]:
        click.echo(
            f"{found['id']}  {found['status']:<9} {found['attempts']:>3}  {found['route']}  {found['type']}  {found['reason']}"
        )


@deliveries.command()
@click.argument("id")
@click.pass_obj
def show(client: httpx.Client, id: str) -> None:
    """Shows one delivery: the exact body, the attempts, and why."""
    found = _ask(client, "GET", "/v1/deliveries", id=id)["deliveries"]
    if not found:
        click.echo(f"no delivery {id}", err=True)
        sys.exit(FAILED)
    click.echo(json.dumps(found, indent=2))


@deliveries.command()
@click.argument("id", required=False)
@_filters
@click.pass_obj
def replay(client: httpx.Client, /, id: str | None, **which: Any) -> None:
    """Sends dead letters again, with the same id: one by ID, or all that the filters leave."""
    if id is None and not any(which.values()):
        raise click.UsageError("give an id, or a filter such as --route crm")
    url = f"/v1/deliveries/{id}/replay" if id else "/v1/deliveries/replay"
    click.echo(f"{_ask(client, 'POST', url, **which)['replayed']} to be sent again")
