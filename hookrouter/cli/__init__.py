"""The command `hookrouter`. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""

from __future__ import annotations

import click

from hookrouter import __version__
from hookrouter.cli.calls import calls, tail
from hookrouter.cli.cluster import cluster
from hookrouter.cli.deliveries import deliveries
from hookrouter.cli.dev import dev
from hookrouter.cli.erasing import erase
from hookrouter.cli.inspect import check, schema
from hookrouter.cli.listening import listen
from hookrouter.cli.mcp import mcp
from hookrouter.cli.new import new
from hookrouter.cli.replaying import replay
from hookrouter.cli.serve import serve
from hookrouter.cli.setup import setup
from hookrouter.cli.signatures import sign, verify
from hookrouter.cli.triggering import trigger
from hookrouter.cli.trying import demo, simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hookrouter")
def main() -> None:
    """Puts every call on an Asterisk into the hands of a web function in any language."""


for command in (serve, setup, new, dev, check, demo, simulate, schema, sign, verify):
    main.add_command(command)
for command in (calls, tail, replay, listen, trigger, deliveries, erase, cluster, mcp):
    main.add_command(command)
