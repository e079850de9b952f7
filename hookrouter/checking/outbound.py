"""Asterisk's own socket to us (`outbound_websocket` with its `websocket_client`), held against routes.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking.findings import Findings

MOST_ATTEMPTS = 100
_YES = ("yes", "true", "1", "on", "y", "t")


class Outbound(NamedTuple):
    """The keys of the three sections, as Asterisk has them; None: it has no such section."""

    place: str
    socket: Mapping[str, str]
    client: Mapping[str, str] | None
    user: Mapping[str, str] | None


def is_on(value: str) -> bool:
    return value.strip().lower() in _YES


def check_outbound(settings: AsteriskSettings, found: Outbound, findings: Findings) -> None:
    """Says everything that keeps this socket from doing what mode `listen` is for."""
    before = findings.wrong_count
    wrong = findings.wrong
    apps = {app.strip() for app in found.socket.get("apps", "").split(",") if app.strip()}
    if apps != set(settings.apps):
        wrong(
            found.place,
            f"apps = {','.join(sorted(apps)) or '(none)'}, but asterisk.{settings.name}.apps of routes.toml is "
            f"{', '.join(settings.apps)}: calls of an app that only one of them names reach nobody; write the same in both",
        )
    if found.user is not None and is_on(found.user.get("read_only", "no")):
        wrong(
            found.place,
            f"local_ari_user {found.socket.get('local_ari_user')} is read-only: every request of the router would be "
            "refused; set read_only = no",
        )
    if found.user is None:
        wrong(found.place, f"local_ari_user = {found.socket.get('local_ari_user', '')} names no user of ari.conf")
    client_id = found.socket.get("websocket_client_id", "")
    if found.client is None:
        wrong(found.place, f"websocket_client_id = {client_id} names no section of websocket_client.conf")
    else:
        _client(settings, f"websocket_client.conf [{client_id}]", found.client, findings)
    if findings.wrong_count == before:
        findings.right(found.place, "Asterisk's own socket fits routes.toml")


def _client(settings: AsteriskSettings, place: str, client: Mapping[str, str], findings: Findings) -> None:
    attempts = client.get("reconnect_attempts", "4")
    if not attempts.strip().isdigit() or int(attempts) > MOST_ATTEMPTS:
        findings.wrong(
            place,
            f"reconnect_attempts = {attempts}: set 10. While Asterisk counts these it does not look at changed "
            "configuration; after them it begins again, for ever",
        )
    if client.get("connection_type", "persistent") != "persistent":
        findings.wrong(place, f"connection_type = {client['connection_type']}: set persistent")
    if client.get("protocols", "ari") != "ari":
        findings.wrong(place, f"protocols = {client['protocols']}: set ari")
    uri = client.get("uri", "")
    if uri and not uri.rstrip("/").endswith(f"/ari/{settings.name}"):
        findings.wrong(place, f"uri = {uri}: the router takes Asterisk at /ari/{settings.name}")
    given = (client.get("username", ""), client.get("password", ""))
    if given[0] != settings.username:
        findings.wrong(place, f"username = {given[0]}, but asterisk.{settings.name}.username is {settings.username}")
    elif given[1] != settings.password:
        findings.wrong(place, f"the password differs from asterisk.{settings.name}.password of routes.toml")
