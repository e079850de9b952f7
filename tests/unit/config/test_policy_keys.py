"""`[policy]`, and the same keys of a route."""

from __future__ import annotations

import pytest

from hookrouter.config.loader import parse
from hookrouter.errors import ConfigurationError
from hookrouter.policy.policy import Policy

ASTERISK = '[asterisk.main]\npassword = "secret"\n'
ROUTE = '[[routes]]\nurl = "https://a.test/ivr"\n'


def policy(text: str) -> Policy:
    return parse(ASTERISK + text, {}).routes.routes[0].policy


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(ASTERISK + text, {})
    return [str(fault) for fault in caught.value.faults]


def test_a_route_stands_in_for_the_table() -> None:
    """Key by key."""
    found = policy('[policy]\nendpoints = ["PJSIP/*"]\nmax_legs = 3\n' + ROUTE + 'max_legs = 5\nhosts = ["10.0.0.0/8"]\n')
    assert (found.endpoints, found.max_legs, found.hosts) == (("PJSIP/*",), 5, ("10.0.0.0/8",))
    assert found.functions == ("harmless",)


def test_what_the_operator_wrote_is_a_host_of_the_routes() -> None:
    speech = '[speech]\nurl = "http://tts.test"\nbase_url = "http://10.0.0.9:8080"\n'
    assert policy(speech + ROUTE + 'fallback = {url = "http://b.test/"}\n').own_hosts == ("a.test", "b.test", "10.0.0.9")


def test_addresses_in_dial_strings_are_judged_by_hosts_that_are_written() -> None:
    """In the table or the route; where none are, phones are anywhere."""
    assert policy(ROUTE).dial_hosts == ("*",)
    assert policy('[policy]\nhosts = ["public"]\n' + ROUTE).dial_hosts == ("public",)
    assert policy(ROUTE + 'hosts = ["10.0.0.0/8"]\n').dial_hosts == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('functions = ["CURL("]', "is not a function"),
        ('endpoints = ["alice"]', "has no technology; such as `PJSIP/alice`"),
        ('hosts = ["http://a.test"]', "write the host alone"),
        ('hosts = ["a.test:80"]', "write the host alone"),
        ('hosts = ["a b"]', "is not a host"),
        ("max_legs = 0", "Expected".lower()),
        ('endpoint = ["*"]', "did you mean endpoints?"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(key: str, said: str) -> None:
    """In the table and in a route."""
    name = key.partition(" ")[0]
    (found,) = faults(f"[policy]\n{key}\n{ROUTE}")
    assert said in found
    assert found.startswith(f"policy.{name}")
    if not key.startswith("endpoint ="):
        assert faults(f"{ROUTE}{key}\n")[0].startswith(f"routes[0].{name}")


def test_what_a_fallback_does_is_judged_too() -> None:
    """And `while_waiting`; the fault says what to write."""
    action = '{action = "dial", to = "Local/1@x"}'
    (found,) = faults(f"{ROUTE}fallback = {{actions = [{action}]}}\n")
    assert found.startswith("routes[0].fallback.actions[0].to: `Local/1@x`")
    assert 'endpoints = ["*", "Local/*@x"]' in found
    assert faults(f"{ROUTE}while_waiting = [{action}]\n")[0].startswith("routes[0].while_waiting[0].to")


def test_another_origin_gets_credentials_only_where_it_is_listed_with_them() -> None:
    text = (
        ROUTE + 'secret = "0123456789abcdef"\nheaders = {x-key = "k"}\nauth = {type = "bearer", token = "t"}\n'
        'allow_urls = ["https://b.test", {url = "https://c.test", credentials = true}]\n'
    )
    route = parse(ASTERISK + text, {}).routes.routes[0]
    assert route.allow_urls == ("https://b.test", "https://c.test")
    for url, trusted in (("https://a.test/x", True), ("https://b.test/x", False), ("https://c.test/x", True)):
        endpoint = route.endpoint_at(url)
        assert endpoint.url == url
        assert (bool(endpoint.secrets), bool(endpoint.headers), endpoint.auth is not None) == (trusted,) * 3
