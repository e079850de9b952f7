"""Warnings: what can be meant, but is likely a slip."""

from __future__ import annotations

import pytest

from hookrouter.config import parse
from hookrouter.errors import ConfigurationError

_HEAD = '[asterisk.main]\npassword = "x"\napps = ["one", "two"]\n[asterisk.other]\npassword = "x"\napps = ["two"]\n'


def _warnings(*routes: str) -> list[str]:
    text = _HEAD + "".join(f'[[routes]]\nurl = "http://a.test"\n{route}\n' for route in routes)
    return list(parse(text, {}).warnings)


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param([""], id="one-for-all"),
        pytest.param(['match = { app = "one" }', ""], id="the-narrow-one-first"),
        pytest.param(['match = { "channel.name" = "a" }', 'match = { "channel.name" = "b" }'], id="different-values"),
        pytest.param(["", 'mode = "notify"'], id="notify-routes-are-all-told"),
        pytest.param(["", 'events = ["TextMessageReceived"]'], id="events-without-calls"),
        pytest.param(["", 'mode = "notify"\nevents = ["CallEnded"]\nmatch = { reason = "x" }'], id="results"),
        pytest.param(
            ['match = { "type" = "S*", "channel.channelvars.x" = 1, "replace_channel.id" = 2 }'], id="known-fields"
        ),
        pytest.param(["", 'mode = "notify"\nevents = ["*"]\nmatch = { "playback.id" = 2 }'], id="fields-of-any-event"),
        pytest.param(
            ["", 'mode = "notify"\nevents = ["PlaybackStarted"]\nmatch = { "channel.id" = 2 }'], id="the-calls-channel"
        ),
    ],
)
def test_nothing_is_odd(routes: list[str]) -> None:
    """Routes as they should be."""
    assert _warnings(*routes) == []


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        pytest.param([], "routes: no control route names StasisStart: every call is given back", id="no-routes"),
        pytest.param(['mode = "notify"'], "routes: no control route names StasisStart", id="notify-only"),
        pytest.param(['events = ["StasisEnd"]'], "routes: no control route names StasisStart", id="only-the-end"),
        pytest.param(["", ""], "routes[1]: `route-2` never gets a call: routes[0] (route-1) takes all", id="shadowed"),
        pytest.param(['match = { app = ["one", "two"] }', ""], "routes[1]: `route-2` never gets a call", id="all-apps"),
        pytest.param(
            ['match = { app = "*", asterisk = "*" }', ""], "routes[1]: `route-2` never gets", id="globs-for-all"
        ),
        pytest.param(
            ['match = { app = "one" }', 'match = { app = "one", args = "x" }'],
            "routes[1]: `route-2` never gets a call",
            id="narrower-after-wider",
        ),
        pytest.param(
            ['match = { app = "three" }', ""],
            "routes[0].match.app: matches nothing that is configured (one, two), so it is never true",
            id="no-such-app",
        ),
        pytest.param(
            ['match = { asterisk = "mian" }', ""],
            "routes[0].match.asterisk: matches nothing that is configured (main, other)",
            id="no-such-asterisk",
        ),
        pytest.param(
            ['match = { "chanel.id" = "x" }', ""],
            'routes[0].match."chanel.id": none of the route\'s events has a field `chanel`, did you mean channel?',
            id="no-such-field",
        ),
        pytest.param(
            ['match = { "channel.dialplan.extn" = "x" }', ""],
            'routes[0].match."channel.dialplan.extn": `channel.dialplan` has no field `extn`, did you mean exten?',
            id="no-such-field-further-down",
        ),
        pytest.param(
            ['match = { "channel.number" = "x" }', ""],
            'routes[0].match."channel.number": `channel` has no field `number`, did you mean channel.caller.number?',
            id="a-field-that-is-further-down",
        ),
        pytest.param(
            ['match = { called = "1000" }', ""],
            "routes[0].match.called: none of the route's events has a field `called`, did you mean channel.dialplan.exten?",
            id="called",
        ),
        pytest.param(
            ['match = { DID = "1000" }', ""],
            "routes[0].match.DID: none of the route's events has a field `DID`, did you mean channel.dialplan.exten?",
            id="did",
        ),
        pytest.param(
            ['match = { caller = "49*" }', ""],
            "routes[0].match.caller: none of the route's events has a field `caller`, did you mean channel.caller.number?",
            id="caller",
        ),
        pytest.param(
            ['match = { arg = "x" }', ""], "routes[0].match.arg: none of the route's events has a field `arg`", id="arg"
        ),
        pytest.param(
            ["", 'mode = "notify"\nfallback = {}'],
            "routes[1].fallback: has no effect: the route's mode is `notify`",
            id="fallback-of-notify",
        ),
        pytest.param(['order = "strict"'], "routes[0].order: has no effect: the route's mode is `control`", id="order"),
    ],
)
def test_something_is_odd(routes: list[str], told: str) -> None:
    """One warning, with its place."""
    (found,) = _warnings(*routes)
    assert found.startswith(told)


@pytest.mark.parametrize(
    ("match", "place", "told"),
    [
        pytest.param(
            'channel.caller.number = { regexp = "^1" }',
            "channel.caller.number.regexp",
            "did you mean regex",
            id="regexp",
        ),
        pytest.param(
            '"channel.caller.number" = { rexex = "^1" }',
            '"channel.caller.number".rexex',
            "did you mean regex",
            id="typo",
        ),
        pytest.param(
            '"channel.name" = { glob = "P*" }', '"channel.name".glob', "`glob` is not an operator; a value", id="glob"
        ),
        pytest.param('app = { regexp = "o" }', "app.regexp", "`app` has nothing below it", id="app"),
        pytest.param('args = { first = "o" }', "args[0]", "regex", id="args"),
        pytest.param('reason = { regexp = "o" }', "reason.regexp", "did you mean regex", id="of-a-result"),
        pytest.param('asterisk = { not = "o" }', "asterisk.not", "", id="asterisk"),
        pytest.param(
            '"channel.dialplan.priority" = { gt = 1 }', '"channel.dialplan.priority".gt', "is not an operator", id="number"
        ),
        pytest.param('"channel.name" = { regex = "P", flags = "i" }', '"channel.name"', "`regex` stands alone", id="flags"),
    ],
)
def test_a_misspelt_operator_is_a_fault(match: str, place: str, told: str) -> None:
    """It would be a path that no event has: a condition that never holds."""
    with pytest.raises(ConfigurationError) as refused:
        _warnings(f"match = {{ {match} }}")
    (fault,) = refused.value.faults
    assert fault.place == f"routes[0].match.{place}"
    assert told in fault.message
