"""`hookrouter trigger`: one sample of an event to an endpoint, signed, and what comes back."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from difflib import get_close_matches
from pathlib import Path
from secrets import token_hex
from typing import Any

import click

from hookrouter.actions.decode import decode_answer
from hookrouter.cli.options import FAILED, config_option, keys_of, load_or_exit, say
from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import NO_BODY, Attempt
from hookrouter.delivery.sender import Sender
from hookrouter.errors import AnswerRefused
from hookrouter.http.client import Http
from hookrouter.published.samples import known_types, sample
from hookrouter.routing.endpoint import Endpoint
from hookrouter.timestamps import rfc3339_now

_TIMEOUT = 15.0


@click.command()
@click.argument("type")
@click.option("--to", "url", metavar="URL", help="The endpoint that gets it.")
@click.option(
    "--route", help="A route of routes.toml in place of --to: with its URL, secret, headers, auth and timeout."
)
@config_option
@click.option("--secret", envvar="HOOKROUTER_SECRET", default="", help="Signs it, to the endpoint of --to.")
@click.option(
    "--set", "changes", multiple=True, metavar="PATH=VALUE",
    help="Something of the event's data, such as digit=5 or channel.caller.number=+4930123456. May be repeated.",
)  # fmt: skip
@click.option("--state", default="{}", metavar="JSON", help="The call's state.")
@click.option("--print", "only", is_flag=True, help="Prints the body, and sends nothing: --to is not needed.")
def trigger(
    type: str,
    url: str | None,
    route: str | None,
    path: Path,
    secret: str,
    changes: tuple[str, ...],
    state: str,
    only: bool,
) -> None:
    """Sends a sample of an event of TYPE (StasisStart, DigitsCollected, …), and says whether the answer would be taken."""
    if type not in (known := known_types()):
        near = get_close_matches(type, known, 1)
        raise click.UsageError(f"there is no event type `{type}`{f'; did you mean `{near[0]}`?' if near else ''}")
    if url is not None and route is not None:
        raise click.UsageError("--to or --route: one endpoint gets it")
    if url is None and route is None and not only:
        raise click.UsageError("give --to URL or --route NAME, the endpoint that gets it, or --print")
    body = _body(type, changes, state)
    if only:
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    endpoint = Endpoint(url, keys_of(secret), timeout=_TIMEOUT) if url is not None else _of_route(path, route or "")
    message = Message(body["id"], type, json.dumps(body, ensure_ascii=False).encode(), "control", _call_of(body))
    attempt = asyncio.run(_send(endpoint, message))
    if not _told(type, attempt):
        sys.exit(FAILED)


def _of_route(path: Path, name: str) -> Endpoint:
    config = load_or_exit(path)
    found = config.routes.by_name(name)
    if found is None:
        names = ", ".join(route.name for route in config.routes.routes)
        raise click.UsageError(f"--route: {path} has no route `{name}`: it has {names}")
    return found.endpoint


def _body(type: str, changes: tuple[str, ...], state: str) -> dict[str, Any]:
    body = sample(type, f"evt_sample_{token_hex(8)}", rfc3339_now(time.time()))
    for change in changes:
        path, sign, value = change.partition("=")
        if not sign:
            raise click.UsageError(f"--set {change}: write PATH=VALUE, such as digit=5")
        *above, last = path.split(".")
        place = body["data"]
        for name in above:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise click.UsageError(f"--set {path}: `{name}` has nothing below it")
        was = place.get(last)
        place[last] = value if isinstance(was, str) else _json(value, value)
    if "call" in body:
        if (given := _json(state, None)) is None:
            raise click.UsageError("--state: that is not JSON")
        body["call"] = body["call"] | {"state": given}
    return body


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


def _call_of(body: dict[str, Any]) -> str:
    return str(body["call"]["id"]) if "call" in body else ""


async def _send(endpoint: Endpoint, message: Message) -> Attempt:
    http = Http()
    try:
        return await Sender(http, SystemClock()).attempt(endpoint, message, 1, endpoint.timeout, endpoint.timeout)
    finally:
        await http.close()


def _told(type: str, attempt: Attempt) -> bool:
    """Says what came; whether it would be taken."""
    took = f"in {attempt.seconds * 1000:.0f} ms"
    if attempt.reason != "response" or attempt.status is None or not 200 <= attempt.status < 300:
        say(f"{type}: {attempt.detail or attempt.reason} {took}", err=True)
        return False
    say(f"{type}: {attempt.status} {took}")
    body = attempt.body if attempt.status not in NO_BODY else b""
    for line in attempt.body.decode("utf-8", "replace").splitlines():
        say(f"    {line}")
    try:
        answer = decode_answer(body, attempt.content_type, first=type == "StasisStart")
    except AnswerRefused as error:
        say("This answer would be refused as a whole:", err=True)
        for fault in error.faults:
            say(f"    {fault}", err=True)
        return False
    verbs = ", ".join(step.action.verb for step in answer.steps)
    say(f"It would be taken: {verbs or 'nothing to do'}.")
    return True


__all__ = ["trigger"]
