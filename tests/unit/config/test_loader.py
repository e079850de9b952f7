"""routes.toml: what it comes to, and everything that is wrong with it at once."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config import Config, Server, SpeechSettings, Token, load, parse
from hookrouter.config import auth as building
from hookrouter.config.shapes import StoreTable
from hookrouter.errors import ConfigurationError
from hookrouter.policy.policy import Policy
from hookrouter.routing.conditions import pattern, regex
from hookrouter.routing.endpoint import Auth, Endpoint, Fallback, Route, Shadow

ASTERISK = '[asterisk.main]\npassword = "secret"\n'
ROUTE = '[[routes]]\nurl = "https://a.test/ivr"\n'
KEY = b"0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def one(text: str, **environ: str) -> Route:
    """The only route of a file with these keys."""
    (found,) = parse(ASTERISK + ROUTE + text, environ).routes.routes
    return found


def faults(text: str, **environ: str) -> list[str]:
    """The faults of a file, as they are told."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, environ)
    return [str(fault) for fault in caught.value.faults]


def fault(text: str, **environ: str) -> str:
    """The only fault of a route with these keys."""
    (found,) = faults(ASTERISK + ROUTE + text, **environ)
    return found


def test_what_is_not_said_has_its_default() -> None:
    """The shortest file there is."""
    config = parse(ASTERISK + ROUTE, {})
    assert config == Config(
        (AsteriskSettings("main", "http://127.0.0.1:8088", "hookrouter", "secret", ("hookrouter",), "connect"),),
        Server("127.0.0.1", 8080),
        config.routes,
        None,
        StoreTable(timeline_days=7.0, delivered_days=1.0, dead_letter_days=30.0),
    )
    assert config.routes.routes == (
        Route("route-1", Endpoint("https://a.test/ivr"), policy=Policy(own_hosts=("a.test",))),
    )


def test_the_example_of_the_contract() -> None:
    """A file with most of what there is."""
    config = parse(
        """
        [asterisk.main]
        url = "http://pbx:8088/ari/"
        username = "me"
        password = "${ARI_PASSWORD}"
        apps = ["hookrouter", "second"]
        subscribe = ["endpoint:PJSIP/alice"]
        [asterisk.away]
        password = "p"
        mode = "listen"
        [server]
        listen = "[::1]:9000"
        token = "${TOKEN:-none-of-the-sixteen}"
        [store]
        dead_letter_days = 3
        [[routes]]
        name = "ivr"
        events = ["StasisStart", "ChannelDtmfReceived", "DigitsCollected", "StasisEnd"]
        url = "https://example.com/ivr"
        secret = ["whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "an older one, of plain text"]
        headers = { "x-functions-key" = "${FUNCTIONS_KEY}" }
        auth = { type = "basic", username = "u", password = "p" }
        timeout = 2
        deadline = 6.5
        fallback = { url = "https://backup.example.com/ivr", actions = [{ action = "continue" }] }
        shadow = { url = "https://next.example.com/ivr", share = 0.1, ignore = ["/state/at"] }
        while_waiting = [{ action = "ring" }]
        idle_timeout = 60
        scope = "any"
        allow = ["asterisk.getGlobalVar"]
        allow_urls = ["https://other.example.com"]
        format = "cloudevents"
        adopt = "ignore"
        [[routes]]
        mode = "notify"
        order = "strict"
        events = ["*"]
        url = "https://crm.example.com/asterisk"
        """.replace("DigitsCollected", "VariableRead"),
        {"ARI_PASSWORD": "secret", "FUNCTIONS_KEY": "k"},
    )
    assert config.asterisks == (
        AsteriskSettings(
            "main", "http://pbx:8088", "me", "secret", ("hookrouter", "second"), "connect", ("endpoint:PJSIP/alice",)
        ),
        AsteriskSettings("away", "", "hookrouter", "p", ("hookrouter",), "listen"),
    )
    assert config.server == Server("::1", 9000, (Token("none-of-the-sixteen"),))
    assert config.server.loopback
    assert config.store.dead_letter_days == 3.0
    endpoint = Endpoint(
        "https://example.com/ivr",
        (KEY, b"an older one, of plain text"),
        (("x-functions-key", "k"),),
        Auth("basic", "u", "p", "", (("password", "p"), ("username", "u"))),
        2.0,
        "cloudevents",
    )
    backup = Endpoint(
        **{key: getattr(endpoint, key) for key in endpoint.__struct_fields__}
        | {"url": "https://backup.example.com/ivr"}
    )
    assert config.routes.routes == (
        Route(
            "ivr",
            endpoint,
            events=frozenset({"StasisStart", "ChannelDtmfReceived", "VariableRead", "StasisEnd"}),
            deadline=6.5,
            fallback=Fallback(backup, (b'{"action":"continue"}',)),
            shadow=Shadow(msgspec.structs.replace(endpoint, url="https://next.example.com/ivr"), 0.1, ("/state/at",)),
            while_waiting=(b'{"action":"ring"}',),
            idle_timeout=60.0,
            scope="any",
            allow=("asterisk.getGlobalVar",),
            allow_urls=("https://other.example.com",),
            policy=Policy(own_hosts=("example.com", "backup.example.com")),
            adopt="ignore",
        ),
        Route(
            "route-2",
            Endpoint("https://crm.example.com/asterisk", timeout=15.0),
            "notify",
            None,
            order="strict",
            policy=Policy(own_hosts=("crm.example.com",)),
            index=1,
        ),
    )
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("timout = 3", "routes[0].timout: unknown key, did you mean timeout?", id="typo"),
        pytest.param("zzzzzz = 3", "routes[0].zzzzzz: unknown key; known: url, name, mode", id="unknown"),
        pytest.param('"a b" = 3', 'routes[0]."a b": unknown key', id="quoted-key"),
        pytest.param('timeout = "3"', "routes[0].timeout: expected a number, got a string", id="type"),
        pytest.param("timeout = true", "routes[0].timeout: expected a number, got true or false", id="bool"),
        pytest.param("timeout = 0", "routes[0].timeout: expected a number > 0", id="too-small"),
        pytest.param("timeout = nan", "routes[0].timeout: expected a number > 0", id="nan"),
        pytest.param("deadline = inf", "routes[0].deadline: expected a number <= 86400", id="infinite"),
        pytest.param("name = 1979-05-27", "routes[0].name: expected a string, got a date", id="date"),
        pytest.param("name = ''", "routes[0].name: expected a string of length >= 1", id="empty-name"),
        pytest.param('name = "a\\nb"', "routes[0].name: has characters that cannot be printed", id="name-of-two-lines"),
        pytest.param(
            "timeout = 9.5",
            "routes[0].timeout: 9.5 s for one attempt is longer than the 8 s of `deadline` for all; lower it",
            id="timeout-over-deadline",
        ),
        pytest.param('mode = "notfy"', "routes[0].mode: invalid enum value 'notfy', did you mean notify?", id="mode"),
        pytest.param(
            'mode = "xxxxx"', "routes[0].mode: invalid enum value 'xxxxx'; known: control, notify", id="mode-far"
        ),
        pytest.param("events = []", "routes[0].events: expected a list of length >= 1", id="no-events"),
        pytest.param(
            'events = ["StasisStrat"]',
            "routes[0].events[0]: there is no event type `StasisStrat`, did you mean StasisStart?",
            id="event",
        ),
        pytest.param(
            'events = ["StasisEnd", "Qqqqqqq"]',
            "routes[0].events[1]: there is no event type `Qqqqqqq`; docs/routes.md lists them",
            id="event-far",
        ),
        pytest.param(
            'events = ["RESTResponse"]', "routes[0].events[0]: there is no event type", id="reply-is-no-event"
        ),
        pytest.param("events = [1]", "routes[0].events[0]: expected a string, got a whole number", id="event-type"),
        pytest.param(
            "secret = 5", "routes[0].secret: expected a string or a list, got a whole number", id="secret-type"
        ),
        pytest.param("secret = ['x', 1]", "routes[0].secret[1]: expected a string, got", id="secrets-type"),
        pytest.param("secret = []", "routes[0].secret: is empty; leave it out", id="no-secrets"),
        pytest.param(
            "secret = 'short'", "routes[0].secret: a key of 5 bytes is too short; take at least 16", id="short"
        ),
        pytest.param("secret = ['whsec_%']", "routes[0].secret[0]: what follows `whsec_` is not base64", id="base64"),
        pytest.param("headers = { host = 'x' }", "routes[0].headers.host: is set by the router", id="our-header"),
        pytest.param("headers = { content-language = 'de' }", "routes[0].headers.content-language: is set", id="ours"),
        pytest.param("headers = { Webhook-Id = 'x' }", "routes[0].headers.Webhook-Id: is set by", id="signed-header"),
        pytest.param("headers = { 'a b' = 'x' }", 'routes[0].headers."a b": is not the name of a header', id="header-name"),
        pytest.param(
            'headers = { a = "x\\r\\ny: z" }', "routes[0].headers.a: a header's value is one line", id="header"
        ),
        pytest.param("headers = { a = 1 }", "routes[0].headers.a: expected a string, got", id="header-type"),
        pytest.param("headers = 1", "routes[0].headers: expected a table, got a whole number", id="headers-type"),
        pytest.param("auth = 'x'", "routes[0].auth: expected a table, got a string", id="auth-type"),
        pytest.param("auth = {}", "routes[0].auth.type: missing", id="auth-of-no-type"),
        pytest.param(
            "auth = { type = 'brear' }", "routes[0].auth.type: invalid enum value 'brear', did you mean", id="auth"
        ),
        pytest.param("auth = { type = 'bearer' }", 'routes[0].auth.token: missing: type "bearer" needs it', id="token"),
        pytest.param(
            'auth = { type = "bearer", token = "a\\nb" }',
            "routes[0].auth.token: goes into a header",
            id="token-of-two-lines",
        ),
        pytest.param(
            "auth = { type = 'bearer', token = 't', region = 'x' }",
            'routes[0].auth.region: type "bearer" has no use for it; it takes token',
            id="auth-key-of-another",
        ),
        pytest.param(
            "auth = { type = 'bearer', token = 't' }\nheaders = { Authorization = 'x' }",
            "routes[0].headers.Authorization: give either this header or `auth`",
            id="two-authorizations",
        ),
        pytest.param(
            "allow = ['asterisk.getGlobalVra']", "routes[0].allow[0]: Asterisk has no operation", id="operation"
        ),
        pytest.param("allow = ['q']", "routes[0].allow[0]: Asterisk has no operation `q`", id="operation-far"),
        pytest.param(
            "allow_urls = ['other']", "routes[0].allow_urls[0]: `other` is not an http:// or https://", id="origin"
        ),
        pytest.param("fallback = { url = 'x' }", "routes[0].fallback.url: `x` is not an http://", id="fallback-url"),
        pytest.param(
            "fallback = { action = [] }", "routes[0].fallback.action: unknown key, did you mean actions?", id="fb"
        ),
        pytest.param(
            "fallback = { actions = [{ action = 'answer' }, { action = 'hangpu' }] }",
            "routes[0].fallback.actions[1].action: unknown action `hangpu`; did you mean `hangup`?",
            id="fallback-action",
        ),
        pytest.param(
            "fallback = { actions = [{ action = 'answer', onError = [{ action = 'play' }] }] }",
            "routes[0].fallback.actions[0].onError[0].media: missing",
            id="nested-action",
        ),
        pytest.param("shadow = { url = 'x' }", "routes[0].shadow.url: `x` is not an http://", id="shadow-url"),
        pytest.param("shadow = { url = 'http://x/', share = 1.5 }", "routes[0].shadow.share: ", id="shadow-share"),
        pytest.param(
            "shadow = { url = 'http://x/', ignore = ['state'] }",
            "routes[0].shadow.ignore[0]: `state` is not a place",
            id="shadow-place",
        ),
        pytest.param("while_waiting = ['ring']", "routes[0].while_waiting[0]: expected an action", id="no-action"),
        pytest.param(
            "while_waiting = { action = 'ring' }", "routes[0].while_waiting: expected a list, got", id="no-list"
        ),
        pytest.param(
            "while_waiting = [{ action = 'pause', seconds = 'x' }]",
            "routes[0].while_waiting[0].seconds: expected a number",
            id="action-field",
        ),
        pytest.param("match = { a = {} }", "routes[0].match.a: expected a string, a number", id="match-nothing"),
        pytest.param("match = { a = [] }", "routes[0].match.a: expected a string, a number", id="match-no-alternative"),
        pytest.param("match = { a = 1979-05-27 }", "routes[0].match.a: expected a string, a number", id="match-date"),
        pytest.param("match = { a = { regex = '(' } }", "routes[0].match.a: `(` is not a regular expression", id="regex"),
        pytest.param(
            "match = { a = { regex = 1 } }", "routes[0].match.a: expected a string, a number", id="regex-type"
        ),
        pytest.param(
            "match = { a = ['b', { regex = '[' }] }", "routes[0].match.a[1]: `[` is not a regular", id="regex-in-list"
        ),
        pytest.param(
            "match = { args = [[{ regex = '(' }]] }", "routes[0].match.args[0][0]: `(` is no", id="regex-in-args"
        ),
        pytest.param("match = { 'a..b' = 1 }", 'routes[0].match."a..b": a path is names with single dots', id="path"),
        pytest.param("match = 'x'", "routes[0].match: expected a table, got a string", id="match-type"),
        pytest.param("url = 'x'", "not TOML: Cannot overwrite a value (at line 5, column 10)", id="twice"),
    ],
)
def test_a_fault_has_its_place_and_remedy(text: str, told: str) -> None:
    """One thing wrong is one fault."""
    found = fault(text + "\n")
    assert told in found
    if "not TOML" not in told:
        assert found.startswith(told)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("ftp://a.test", "is not an http:// or https:// URL", id="scheme"),
        pytest.param("a.test/x", "is not an http:// or https:// URL", id="no-scheme"),
        pytest.param("http://", "is not an http:// or https:// URL", id="no-host"),
        pytest.param("http://[::1", "is not an http:// or https:// URL", id="broken"),
        pytest.param("http://a:99999", "is not an http:// or https:// URL", id="port"),
        pytest.param("http://a.test/ü", "percent-encode", id="not-ascii"),
        pytest.param("http://a.test/a b", "percent-encode", id="space"),
        pytest.param("http://me:pw-7@a.test/", "has a user and password in it; give them as `auth`", id="credentials"),
    ],
)
def test_urls(url: str, told: str) -> None:
    """Only what can be requested as it is; credentials are not told back."""
    (found,) = faults(f'{ASTERISK}[[routes]]\nurl = "{url}"\n')
    assert found.startswith("routes[0].url: ")
    assert told in found
    assert "pw-7" not in found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "asterisk: missing: add a table [asterisk.main]", id="nothing-at-all"),
        pytest.param("[asterisk]\nmain = 1", "asterisk.main: expected a table, got a whole number", id="no-table"),
        pytest.param("asterisk = 1", "asterisk: expected a table, got a whole number", id="not-even-tables"),
        pytest.param("[asterisk.main]", "asterisk.main.password: missing: give password = ", id="no-password"),
        pytest.param(
            "[asterisk.main]\npassword = ''", "asterisk.main.password: expected a string of length", id="empty"
        ),
        pytest.param(ASTERISK + "apps = []", "asterisk.main.apps: expected a list of length >= 1", id="no-apps"),
        pytest.param(ASTERISK + "apps = ['a', 1]", "asterisk.main.apps[1]: expected a string", id="app-type"),
        pytest.param(ASTERISK + "url = 'ws://x'", "asterisk.main.url: `ws://x` is not an http://", id="asterisk-url"),
        pytest.param(
            ASTERISK + "subscribe = ['PJSIP']", "asterisk.main.subscribe[0]: `PJSIP` is not an event source", id="src"
        ),
        pytest.param("[asterisk.'a b']\npassword = 'x'", 'asterisk."a b": a name has letters', id="name"),
        pytest.param(
            ASTERISK + "[[route]]\nurl = 'x'", "route: unknown key, did you mean routes?", id="route-for-routes"
        ),
        pytest.param(ASTERISK + "[routes]\nurl = 'x'", "routes: expected a list, got a table", id="table-for-list"),
        pytest.param(
            "routes = [1]\n" + ASTERISK, "routes[0]: expected a table, got a whole number", id="number-for-route"
        ),
        pytest.param(ASTERISK + "[[routes]]\nname = 'x'", "routes[0].url: missing", id="no-url"),
        pytest.param(
            ASTERISK + "[server]\nlisten = '8080'", "server.listen: `8080` is not an address and port", id="port-only"
        ),
        pytest.param(
            ASTERISK + "[server]\nlisten = 'a:70000'", "server.listen: `a:70000` is not an address", id="port-range"
        ),
        pytest.param(ASTERISK + "[server]\nlisten = '::1:80'", "server.listen: `::1:80` is not an address", id="ipv6"),
        pytest.param(
            ASTERISK + "[store]\ntimeline_days = inf", "store.timeline_days: expected a number <= 36500", id="days"
        ),
        pytest.param(ASTERISK + "[speech]", "speech: give either `command` or `url`", id="speech"),
        pytest.param(
            ASTERISK + "[speech]\ncommand = []", "speech.command: expected a list of length >= 1", id="command"
        ),
        pytest.param(ASTERISK + "[speech]\nurl = 'x'", "speech.url: `x` is not an http://", id="speech-url"),
        pytest.param(
            ASTERISK + "[speech]\ncommand = ['say']\nasterisk_folder = '/x'",
            "speech.asterisk_folder: needs `folder`",
            id="speech-folder",
        ),
        pytest.param("a = [", "routes.toml: not TOML: Invalid value (at end of document)", id="syntax"),
        pytest.param(
            "a = 1\nb =\n", "routes.toml: not TOML: Invalid value (at line 2, column 4)", id="line-and-column"
        ),
        pytest.param("a = " + "[" * 3000 + "]" * 3000, "routes.toml: nested over 100 deep", id="very-deep"),
        pytest.param("a = " + "[" * 150 + "]" * 150, "routes.toml: nested over 100 deep", id="deep"),
        pytest.param("a = " + "9" * 5000, "routes.toml: not TOML: Exceeds the limit", id="digits"),
    ],
)
def test_a_fault_outside_the_routes(text: str, told: str) -> None:
    """The other tables, and files that are none."""
    (found,) = faults(text)
    assert found.startswith(told)


def test_all_faults_are_told_at_once() -> None:
    """Whatever is wrong with one part hides nothing of the others, nor of itself; routes come last, in order."""
    found = faults(
        """
        [[routes]]
        url = "ftp://a.test"
        timout = 1
        deadline = -1
        events = ["Nope"]
        match = { a = { regex = "(" } }
        secret = "short"
        fallback = { actions = [{ action = "play" }, 3, { action = "hangpu" }] }
        [[routes]]
        name = "route-1"
        auth = { type = "basic", password = 3 }
        [server]
        listen = "x"
        toke = "y"
        [asterisk.a]
        urll = "x"
        password = "${NOT_THERE}"
        [asterisk.b]
        url = "b"
        """
    )
    places = [line.split(": ")[0] for line in found]
    assert places == [
        "asterisk.a.password",
        "server.toke",
        "asterisk.a.urll",
        "asterisk.b.password",
        "asterisk.b.url",
        "server.listen",
        "routes[0].timout",
        "routes[0].deadline",
        "routes[0].url",
        "routes[0].secret",
        "routes[0].events[0]",
        "routes[0].match.a",
        "routes[0].fallback.actions[0].media",
        "routes[0].fallback.actions[1]",
        "routes[0].fallback.actions[2].action",
        "routes[1].auth.password",
        "routes[1].url",
        "routes[1].auth.username",
        "routes[1].name",
    ]


def test_names_are_there_once() -> None:
    """Also where one was given by the router itself, or the route is switched off."""
    text = f"{ASTERISK}{ROUTE}{ROUTE}name = 'x'\n{ROUTE}name = 'x'\nenabled = false\n{ROUTE}name = 'route-1'\n"
    assert faults(text) == [
        "routes[2].name: `x` is the name of routes[1] too; each name is there once",
        "routes[3].name: `route-1` is the name of routes[0] too; each name is there once",
    ]


def test_a_disabled_route_is_checked_and_left_out() -> None:
    """The others keep their index."""
    config = parse(f"{ASTERISK}{ROUTE}enabled = false\n{ROUTE}", {})
    assert [(route.name, route.index) for route in config.routes.routes] == [("route-2", 1)]
    assert fault("enabled = false\ntimeout = 0\n").startswith("routes[0].timeout")


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        pytest.param("", 3.0, id="control"),
        pytest.param("deadline = 2", 2.0, id="not-over-the-deadline"),
        pytest.param("timeout = 1.5", 1.5, id="given"),
        pytest.param('mode = "notify"', 15.0, id="notify"),
        pytest.param('mode = "notify"\ntimeout = 30', 30.0, id="notify-given"),
    ],
)
def test_the_timeout_of_an_attempt(text: str, timeout: float) -> None:
    """The default depends on what else is said; only control routes have a deadline."""
    assert one(text).endpoint.timeout == timeout


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        pytest.param('app = "a*"', [("app", (pattern("a*"),), ())], id="app"),
        pytest.param('"channel.name" = ["x", 5, true]', [("channel.name", (pattern("x"), pattern(5), pattern(True)), ())], id="list"),
        pytest.param('"channel.name" = { regex = "^a$" }', [("channel.name", (regex("^a$"),), ())], id="regex"),
        pytest.param('channel.caller.number = "1"', [("channel.caller.number", (pattern("1"),), ())], id="without-quotes"),
        pytest.param(
            'channel = { name = "a", caller.number = ["1", { regex = "2" }] }',
            [("channel.name", (pattern("a"),), ()), ("channel.caller.number", (pattern("1"), regex("2")), ())],
            id="tables-in-tables",
        ),
        pytest.param('args = "a"', [("args", (), ((pattern("a"),),))], id="one-argument"),
        pytest.param('args = ["a", ["b", "c*"]]', [("args", (), ((pattern("a"),), (pattern("b"), pattern("c*"))))], id="args"),
    ],
)  # fmt: skip
def test_match(text: str, conditions: list[Any]) -> None:
    """Paths may be one quoted key or TOML's own dotted ones."""
    found = one(f"match = {{ {text} }}").conditions
    assert [(condition.key, condition.patterns, condition.args) for condition in found] == conditions


@pytest.mark.parametrize(
    ("given", "value"),
    [
        pytest.param("${A}", "a", id="set"),
        pytest.param("x${A}y${B}z", "xaybz", id="several"),
        pytest.param("${NO:-d}", "d", id="default"),
        pytest.param("${EMPTY:-d}", "d", id="default-of-an-empty-one"),
        pytest.param("${NO:-}", "", id="empty-default"),
        pytest.param("${A:-d}", "a", id="default-not-needed"),
        pytest.param("$${A}", "${A}", id="dollar-sign"),
        pytest.param("$$$$", "$$", id="dollar-signs"),
        pytest.param("^1$", "^1$", id="a-dollar-by-itself"),
        pytest.param("$A", "$A", id="no-braces"),
        pytest.param("${LOOP}", "${A}", id="not-looked-into-again"),
        pytest.param("${LINE}", "key", id="white-space-around-it"),
        pytest.param("${SPACES:-d}", "d", id="default-of-white-space"),
    ],
)
def test_the_environment(given: str, value: str) -> None:
    """Variables in any string, also deep in lists and tables."""
    environ = {"A": "a", "B": "b", "EMPTY": "", "LOOP": "${A}", "LINE": " key\r\n", "SPACES": " \n"}
    route = one(
        f"headers = {{ x-a = '{given}' }}\nmatch = {{ app = [{{ regex = '{re.escape('^')}' }}, '{given}'] }}", **environ
    )
    assert route.endpoint.headers == (("x-a", value),)
    assert route.conditions[0].patterns[1] == pattern(value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(
            "${NO}", "the variable NO is not set in the environment; set it, or write ${NO:-a default}", id="unset"
        ),
        pytest.param(
            "${", "`${` is not a variable; write ${NAME} or ${NAME:-default}, or $$ for a dollar sign", id="open"
        ),
        pytest.param("${a b}", "`${a b}` is not a variable", id="name"),
        pytest.param("${A:-${B}}", "`${A:-${B}` is not a variable", id="nested"),
    ],
)
def test_a_variable_that_is_missing(given: str, told: str) -> None:
    """It is told where it is used, once."""
    assert fault(f"name = '{given}'").startswith(f"routes[0].name: {told}")


def test_a_variable_that_is_no_text() -> None:
    """Bytes in the environment that are not UTF-8."""
    told = fault("while_waiting = [{ action = 'play', media = '${BYTES}' }]", BYTES="a\udcff")
    assert told == "routes[0].while_waiting[0].media: the variable BYTES is not UTF-8"


def test_secrets_from_files(tmp_path: Path) -> None:
    """Each secret has its `_file`; what was read is told, so that it can be watched."""
    for name, text in {
        "ari": "secret\n",
        "token": " a-token-in-a-file \n",
        "keys": f"{SECRET}\nplain-text-of-16-bytes\n",
        "pw": "p",
    }.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "routes.toml"
    path.write_text(
        f"""
        [asterisk.main]
        password_file = "ari"
        [server]
        token_file = "{tmp_path / "token"}"
        [[routes]]
        url = "http://a.test"
        secret_file = "keys"
        auth = {{ type = "basic", username = "u", password_file = "pw" }}
        """
    )
    config = load(path, {})
    assert config.asterisks[0].password == "secret"
    assert config.server.token == "a-token-in-a-file"
    endpoint = config.routes.routes[0].endpoint
    assert endpoint.secrets == (KEY, b"plain-text-of-16-bytes")
    assert endpoint.auth == Auth("basic", "u", "p", "", (("password", "p"), ("username", "u")))
    assert sorted(config.files) == sorted(str(tmp_path / name) for name in ("ari", "token", "keys", "pw"))


def test_white_space_around_secrets(tmp_path: Path) -> None:
    """What the environment or a file has around a secret is no part of it; a secret in a file may hold spaces."""
    (tmp_path / "keys").write_text(f" {SECRET} \r\n\n an older one, of plain text\t\n")
    text = """
        [asterisk.main]
        password = "${PASSWORD}"
        [server]
        token = "${TOKEN}"
        [[routes]]
        url = "http://a.test"
        secret = ["${SECRET}"]
        auth = { type = "bearer", token = "${BEARER}" }
        [[routes]]
        url = "http://a.test"
        secret_file = "keys"
        """
    environ = {"PASSWORD": "p\n", "TOKEN": " 0123456789abcdef\r\n", "SECRET": f"{SECRET}\n", "BEARER": "t\n"}
    config = parse(text, environ, tmp_path / "routes.toml")
    first, second = (route.endpoint for route in config.routes.routes)
    assert (config.asterisks[0].password, config.server.token) == ("p", "0123456789abcdef")
    assert first.secrets == (KEY,)
    assert first.auth is not None
    assert first.auth.token == "t"
    assert second.secrets == (KEY, b"an older one, of plain text")


@pytest.mark.parametrize(
    ("token", "told"),
    [
        pytest.param("x", "has 1 characters, at least 16 are needed; `openssl rand -hex 16` makes a good one", id="short"),
        pytest.param("0123456789abcde", "has 15 characters, at least 16", id="one-too-few"),
        pytest.param("  0123456789abcd  ", "has 14 characters, at least 16", id="white-space-does-not-count"),
        pytest.param("   ", "has 0 characters, at least 16", id="blank"),
        pytest.param("0123456789 abcdef", "has characters other than", id="space"),
        pytest.param("0123456789abcdefß", "has characters other than", id="no-ascii"),
    ],
)
def test_tokens_that_are_none(token: str, told: str, tmp_path: Path) -> None:
    """Literal, from the environment, or from a file; never told itself."""
    places = {
        f'token = "{token}"': "server.token",
        'token = "${TOKEN}"': "server.token",
        f'token_file = "{tmp_path / "token"}"': "server.token_file",
    }
    (tmp_path / "token").write_text(token)
    for line, place in places.items():
        if place.endswith("_file") and not token.strip():
            told = f"{tmp_path / 'token'} is empty"
        (said,) = faults(f"{ASTERISK}{ROUTE}[server]\n{line}", TOKEN=token)
        assert said.startswith(f"{place}: {told}")
        assert "0123" not in said


def test_files_that_hold_no_secret(tmp_path: Path) -> None:
    """Each says what is wrong with it, and nothing else is said of what it should have held."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "short").write_text("short")
    path = tmp_path / "routes.toml"
    path.write_text(
        """
        [asterisk.main]
        password_file = "missing"
        [asterisk.two]
        password = "x"
        password_file = "empty"
        [server]
        token_file = "binary"
        [[routes]]
        url = "http://a.test"
        secret_file = "short"
        auth = { type = "bearer", token_file = "." }
        [[routes]]
        url = "http://a.test"
        secret = "0123456789abcdef"
        secret_file = "short"
        """
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    told = [str(fault).replace(str(tmp_path), "") for fault in caught.value.faults]
    assert told == [
        "asterisk.main.password_file: /missing cannot be read: No such file or directory",
        "asterisk.two.password_file: give either `password` or `password_file`, not both",
        "server.token_file: /binary is not a text file",
        "routes[0].secret_file: a key of 5 bytes is too short; take at least 16",
        "routes[0].auth.token_file:  cannot be read: Is a directory",
        "routes[1].secret_file: give either `secret` or `secret_file`, not both",
    ]


def test_no_file_and_no_text(tmp_path: Path) -> None:
    """A file that cannot be read says what to do; a byte order mark is no fault."""
    with pytest.raises(ConfigurationError, match="no such file; give another with -c"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path, {})
    path = tmp_path / "routes.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read: 'utf-8' codec"):
        load(path, {})
    path.write_bytes(b"\xef\xbb\xbf" + (ASTERISK + ROUTE).encode())
    assert len(load(path, {}).routes) == 1


@pytest.mark.parametrize("there", [True, False], ids=["installed", "missing"])
def test_auth_that_needs_an_extra(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """OAuth2 is refused with the remedy where the extra is not installed."""
    monkeypatch.setattr(building, "installed", lambda module: there)
    oauth2 = (
        'auth = { type = "oauth2", token_url = "https://t.test", client_id = "i", client_secret = "s", scope = "x" }'
    )
    if there:
        auth = one(oauth2).endpoint.auth
        assert auth is not None
        assert dict(auth.options) == {
            "token_url": "https://t.test",
            "client_id": "i",
            "client_secret": "s",
            "scope": "x",
        }
    else:
        assert fault(oauth2).startswith('routes[0].auth.type: "oauth2" needs more: install hookrouter with the extra `oauth`')


def test_the_module_of_an_extra_is_looked_for() -> None:
    """Without importing it."""
    assert building.installed("json")
    assert not building.installed("hookrouter_has_no_such_module")


def test_speech() -> None:
    """Either a command or a service."""
    text = '[speech]\ncommand = ["espeak-ng", "-w", "{file}", "{text}"]\nfolder = "/a"\nasterisk_folder = "/b"\n'
    assert parse(ASTERISK + text, {}).speech == SpeechSettings(("espeak-ng", "-w", "{file}", "{text}"), "", "/a", "/b")
    text = '[speech]\nurl = "http://tts.test"\nbase_url = "http://us.test"\ntimeout = 3\n'
    assert parse(ASTERISK + text, {}).speech == SpeechSettings(
        url="http://tts.test", base_url="http://us.test", timeout=3.0
    )


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [
        pytest.param("127.0.0.1:0", "127.0.0.1", 0, True, id="any-port"),
        pytest.param("localhost:80", "localhost", 80, True, id="localhost"),
        pytest.param(":8080", "0.0.0.0", 8080, False, id="all-addresses"),
        pytest.param("[::]:8080", "::", 8080, False, id="all-of-ipv6"),
        pytest.param("10.0.0.1:8080", "10.0.0.1", 8080, False, id="one"),
    ],
)
def test_listen(listen: str, host: str, port: int, loopback: bool) -> None:
    """Open to others without a token is a warning: the control API then serves this machine only."""
    config = parse(f"{ASTERISK}{ROUTE}[server]\nlisten = '{listen}'", {})
    assert (config.server.host, config.server.port, config.server.loopback) == (host, port, loopback)
    assert bool(config.warnings) is not loopback
    assert not parse(f"{ASTERISK}{ROUTE}[server]\nlisten = '{listen}'\ntoken = '0123456789abcdef'", {}).warnings


_KEYS = re.findall(
    r"\w+",
    """asterisk main server speech store routes url name mode events match secret headers auth type timeout deadline
    fallback actions while_waiting action media allow allow_urls args app regex password listen command""",
)
_FILES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=8)
    | st.sampled_from(["${A}", "${", "http://a.test", "*", "StasisStart", "control", "whsec_", "play"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(_KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


def _toml(value: Any) -> str:
    """A value as TOML; null, which it has not, as an empty list."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    return "[]" if value is None else str(value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["asterisk", "server", "speech", "store", "routes", "x"]), _FILES, max_size=4))
def test_whatever_is_in_the_file_it_is_told(value: dict[str, Any]) -> None:
    """Any TOML there can be is a configuration or a list of faults, each of another place."""
    found = _faults_or_none("\n".join(f"{key} = {_toml(item)}" for key, item in value.items()))
    if found is not None:
        assert found.faults
        assert len({fault.place for fault in found.faults}) == len(found.faults)


def _faults_or_none(text: str) -> ConfigurationError | None:
    try:
        parse(text, {"A": "a"})
    except ConfigurationError as error:
        return error
    return None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda found: found.decode("latin-1")))
def test_whatever_is_no_toml_is_told(text: str) -> None:
    """Garbage is refused in words."""
    with pytest.raises(ConfigurationError):
        parse(text, {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("timeout = " + "9" * 400, "routes[0].timeout: ", id="a-float"),
        pytest.param(
            f"while_waiting = [{{ action = 'pause', seconds = {'9' * 400} }}]", "routes[0].while_waiting", id="json"
        ),
        pytest.param(f"match = {{ x = {'9' * 400} }}", "", id="a-literal"),
    ],
)
def test_numbers_without_end(text: str, told: str) -> None:
    """TOML's whole numbers may be longer than what others can hold."""
    if told:
        assert fault(text).startswith(told)
    else:
        assert one(text).conditions[0].patterns[0].fits("9" * 400)
