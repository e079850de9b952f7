"""`hookrouter calls` and `tail`: what was said in each call, and what happens now."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.text import Text

from hookrouter.cli.asking import Calls, client_of, give_up, refusal_of, store_again, store_option
from hookrouter.cli.options import config_again, config_option, load_or_exit, say
from hookrouter.cli.recorded import drawn
from hookrouter.cli.trying import STYLES
from hookrouter.facts import Fact
from hookrouter.record.script import script_of
from hookrouter.service.recorded import read_record
from hookrouter.telemetry.logs import NAMES
from hookrouter.telemetry.phrases import phrase
from hookrouter.text.lines import shown

_COLOURS = {"failed": "bold red", "live": "cyan", "good": "green"}
_SEARCHED = ("since", "until", "caller", "called", "route", "text", "tags")


@click.group(invoke_without_command=True)
@config_option
@store_option
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--live", is_flag=True, help="Only those that are not over.")
@click.option("--since", help="When they began, at the earliest: 30m, 1h, 2d (ago), or 2026-11-26T14:03:00Z.")
@click.option("--until", help="When they began, at the latest; in the same forms.")
@click.option("--caller", help="The caller's number.")
@click.option("--called", help="The number that was called.")
@click.option("--route", help="The route's name.")
@click.option("--text", help="Words to look for in numbers, ids, tags, reasons and bodies.")
@click.option("--tags", help="Only those with this tag: customer:4711, or customer with any value.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@click.pass_context
def calls(context: click.Context, /, path: Path, store: str, limit: int, **options: Any) -> None:
    """Recorded calls, the newest first; `show` one."""
    if context.invoked_subcommand is not None:
        context.obj = (path, store)
        return
    if options["failed"] and options["live"]:
        raise click.UsageError("--failed or --live: a call that goes on has not failed")
    given = {name: options[name] for name in _SEARCHED if options[name]} | {"limit": str(limit)}
    if options["failed"] or options["live"]:
        given["outcome"] = "failed" if options["failed"] else "live"
    found = Calls(path, store).find(given)
    if options["as_json"]:
        click.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text(f"{'began':<19}  {'outcome':<7}  {'took':>7}  {'caller':<16}  {'called':<12}  {'route':<12}  call", "dim")
    )
    for call in found:
        console.print(_line(call))
    if not found:
        console.print(Text("no such call", "dim"))


def clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _line(call: dict[str, Any]) -> Text:
    ended = call["ended_at"] or time.time()
    cells = [clock(call["started_at"]), f"{call['outcome']:<7}", f"{ended - call['started_at']:6.1f}s"]
    cells += [f"{call['caller']:<16}", f"{call['called']:<12}", f"{call['route']:<12}", call["id"]]
    text = Text(shown("  ".join(cells)))
    text.stylize(_COLOURS.get(call["outcome"], ""), 21, 28)
    if call["sentence"]:
        text.append(shown(f"\n{'':<21}{call['sentence']}").replace("\\n", "\n"), "dim")
    return text


def _recorded(context: click.Context, path: Path | None, store: str | None, id: str) -> dict[str, Any]:
    """The call's record, from where the options of `calls` or those behind its part say."""
    before: tuple[Path, str] = context.obj
    return Calls(path or before[0], store or before[1]).record(id)


@calls.command("show")
@click.argument("id")
@config_again
@store_again
@click.option("-v", "--verbose", is_flag=True, help="Each body below its arrow.")
@click.option("--json", "as_json", is_flag=True, help="The whole record as JSON.")
@click.pass_context
def show(
    context: click.Context, id: str, path: Path | None, store: str | None, verbose: bool, as_json: bool
) -> None:  # fmt: skip
    """Why a call failed, and all that was said in it."""
    record = _recorded(context, path, store, id)
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    call, console = record["call"], Console(highlight=False, soft_wrap=True)
    how = {"good": "went well", "live": "goes on", "failed": "failed"}[call["outcome"]]
    console.print(Text(shown(call["sentence"] or f"the call {how}"), _COLOURS[call["outcome"]]))
    console.print(Text(shown(_about(call)), "dim"))
    console.print()
    for line in drawn(*read_record(record)).lines(verbose=verbose):
        text = Text(line.text.rstrip())
        if style := STYLES[line.kind]:
            text.stylize(style, line.start, line.end)
        console.print(text)


@calls.command("export")
@click.argument("id")
@config_again
@store_again
@click.pass_context
def export(context: click.Context, id: str, path: Path | None, store: str | None) -> None:
    """Prints a recorded call as a script for `simulate`, with what was heard and done as expectations."""
    row, entries = read_record(_recorded(context, path, store, id))
    click.echo(script_of(row, entries), nl=False)


def _about(call: dict[str, Any]) -> str:
    """One line of what the list has of it."""
    parts = [
        clock(call["started_at"]),
        f"{call['caller'] or 'nobody'} → {call['called'] or 'nobody'}",
        f"route {call['route']}",
    ]
    parts += [f"{name}={value}" for name, value in call["tags"].items()]
    if call["left_out"]:
        parts.append(f"{call['left_out']} older entries were not kept")
    return ", ".join(parts)


_KINDS = {kind.__name__: kind for kind in NAMES}
_STEPS = frozenset({"AriRequested", "ActionStarted", "EventReceived"})
_AGAIN = 0.5  # seconds between two looks for a router that is away
_EVENTS_TIMEOUT = httpx.Timeout(None, connect=5.0)  # there may be nothing to tell for a day
_BAD = ("failed", "unanswered", "dead", "dropped")


@click.command()
@config_option
@click.option("--call", help="Only this call.")
@click.option("--route", help="Only this route.")
@click.option("--failed", is_flag=True, help="Only what went wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Also events and requests to Asterisk.")
@click.option("--json", "as_json", is_flag=True, help="Each as a line of JSON.")
def tail(path: Path, **options: Any) -> None:
    """What happens, as it happens: a line each, until Ctrl-C. Where the router is restarted, it goes on when that is back."""
    client, console = client_of(load_or_exit(path)), Console(highlight=False, soft_wrap=True)
    connected = away = False
    try:
        while True:
            try:
                with client.stream("GET", "/v1/events", timeout=_EVENTS_TIMEOUT) as response:
                    if response.status_code != 200:
                        give_up(refusal_of(response.read(), response.status_code))
                    if away:
                        say(f"the router at {client.base_url} is back", err=True)
                    connected, away = True, False
                    for line in response.iter_lines():
                        if line.startswith("data: {"):
                            _follow(console, json.loads(line.removeprefix("data: ")), options)
                        elif line.startswith("data: ["):  # event: silent
                            say(_of_others(json.loads(line.removeprefix("data: "))), err=True)
            except httpx.TransportError as error:
                if not connected:
                    give_up(
                        f"the router at {client.base_url} does not answer ({error}): is `hookrouter serve` running?"
                    )
            if not away:
                say(
                    f"the router at {client.base_url} has closed the connection: waiting for it; Ctrl-C ends this",
                    err=True,
                )
            away = True
            time.sleep(_AGAIN)
    except KeyboardInterrupt:
        pass


def _of_others(silent: list[str]) -> str:
    if not silent:
        return "all routers are heard again"
    return (
        f"nothing is heard of the router{'s' if silent[1:] else ''} {', '.join(silent)}: what happens there is missing"
    )


def _follow(console: Console, fact: dict[str, Any], options: dict[str, Any]) -> None:
    what = fact["fact"]
    bad = is_bad(fact)
    if what in _STEPS and not (options["verbose"] or bad):
        return
    if any(options[key] and fact.get(key) != options[key] for key in ("call", "route")) or (
        options["failed"] and not bad
    ):
        return
    if options["as_json"]:
        click.echo(json.dumps(fact))
        return
    name = NAMES[_KINDS[what]][0] if what in _KINDS else what
    text = Text(f"{time.strftime('%H:%M:%S')} {name:<19} {said(fact)}")
    text.stylize("dim", 0, 8)
    text.stylize("bold red" if bad else "cyan", 9, 9 + len(name))
    console.print(text)


def is_bad(fact: dict[str, Any]) -> bool:
    """Whether it tells of something that went wrong."""
    status = fact.get("status", 200)
    if fact["fact"] == "DeliveryAttempted":
        return status is None or status >= 300
    level = NAMES[_KINDS[fact["fact"]]][1] if fact["fact"] in _KINDS else "info"
    return fact.get("outcome") in _BAD or level in ("warning", "error")


def said(fact: dict[str, Any]) -> str:
    """A fact in the words of the log."""
    kind = _KINDS.get(fact["fact"])
    fields = {key: value for key, value in fact.items() if key != "fact" and value not in ("", None, [], {})}
    if kind is not None:
        made = _made(kind, fact)
        if made is not None and (words := phrase(made)) is not None:
            return words
    return shown(" ".join(f"{key}={value}" for key, value in fields.items()))


def _made(kind: type[Fact], fact: dict[str, Any]) -> Fact | None:
    known = {key: tuple(value) if isinstance(value, list) else value for key, value in fact.items() if key != "fact"}
    try:
        return kind(**{key: value for key, value in known.items() if key in kind.__struct_fields__})
    except TypeError:
        return None


__all__ = ["calls", "tail"]
