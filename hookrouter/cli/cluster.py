"""`hookrouter cluster`: who owns what, where several routers share a database."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hookrouter.cli.asking import give_up
from hookrouter.cluster.terms import HOUSE
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.store import read_group
from hookrouter.store.opening import DEFAULT_STORE
from hookrouter.telemetry.phrases import duration

_AWAY = 5.0  # seconds without a word of a router that looks at least once a second


@click.command()
@click.option("--store", envvar="HOOKROUTER_STORE", default=DEFAULT_STORE, show_default=True, help="The database.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def cluster(store: str, as_json: bool) -> None:
    """Who owns which Asterisk; exit status 1 where nobody owns one."""
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
            seen = "now" if found["seconds"] < _AWAY else f"{duration(found['seconds'])} ago"
            routers.add_row(*map(Text, (found["name"], found["address"], found["version"], seen)))
        console.print(routers)
    if not entries or not all(found["owned"] for found in entries):
        raise SystemExit(1)
