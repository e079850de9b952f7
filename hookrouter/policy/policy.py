"""What the endpoint of a route may do: the values of `[policy]`, and why something is not among them.

Rules: verbs and raw operations are judged alike, by what they say (said.py): when the answer is decoded, and again when a
request is to leave. A fault names the key that would allow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from hookrouter.policy.functions import function_fault
from hookrouter.policy.hosts import host_fault, host_of_pair, host_of_url
from hookrouter.policy.parameters import Kind, uses
from hookrouter.policy.places import called_hosts, context_fault, endpoint_fault, media_hosts
from hookrouter.policy.said import Said, said_by_operation
from hookrouter.policy.settings import setting_fault
from hookrouter.text.dialplan import functions_in, functions_named
from hookrouter.text.media import media_address

_JUDGED = frozenset(
    {
        Kind.VARIABLE, Kind.GLOBAL, Kind.VALUE, Kind.VARIABLES, Kind.ENDPOINT, Kind.ADDRESS, Kind.RESOURCE, Kind.CONTEXT,
        Kind.EXTENSION, Kind.HOST, Kind.MEDIA,
    }
)  # fmt: skip
_OURS = ("DIALPLAN_EXISTS", "PJSIP_HEADER", "PJSIP_DIAL_CONTACTS", "CALLERID")
"""What verbs themselves use, on behalf of fields that are judged by themselves."""


class Policy(msgspec.Struct, frozen=True):
    """See `[policy]` in docs/policy.md. `own_hosts`: those of what the operator wrote for this route; `dial_hosts`: those that
    addresses in dial strings may name, which are all where the operator has written no `hosts`: phones are anywhere.
    """

    functions: tuple[str, ...] = ("harmless",)
    endpoints: tuple[str, ...] = ("*",)
    contexts: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ("public",)
    own_hosts: tuple[str, ...] = ()
    dial_hosts: tuple[str, ...] = ("*",)
    max_legs: int = 30
    max_calls_per_minute: int = 600
    max_answers: int = 100

    def faults(self, said: Iterable[Said]) -> Iterator[tuple[str, str]]:
        """(place, why it may not be said), of each that may not."""
        for one in said:
            if fault := self.fault(one):
                yield one.place, fault

    def fault(self, said: Said) -> str:
        kind, value = said.kind, said.value
        if kind in (Kind.VARIABLE, Kind.GLOBAL):
            return self._functions(functions_named(value))
        if kind is Kind.VALUE:
            acted_on = setting_fault(said.name, value, self.functions, self.contexts)
            return acted_on or self._functions(functions_in(value))
        if kind is Kind.ENDPOINT:
            return self._endpoint(value)
        if kind is Kind.ADDRESS and said.name == "refer_to":
            return self._endpoint(_referred(value))
        if kind is Kind.RESOURCE or (kind is Kind.ADDRESS and said.name == "to"):  # of a text message
            return self._dialled(_referred(value))
        if kind is Kind.CONTEXT:
            return context_fault(value, self.contexts)
        if kind is Kind.MEDIA:
            address = media_address(value)
            return host_fault(host_of_url(address), self.hosts, self.own_hosts) if address else ""
        if kind is Kind.HOST:
            pair = _media_host(said)
            return self._hosts([pair] if pair else [], self.hosts)
        return ""

    def request_fault(self, operation: str, params: Mapping[str, Any]) -> str:
        """Why a request may not leave; empty where it may. The router's own use of functions is not the endpoint's."""
        for name, kind in judged(operation):
            value = params.get(name)
            if value is not None and (kind is not Kind.MEDIA or "://" in str(value)):
                break
        else:
            return ""
        for said in said_by_operation(operation, params):
            if said.kind is Kind.VARIABLE and said.value.partition("(")[0] in _OURS:
                continue
            if fault := self.fault(said):
                return fault
        return ""

    def _endpoint(self, endpoint: str) -> str:
        return (
            endpoint_fault(endpoint, self.endpoints)
            or self._hosts(media_hosts(endpoint), self.hosts)
            or self._dialled(endpoint)
        )

    def _dialled(self, endpoint: str) -> str:
        return "" if self.dial_hosts == ("*",) else self._hosts(called_hosts(endpoint), self.dial_hosts)

    def _hosts(self, pairs: Sequence[str], listed: Sequence[str]) -> str:
        """What is wrong with the first of these HOST:PORT that is not listed."""
        return next((fault for pair in pairs if (fault := host_fault(host_of_pair(pair), listed, self.own_hosts))), "")

    def _functions(self, named: list[tuple[str, str]]) -> str:
        for function, argument in named:
            if fault := function_fault(function, argument, self.functions):
                return fault
        return ""


def _referred(address: str) -> str:
    """Who a phone is asked to call, as an endpoint: `pjsip:alice` and `sip:100@host` are PJSIP's."""
    scheme, colon, rest = address.partition(":")
    if "/" in scheme or not colon:
        return address if "/" in address else f"PJSIP/{address}"
    return f"PJSIP/{rest}" if scheme.lower() == "pjsip" else f"PJSIP/{address}"


def _media_host(said: Said) -> str:
    """HOST:PORT of a media stream; empty where the value names a client of websocket_client.conf."""
    if said.name:  # the transport, of an operation
        return "" if said.name == "websocket" else said.value
    kind, colon, rest = said.value.partition(":")
    return rest if colon and kind in ("rtp", "audiosocket") else ""


@cache
def judged(operation: str) -> tuple[tuple[str, Kind], ...]:
    """Those of an operation's parameters that are judged."""
    return tuple((name, use.kind) for name, use in uses(operation).items() if use.kind in _JUDGED)
