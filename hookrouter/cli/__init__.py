"""The command `hookrouter`. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""

from __future__ import annotations

import click

from hookrouter import __version__
from hookrouter.cli.deliveries import deliveries
from hookrouter.cli.inspect import check, schema
from hookrouter.cli.serve import serve
from hookrouter.cli.signatures import sign, verify
from hookrouter.cli.trying import demo, simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hookrouter")
def main() -> None:
    """Puts every call on an Asterisk into the hands of a web function in any language."""


for command in (serve, check, demo, simulate, schema, sign, verify, deliveries):
    main.add_command(command)
