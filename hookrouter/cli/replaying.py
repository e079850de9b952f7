"""`hookrouter replay`: the events of a recorded call once more, to another endpoint; its answers beside the recorded ones.

Rules: the bodies are the recorded ones, byte for byte, so the state is, too; each is signed anew, under the id that it had.
Nothing is executed. An answer is what it means: spaces and the order of keys make no difference.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from hookrouter.actions import comparing
from hookrouter.actions.comparing import Given
from hookrouter.cli.asking import Calls, give_up, store_option
from hookrouter.cli.options import FAILED, config_option, keys_of, say
from hookrouter.clock import SystemClock
from hookrouter.config import Config
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.sender import Sender
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Endpoint
from hookrouter.service.candidates import given_by
from hookrouter.service.recorded import as_bytes
from hookrouter.text.urls import beside

_TIMEOUT = 15.0


@click.command()
@click.argument("call")
@click.option("--to", "url", required=True, metavar="URL", help="The endpoint that gets the events.")
@click.option(
    "--secret", envvar="HOOKROUTER_SECRET", default="", help="Signs them; default: the secret of the call's route."
)
@click.option("--ignore", multiple=True, metavar="PLACE", help="A place that may differ, such as /actions/*/body/at.")
@config_option
@store_option
def replay(call: str, url: str, secret: str, ignore: tuple[str, ...], path: Path, store: str) -> None:
    """Sends a recorded call's events again, and says where the answers differ."""
    calls = Calls(path, store)
    record = calls.record(call)
    said = list(asked(record["entries"]))
    if not said:
        give_up(f"no event of the call `{call}` went to a control endpoint: there is nothing to send again")
    endpoint = Endpoint(url, secrets_of(keys_of(secret), calls.config, record["call"]["route"]), timeout=_TIMEOUT)
    differ = 0
    for exchange, attempt in zip(said, asyncio.run(send_again(endpoint, said, call)), strict=True):
        if exchange["status"] is None:
            say(f"- {exchange['type']}: no answer was recorded, there is nothing to compare")
            continue
        found = list(compared(exchange, attempt, ignore))
        differ += bool(found)
        say(f"{'≠' if found else '='} {exchange['type']}")
        for difference in found:
            say(f"    {difference}")
    count = f"{len(said)} event{'' if len(said) == 1 else 's'}"
    if differ:
        say(f"{count}: {differ} of the answers differ{'s' if differ == 1 else ''} from the record.")
        sys.exit(FAILED)
    say(f"{count}: every answer is as it was.")


def secrets_of(given: tuple[bytes, ...], config: Config | None, route: str) -> tuple[bytes, ...]:
    """The keys that sign what is sent to somebody else's endpoint: those `given`, else those of the route."""
    if given or config is None:
        return given
    found = config.routes.by_name(route)
    return found.endpoint.secrets if found is not None else ()


def asked(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The last attempt of each event that a control endpoint was asked about, in order, with its bodies."""
    exchanges: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["what"] == "Exchanged":
            exchanges[entry["event"]] = entry
        elif entry["what"] == "DeliveryFinished" and entry.get("kind") == "control":
            exchange = exchanges.pop(entry["event"], None)
            if exchange is not None and exchange.get("request"):
                yield exchange | {"type": entry["type"], "status": exchange.get("status")}


async def send_again(endpoint: Endpoint, said: list[dict[str, Any]], call: str) -> list[Attempt]:
    http = Http()
    sender = Sender(http, SystemClock())
    try:
        return [
            await sender.attempt(
                msgspec.structs.replace(endpoint, url=beside(endpoint.url, said[0]["url"], one["url"])),
                Message(one["event"], one["type"], as_bytes(one["request"]), "control", call),
                1,
                _TIMEOUT,
                _TIMEOUT,
            )
            for one in said
        ]
    finally:
        await http.close()


def compared(exchange: Mapping[str, Any], attempt: Attempt, ignore: Sequence[str] = ()) -> Iterator[str]:
    """Where an answer differs from the recorded one; empty where none was recorded. `ignore`: places, in which `*` is any key."""
    recorded = Given(exchange["status"], as_bytes(exchange.get("answer")))
    for found in comparing.compared(recorded, given_by(attempt), ignore):
        yield found.told()


__all__ = ["asked", "compared", "replay", "secrets_of", "send_again"]
