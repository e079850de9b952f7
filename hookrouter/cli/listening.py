"""`hookrouter listen`: events of live calls reach an endpoint on this machine through the control API, without an open port.

Rules:
- As a shadow, its answers are only compared; with `--take` they are the calls' answers, until this ends or is late.
- The events of one call come one at a time, those of others do not wait for them.
- Where the router goes away (it restarts, the line breaks, it says nothing for `_SILENCE`), this asks again until it is
  back. It hears the calls that begin from then on, as at first: the earlier ones have gone back to their route's endpoint.
  It ends where it may not listen, and where the router has let it go.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any

import click
import httpx

from hookrouter.cli.asking import give_up, refusal_of, settings_of
from hookrouter.cli.options import config_option, keys_of, load_or_exit, say
from hookrouter.cli.replaying import secrets_of
from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.sender import Sender
from hookrouter.http.client import Http
from hookrouter.http.retrying import Again, try_again
from hookrouter.routing.endpoint import Endpoint
from hookrouter.text.urls import beside
from hookrouter.web.listeners import HEARTBEAT

_SAME = {"same": "=", "different": "≠"}
_SILENCE = 3 * HEARTBEAT  # seconds without a sign of life, after which the line counts as broken
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 10.0
_FOR_GOOD = frozenset({401, 403, 422})  # what asking again does not change


@click.command()
@click.option("--to", "url", required=True, metavar="URL", help="The endpoint that gets the events.")
@click.option(
    "--match", "matches", multiple=True, metavar="NAME=GLOB",
    help="Which calls: route, caller, called, app or asterisk, such as caller=+4930*. May be repeated: all must fit.",
)  # fmt: skip
@click.option("--take", is_flag=True, help="Its answers are the calls' answers, in place of the route's own endpoint.")
@click.option("--secret", envvar="HOOKROUTER_SECRET", default="", help="Signs the events; default: that of the route.")
@click.option("--ignore", multiple=True, metavar="PLACE", help="A place that may differ, such as /actions/*/body/at.")
@click.option("--router", metavar="URL", help="Where the router is, if not where routes.toml says; with --token.")
@click.option("--token", default="", help="A token of that router with `write` access.")
@config_option
def listen(
    url: str, matches: tuple[str, ...], take: bool, secret: str, ignore: tuple[str, ...], router: str | None, token: str,
    path: Path,
) -> None:  # fmt: skip
    """Sends events of live calls to an endpoint on this machine, and says how its answers compare; until Ctrl-C."""
    wanted = {"match": dict(map(_pair, matches)), "take": take, "ignore": list(ignore)}
    config = None if router else load_or_exit(path)
    if config is not None:
        settings = settings_of(config)
    else:
        settings = {"base_url": router, "headers": {"authorization": f"Bearer {token}"} if token else {}}
    keys = keys_of(secret)
    ear = _Ear(url, wanted, lambda route: secrets_of(keys, config, route))
    try:
        asyncio.run(ear.listen(settings))
    except httpx.TransportError as error:
        give_up(f"the router at {settings['base_url']} does not answer ({error}): is `hookrouter serve` running?")
    except KeyboardInterrupt:
        pass


def _pair(given: str) -> tuple[str, str]:
    name, sign, glob = given.partition("=")
    if not sign:
        raise click.UsageError(f"--match {given}: write NAME=GLOB, such as caller=+4930*")
    return name, glob


class _Ear:
    def __init__(self, url: str, wanted: dict[str, Any], secrets: Any) -> None:
        self._url, self._wanted, self._secrets = url, wanted, secrets
        self._id = ""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, settings: dict[str, Any]) -> None:
        """For good. Raises httpx.TransportError where no router answers at the beginning."""
        http = Http()
        self._sender = Sender(http, SystemClock())
        self._where = f"the router at {settings['base_url']}"
        try:
            async with httpx.AsyncClient(**settings, timeout=30, trust_env=False) as self._router:
                reply = await self._begin()
                if reply.status_code != 200:
                    give_up(refusal_of(reply.content, reply.status_code))
                while True:
                    why = await self._hear(reply)
                    meanwhile = "; meanwhile the routes' own endpoints are in charge" if self._wanted["take"] else ""
                    self._why = f"{self._where} has gone away ({why}){meanwhile}"
                    reply = await try_again(
                        self._again, total=inf, first_delay=_FIRST_DELAY, longest_delay=_LONGEST_DELAY,
                        sleep=self._sleep, now=time.monotonic,
                    )  # fmt: skip
        finally:
            self._drop()
            await http.close()

    async def _begin(self) -> httpx.Response:
        """One try. Whoever gets a refusal gets it whole. Raises httpx.TransportError."""
        patience = httpx.Timeout(30, read=_SILENCE)
        request = self._router.build_request("POST", "/v1/listen", json=self._wanted, timeout=patience)
        reply = await self._router.send(request, stream=True)
        if reply.status_code != 200:
            await reply.aread()
        return reply

    async def _again(self, _: int) -> httpx.Response:
        """One more try. Raises Again where the next may end better; ends the command where none would."""
        try:
            reply = await self._begin()
        except httpx.TransportError as error:
            self._why = f"{self._where} does not answer ({_named(error)})"
            raise Again(error) from None
        if reply.status_code == 200:
            return reply
        refusal = refusal_of(reply.content, reply.status_code)
        if reply.status_code in _FOR_GOOD:
            give_up(f"{self._where} is back, and does not let us listen: {refusal}")
        self._why = f"{self._where}: {refusal}"
        raise Again(refusal)

    async def _sleep(self, seconds: float) -> None:
        say(f"✗ {self._why}; trying again in {seconds:.1f} s")
        await asyncio.sleep(seconds)

    async def _hear(self, reply: httpx.Response) -> str:
        """Until the line ends: why it has."""
        try:
            async for line in reply.aiter_lines():
                if line.startswith("data: {"):
                    self._heard(json.loads(line.removeprefix("data: ")))
        except httpx.ReadTimeout:
            return f"it said nothing for {_SILENCE:.0f} s"
        except httpx.TransportError as error:
            return _named(error)
        finally:
            await reply.aclose()
            self._drop()
        return "it has closed the connection"

    def _drop(self) -> None:
        """Nobody waits for the answers that are under way."""
        for task in self._tasks:
            task.cancel()
        self._turns.clear()

    def _heard(self, told: dict[str, Any]) -> None:
        what = told["what"]
        if what == "listening":
            self._id = told["id"]
            does = "answered" if self._wanted["take"] else "compared with what is answered"
            say(f"Listening: calls that begin from now on and match are {does} by {self._url}. Ctrl-C ends it.")
        elif what == "asked":
            task = asyncio.create_task(self._asked(told))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif what == "compared":
            outcome, detail = told["outcome"].replace("_", " "), told["detail"]
            about = "" if told["outcome"] in _SAME else f": {outcome}{f' ({detail})' if detail else ''}"
            self._say(_SAME.get(told["outcome"], "-"), told, about, told["differences"])
        elif what == "lost":
            self._say("✗", told, f": {told['why']}; the route's own endpoint is in charge of the call again")
        elif what == "ended":
            give_up(f"the router has let us go: {told['why']}")

    def _say(self, sign: str, told: dict[str, Any], about: str, more: Iterable[str] = ()) -> None:
        say(f"{sign} {told['type']} {told['call']}{about}")
        for line in more:
            say(f"    {line}")

    async def _asked(self, told: dict[str, Any]) -> None:
        async with self._turns[told["call"]]:
            attempt = await self._attempt(told)
            answer = {"status": str(attempt.status)} if attempt.reason == "response" else {"reason": attempt.reason}
            answer |= {"detail": attempt.detail} if attempt.detail else {}
            path = f"/v1/listen/{self._id}/{told['number']}"
            body = attempt.body if attempt.reason == "response" else b""
            try:
                reply = await self._router.post(path, params=answer, content=body)
            except httpx.TransportError as error:
                self._say("✗", told, f": {self._where} did not take the answer ({_named(error)})")
                return
        if told["type"] == "StasisEnd":
            self._turns.pop(told["call"], None)
        if self._wanted["take"] and reply.status_code == 204:
            came = str(attempt.status) if attempt.reason == "response" else f"{attempt.reason} {attempt.detail}".strip()
            self._say("→", told, f": {came} in {attempt.seconds * 1000:.0f} ms")
        elif reply.status_code != 204:
            self._say("✗", told, f": {refusal_of(reply.content, reply.status_code)}")

    async def _attempt(self, told: dict[str, Any]) -> Attempt:
        url = beside(self._url, told["first"], told["url"])
        endpoint = Endpoint(url, self._secrets(told["route"]), timeout=told["timeout"])
        kind = "control" if self._wanted["take"] else "shadow"
        message = Message(told["event"], told["type"], told["body"].encode(), kind, told["call"])
        return await self._sender.attempt(endpoint, message, 1, endpoint.timeout, endpoint.timeout)


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


__all__ = ["listen"]
