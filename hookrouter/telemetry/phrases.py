"""What a log line for people says of a fact: short ids, rounded times, an arrow to what came of it.

Rule: what a caller or an endpoint has sent stays one value (text/lines.py); kinds without a phrase are `key=value`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hookrouter import facts as f
from hookrouter.facts import Fact
from hookrouter.text.lines import log_value, shown

_AT_ONCE = 1.0  # seconds: no phone rang
_ID = 12  # characters of an id of ours that tell it from others


def duration(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `1.4 s`, `2 min 5 s`, `3 h 4 min`."""
    if seconds < 0.00005:
        return "0 ms"
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def short(id: str) -> str:
    """An id of ours (`evt_9f2c64f0…`) by its beginning; Asterisk's own are short."""
    return f"{id[:_ID]}…" if id.startswith("evt_") and len(id) > _ID else id


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _because(detail: str) -> str:
    return f": {detail}" if detail else ""


def _connected(fact: f.AriConnected) -> str:
    again = " again" if fact.reconnect else ""
    version = f" to Asterisk {fact.version}" if fact.version else ""
    apps = f"app{'' if len(fact.apps) == 1 else 's'} {', '.join(map(log_value, fact.apps))}"
    return f"{fact.asterisk}: connected{again}{version}, {apps}"


def _lost(fact: f.AriLost) -> str:
    retry = f"; next try in {duration(fact.retry_in)}" if fact.retry_in else ""
    return f"{fact.asterisk}: {fact.reason}{_because(fact.detail)}{retry}"


def _taken(fact: f.EntryTaken) -> str:
    by = "by" if fact.why == "given back" else "of"
    of = f" {by} {log_value(fact.of)}" if fact.of else ""
    reasons = {"free": "nobody had it", "over": f"the lease{of} was over", "dead": f"the process{of} is dead"}
    reasons["offered"] = f"{log_value(fact.of)} did not reach it"
    reasons |= {
        "handed over": f"{log_value(fact.of)} has handed it over",
        "taken back": "nobody took what was handed over",
    }
    why = reasons.get(fact.why, f"it was given back{of}")
    return f"{fact.asterisk}: {why}; its calls were read in {duration(fact.seconds)} (epoch {fact.epoch})"


def _started(fact: f.CallStarted) -> str:
    route = f"route {log_value(fact.route)}" if fact.route else "no route"
    caller, called = (log_value(number) if number else "(no number)" for number in (fact.caller, fact.called))
    return f"{caller} → {called}, {route} (app {log_value(fact.app)} of {fact.asterisk})"


def _action(fact: f.ActionFinished) -> str:
    about = f" {log_value(fact.about)}" if fact.about else ""
    came = log_value(fact.result) if fact.result and fact.outcome == "done" else fact.outcome
    return f"{log_value(fact.verb)}{about} → {came} ({duration(fact.seconds)}){_because(fact.detail or _hint(fact))}"


def _hint(fact: f.ActionFinished) -> str:
    """What makes Asterisk refuse to call somebody at once."""
    if fact.outcome != "done" or fact.result != "unavailable" or fact.seconds > _AT_ONCE:
        return ""
    return "does Asterisk have this endpoint (`pjsip show endpoints`), is its phone registered, does the number exist?"


def _attempted(fact: f.DeliveryAttempted) -> str:
    again = f", attempt {fact.attempt}" if fact.attempt > 1 else ""
    came = fact.status if fact.status is not None else fact.reason
    where = f"{log_value(fact.route)} ({fact.url})"
    took = f"{duration(fact.seconds)}{again}, {short(fact.event)}"
    return f"{fact.type} to {where} → {came} ({took}){_because(fact.detail)}"


def _delivered(fact: f.DeliveryFinished) -> str:
    actions = f", {', '.join(fact.actions)}" if fact.actions else ""
    reason = f", {fact.reason}" if fact.reason else ""
    took = f"{counted(fact.attempts, 'attempt')}, {duration(fact.seconds)}, {short(fact.event)}"
    return f"{fact.type} to {log_value(fact.route)} → {fact.outcome}{reason}{actions} ({took}){_because(fact.detail)}"


_PHRASES: dict[type[Fact], Callable[[Any], str]] = {
    f.RouterStarted: lambda fact: f"listening at {fact.url}, dashboard {fact.dashboard} (hookrouter {fact.version})",
    f.RouterStopped: lambda fact: (
        f"stopped; {counted(fact.calls, 'call')} left as {'it is' if fact.calls == 1 else 'they are'}"
    ),
    f.AriConnected: _connected,
    f.AriLost: _lost,
    f.AriReplaced: lambda fact: (
        f"{fact.asterisk}: another program has connected with the app {fact.app} and gets its calls now; "
        "give each program an app of its own; a router that has stepped down is to be restarted"
    ),
    f.EntryTaken: _taken,
    f.EntryHandedOver: lambda fact: (
        f"{fact.asterisk}: {log_value(fact.to)} has it after {duration(fact.seconds)}, as was asked for"
    ),
    f.EntryLost: lambda fact: f"{fact.asterisk}: another router owns it now; its calls are let go here",
    f.CallStarted: _started,
    f.CallFinished: lambda fact: f"{fact.reason}, after {duration(fact.seconds)}",
    f.ActionFinished: _action,
    f.DeliveryAttempted: _attempted,
    f.DeliveryFinished: _delivered,
    f.FallbackTaken: lambda fact: (
        f"{fact.kind}, because of {fact.reason}{f' ({short(fact.event)})' if fact.event else ''}"
    ),
    f.CallStandsStill: lambda fact: fact.message,
    f.LateAnswer: lambda fact: (
        f"the answer of {log_value(fact.route)} to {short(fact.event)} came too late: thrown away"
    ),
    f.AnswerCompared: lambda fact: (
        f"{fact.type} of {log_value(fact.route)}: the candidate's answer is {fact.outcome.replace('_', ' ')}"
        f"{_because(', '.join(fact.differences) or fact.detail)}"
    ),
    f.CallNotAnswered: lambda fact: f"{fact.status}{f' (cause {fact.cause})' if fact.cause else ''}",
    f.RoutesLoaded: lambda fact: f"{fact.path}: {counted(fact.routes, 'route')}{' (edited)' if fact.reload else ''}",
    f.Warned: lambda fact: f"{fact.subject}: {fact.message}",
}


def phrase(fact: Fact, *, with_call: bool = True) -> str | None:
    """What stands behind the name of the line; None: `key=value` will have to do. `with_call`: its id goes first."""
    found = _PHRASES.get(fact.__class__)
    if found is None:
        return None
    call = getattr(fact, "call", "")
    said = shown(found(fact))
    return f"call={log_value(call)} {said}" if call and with_call else said
