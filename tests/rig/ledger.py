"""The ledger: what Asterisk sent, what endpoints received and what Asterisk was asked to do, set against each other.

The three laws: nothing is lost, nothing happens twice, nobody is left in silence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from hookrouter.ari.events import event_id
from rig.endpoint import Delivery
from rig.proxy import Proxy, Seen

_MAKES = {"play", "record", "snoop", "create", "externalMedia"}
_CREATES = ("playbackId", "channelId", "snoopId", "name")  # a bridge of the same id is the same bridge


class Passed(Protocol):
    """What has passed on the way to an Asterisk: by one proxy, or by those of several routers."""

    @property
    def seen(self) -> list[Seen]: ...


def asked(proxy: Passed, *, reads: bool = False) -> list[tuple[Seen, str, str, dict[str, str]]]:
    """Every request that passed: (seen, method, path, parameters)."""
    found = []
    for seen in proxy.seen:
        if seen.type not in ("HTTP", "RESTRequest") or (seen.body["method"] == "GET" and not reads):
            continue
        parts = urlsplit(str(seen.body["uri"]))
        params = {key: values[0] for key, values in parse_qs(parts.query).items()}
        params |= {str(q["name"]): str(q["value"]) for q in seen.body.get("query_strings", [])}
        body = seen.body.get("message_body") or "{}"
        if isinstance(body, str) and body.startswith("{"):
            params |= {key: str(value) for key, value in json.loads(body).items()}
        found.append((seen, str(seen.body["method"]), parts.path, params))
    return found


def lost(proxy: Proxy, received: Iterable[Delivery], types: Iterable[str], asterisk: str = "main") -> list[str]:
    """Law 1, exactly: events of these types that passed on the socket and that no endpoint got, by their ids."""
    ids = {delivery.headers["webhook-id"] for delivery in received}
    wanted = set(types)
    return [
        f"{seen.type} of {seen.body.get('channel', {}).get('id')}"
        for seen in proxy.events() if seen.type in wanted and event_id(asterisk, seen.raw) not in ids
    ]  # fmt: skip


def incomplete(received: Iterable[Delivery], calls: Iterable[str], types: Iterable[str]) -> list[str]:
    """Law 1, by calls: each of these types told under exactly one id for each call (over a restart, perhaps inferred)."""
    ids: dict[tuple[str, str], set[str]] = {}
    for delivery in received:
        ids.setdefault((delivery.call, delivery.type), set()).add(delivery.headers["webhook-id"])
    counts = {(call, type): len(ids.get((call, type), ())) for call in calls for type in types}
    return [f"{type} of {call}: told under {count} ids" for (call, type), count in counts.items() if count != 1]


def changed_bodies(received: Iterable[Delivery]) -> list[str]:
    """A delivery that is made again has the same bytes, apart from nothing."""
    bodies: dict[tuple[str, str], set[bytes]] = {}
    for delivery in received:
        bodies.setdefault((delivery.path, delivery.headers["webhook-id"]), set()).add(delivery.raw)
    return [f"{id} has {len(raws)} bodies" for (_, id), raws in bodies.items() if len(raws) > 1]


def twice(proxy: Passed) -> list[str]:
    """Law 2: requests that make something under an id of ours, and passed more than once for the same id."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for _, method, path, params in asked(proxy):
        if method == "POST":
            what = path.rsplit("/", 1)[-1]
            for key in _CREATES:
                if key in params and (what in _MAKES or (path.startswith("channels") and path.count("/") < 2)):
                    counts[(what, key, params[key])] += 1
    return [f"{key} times {count}" for key, count in counts.items() if count > 1]


def done_twice(events: Iterable[dict[str, Any]]) -> list[str]:
    """Law 2, by what Asterisk did: a playback of one sound, or a recording, that began more than once under one id."""
    began = Counter(
        event["playback"]["id"] if event["type"] == "PlaybackStarted" else event["recording"]["name"]
        for event in events if event["type"] in ("PlaybackStarted", "RecordingStarted")
    )  # fmt: skip
    return [f"{id} began {count} times" for id, count in began.items() if count > 1]


def silent(proxy: Proxy, deadline: float, since: int = 0) -> list[str]:
    """Law 3: calls whose first action came later than the deadline + 250 ms after their StasisStart."""
    begun = {str(seen.body["channel"]["id"]): seen.at for seen in proxy.events("StasisStart")}
    first: dict[str, float] = {}
    for seen, _, path, _ in asked(proxy):
        parts = path.split("/")
        if len(parts) > 1 and parts[0] == "channels" and parts[1] in begun:
            first.setdefault(parts[1], seen.at)
    late = {id: first.get(id, float("inf")) - at for id, at in begun.items()}
    return [f"{id} waited {seconds:.3f} s" for id, seconds in late.items() if seconds > deadline + 0.25]


def waits(proxy: Proxy) -> list[float]:
    """Seconds from each StasisStart to the first action on its channel."""
    begun = {str(seen.body["channel"]["id"]): seen.at for seen in proxy.events("StasisStart")}
    found: dict[str, float] = {}
    for seen, _, path, _ in asked(proxy):
        parts = path.split("/")
        if len(parts) > 1 and parts[0] == "channels" and parts[1] in begun:
            found.setdefault(parts[1], seen.at - begun[parts[1]])
    return sorted(found.values())
