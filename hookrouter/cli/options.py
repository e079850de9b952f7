"""What several commands share: the configuration file, the log's form, and how a fault is told."""

from __future__ import annotations

import errno
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from hookrouter.config import Config, listen_address, load
from hookrouter.delivery.signing import parse_secret
from hookrouter.errors import ConfigurationError
from hookrouter.text.lines import shown

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


config_again = click.option(
    "-c", "--config", "path", type=click.Path(path_type=Path), help="The configuration file, if not named before."
)  # fmt: skip
"""The same behind the name of a command's part, where it is as good; None: what is before it counts."""


def config_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `config_option`, and the file may also be named without `-c`."""

    @click.argument("file", required=False, type=click.Path(path_type=Path))
    @config_option
    @functools.wraps(command)
    def with_path(file: Path | None, path: Path, **others: Any) -> Any:
        return command(path=file or path, **others)

    return with_path


def host_and_port(text: str) -> tuple[str, int]:
    """The type of every `--listen`: as `listen` of [server] takes it."""
    try:
        return listen_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def not_listening(host: str, port: int, error: BaseException) -> str:
    """Why nobody can listen there, and what helps."""
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"another process has port {port}: end it (`ss -ltnp sport = :{port}` names it), or give another port"
            )
        case errno.EACCES:
            return f"port {port} needs root, or AmbientCapabilities=CAP_NET_BIND_SERVICE: give a port of 1024 or more"
        case errno.EADDRNOTAVAIL:
            return f"this machine has no address {host}: give one that `ip address` shows, or 127.0.0.1 or 0.0.0.0"
    return f"cannot listen at {at}: {error}"


def load_or_exit(path: Path) -> Config:
    """The configuration; ends the command with status 2 and every fault where it is wrong."""
    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        refuse(error)


def keys_of(secret: str) -> tuple[bytes, ...]:
    """The key of `--secret`, none where it is empty; ends the command where it cannot be one."""
    try:
        return (parse_secret(secret),) if secret else ()
    except ValueError as error:
        raise click.UsageError(f"--secret: {error}") from None


def own_command() -> str:
    """How this program is started from a shell, in whatever folder."""
    started = Path(sys.argv[0]).absolute()
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m hookrouter"
    found = shutil.which(started.name)
    return started.name if found and Path(found).resolve() == started.resolve() else shlex.quote(str(started))


def say(text: str, *, err: bool = False) -> None:
    """One line for the terminal, without the control characters that callers or endpoints may have sent."""
    click.echo(shown(text), err=err)


def refuse(error: ConfigurationError) -> NoReturn:
    for fault in error.faults:
        say(str(fault), err=True)
    count = len(error.faults)
    click.echo(f"{count} fault{'s' if count != 1 else ''}: nothing was started.", err=True)
    sys.exit(WRONG_USAGE)
