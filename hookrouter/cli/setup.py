"""`hookrouter setup`: what an Asterisk lacks for the router, as differences of its files, and writing them."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from difflib import unified_diff
from pathlib import Path
from typing import get_args

import click
from msgspec import structs

from hookrouter.ari.settings import AsteriskSettings, Mode
from hookrouter.checking import asterisk_files as files
from hookrouter.checking.findings import Findings
from hookrouter.checking.folder import check_folder
from hookrouter.checking.router import address
from hookrouter.cli.options import FAILED, config_option, load_or_exit, own_command, refuse, say
from hookrouter.cli.reloading import look, reload
from hookrouter.config import Config, parse
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.setup.plan import Plan, Wanted, plan
from hookrouter.setup.styles import Style, style_of
from hookrouter.setup.writing import replace, write_new

_PASSWORD = re.compile(r"^([ +-]\s*(?:password|secret)\s*=>?\s*).*$", re.I)


@click.command()
@click.argument("place", metavar="FOLDER|URL", default="/etc/asterisk")
@config_option
@click.option("--asterisk", "name", help="With several in routes.toml: which [asterisk.NAME] this folder is.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    help="Who connects; listen and invite need Asterisk 22.5 or newer. Default: as routes.toml says, else connect.",
)
@click.option("--number", default="1000", show_default=True, help="The number that phones dial to reach the endpoint.")
@click.option(
    "--context",
    "contexts",
    multiple=True,
    help="The context in which it is dialled; may be repeated. Default: those of the phones in pjsip.conf.",
)
@click.option("--user", default="hookrouter", show_default=True, help="The user of ari.conf, for a new routes.toml.")
@click.option(
    "--endpoint", default="http://127.0.0.1:8000/", show_default=True, help="Your endpoint, for a new routes.toml."
)
@click.option("--write", is_flag=True, help="Writes it. The copy of a file that is changed stays beside it.")
@click.option(
    "--reload",
    "reloads",
    is_flag=True,
    help="After --write: `core reload` of this machine's Asterisk, and `check --live`.",
)
def setup(
    place: str,
    path: Path,
    name: str | None,
    mode: Mode | None,
    number: str,
    contexts: tuple[str, ...],
    user: str,
    endpoint: str,
    write: bool,
    reloads: bool,
) -> None:
    """Looks at Asterisk's configuration in FOLDER and shows, file by file, what it lacks for hookrouter.

    Lines are only ever added. routes.toml is written, too, where there is none; where there is one, the folder is made to
    fit it. A URL in place of the folder is that of Asterisk's HTTP server: what it lacks is what it tells by itself, with
    the user of routes.toml; nothing is written then.
    """
    if reloads and not write:
        raise click.UsageError("--reload goes with --write")
    if place.startswith(("http://", "https://")):
        if write:
            raise click.UsageError("--write wants a FOLDER: Asterisk's files are not written over the network")
        _ask(place, path, name)
        return
    folder = Path(place)
    if not folder.is_dir():
        raise click.UsageError(f"FOLDER {place}: there is no such folder; a URL begins with http:// or https://")
    try:
        _need_asterisk(folder)
        style = style_of(folder)
        text = "" if path.exists() else _new_routes(folder, mode or "connect", user, endpoint)
        config = parse(text, os.environ, path) if text else load_or_exit(path)
        settings = _which(config, name, mode, path)
        wanted = Wanted(settings, _uri(config, settings), number, contexts)
        found = plan(folder, style, wanted)
        say(f"{folder}: {style.name}")
        _show(folder, found)
        if write:
            _write(folder, path, text, found)
    except ConfigurationError as error:
        refuse(error)
    except OSError as error:
        refuse(ConfigurationError([Fault(str(error.filename or folder), f"cannot be read: {error.strerror}")]))
    _last_words(folder, path, style, wanted, found, written=write, new=bool(text))
    if found.obstacles:
        sys.exit(FAILED)
    if reloads:
        say("")
        reload(settings)
        if not look(config, settings, folder):
            sys.exit(FAILED)


def _ask(url: str, path: Path, name: str | None) -> None:
    """What the Asterisk at `url` tells: only asked, with the user of routes.toml."""
    config = load_or_exit(path)
    try:
        settings = _which(config, name, None, path)
    except ConfigurationError as error:
        refuse(error)
    if not look(config, structs.replace(settings, url=url.rstrip("/")), None):
        command = f"{own_command()} setup /etc/asterisk -c {path.name}"
        say(f"On its machine, `{command}` shows what its files lack, and adds it with --write.")
        sys.exit(FAILED)


def _need_asterisk(folder: Path) -> None:
    if not any((folder / name).exists() for name in ("asterisk.conf", "modules.conf", "extensions.conf")):
        raise ConfigurationError(
            [
                Fault(
                    str(folder), "holds none of asterisk.conf, modules.conf and extensions.conf: name Asterisk's folder"
                )
            ]
        )


def _which(config: Config, name: str | None, mode: str | None, path: Path) -> AsteriskSettings:
    names = [settings.name for settings in config.asterisks]
    if name is None and len(names) > 1:
        raise ConfigurationError([Fault("--asterisk", f"{path} has {', '.join(names)}: say which of them this is")])
    settings = next((one for one in config.asterisks if name in (None, one.name)), None)
    if settings is None:
        raise ConfigurationError([Fault("--asterisk", f"{path} has no [asterisk.{name}]: it has {', '.join(names)}")])
    if mode not in (None, settings.mode):
        raise ConfigurationError([Fault("--mode", f"{path} says mode = {settings.mode}: change it there")])
    return settings


def _uri(config: Config, settings: AsteriskSettings) -> str:
    """Where Asterisk connects to in mode listen."""
    return f"ws{address(config.server).removeprefix('http')}/ari/{settings.name}"


def _new_routes(folder: Path, mode: str, user: str, endpoint: str) -> str:
    """A routes.toml, with the password that the user of ari.conf has, or a new one."""
    ari = files.read_sections(folder, "ari.conf") or {}
    http = (files.read_sections(folder, "http.conf") or {}).get("general")
    there = ari.get(user)
    password = there.get("password") if there is not None else ""
    if there is not None and there.get("password_format", "plain") != "plain":
        raise ConfigurationError(
            [Fault(there.place("password_format"), f"the password of [{user}] is kept crypted: give another --user")]
        )
    port = http.get("bindport") if http is not None else ""
    prefix = http.get("prefix").strip("/") if http is not None else ""
    url = f"http://127.0.0.1:{port if port.isdecimal() else 8088}{'/' if prefix else ''}{prefix}"
    listening = "" if mode == "connect" else f"mode = {_toml(mode)}\n"
    return (
        f"[asterisk.main]\nurl = {_toml(url)}\nusername = {_toml(user)}\n"
        f'password = {_toml(password or secrets.token_urlsafe(24))}\napps = ["hookrouter"]\n{listening}\n'
        f'[[routes]]\nname = "hello"\nurl = {_toml(endpoint)}\n'
    )


def _toml(text: str) -> str:
    """A string of TOML; JSON's are such."""
    return json.dumps(text)


def _show(folder: Path, found: Plan) -> None:
    """The differences; passwords are not shown."""
    for name, after in found.after.items():
        before = found.before[name]
        old = "/dev/null" if before is None else str(folder / name)
        lines = unified_diff(_lines(before or ""), _lines(after), old, str(folder / name), lineterm="")
        say("")
        for line in lines:
            say(_PASSWORD.sub(r"\1(not shown)", line))


def _has_password(text: str) -> bool:
    return any(_PASSWORD.match(f" {line}") for line in _lines(text))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _write(folder: Path, path: Path, text: str, found: Plan) -> None:
    say("")
    if text:
        write_new(path, text)
        say(f"  ✓ {path}: written; only you may read it")
    for name, after in found.after.items():
        copy = replace(folder, name, found.before[name], after)
        say(f"  ✓ {folder / name}: written" + (f"; as it was: {copy}" if copy else ""))


def _last_words(
    folder: Path, path: Path, style: Style, wanted: Wanted, found: Plan, *, written: bool, new: bool
) -> None:
    say("")
    findings = Findings(say)
    check_folder(folder, [wanted.settings], findings, found.after)
    for fault in found.obstacles:
        findings.wrong(fault.place, fault.message)
    for name in found.after:
        if (folder / name).exists() and (folder / name).stat().st_mode & 0o004 and _has_password(found.after[name]):
            findings.note(str(folder / name), "everybody on this machine can read its passwords: chmod o-r")
    changes = len(found.after) + new
    say("")
    if changes and not written:
        say(f"{changes} file{'s' if changes > 1 else ''} to write; nothing was written: --write does it.")
        return
    if not changes:
        say("Nothing is missing that could be added." if found.obstacles else "Nothing is missing.")
        return
    say("Next:")
    again = "restart when convenient" if "sorcery.conf" in found.after else "reload"  # it is read at the start alone
    say(f'  asterisk -rx "core {again}"')
    say(f"  {own_command()} check --live -c {path} --asterisk-config {folder}")
    say(f"  {own_command()} serve -c {path}")
    if style.freepbx:
        say(
            f"Phones dial {wanted.number}. For calls from outside: Admin → Custom Destinations, target "
            f"{wanted.entrance},s,1, and an Inbound Route that leads there."
        )
