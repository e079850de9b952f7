"""What the commands ask the running router for. Where no router runs, recorded calls are read from their file or database."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx

from hookrouter.checking.router import address, itself
from hookrouter.cli.options import FAILED, load_or_exit, say
from hookrouter.config import Config
from hookrouter.errors import StoreError
from hookrouter.http.trust import client_context
from hookrouter.record.finding import Query
from hookrouter.record.opening import Opened, open_record
from hookrouter.service.recorded import query_of, shown_record, shown_row
from hookrouter.store import record_place
from hookrouter.store.opening import DEFAULT_STORE

store_option = click.option(
    "--store",
    envvar="HOOKROUTER_STORE",
    default=DEFAULT_STORE,
    show_default=True,
    help="The journal: the record is beside it or, in PostgreSQL, with it, and is read where no router runs.",
)

store_again = click.option("--store", help="The journal, if not named before.")
"""As `config_again`."""


def settings_of(config: Config) -> dict[str, Any]:
    """What a client needs to speak to the router that runs by this configuration."""
    server = config.server
    headers = {"authorization": f"Bearer {server.token}"} if server.token else {}
    return {"base_url": address(server), "verify": client_context(itself(server)), "headers": headers}


def client_of(config: Config) -> httpx.Client:
    """Speaks to the router that runs by this configuration."""
    return httpx.Client(**settings_of(config), timeout=30, trust_env=False)


def give_up(message: str) -> NoReturn:
    say(message, err=True)
    sys.exit(FAILED)


def refusal_of(body: bytes, status: int) -> str:
    """Why the router has refused, in its own words where there are any."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the router answered {status}"


def ask(client: httpx.Client, method: str, url: str, **params: Any) -> Any:
    """The answer's JSON; ends the command where there is none. Raises httpx.ConnectError: no router runs."""
    try:
        response = client.request(method, url, params={key: value for key, value in params.items() if value})
    except httpx.ConnectError:
        raise
    except httpx.TransportError as error:
        give_up(f"the router at {client.base_url} does not answer: {error}")
    if response.status_code >= 400:
        give_up(refusal_of(response.content, response.status_code))
    return response.json()


class Calls:
    """Recorded calls: of the running router, else as they are kept."""

    def __init__(self, path: Path, store: str) -> None:
        self.config = load_or_exit(path)
        self._address = address(self.config.server)
        self._store = store

    def find(self, given: Mapping[str, str]) -> list[dict[str, Any]]:
        """The newest first."""

        def kept(record: Opened) -> list[dict[str, Any]]:
            return [shown_row(row) for row in record.find(query_of(given, None, time.time()))]

        try:
            with client_of(self.config) as client:
                found: list[dict[str, Any]] = ask(client, "GET", "/v1/calls", **given)["calls"]
        except httpx.ConnectError as error:
            found = self._read(kept, error)
        return found

    def record(self, id: str) -> dict[str, Any]:
        """All that is kept of a call; ends the command where that is nothing."""

        def kept(record: Opened) -> dict[str, Any]:
            rows = record.find(Query(call_id=id, limit=1))
            if not rows:
                give_up(f"nothing is kept of a call `{id}`")
            return shown_record(rows[0], record.entries(rows[0].id))

        try:
            with client_of(self.config) as client:
                found: dict[str, Any] = ask(client, "GET", f"/v1/calls/{id}/record")
        except httpx.ConnectError as error:
            found = self._read(kept, error)
        return found

    def _read(self, look: Callable[[Opened], Any], away: Exception) -> Any:
        place = record_place(self._store)
        if place is None or (isinstance(place, Path) and not place.exists()):
            where = f"there is no {place} either" if place else "the store is in memory"
            give_up(f"no router answers at {self._address} ({away}), and {where}: give --store as `serve` has it")
        try:
            record = open_record(place, read_only=True)
            try:
                return look(record)
            finally:
                record.close()
        except (sqlite3.Error, StoreError) as error:
            what = f"{place} cannot be read: {error}" if isinstance(place, Path) else str(error)
            give_up(f"no router answers at {self._address} ({away}), and {what}")
        except ValueError as error:
            give_up(str(error))


__all__ = ["Calls", "ask", "client_of", "give_up", "refusal_of", "settings_of", "store_again", "store_option"]
