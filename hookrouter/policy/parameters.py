"""What each parameter of each of Asterisk's operations names: the one table that verbs and raw operations are judged by.

Rules: every parameter of every operation of the api-docs is here, by its name or, where a name means different things in
different operations, by both (a test compares the two). What a value means to Asterisk is read here and nowhere else:
comma lists, `channel:ID` of an event source, `recording:NAME` of a media URI.
Source: Asterisk 22's rest-api, and trying.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from hookrouter.ari.operations import operations


class Kind(Enum):
    """What a parameter names. Those of `BELONGS` belong to somebody: to a call, or to nobody."""

    CHANNEL = "channel"
    BRIDGE = "bridge"
    PLAYBACK = "playback"
    RECORDING = "recording"  # one that runs
    STORED = "stored recording"  # a file
    QUEUE = "queue"  # not Asterisk's: a queue of ours, which a call can be in
    SOURCE = "event source"  # `channel:ID`, `bridge:ID`, `endpoint:…`, `deviceState:…`
    MEDIA = "media URI"
    APPLICATION = "application"
    ARGUMENTS = "application arguments"
    ENDPOINT = "endpoint"  # a dial string: who is called
    TECHNOLOGY = "technology"  # of an endpoint that is named in two parts
    RESOURCE = "resource"  # the other part
    ADDRESS = "address"  # of a text message or a REFER
    CONTEXT = "context"
    EXTENSION = "extension"
    HOST = "host"  # HOST:PORT, or the name of a WebSocket client
    VARIABLE = "variable"  # or a dialplan function, by its name
    VALUE = "value"  # of a variable
    VARIABLES = "variables"  # names and values, in an object
    CALLER_ID = "caller id"
    HEADERS = "headers"  # of a text message or an INVITE: names and values, in an object
    HEADER = "header"  # the name of one
    HEADER_VALUE = "header value"
    GLOBAL = "global variable"
    LANGUAGE = "language"  # of sounds
    DEVICE = "device"
    MAILBOX = "mailbox"
    MODULE = "module"
    CONFIG = "configuration"
    LOG = "log channel"
    TRANSPORT = "transport data"  # dial string options of a media channel
    PLAIN = "plain"  # names nothing: a number, a choice, a format, a text


BELONGS = frozenset({Kind.CHANNEL, Kind.BRIDGE, Kind.PLAYBACK, Kind.RECORDING, Kind.STORED})
"""What a call makes and owns; everything else is shared by all of an Asterisk."""


class Use(NamedTuple):
    """`makes`: the thing is not there yet; the parameter says what it is to be called."""

    kind: Kind
    makes: bool = False


class Named(NamedTuple):
    """One thing that a request names: `value` as Asterisk reads it, out of the parameter `parameter`."""

    parameter: str
    kind: Kind
    value: str
    makes: bool = False


_PLAIN = Use(Kind.PLAIN)
_NOBODYS = frozenset({Kind.PLAIN, Kind.HEADERS})
_BY_NAME: dict[str, Use] = {
    "channelId": Use(Kind.CHANNEL),
    "channel": Use(Kind.CHANNEL),
    "caller": Use(Kind.CHANNEL),
    "originator": Use(Kind.CHANNEL),
    "otherChannelId": Use(Kind.CHANNEL, makes=True),
    "snoopId": Use(Kind.CHANNEL, makes=True),
    "bridgeId": Use(Kind.BRIDGE),
    "playbackId": Use(Kind.PLAYBACK),
    "recordingName": Use(Kind.RECORDING),
    "destinationRecordingName": Use(Kind.STORED, makes=True),
    "eventSource": Use(Kind.SOURCE),
    "source": Use(Kind.SOURCE),
    "media": Use(Kind.MEDIA),
    "app": Use(Kind.APPLICATION),
    "application": Use(Kind.APPLICATION),
    "applicationName": Use(Kind.APPLICATION),
    "appArgs": Use(Kind.ARGUMENTS),
    "endpoint": Use(Kind.ENDPOINT),
    "tech": Use(Kind.TECHNOLOGY),
    "resource": Use(Kind.RESOURCE),
    "to": Use(Kind.ADDRESS),
    "from": Use(Kind.ADDRESS),
    "refer_to": Use(Kind.ADDRESS),
    "context": Use(Kind.CONTEXT),
    "extension": Use(Kind.EXTENSION),
    "external_host": Use(Kind.HOST),
    "variable": Use(Kind.VARIABLE),
    "value": Use(Kind.VALUE),
    "variables": Use(Kind.VARIABLES),
    "callerId": Use(Kind.CALLER_ID),
    "lang": Use(Kind.LANGUAGE),
    "deviceName": Use(Kind.DEVICE),
    "mailboxName": Use(Kind.MAILBOX),
    "moduleName": Use(Kind.MODULE),
    "configClass": Use(Kind.CONFIG),
    "objectType": Use(Kind.CONFIG),
    "fields": Use(Kind.CONFIG),
    "logChannelName": Use(Kind.LOG),
    "configuration": Use(Kind.LOG),
    "transport_data": Use(Kind.TRANSPORT),
}
_PLAIN_NAMES = frozenset(
    {
        "filter", "only", "type", "name", "role", "absorbDTMF", "mute", "inhibitConnectedLineUpdates", "mohClass",
        "announcer_format", "recorder_format", "offsetms", "skipms", "format", "formats", "maxDurationSeconds",
        "maxSilenceSeconds", "ifExists", "beep", "terminateOn", "priority", "label", "timeout", "reason", "reason_code",
        "dtmf", "before", "between", "duration", "after", "direction", "spy", "whisper", "encapsulation", "transport",
        "connection_type", "data", "states", "deviceState", "body", "to_self", "subscribeAll", "eventName",
        "oldMessages", "newMessages", "operation", "soundId", "report_events",
    }
)  # fmt: skip
_EXCEPT: dict[tuple[str, str], Use] = {
    ("channels.originate", "channelId"): Use(Kind.CHANNEL, makes=True),
    ("channels.originateWithId", "channelId"): Use(Kind.CHANNEL, makes=True),
    ("channels.create", "channelId"): Use(Kind.CHANNEL, makes=True),
    ("channels.externalMedia", "channelId"): Use(Kind.CHANNEL, makes=True),
    ("bridges.create", "bridgeId"): Use(Kind.BRIDGE, makes=True),
    ("bridges.createWithId", "bridgeId"): Use(Kind.BRIDGE, makes=True),
    ("channels.play", "playbackId"): Use(Kind.PLAYBACK, makes=True),
    ("channels.playWithId", "playbackId"): Use(Kind.PLAYBACK, makes=True),
    ("bridges.play", "playbackId"): Use(Kind.PLAYBACK, makes=True),
    ("bridges.playWithId", "playbackId"): Use(Kind.PLAYBACK, makes=True),
    ("channels.record", "name"): Use(Kind.RECORDING, makes=True),
    ("bridges.record", "name"): Use(Kind.RECORDING, makes=True),
    ("recordings.getStored", "recordingName"): Use(Kind.STORED),
    ("recordings.deleteStored", "recordingName"): Use(Kind.STORED),
    ("recordings.getStoredFile", "recordingName"): Use(Kind.STORED),
    ("recordings.copyStored", "recordingName"): Use(Kind.STORED),
    ("bridges.getBridgeVars", "variables"): Use(Kind.VARIABLE),
    ("channels.getChannelVars", "variables"): Use(Kind.VARIABLE),
    ("asterisk.getGlobalVar", "variable"): Use(Kind.GLOBAL),
    ("asterisk.setGlobalVar", "variable"): Use(Kind.GLOBAL),
    ("asterisk.getObject", "id"): Use(Kind.CONFIG),
    ("asterisk.updateObject", "id"): Use(Kind.CONFIG),
    ("asterisk.deleteObject", "id"): Use(Kind.CONFIG),
    ("endpoints.sendMessage", "variables"): Use(Kind.HEADERS),
    ("endpoints.sendMessageToEndpoint", "variables"): Use(Kind.HEADERS),
    ("endpoints.refer", "variables"): Use(Kind.HEADERS),
    ("endpoints.referToEndpoint", "variables"): Use(Kind.HEADERS),
    ("events.userEvent", "variables"): _PLAIN,  # JSON of the event
}
_SOURCES = {"channel": Kind.CHANNEL, "bridge": Kind.BRIDGE, "endpoint": Kind.ENDPOINT, "deviceState": Kind.DEVICE}
_QUOTES = str.maketrans("", "", '"\\')


@cache
def uses(operation: str) -> Mapping[str, Use]:
    """What each of the operation's parameters names. Raises KeyError for an operation that there is not."""
    return {parameter.name: _use(operation, parameter.name) for parameter in operations()[operation].parameters}


def _use(operation: str, parameter: str) -> Use:
    use = _EXCEPT.get((operation, parameter)) or _BY_NAME.get(parameter)
    if use is None and parameter not in _PLAIN_NAMES:
        raise LookupError(f"{operation}: nothing says what `{parameter}` names")
    return use or _PLAIN


@cache
def _interesting(operation: str) -> tuple[tuple[str, Use, bool], ...]:
    """(parameter, use, whether it is a list) of those that are not plain."""
    multiple = {parameter.name for parameter in operations()[operation].parameters if parameter.multiple}
    return tuple((name, use, name in multiple) for name, use in uses(operation).items() if use.kind not in _NOBODYS)


@cache
def _judged(operation: str) -> tuple[tuple[str, Use, bool], ...]:
    """Those of `_interesting` by which authority is judged."""
    return tuple(found for found in _interesting(operation) if found[1].kind in _JUDGED)


_JUDGED = BELONGS | {Kind.SOURCE, Kind.MEDIA, Kind.APPLICATION}


def named(operation: str, params: Mapping[str, Any], *, judged: bool = False) -> Iterator[Named]:
    """Everything that a request names, lists taken apart, in the order of the api-docs.

    `judged`: only what authority is judged by, which is quicker.

    An event source comes as what it is a source of, a `recording:` of a media URI as the stored recording; other media
    as themselves. `variables` come as a VARIABLE each, with their VALUE behind it.
    """
    for parameter, use, multiple in _judged(operation) if judged else _interesting(operation):
        value = params.get(parameter)
        if value is None:
            continue
        if use.kind is Kind.VARIABLES:
            yield from _variables(parameter, value)
            continue
        for text in _items(value, multiple):
            yield _read(parameter, use, text)


def _variables(parameter: str, value: Any) -> Iterator[Named]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield Named(parameter, Kind.VARIABLE, str(name))
            yield Named(parameter, Kind.VALUE, str(item.get("value", "")) if isinstance(item, dict) else str(item))


def _items(value: Any, multiple: bool) -> Iterator[str]:
    """The values of a parameter. Asterisk takes quotes and backslashes out of lists before it reads them."""
    if not multiple:
        yield str(value)
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        text = str(item)
        if '"' in text or "\\" in text:
            text = text.translate(_QUOTES)
        if "," in text:
            yield from (part.strip() for part in text.split(","))
        else:
            yield text.strip()


def _read(parameter: str, use: Use, text: str) -> Named:
    kind, value = use.kind, text
    if kind is Kind.SOURCE:
        scheme, colon, rest = text.partition(":")
        kind, value = (_SOURCES.get(scheme, kind), rest) if colon and scheme in _SOURCES else (kind, text)
    elif kind is Kind.MEDIA and text[:10].lower() == "recording:":
        kind, value = Kind.STORED, text[10:]
    return Named(parameter, kind, value, use.makes)
