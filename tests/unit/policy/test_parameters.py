"""The table of what each parameter names: complete, and read as Asterisk reads it."""

from __future__ import annotations

from typing import Any

import pytest

from hookrouter.ari.operations import operations
from hookrouter.policy import parameters
from hookrouter.policy.parameters import BELONGS, Kind, Named, named, uses

EVERY = sorted(operations())


def test_every_parameter_of_every_operation_is_classified() -> None:
    """A new operation or parameter of the api-docs cannot be forgotten."""
    assert len(EVERY) == 109
    for name in EVERY:
        assert set(uses(name)) == {parameter.name for parameter in operations()[name].parameters}


def test_nothing_in_the_table_is_superfluous() -> None:
    """What the api-docs no longer have goes from the table too."""
    pairs = {(name, parameter.name) for name in EVERY for parameter in operations()[name].parameters}
    names = {parameter for _, parameter in pairs}
    assert set(parameters._EXCEPT) <= pairs
    assert set(parameters._BY_NAME) | parameters._PLAIN_NAMES <= names
    assert not set(parameters._BY_NAME) & parameters._PLAIN_NAMES - {"name"}


@pytest.mark.parametrize("name", EVERY)
def test_an_id_in_the_path_names_a_thing(name: str) -> None:
    """What stands in the path below a resource is never plain, but for names that nothing can be done to."""
    found = operations()[name]
    for parameter in found.parameters:
        if parameter.where == "path" and parameter.name not in ("eventName", "soundId"):
            assert uses(name)[parameter.name].kind is not Kind.PLAIN, parameter.name


def test_what_is_made_is_of_a_kind_that_belongs_to_somebody() -> None:
    """Only what a call can own can be made by it."""
    made = {(name, p) for name in EVERY for p, use in uses(name).items() if use.makes}
    assert all(uses(name)[p].kind in BELONGS for name, p in made)
    creating = {"channels.originate", "channels.create", "channels.externalMedia", "channels.snoopChannel",
                "bridges.create", "channels.play", "bridges.play", "channels.record", "bridges.record",
                "recordings.copyStored"}  # fmt: skip
    assert {name.removesuffix("WithId") for name, _ in made} == creating


_READ: list[tuple[str, dict[str, Any], list[Named]]] = [
    ("channels.hangup", {"channelId": "a,b"}, [Named("channelId", Kind.CHANNEL, "a,b")]),
    (
        "bridges.addChannel",
        {"bridgeId": "x", "channel": "a, b"},
        [Named("bridgeId", Kind.BRIDGE, "x"), Named("channel", Kind.CHANNEL, "a"), Named("channel", Kind.CHANNEL, "b")],
    ),
    ("bridges.removeChannel", {"channel": ["a", "b,c"]}, [Named("channel", Kind.CHANNEL, item) for item in "abc"]),
    (
        "applications.subscribe",
        {"applicationName": "app", "eventSource": "channel:a,bridge:b,endpoint:PJSIP/c,deviceState:d,e"},
        [
            Named("applicationName", Kind.APPLICATION, "app"),
            Named("eventSource", Kind.CHANNEL, "a"),
            Named("eventSource", Kind.BRIDGE, "b"),
            Named("eventSource", Kind.ENDPOINT, "PJSIP/c"),
            Named("eventSource", Kind.DEVICE, "d"),
            Named("eventSource", Kind.SOURCE, "e"),
        ],
    ),
    (
        "channels.play",
        {"channelId": "a", "media": ['rec"ord"ing:secret', "sound:b"]},
        [
            Named("channelId", Kind.CHANNEL, "a"),
            Named("media", Kind.STORED, "secret"),
            Named("media", Kind.MEDIA, "sound:b"),
        ],
    ),
    (
        "channels.setChannelVars",
        {"channelId": "a", "variables": {"X": "1", "Y": {"value": "2", "report_events": True}}},
        [
            Named("channelId", Kind.CHANNEL, "a"),
            Named("variables", Kind.VARIABLE, "X"),
            Named("variables", Kind.VALUE, "1"),
            Named("variables", Kind.VARIABLE, "Y"),
            Named("variables", Kind.VALUE, "2"),
        ],
    ),
    ("channels.record", {"channelId": "a", "name": "n"}, [
        Named("channelId", Kind.CHANNEL, "a"), Named("name", Kind.RECORDING, "n", makes=True)]),
    ("asterisk.ping", {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "params", "expected"), _READ, ids=[name for name, _, _ in _READ])
def test_a_request_is_read_as_asterisk_reads_it(operation: str, params: dict[str, Any], expected: list[Named]) -> None:
    """Lists at their commas, sources and media at their schemes, quotes as if they were not there."""
    assert list(named(operation, params)) == expected


def test_what_is_not_in_the_table_is_an_error() -> None:
    """Never silently plain."""
    with pytest.raises(LookupError, match="nothing says what"):
        parameters._use("channels.get", "newThing")
