"""`hookrouter demo` and `hookrouter simulate`: whole calls without an Asterisk, drawn as ladders."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from hookrouter.cli.options import FAILED, refuse
from hookrouter.errors import ConfigurationError
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.sample import create_sample
from hookrouter.simulator.script import Expect, Script, Step, from_digits, read_script
from hookrouter.web.server import Server

_STYLES = {"plain": "", "good": "green", "bad": "bold red", "note": "dim"}
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
    _show(result)
    if result.problems:
        sys.exit(FAILED)
    click.echo("\nYour turn: `hookrouter simulate URL --digits 1` plays the same call against your own endpoint,")
    click.echo("and `hookrouter serve` puts it on a real Asterisk.")


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
@click.argument("url")
@click.option("--caller", help="The caller's number.")
@click.option("--called", help="The number that is called.")
@click.option("--args", "arguments", help="Arguments of the Stasis application, separated by commas.")
@click.option("--digits", default="", help="Keys to press: 1,23 is 1 at the first prompt, 2 and 3 at the next.")
@click.option("--hangup-after", type=click.FloatRange(min=0, min_open=True), help="Seconds; default: 60.")
@click.option("--secret", envvar="HOOKROUTER_SECRET", default="", help="whsec_… that signs the requests.")
@click.option("--events", default="StasisStart,StasisEnd", show_default=True, help="Which events the endpoint gets.")
@click.option("--script", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file: steps and expectations.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
def simulate(
    url: str,
    caller: str | None,
    called: str | None,
    arguments: str | None,
    digits: str,
    hangup_after: float | None,
    secret: str,
    events: str,
    script: Path | None,
    speed: float,
) -> None:
    """Plays a call against the endpoint at URL, without Asterisk, and shows it step by step."""
    try:
        wanted = read_script(script) if script else Script()
        wanted.caller = caller if caller is not None else wanted.caller
        wanted.called = called if called is not None else wanted.called
        wanted.args = arguments.split(",") if arguments else wanted.args
        wanted.hangup_after = hangup_after or wanted.hangup_after
        wanted.steps = [*wanted.steps, *from_digits(digits)]
        named = tuple(one.strip() for one in events.split(",") if one.strip())
        result = asyncio.run(Play(url, wanted, secret=secret, events=named, speed=speed).run())
    except ConfigurationError as error:
        refuse(error)
    _show(result)
    if result.problems:
        sys.exit(FAILED)


def _show(result: Result) -> None:
    """The ladder, and what is to be said about it; in colour on a terminal only."""
    console = Console(highlight=False, soft_wrap=True)
    for line in result.ladder.lines():
        text = Text(line.text.rstrip())
        if style := _STYLES[line.kind]:
            text.stylize(style, line.start, line.end)
        console.print(text)
    console.print()
    if not result.problems:
        console.print(Text(f"All is well: {len(result.actions)} actions in {result.seconds:.1f} s.", "green"))
        return
    count = len(result.problems)
    console.print(Text(f"{count} thing{'s are' if count > 1 else ' is'} wrong:", "bold red"))
    for problem in result.problems:
        first, *more = problem.splitlines()
        console.print(Text(f"  ✗ {first}"))
        for line_ in more:
            console.print(Text(f"      {line_}"))
