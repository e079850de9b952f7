"""`hookrouter demo` and `hookrouter simulate`: whole calls without an Asterisk, drawn as ladders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from hookrouter.cli.options import FAILED, host_and_port, load_or_exit, not_listening, own_command, refuse
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.simulator.parties import Party
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.sample import create_sample
from hookrouter.simulator.script import Expect, Script, Step, read_script
from hookrouter.simulator.setting import Setting, for_routes, for_url
from hookrouter.text.lines import shown
from hookrouter.web.server import Server

STYLES = {"plain": "", "good": "green", "bad": "bold red", "note": "dim"}
_DEMO = Script(
    steps=[Step(wait_for="demo-instruct"), Step(pause=0.5), Step(press="1")],
    expect=Expect(
        heard=["sound:hello-world", "sound:demo-instruct", "digits:1", "sound:vm-goodbye"],
        actions=["answer", "play", "gather", "setVariable", "play", "hangup"],
        variables={"CHOSEN": "1"},
        state={"chosen": "1"},
        ended_by="endpoint",
    ),
)


@click.command()
@click.option("--speed", default=2.0, show_default=True, help="How much faster than life the sounds are played.")
def demo(speed: float) -> None:
    """Shows one whole call, with nothing installed: simulated Asterisk, router and a sample endpoint."""
    click.echo("Somebody calls. A sample endpoint welcomes them, asks for a key, and says goodbye.\n")
    result = asyncio.run(_demo(speed))
    show(result)
    if result.problems:
        sys.exit(FAILED)
    click.echo(
        "\nYour turn: this writes a small endpoint (php, node, python or go), and says how to call it at each save."
    )
    click.echo(f"\n  {own_command()} new hello --lang python\n")


async def _demo(speed: float) -> Result:
    async with _sample_endpoint() as url:
        return await Play(url, _DEMO, speed=speed).run()


@contextlib.asynccontextmanager
async def _sample_endpoint() -> AsyncIterator[str]:
    server = Server(create_sample(), host="127.0.0.1", port=0)
    task = asyncio.create_task(server.serve())
    await server.is_up.wait()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.end()
        await task


@click.command()
@click.argument("url", required=False)
@click.option("--caller", help="The caller's number.")
@click.option("--called", help="The number that is called.")
@click.option("--args", "arguments", help="Arguments of the Stasis application, separated by commas.")
@click.option("--digits", help="Keys to press: 1,23 is 1 at the first prompt, 2 and 3 at the next.")
@click.option(
    "--dial",
    "dialled",
    multiple=True,
    metavar="WHOM=HOW",
    help="How whoever is dialled behaves: PJSIP/alice=busy, noAnswer, rejected, unavailable, late:8 (seconds), answered, "
    "answered:1 (and presses 1). WHOM may be a glob; who is not named answers. May be repeated.",
)
@click.option("--hangup-after", type=click.FloatRange(min=0, min_open=True), help="Seconds; default: 60.")
@click.option("--secret", envvar="HOOKROUTER_SECRET", default="", help="whsec_… that signs the requests; not with -c.")
@click.option(
    "--events", default="", help="Which events the endpoint gets; default: StasisStart,StasisEnd. Not with -c."
)
@click.option(
    "-c", "--config", "path", type=click.Path(path_type=Path), help="Takes the route out of this routes.toml."
)
@click.option("--route", "routes", multiple=True, help="With -c: the route that gets the call, and others beside it.")
@click.option("--listen", type=host_and_port, metavar="HOST:PORT", help="Serves the router's own HTTP there meanwhile.")
@click.option("--script", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file: steps and expectations.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("-v", "--verbose", is_flag=True, help="Shows the body of each request and answer.")
@click.option("--json", "as_json", is_flag=True, help="Prints all of it as one JSON object.")
def simulate(
    url: str | None,
    script: Path | None,
    speed: float,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Plays a call against the endpoint at URL (or that of a route), without Asterisk, and shows it step by step."""
    if url is None and options["path"] is None:
        raise click.UsageError("give the URL of an endpoint, or -c routes.toml")
    try:
        wanted = _wanted(read_script(script) if script else Script(), options)
        play = Play("", wanted, speed=speed, setting=_setting(url or "", options))
        result = asyncio.run(play.run())
    except ConfigurationError as error:
        refuse(error)
    except OSError as error:
        if options["listen"] is None:
            raise
        host, port = options["listen"]
        raise click.UsageError(f"--listen: {not_listening(host, port, error)}") from None
    if as_json:
        click.echo(json.dumps(result.as_json(), ensure_ascii=False))
    else:
        show(result, verbose=verbose)
    if result.problems:
        sys.exit(FAILED)


def _wanted(script: Script, options: Mapping[str, Any]) -> Script:
    """The script, with what the options say put into it."""
    for key in ("caller", "called", "hangup_after", "digits"):
        if options[key] is not None:
            setattr(script, key, options[key])
    if options["arguments"]:
        script.args = options["arguments"].split(",")
    given: dict[str, str | Party] = {}
    for text in options["dialled"]:
        whom, sign, how = text.rpartition("=")
        if not sign or not whom:
            raise ConfigurationError([Fault("--dial", f"`{text}` is not WHOM=HOW, such as PJSIP/alice=busy")])
        given[whom] = how
    script.dial = given | {whom: how for whom, how in script.dial.items() if whom not in given}
    return script


def _setting(url: str, options: Mapping[str, Any]) -> Setting:
    listen = options["listen"]
    if options["path"] is None:
        if options["routes"]:
            raise click.UsageError("--route names a route of a configuration: give -c routes.toml, too")
        events = tuple(one.strip() for one in options["events"].split(",") if one.strip())
        return for_url(url, secret=options["secret"], events=events, listen=listen, environ=os.environ)
    if options["events"]:
        raise click.UsageError("--events is for a URL: with -c the route says which events it gets")
    return for_routes(load_or_exit(options["path"]), options["routes"], url, listen=listen)


def show(result: Result, *, verbose: bool = False) -> None:
    """The ladder, and what is to be said about it; in colour on a terminal only."""
    console = Console(highlight=False, soft_wrap=True)
    for line in result.ladder.lines(verbose=verbose):
        text = Text(line.text.rstrip())
        if style := STYLES[line.kind]:
            text.stylize(style, line.start, line.end)
        console.print(text)
    console.print()
    for note in result.notes:
        console.print(Text(f"  · {shown(note)}"))
    if not result.problems:
        done = len(result.actions)
        console.print(Text(f"All is well: {done} action{'' if done == 1 else 's'} in {result.seconds:.1f} s.", "green"))
        return
    count = len(result.problems)
    console.print(Text(f"{count} thing{'s are' if count > 1 else ' is'} wrong:", "bold red"))
    for problem in result.problems:
        first, *more = problem.text().splitlines()
        console.print(Text(f"  ✗ {shown(first)}"))
        for line_ in more:
            console.print(Text(f"      {shown(line_)}"))
