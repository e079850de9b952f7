"""The tables and keys of routes.toml: names, types, limits, defaults and what they mean.

The loader, `hookrouter schema routes` (schema.py) and the tables of docs/routes.md are made from these; a key that is not here does
not exist. Times are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from hookrouter.ari.settings import Mode

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


Functions = Annotated[
    list[Text] | None,
    says(
        "Functions of the dialplan that may be named: `harmless` stands for a list of those, `CURL` for one, "
        "`CHANNEL(hangup_handler*)` for a part of one."
    ),
]
Endpoints = Annotated[
    list[Text] | None,
    says(
        "Who may be called: patterns such as `PJSIP/*` and `Local/*@from-internal`; `*` is every technology but `Local/`."
    ),
]
Contexts = Annotated[
    list[Text] | None, says("Where in the dialplan calls may go: contexts, or patterns such as `ivr-*`; `*` is all.")
]
Hosts = Annotated[
    list[Text] | None,
    says(
        "Where media may come from and go to: names, `*.example.com`, addresses, networks; `public` is the internet. The "
        "host of the route's own url is always among them."
    ),
]
MaxLegs = Annotated[int, says("Legs and calls that one call may have under way at a time.", ge=1, le=10_000)] | None
MaxCalls = (
    Annotated[int, says("New calls that a route's answers may begin within a minute.", ge=1, le=1_000_000)] | None
)
MaxAnswers = (
    Annotated[int, says("Answers with actions that one call takes within 10 seconds.", ge=1, le=1_000_000)] | None
)


class PolicyTable(Shape, frozen=True):
    """What endpoints may do. A route may have the same keys; they stand in for these."""

    functions: Functions = None
    endpoints: Endpoints = None
    contexts: Contexts = None
    hosts: Hosts = None
    max_legs: MaxLegs = None
    max_calls_per_minute: MaxCalls = None
    max_answers: MaxAnswers = None


class AllowedUrl(Shape, frozen=True):
    """Another origin that an action's `url` may lead to."""

    url: Annotated[Text, says("An origin, such as `https://a.example`, or what is below a path of one.")]
    credentials: Annotated[bool, says("`true`: the route's signature, `headers` and `auth` go there too.")] = False


class AsteriskTable(Shape, frozen=True):
    """One Asterisk; NAME is yours, and comes in `call.asterisk`."""

    url: Annotated[
        Text | None,
        says(
            "Where Asterisk's HTTP server is. In mode `listen` there is no default, and none is needed: REST then goes "
            "over the socket alone."
        ),
    ] = None
    username: Annotated[Text, says("The user in ari.conf; in mode `listen` also what Asterisk presents to us.")] = (
        "hookrouter"
    )
    password: Annotated[Text | None, says("Its password. This or `password_file` is required.")] = None
    password_file: Annotated[Text | None, says("A file that holds the password.")] = None
    apps: Annotated[list[Text], says("The Stasis apps that the dialplan hands calls to.", min_length=1)] = field(
        default_factory=lambda: ["hookrouter"]
    )
    mode: Annotated[
        Mode,
        says(
            "`connect`: we connect to Asterisk. `listen`: it connects to us, at `/ari/NAME` of `[server]`, and keeps "
            "calls and events for us while we are away. `invite`: the same, and we tell it by ARI where to connect to."
        ),
    ] = "connect"
    advertise: Annotated[
        Text | None,
        says(
            "In mode `invite`: the URL of our own HTTP as Asterisk reaches it, such as `http://${HOSTNAME}:8080`. "
            "Default: `address` of `[cluster]`, else the address of ours that leads to Asterisk."
        ),
    ] = None
    advertise_ca: Annotated[
        Text | None,
        says(
            "In mode `invite`, by https: the file on Asterisk's machine with the authorities (PEM) that it trusts, such as "
            "`/etc/ssl/certs/ca-certificates.crt`. It trusts none by itself."
        ),
    ] = None
    subscribe: Annotated[
        list[Text],
        says(
            "Event sources to listen to beside the calls: `endpoint:PJSIP/alice`, `deviceState:PJSIP/alice`, … They "
            "send the events of endpoints, contacts, devices and text messages."
        ),
    ] = field(default_factory=list)
    ca_file: Annotated[
        Text | None, says("For a `url` by TLS: certificates of authorities (PEM) to trust in place of the system's.")
    ] = None
    client_certificate: Annotated[Text | None, says("Our certificate (PEM), where it wants one.")] = None
    client_key: Annotated[Text | None, says("Its key, where that is in a file of its own.")] = None


class TokenTable(Shape, frozen=True):
    """One more token of the control API and the dashboard, and what it opens."""

    token: Annotated[Text | None, says("16 characters or more. This or `token_file` is required.")] = None
    token_file: Annotated[Text | None, says("A file that holds the token.")] = None
    tenant: Annotated[
        Text | None,
        says("Whose calls, deliveries, recordings and events it opens: a `tenant` of routes. Default: all."),
    ] = None
    access: Annotated[
        Literal["read", "write"],
        says("`read`: it may look, and change nothing; `write`: also act, hang up, call, replay, listen."),
    ] = "write"


class ServerTable(Shape, frozen=True):
    """The router's own HTTP."""

    listen: Annotated[Text, says("Address and port, such as `0.0.0.0:8080`.")] = "127.0.0.1:8080"
    token: Annotated[
        Text | None,
        says(
            "Opens the control API and the dashboard, in 16 characters or more; without one they serve this machine "
            "only."
        ),
    ] = None
    token_file: Annotated[Text | None, says("A file that holds the token.")] = None
    tls_certificate: Annotated[
        Text | None,
        says("Our certificate (PEM), with those that lead to its authority behind it: then all is by TLS alone."),
    ] = None
    tls_key: Annotated[Text | None, says("Its key, where that is in a file of its own.")] = None
    tokens: Annotated[list[TokenTable], says("More of them, each for one tenant, or for looking only.")] = field(
        default_factory=list
    )


class SpeechTable(Shape, frozen=True):
    """How `say` becomes sound: by `command` or by `url`."""

    command: Annotated[
        Annotated[list[Text], Meta(min_length=1)] | None,
        says(
            "A program and its arguments, with `{lang}`, `{voice}` and `{file}` put in. It gets the text on its standard "
            "input, or where a word has `{text}`, there. It writes a WAV file to `{file}`, or to its standard output."
        ),
    ] = None
    url: Annotated[
        Text | None, says("An HTTP service: it gets a POST of `{text, lang, voice}` and answers `audio/wav`.")
    ] = None
    folder: Annotated[
        Text | None,
        says(
            "Where the sounds are kept. Without `base_url` Asterisk plays them from there: it must see the folder, too."
        ),
    ] = None
    asterisk_folder: Annotated[Text | None, says("The same folder as Asterisk sees it.")] = None
    base_url: Annotated[
        Text | None,
        says(
            "How Asterisk reaches this router, where it fetches the sounds. Default: the address of `[server]`, seen from Asterisk."
        ),
    ] = None
    timeout: Annotated[Seconds, says("Seconds for one text.")] = 10.0
    ca_file: Annotated[
        Text | None, says("For `url` by TLS: certificates of authorities (PEM) to trust in place of the system's.")
    ] = None
    client_certificate: Annotated[Text | None, says("Our certificate (PEM), where it wants one.")] = None
    client_key: Annotated[Text | None, says("Its key, where that is in a file of its own.")] = None


class StoreTable(Shape, frozen=True):
    """How long the journal keeps what is over. Where it is, the environment says: `HOOKROUTER_STORE`."""

    timeline_days: Annotated[Days, says("Days for finished calls and the record of them.")] = 7.0
    record_bytes: Annotated[
        Annotated[int, Meta(ge=1_000_000, le=10**15)],
        says(
            "Bytes for the record of calls, of all routers that share a database: the oldest calls go first, failed ones last."
        ),
    ] = 2_147_483_648
    delivered_days: Annotated[Days, says("Days for what has been delivered.")] = 1.0
    dead_letter_days: Annotated[Days, says("Days for dead letters, with their bodies.")] = 30.0


class ClusterTable(Shape, frozen=True):
    """This router among those that share a PostgreSQL database (`HOOKROUTER_STORE`)."""

    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        says("What it is called; no two may be called the same. Default: the name of its host."),
    ] = None
    address: Annotated[
        Text | None,
        says("Where the others reach its HTTP, such as `http://10.0.0.5:8080`: they ask it for what it has in hand."),
    ] = None


class AuthTable(Shape, frozen=True):
    """How the endpoint wants to know us, beside the signature."""

    type: Annotated[
        Literal["basic", "bearer", "oauth2", "aws-sigv4", "google-id-token"],
        says(
            "`basic` needs `username` and `password`, `bearer` a `token`, `aws-sigv4` what the usual AWS variables do not "
            "give, `google-id-token` an `audience`; `oauth2`, and a key of Google's, need the extra `oauth`."
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
    access_key_id: Annotated[
        Text | None, says("AWS. Without it, `AWS_ACCESS_KEY_ID` and the others of the environment.")
    ] = None
    access_key_id_file: Annotated[Text | None, says("A file that holds it.")] = None
    secret_access_key: Annotated[Text | None, says("AWS.")] = None
    secret_access_key_file: Annotated[Text | None, says("A file that holds the secret access key.")] = None
    session_token: Annotated[Text | None, says("AWS, with temporary credentials.")] = None
    session_token_file: Annotated[Text | None, says("A file that holds the session token.")] = None
    region: Annotated[
        Text | None, says("AWS, such as `eu-central-1`. Default: `AWS_REGION`, else `AWS_DEFAULT_REGION`.")
    ] = None
    service: Annotated[
        Text | None, says("AWS: `lambda` (the default) for a function and its URL, `execute-api` for an API gateway.")
    ] = None
    endpoint_url: Annotated[
        Text | None,
        says(
            "AWS: where Lambda's API is for `lambda:NAME`, if elsewhere, such as a VPC's endpoint. Default: "
            "`AWS_ENDPOINT_URL_LAMBDA`, else `AWS_ENDPOINT_URL`."
        ),
    ] = None
    audience: Annotated[
        Text | None, says("Google: for whom the token is: the address of the service, without a path for Cloud Run.")
    ] = None
    service_account_key: Annotated[
        Text | None,
        says("Google: the JSON key of a service account. Without one the metadata server of Google Cloud is asked."),
    ] = None
    service_account_key_file: Annotated[Text | None, says("The file that holds it.")] = None


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


class ShadowTable(Shape, frozen=True):
    """A candidate for the route's place: it gets the events of some calls, too, and what it answers is only compared."""

    url: Annotated[
        Text,
        says(
            "The candidate. It gets the same events by the route's secret, headers and auth, and `hookrouter-shadow: true`."
        ),
    ]
    share: Annotated[float, says("Of how many calls it gets all events: `0.1` is every tenth.", gt=0, le=1)] = 1.0
    ignore: Annotated[
        list[Text],
        says("Places of an answer that may differ, such as `/state/at`, or `/actions/*/body/at` (`*` is any key)."),
    ] = field(default_factory=list)


_MATCH = {"additionalProperties": {"type": ["string", "number", "boolean", "array", "object"]}}


class RouteShape(Shape, frozen=True):
    """Which events, and the endpoint that gets them. The first control route that fits a call owns it."""

    url: Annotated[Text, says("The endpoint, or `lambda:NAME`: a function of AWS Lambda, by its name or ARN.")]
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
    ca_file: Annotated[
        Text | None,
        says(
            "For `url` and `fallback.url` by TLS: certificates of authorities (PEM) to trust in place of the system's."
        ),
    ] = None
    client_certificate: Annotated[Text | None, says("Our certificate (PEM), where it wants one.")] = None
    client_key: Annotated[Text | None, says("Its key, where that is in a file of its own.")] = None
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
    shadow: Annotated[
        ShadowTable | None,
        says(
            "A candidate that gets the events of some calls, too; its answers are compared, and never run. Control only."
        ),
    ] = None
    while_waiting: Annotated[
        list[Action], says("Actions for the caller after one second without an answer. Control only.")
    ] = field(default_factory=list)
    silence_timeout: Annotated[
        float,
        says(
            "Seconds that a call may stand still (nothing runs, nothing is to come, the caller hears nothing) before the "
            "fallback's actions run; 0: for ever. Control only.",
            ge=0,
            le=86_400,
        ),
    ] = 10.0
    idle_timeout: Annotated[
        float,
        says(
            "The same for a call that hears something without a program, such as music: seconds without an event. "
            "Control only.",
            gt=0,
            le=604_800,
        ),
    ] = 3600.0
    tenant: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        says(
            "Whose the route and its calls are. Nothing crosses from one tenant to another. Default: one for all routes "
            "that name none."
        ),
    ] = None
    scope: Annotated[
        Literal["call", "any"],
        says("`any`: actions may touch what belongs to other calls of the same tenant. Control only."),
    ] = "call"
    allow: Annotated[
        list[Text],
        says(
            "Operations outside the call that are allowed all the same, such as `asterisk.getGlobalVar`, and recordings "
            "that no call of the router's has made: `recording:NAME`, with `*` for anything. Control only."
        ),
    ] = field(default_factory=list)
    allow_urls: Annotated[
        list[Text | AllowedUrl],
        says(
            "Other origins that an action's `url` may lead to. The route's signature, headers and auth go there only with "
            '`{url = "https://a.example", credentials = true}`. Control only.'
        ),
    ] = field(default_factory=list)
    functions: Functions = None
    endpoints: Endpoints = None
    contexts: Contexts = None
    hosts: Hosts = None
    max_legs: MaxLegs = None
    max_calls_per_minute: MaxCalls = None
    max_answers: MaxAnswers = None
    order: Annotated[
        Literal["call", "strict"],
        says("`strict`: a failed delivery holds up the call's later ones, for at most 15 minutes. Notify only."),
    ] = "call"
    format: Annotated[Literal["standard", "cloudevents"], says("`cloudevents` adds the `ce-*` headers.")] = "standard"
    record: Annotated[
        Literal["all", "failed", "none"],
        says("Which calls are kept in full, to be looked at afterwards: `all`, those that `failed`, or `none`."),
    ] = "all"
    redact: Annotated[
        list[Text],
        says(
            "Paths whose values the record leaves out, such as `channel.caller.number` or `state.card`: in events, results, "
            "answers and their actions; `*` is any key. Control only."
        ),
    ] = field(default_factory=list)
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
    cluster: ClusterTable = ClusterTable()
    store: StoreTable = StoreTable()
    policy: PolicyTable = PolicyTable()
    routes: list[RouteShape] = field(default_factory=list)


CONTROL_ONLY = (
    "deadline", "fallback", "while_waiting", "silence_timeout", "idle_timeout", "scope", "allow", "allow_urls", "adopt",
    "functions", "endpoints", "contexts", "hosts", "max_legs", "max_calls_per_minute", "max_answers", "record", "redact",
    "shadow",
)  # fmt: skip
NOTIFY_ONLY = ("order",)
