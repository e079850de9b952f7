"""What several commands share: the configuration file, the log's form, and how a fault is told."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from hookrouter.config import Config, load
from hookrouter.errors import ConfigurationError

FAILED = 1
WRONG_USAGE = 2


config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="HOOKROUTER_CONFIG",
    default=Path("routes.toml"),
    show_default=True,
    help="The configuration file.",
)
"""`-c routes.toml`, else HOOKROUTER_CONFIG, else ./routes.toml."""


def config_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `config_option`, and the file may also be named without `-c`."""

    @click.argument("file", required=False, type=click.Path(path_type=Path))
    @config_option
    @functools.wraps(command)
    def with_path(file: Path | None, path: Path, **others: Any) -> Any:
        return command(path=file or path, **others)

    return with_path


def load_or_exit(path: Path) -> Config:
    """The configuration; ends the command with status 2 and every fault where it is wrong."""
    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        refuse(error)


def refuse(error: ConfigurationError) -> NoReturn:
    for fault in error.faults:
        click.echo(str(fault), err=True)
    count = len(error.faults)
    click.echo(f"{count} fault{'s' if count != 1 else ''}: nothing was started.", err=True)
    sys.exit(WRONG_USAGE)
