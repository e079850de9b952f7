"""The tables and keys of routes.toml: names, types, limits, defaults and what they mean.

The loader, `hookrouter schema routes` (schema.py) and the tables of docs/routes.md are made from these; a key that is not here does
not exist. Times are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Days = Annotated[float, Meta(gt=0, le=36_500)]
Action = Annotated[
    Any,
    Meta(extra_json_schema={"type": "object", "required": ["action"], "properties": {"action": {"type": "string"}}}),
]


def says(description: str, **more: Any) -> Meta:
    """What a key means; `more`: limits."""
    return Meta(description=description, **more)


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all tables."""


class AsteriskTable(Shape, frozen=True):
    """One Asterisk; NAME is yours, and comes in `call.asterisk`."""

    url: Annotated[
        Text | None,
        says(
            "Where Asterisk's HTTP server is. In mode `listen` there is no default, and none is needed: REST then goes "
            "over the socket alone."
        ),
    ] = None
    username: Annotated[Text, says("The user in ari.conf; in mode `listen` what Asterisk presents to us.")] = (
        "hookrouter"
    )
    password: Annotated[Text | None, says("Its password. This or `password_file` is required.")] = None
    password_file: Annotated[Text | None, says("A file that holds the password.")] = None
    apps: Annotated[list[Text], says("The Stasis apps that the dialplan hands calls to.", min_length=1)] = field(
        default_factory=lambda: ["hookrouter"]
    )
    mode: Annotated[
        Literal["connect", "listen"],
        says(
            "`connect`: we connect to Asterisk. `listen`: it connects to us, at `/ari/NAME` of `[server]`, and keeps "
            "calls and events for us while we are away."
        ),
    ] = "connect"
    subscribe: Annotated[
        list[Text],
        says(
            "Event sources to listen to beside the calls: `endpoint:PJSIP/alice`, `deviceState:PJSIP/alice`, … They "
            "send the events of endpoints, contacts, devices and text messages."
        ),
    ] = field(default_factory=list)


class ServerTable(Shape, frozen=True):
    """The router's own HTTP."""

    listen: Annotated[Text, says("Address and port, such as `0.0.0.0:8080`.")] = "127.0.0.1:8080"
    token: Annotated[
        Text | None,
        says("Bearer token of the control API and the dashboard; without one they serve this machine only."),
    ] = None
    token_file: Annotated[Text | None, says("A file that holds the token.")] = None


class SpeechTable(Shape, frozen=True):
    """How `say` becomes sound: by `command` or by `url`."""

    command: Annotated[
        Annotated[list[Text], Meta(min_length=1)] | None,
        says(
            "A program and its arguments, with `{text}`, `{lang}`, `{voice}` and `{file}` put in. It writes a WAV file "
            "to `{file}`, or to its standard output."
        ),
    ] = None
    url: Annotated[
        Text | None, says("An HTTP service: it gets a POST of `{text, lang, voice}` and answers `audio/wav`.")
    ] = None
    folder: Annotated[
        Text | None, says("Where the sounds are kept; one that Asterisk sees too is played from directly.")
    ] = None
    asterisk_folder: Annotated[Text | None, says("The same folder as Asterisk sees it.")] = None
    base_url: Annotated[Text | None, says("How Asterisk reaches this router, for sounds over HTTP.")] = None
    timeout: Annotated[Seconds, says("Seconds for one text.")] = 10.0


class StoreTable(Shape, frozen=True):
    """How long the journal keeps what is over. Where it is, the environment says: `HOOKROUTER_STORE`."""

    timeline_days: Annotated[Days, says("Days for finished calls and their timelines.")] = 7.0
    delivered_days: Annotated[Days, says("Days for what has been delivered.")] = 1.0
    dead_letter_days: Annotated[Days, says("Days for dead letters, with their bodies.")] = 30.0


class AuthTable(Shape, frozen=True):
    """How the endpoint wants to know us, beside the signature."""

    type: Annotated[
        Literal["basic", "bearer", "oauth2", "aws-sigv4"],
        says(
            "`basic` needs `username` and `password`, `bearer` a `token`; the other two an extra, `hookrouter[oauth]`."
        ),
    ]
    username: Annotated[str | None, says("Basic.")] = None
    password: Annotated[str | None, says("Basic.")] = None
    password_file: Annotated[Text | None, says("A file that holds the password.")] = None
    token: Annotated[Text | None, says("Bearer.")] = None
    token_file: Annotated[Text | None, says("A file that holds the token.")] = None
    token_url: Annotated[Text | None, says("OAuth2, client credentials: where tokens come from.")] = None
    client_id: Annotated[Text | None, says("OAuth2.")] = None
    client_secret: Annotated[Text | None, says("OAuth2.")] = None
    client_secret_file: Annotated[Text | None, says("A file that holds the client secret.")] = None
    scope: Annotated[Text | None, says("OAuth2, if the service wants one.")] = None
    access_key_id: Annotated[Text | None, says("AWS.")] = None
    secret_access_key: Annotated[Text | None, says("AWS.")] = None
    secret_access_key_file: Annotated[Text | None, says("A file that holds the secret access key.")] = None
    region: Annotated[Text | None, says("AWS, such as `eu-central-1`.")] = None
    service: Annotated[
        Text | None, says("AWS: `lambda` (the default) for a function's URL, `execute-api` for an API gateway.")
    ] = None
    session_token: Annotated[Text | None, says("AWS, with temporary credentials.")] = None


class FallbackTable(Shape, frozen=True):
    """What happens to the caller when no attempt succeeded by the deadline: first `url`, then `actions`."""

    url: Annotated[
        Text | None,
        says(
            "Another endpoint; it gets the same event with `fallback` in it, by the route's secret, headers and auth."
        ),
    ] = None
    actions: Annotated[
        list[Action] | None, says("Actions that need no endpoint. Without them the call goes on in the dialplan.")
    ] = None


_MATCH = {"additionalProperties": {"type": ["string", "number", "boolean", "array", "object"]}}


class RouteShape(Shape, frozen=True):
    """Which events, and the endpoint that gets them. The first control route that fits a call owns it."""

    url: Annotated[Text, says("The endpoint.")]
    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        says("Comes in `call.route`, in logs and metrics; each only once. Default: `route-1`, `route-2`, …"),
    ] = None
    mode: Annotated[
        Literal["control", "notify"],
        says("`control`: the endpoint answers with actions. `notify`: it is only told, at least once."),
    ] = "control"
    events: Annotated[
        list[Text], says("Event types, Asterisk's or the router's own; `\"*\"` is all of them.", min_length=1)
    ] = field(default_factory=lambda: ["StasisStart", "StasisEnd"])
    match: Annotated[
        dict[str, Any],
        says(
            "What must hold, all of it: `app`, `args` (a prefix), `asterisk`, or paths into the event.",
            extra_json_schema=_MATCH,
        ),
    ] = field(default_factory=dict)
    secret: Annotated[
        Text | list[Text] | None,
        says("Signs the requests: `whsec_` + base64, or any text of 16 bytes or more; a list while keys are rotated."),
    ] = None
    secret_file: Annotated[Text | None, says("A file with the secret, or several, one a line.")] = None
    headers: Annotated[dict[str, str], says("Sent with every request.")] = field(default_factory=dict)
    auth: Annotated[AuthTable | None, says("How the endpoint knows us, beside the signature.")] = None
    timeout: Annotated[
        Seconds | None,
        says("Seconds for one attempt; never more than the deadline. For notify the default is 15."),
    ] = None
    deadline: Annotated[Seconds, says("Seconds for all attempts together: somebody is on the line. Control only.")] = (
        8.0
    )
    fallback: Annotated[
        FallbackTable | None, says("What the caller gets when no attempt succeeded by the deadline. Control only.")
    ] = None
    while_waiting: Annotated[
        list[Action], says("Actions for the caller after one second without an answer. Control only.")
    ] = field(default_factory=list)
    idle_timeout: Annotated[
        float,
        says(
            "Seconds that a call may wait for its next event before the fallback's actions run. Control only.",
            gt=0,
            le=604_800,
        ),
    ] = 3600.0
    scope: Annotated[
        Literal["call", "any"], says("`any`: actions may touch what belongs to other calls. Control only.")
    ] = "call"
    allow: Annotated[
        list[Text],
        says(
            "Operations outside the call that are allowed all the same, such as `asterisk.getGlobalVar`. Control only."
        ),
    ] = field(default_factory=list)
    allow_urls: Annotated[list[Text], says("Other origins that an action's `url` may lead to. Control only.")] = field(
        default_factory=list
    )
    order: Annotated[
        Literal["call", "strict"],
        says("`strict`: a failed delivery holds up the call's later ones, for at most 15 minutes. Notify only."),
    ] = "call"
    format: Annotated[Literal["standard", "cloudevents"], says("`cloudevents` adds the `ce-*` headers.")] = "standard"
    adopt: Annotated[
        Literal["route", "continue", "ignore"],
        says(
            "A call that is found in the app after a loss and that nobody knows: `route` it like a new one, `continue` "
            "it in the dialplan, or leave it alone. Control only."
        ),
    ] = "route"
    enabled: Annotated[bool, says("`false`: as if the route were not in the file; it is still checked.")] = True


class File(Shape, frozen=True):
    """routes.toml."""

    asterisk: dict[str, AsteriskTable] = field(default_factory=dict)
    server: ServerTable = ServerTable()
    speech: SpeechTable | None = None
    store: StoreTable = StoreTable()
    routes: list[RouteShape] = field(default_factory=list)


CONTROL_ONLY = (
    "deadline", "fallback", "while_waiting", "idle_timeout", "scope", "allow", "allow_urls", "adopt",
)  # fmt: skip
NOTIFY_ONLY = ("order",)
