"""Whether a request may leave: everything that it names is the call's own, or the route says that it may be touched.

Rules:
- What belongs to a call is known by kind and id, because the call made it and Asterisk agreed; never by what an id looks
  like. A recording says nothing about a channel of the same name, an operation's name is nobody's id.
- An id that an answer chooses is refused where it is, or could become, somebody else's.
- `scope = "any"` and `allow` reach what belongs to others, but never what belongs to a call of another tenant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Protocol

from hookrouter.policy.parameters import BELONGS, Kind, Named, named, uses

OURS = "hr-"
"""What the ids that the router chooses begin with."""

ROLES: dict[str, Kind] = {
    "leg": Kind.CHANNEL,
    "snoop": Kind.CHANNEL,
    "originated": Kind.CHANNEL,
    "bridge": Kind.BRIDGE,
    "room": Kind.BRIDGE,  # shared with other calls
    "playback": Kind.PLAYBACK,
    "recording": Kind.RECORDING,
    "call-recording": Kind.RECORDING,
    "queue": Kind.QUEUE,
    "file": Kind.STORED,
}
"""What a call has something for, and what kind of thing that is."""

RECORDING_GRANT = "recording:"
"""What an `allow` for recordings begins with; `*` in the name stands for anything."""

_ASKING = frozenset({"channels.get", "bridges.get", "playbacks.get", "recordings.getLive", "recordings.getStored"})
"""What is asked about a thing of an id that an answer chose, before it is made or while nobody knows whether it was."""

_REPLACING = ("overwrite", "append")
_ASTERISKS_OWN = re.compile(r"(.*-)?\d+\.\d+", re.DOTALL)
_FIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,127}")
_FIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def token(secret: str, channel: str) -> str:
    """What proves that a channel with this id in its Stasis arguments was asked for by who has the secret."""
    return blake2b(channel.encode(), key=secret.encode()[:64], digest_size=12).hexdigest()


class Holder(Protocol):
    """A call, as far as it is judged. `tenant_of`: of the call that a thing belongs to, None where it is nobody's."""

    @property
    def app(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def allow(self) -> Sequence[str]: ...
    def owns(self, kind: Kind, id: str) -> bool: ...
    def claims(self, kind: Kind, id: str) -> bool: ...
    def shares(self, kind: Kind, id: str) -> bool: ...
    def tenant_of(self, kind: Kind, id: str) -> str | None: ...


def unfit(kind: Kind, id: str) -> str | None:
    """Why an answer may not call a new thing so, whatever there is now; None where it may."""
    if id.lower().startswith(OURS):
        return f"`{id}` begins with `{OURS}`, as what the router itself makes does; choose another {kind.value} name"
    if kind in (Kind.RECORDING, Kind.STORED):
        if not _FIT_NAME.fullmatch(id) or len(id) > 200:
            return f"`{id}` cannot name a recording: letters, digits, `_`, `-`, `.`, and `/` between folders"
        return None
    if kind is Kind.CHANNEL and _ASTERISKS_OWN.fullmatch(id):
        return f"`{id}` has the form of Asterisk's own ids, and could be another call's; choose another"
    if not _FIT.fullmatch(id):
        return f"`{id}` cannot be an id for a {kind.value}: letters, digits, and `_.:@+-` behind the first, at most 128"
    return None


def grants(allow: Sequence[str], recording: str) -> bool:
    """Whether a route's `allow` names this stored recording."""
    if any(part in ("", ".", "..") for part in recording.split("/")):
        return False  # another name for a file, perhaps of another folder
    patterns = [entry.removeprefix(RECORDING_GRANT) for entry in allow if entry.startswith(RECORDING_GRANT)]
    return any(fnmatchcase(recording, pattern.replace("[", "[[]")) for pattern in patterns)


def form_faults(operation: str, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(parameter, what is wrong) of the ids that a raw operation chooses, where that can be said before it runs."""
    return [
        (parameter, why)
        for parameter, use in uses(operation).items()
        if use.makes and isinstance(params.get(parameter), str) and (why := unfit(use.kind, params[parameter]))
    ]


def refusal(operation: str, params: Mapping[str, Any], holder: Holder, *, raw: bool) -> str | None:
    """Why this request may not leave; None where it may. `raw`: an answer has named the operation itself."""
    allowed = holder.scope == "any" or operation in holder.allow
    concerns = False
    if params.get("ifExists") in _REPLACING and not reaches(Kind.STORED, str(params.get("name")), holder):
        return _recording(str(params.get("name")), holder)
    for thing in named(operation, params, judged=True):
        if thing.kind in BELONGS:
            if why := _refused(operation, thing, holder, allowed, raw):
                return why
            concerns = True
        elif raw and not allowed and (why := _shared(operation, thing, holder)):
            return why
    if raw and not concerns and not allowed:
        return f'`{operation}` concerns no call; the route needs `scope = "any"` or `allow = ["{operation}"]`'
    return None


def _refused(operation: str, thing: Named, holder: Holder, allowed: bool, raw: bool) -> str | None:
    kind, id = thing.kind, thing.value
    if thing.makes:
        if holder.owns(kind, id) or holder.claims(kind, id):
            return None
        return unfit(kind, id) or f"the {kind.value} `{id}` was not asked for by this call"
    if operation in _ASKING and (holder.claims(kind, id) or (kind is Kind.STORED and _records(id, holder))):
        return None
    if holder.owns(kind, id):
        if raw and operation == "bridges.destroy" and holder.shares(kind, id) and not allowed:
            return f"the bridge `{id}` is shared with other calls; only the last one to leave it ends it"
        return None
    if kind is Kind.STORED:
        if operation == "recordings.getStored" and not raw and holder.tenant_of(kind, id) is None:
            return None  # whether it is there, to say what is wrong
        return _recording(id, holder)
    if why := _crosses(kind, id, holder):
        return why
    if not allowed:
        return f'the {kind.value} `{id}` does not belong to this call; the route needs `scope = "any"` to reach it'
    return None


def _crosses(kind: Kind, id: str, holder: Holder) -> str:
    """Why no route reaches this thing, whatever it may: it is of another tenant, or nobody can tell whose it is."""
    if kind is Kind.CHANNEL and "/" in id:  # Asterisk finds channels by their names too
        return f"`{id}` is the name of a channel, which does not tell whose it is; give the channel's id"
    if holder.tenant_of(kind, id) not in (None, holder.tenant):
        return f"the {kind.value} `{id}` does not belong to this call"
    return ""


def _records(name: str, holder: Holder) -> bool:
    return holder.owns(Kind.RECORDING, name) or holder.claims(Kind.RECORDING, name)


def reaches(kind: Kind, id: str, holder: Holder) -> bool:
    """Whether a thing is the call's, or its route's scope (for a recording: its `allow`) reaches it."""
    if holder.owns(kind, id):
        return True
    if kind is Kind.STORED:
        return _recording(id, holder) is None
    return holder.scope == "any" and not _crosses(kind, id, holder)


def _recording(name: str, holder: Holder) -> str | None:
    """A stored recording that is not of this call: of another one, or of none."""
    tenant = holder.tenant_of(Kind.STORED, name)
    ours = tenant == holder.tenant and holder.scope == "any"
    if ours or (tenant in (None, holder.tenant) and grants(holder.allow, name)):
        return None
    return f'the recording `{name}` was not made by this call; `allow = ["{RECORDING_GRANT}{name}"]` of the route grants it'


def _shared(operation: str, thing: Named, holder: Holder) -> str | None:
    """What is no call's, but would reach others all the same."""
    resource = operation.partition(".")[0]
    if thing.kind is Kind.APPLICATION and resource in ("applications", "events") and thing.value != holder.app:
        return f'`{thing.value}` is another application; the route needs `allow = ["{operation}"]`'
    if thing.parameter in ("eventSource", "source"):
        return f'`{thing.value}` belongs to no call; the route needs `allow = ["{operation}"]`'
    return None
