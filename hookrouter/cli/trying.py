"""`hookrouter demo` and `simulate`."""

import click


@click.command()
def demo() -> None: ...
@click.command()
def simulate() -> None: ...
