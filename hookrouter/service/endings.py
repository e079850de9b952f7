"""Calls that are over, in the journal: a line each, so that an id that was used is known for a while."""

from __future__ import annotations

import msgspec

from hookrouter.calls.journal import Journal
from hookrouter.clock import Clock
from hookrouter.facts import CallFinished, CallNotAnswered, Facts

_encode = msgspec.json.Encoder().encode


def keep_endings(facts: Facts, journal: Journal, clock: Clock) -> None:
    """Subscribes to the ends of calls."""

    def ended(fact: CallFinished) -> None:
        line = _encode({"route": fact.route, "reason": fact.reason, "seconds": round(fact.seconds, 3),
                        "tenant": fact.tenant})  # fmt: skip
        journal.finish_call(fact.call, fact.asterisk, clock.now(), line)

    def not_answered(fact: CallNotAnswered) -> None:
        line = _encode({"route": fact.route, "reason": fact.status, "cause": fact.cause or None, "seconds": 0.0,
                        "tenant": fact.tenant})  # fmt: skip
        journal.finish_call(fact.call, fact.asterisk, clock.now(), line)

    facts.subscribe(ended, frozenset({CallFinished}).__contains__)
    facts.subscribe(not_answered, frozenset({CallNotAnswered}).__contains__)
