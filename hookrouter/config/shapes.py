"""The tables and keys of routes.toml: names, types, limits, defaults and what they mean.

The loader, `hookrouter schema routes` and docs/routes.md are made from these; a key that is not here does not exist.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all tables."""


class AsteriskTable(Shape, frozen=True):
    """`[asterisk.NAME]`: one Asterisk; NAME is yours and comes in `call.asterisk`."""

    url: (
        Annotated[
            Text,
            Meta(description="Where Asterisk's HTTP server is. Optional in mode `listen`."),
        ]
        | None
    ) = None
    username: Annotated[
        Text, Meta(description="The user in ari.conf; in mode `listen` also what Asterisk must present.")
    ] = "hookrouter"
    password: Annotated[str, Meta(description="Its password.")] | None = None
    password_file: Annotated[Text, Meta(description="A file that holds the password.")] | None = None
    apps: Annotated[list[Text], Meta(min_length=1, description="The Stasis apps that the dialplan hands calls to.")] = field(
        default_factory=lambda: ["hookrouter"]
    )
    mode: Annotated[
        Literal["connect", "listen"],
        Meta(
            description="`connect`: we connect to Asterisk. `listen`: it connects to us, at /ari/NAME, and keeps events meanwhile."
        ),
    ] = "connect"


class ServerTable(Shape, frozen=True):
    """`[server]`: the router's own HTTP."""

    listen: Annotated[Text, Meta(description="Address and port.")] = "127.0.0.1:8080"
    token: (
        Annotated[
            Text,
            Meta(
                description="Bearer token of the control API and the dashboard; without one they serve this machine only."
            ),
        ]
        | None
    ) = None
    token_file: Annotated[Text, Meta(description="A file that holds the token.")] | None = None


class SpeechTable(Shape, frozen=True):
    """`[speech]`: how `say` becomes sound."""

    command: (
        Annotated[
            list[Text],
            Meta(
                min_length=1,
                description="A program; `{text}`, `{lang}`, `{voice}`, `{file}` are put in. It writes WAV to `{file}` or stdout.",
            ),
        ]
        | None
    ) = None
    url: (
        Annotated[Text, Meta(description="An HTTP service: gets POST {text, lang, voice} and answers audio/wav.")]
        | None
    ) = None
    folder: (
        Annotated[
            Text,
            Meta(description="Where the sounds are kept; a folder that Asterisk sees too is played from directly."),
        ]
        | None
    ) = None
    asterisk_folder: Annotated[Text, Meta(description="The same folder as Asterisk sees it.")] | None = None
    base_url: Annotated[Text, Meta(description="How Asterisk reaches this router, for sounds by HTTP.")] | None = None
    timeout: Annotated[Seconds, Meta(description="Seconds for one text.")] = 10.0


class StoreTable(Shape, frozen=True):
    """`[store]`: how long things are kept in the journal. Where it is says HOOKROUTER_STORE."""

    timeline_days: Annotated[float, Meta(gt=0, description="Finished calls and their timelines.")] = 7.0
    delivered_days: Annotated[float, Meta(gt=0, description="The heads of delivered notifications.")] = 1.0
    dead_letter_days: Annotated[float, Meta(gt=0, description="Dead letters, with their bodies.")] = 30.0


class AuthTable(Shape, frozen=True):
    """`auth`: how the endpoint wants to be convinced, beside the signature."""

    type: Literal["basic", "bearer", "oauth2", "aws-sigv4"]
    username: str | None = None
    password: str | None = None
    token: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None
    service: str | None = None


class FallbackTable(Shape, frozen=True):
    """`fallback`: what happens to the caller when there is no answer."""

    url: Annotated[Text, Meta(description="Another endpoint; it gets the same event with `fallback` in it.")] | None = (
        None
    )
    actions: Annotated[list[dict[str, Any]], Meta(description="Actions that need no endpoint.")] | None = None


class RouteTableShape(Shape, frozen=True):
    """`[[routes]]`: which events, and the endpoint that gets them. The first control route that fits a call owns it."""

    url: Annotated[Text, Meta(description="The endpoint.")]
    name: (
        Annotated[
            Text,
            Meta(
                max_length=100,
                description="Comes in `call.route`, in logs and metrics. Default: `route-1`, `route-2`, …",
            ),
        ]
        | None
    ) = None
    mode: Annotated[
        Literal["control", "notify"],
        Meta(description="`control`: answers with actions. `notify`: is only told, durably."),
    ] = "control"
    events: Annotated[list[Text], Meta(description="Event types, ARI's or the router's own; `\"*\"` is all.")] = field(
        default_factory=lambda: ["StasisStart", "StasisEnd"]
    )
    match: Annotated[
        dict[str, Any],
        Meta(description="What must hold: `app`, `args` (a prefix), `asterisk`, or dotted paths into the ARI event."),
    ] = {}
    secret: (
        Annotated[
            Text | list[Text], Meta(description="Signing secret, or several while they are rotated, the newest first.")
        ]
        | None
    ) = None
    secret_file: Annotated[Text, Meta(description="A file with one secret a line.")] | None = None
    headers: Annotated[dict[str, str], Meta(description="Sent with every request.")] = {}
    auth: AuthTable | None = None
    timeout: Annotated[Seconds, Meta(description="Seconds for one attempt.")] = 3.0
    deadline: Annotated[Seconds, Meta(description="Seconds for all attempts together: somebody is on the line.")] = 8.0
    fallback: FallbackTable | None = None
    while_waiting: Annotated[
        list[dict[str, Any]], Meta(description="Actions for the caller after one second without an answer.")
    ] = []
    idle_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=604_800,
            description="Seconds that a call may wait for its next event before the fallback's actions run.",
        ),
    ] = 3600.0
    scope: Annotated[
        Literal["call", "any"], Meta(description="`any`: actions may touch what belongs to other calls.")
    ] = "call"
    allow: Annotated[
        list[Text], Meta(description="Operations outside the call that are allowed, such as `asterisk.getGlobalVar`.")
    ] = []
    allow_urls: Annotated[list[Text], Meta(description="Other origins that an action's `url` may lead to.")] = []
    order: Annotated[
        Literal["call", "strict"],
        Meta(
            description="For notify: `strict` lets a failed delivery hold up the call's later ones, for at most 15 minutes."
        ),
    ] = "call"
    format: Annotated[
        Literal["standard", "cloudevents"], Meta(description="`cloudevents` adds the `ce-*` headers.")
    ] = "standard"
    adopt: Annotated[
        Literal["route", "continue", "ignore"],
        Meta(
            description="A call that nobody knows, found after a loss: `route` it, `continue` it in the dialplan, or leave it."
        ),
    ] = "route"
    enabled: Annotated[bool, Meta(description="`false`: as if it were not in the file.")] = True


class File(Shape, frozen=True):
    """routes.toml."""

    asterisk: dict[str, AsteriskTable] = {}
    server: ServerTable = ServerTable()
    speech: SpeechTable | None = None
    store: StoreTable = StoreTable()
    routes: list[RouteTableShape] = []


def routes_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of routes.toml, for editors."""
    (schema,), definitions = msgspec.json.schema_components([File], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hookrouter routes.toml",
        **schema,
        "$defs": definitions,
    }
