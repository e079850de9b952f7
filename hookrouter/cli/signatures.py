"""`hookrouter sign` and `verify`: for people who write an endpoint."""

from __future__ import annotations

import secrets
import sys
import time
from typing import BinaryIO

import click

from hookrouter.cli.options import FAILED, WRONG_USAGE
from hookrouter.delivery import signing


def _key(secret: str) -> bytes:
    try:
        return signing.parse_secret(secret)
    except ValueError as error:
        click.echo(f"--secret: {error}", err=True)
        sys.exit(WRONG_USAGE)


@click.command()
@click.option("--secret", envvar="HOOKROUTER_SECRET", help="whsec_… of the route.")
@click.option("--id", "id", default="evt_test", show_default=True)
@click.option("--timestamp", type=int, help="Seconds since the epoch; default: now.")
@click.option("--new-secret", is_flag=True, help="Makes a secret, prints it, and does nothing else.")
@click.argument("body", type=click.File("rb"), default="-")
def sign(secret: str | None, id: str, timestamp: int | None, new_secret: bool, body: BinaryIO) -> None:
    """Prints the three headers that sign BODY (a file, or standard input)."""
    if new_secret:
        click.echo(signing.format_secret(secrets.token_bytes(32)))
        return
    if secret is None:
        raise click.UsageError("give --secret, or --new-secret to make one")
    at = int(time.time()) if timestamp is None else timestamp
    click.echo(f"webhook-id: {id}")
    click.echo(f"webhook-timestamp: {at}")
    click.echo(f"webhook-signature: {signing.sign(id, at, body.read(), [_key(secret)])}")


@click.command()
@click.option("--secret", envvar="HOOKROUTER_SECRET", required=True, help="whsec_… of the route.")
@click.option("--id", "id", required=True, help="The header webhook-id.")
@click.option("--timestamp", required=True, help="The header webhook-timestamp.")
@click.option("--signature", required=True, help="The header webhook-signature.")
@click.option("--any-time", is_flag=True, help="Takes a signature of any age.")
@click.argument("body", type=click.File("rb"), default="-")
def verify(secret: str, id: str, timestamp: str, signature: str, any_time: bool, body: BinaryIO) -> None:
    """Says whether a signature fits BODY (a file, or standard input), and if not, why."""
    tolerance = float("inf") if any_time else signing.TOLERANCE
    wrong = signing.verify(id, timestamp, body.read(), signature, [_key(secret)], now=time.time(), tolerance=tolerance)
    if wrong:
        click.echo(wrong, err=True)
        sys.exit(FAILED)
    click.echo("the signature is right")
