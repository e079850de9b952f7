"""`hookrouter cluster`: who owns what, where several routers share a database."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import click
import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hookrouter.cli.asking import client_of, give_up, refusal_of
from hookrouter.cli.options import config_option, load_or_exit, say
from hookrouter.cluster.leases import SILENT
from hookrouter.cluster.terms import HOUSE
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.store import read_group
from hookrouter.store.opening import DEFAULT_STORE
from hookrouter.telemetry.phrases import duration


@click.group(invoke_without_command=True)
@click.option("--store", envvar="HOOKROUTER_STORE", default=DEFAULT_STORE, show_default=True, help="The database.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def cluster(context: click.Context, /, store: str, as_json: bool) -> None:
    """Who owns which Asterisk; exit status 1 where nobody owns one."""
    if context.invoked_subcommand is not None:
        return
    try:
        group = read_group(store)
    except (ConfigurationError, StoreError) as error:
        give_up(str(error))
    entries = [found for found in group["entries"] if found["entry"] != HOUSE]
    if as_json:
        click.echo(json.dumps(group | {"entries": entries}, indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        owners = Table("asterisk", "owner", "address", "epoch", "since", box=None, pad_edge=False)
        for found in entries:
            since = duration(found["seconds"]) if found["owned"] else "the lease is over"
            owners.add_row(
                *map(Text, (found["entry"], found["router"] or "nobody", found["address"], str(found["epoch"]), since))
            )
        console.print(owners)
        console.print()
        routers = Table("router", "address", "version", "seen", box=None, pad_edge=False)
        for found in group["routers"]:
            seen = "now" if found["seconds"] < SILENT else f"{duration(found['seconds'])} ago"
            routers.add_row(*map(Text, (found["name"], found["address"], found["version"], seen)))
        console.print(routers)
    if not entries or not all(found["owned"] for found in entries):
        raise SystemExit(1)


@cluster.command("hand-over")
@click.argument("asterisk")
@config_option
@click.option("--to", default="", help="The router that is to have it; default: whoever says first that it can.")
def hand_over(asterisk: str, path: Path, to: str) -> None:
    """Gives an Asterisk from the router that owns it to another one, and waits until that has it. Calls go on.

    Asks the router of routes.toml on this machine, which passes it on to the owner. Exit status 1 where it was refused, or
    taken back.
    """
    with client_of(load_or_exit(path)) as client:
        try:
            reply = client.post(f"/v1/cluster/{quote(asterisk, safe='')}/hand-over", json={"to": to} if to else {})
        except httpx.TransportError as error:
            give_up(f"the router at {client.base_url} does not answer ({error}): is `hookrouter serve` running here?")
    if reply.status_code != 200:
        give_up(refusal_of(reply.content, reply.status_code))
    found = reply.json()
    say(
        f"{found['router']} ({found['address']}) has [asterisk.{found['asterisk']}], after {duration(found['seconds'])}"
    )
