"""Where an action's own `url` may lead."""

from __future__ import annotations

import pytest

from hookrouter.policy.origins import entrusted, resolve

BASE = "https://a.example/ivr/start?x=1"


@pytest.mark.parametrize(
    ("url", "found"),
    [("menu", "https://a.example/ivr/menu"), ("/menu", "https://a.example/menu"), ("?y=2", "https://a.example/ivr/start?y=2"),
     ("https://a.example/other", "https://a.example/other"), ("https://b.example/api/x", "https://b.example/api/x")],
)  # fmt: skip
def test_a_url_is_relative_to_the_routes(url: str, found: str) -> None:
    """Of the same origin, or of one that the route lists."""
    assert resolve(BASE, url, ("https://b.example/api/",)) == found


@pytest.mark.parametrize(
    "url",
    ["https://b.example/", "http://a.example/ivr", "https://a.example:8443/", "//b.example/x", "https://b.example/apix",
     "https://a.example@b.example/", "file:///etc/passwd", "javascript:alert(1)"],
)  # fmt: skip
def test_a_url_of_another_origin_is_refused(url: str) -> None:
    """Another host, scheme or port, however it is written; and what is no web address at all."""
    with pytest.raises(ValueError, match=r"origin|http"):
        resolve(BASE, url, ("https://b.example/api/",))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [("https://b.example.evil.net/", "https://b.example"), ("https://b.example:444/", "https://b.example"),
     ("https://b.example@evil.net/", "https://b.example"), ("https://evil.net\\@b.example/", "https://b.example"),
     ("https://b.example/hooks/../x", "https://b.example/hooks"), ("https://b.example/hooks/%2e%2e/x", "https://b.example/hooks"),
     ("https://b.example/hooks2", "https://b.example/hooks"), ("http://b.example/", "https://b.example")],
)  # fmt: skip
def test_origins_are_compared_as_they_are_parsed(url: str, allowed: str) -> None:
    """A text that begins the same is another origin; a path is one to its end."""
    with pytest.raises(ValueError, match=r"origin|two ways"):
        resolve(BASE, url, (allowed,))


@pytest.mark.parametrize("url", ["https://b.example/x", "https://B.example:443/hooks/a", "https://b.example./"])
def test_an_origin_may_be_spelt_in_several_ways(url: str) -> None:
    assert resolve(BASE, url, ("https://b.example/",)) == url


def test_credentials_go_to_the_routes_own_origin_and_to_those_listed_with_them() -> None:
    assert entrusted(BASE, "https://a.example/x", ())
    assert not entrusted(BASE, "https://b.example/x", ())
    assert entrusted(BASE, "https://b.example/x", ("https://b.example",))
    assert not entrusted(BASE, "https://b.example.evil.net/x", ("https://b.example",))


@pytest.mark.parametrize(
    ("url", "found"),
    [("menu", "lambda:ivr:live/menu"), ("/menu?x=1", "lambda:ivr:live/menu?x=1"), ("../../menu", "lambda:ivr:live/menu"),
     ("/", "lambda:ivr:live"), ("?y=2", "lambda:ivr:live/start?y=2"), ("lambda:ivr:live/other", "lambda:ivr:live/other"),
     ("lambda:crm/hooks/x", "lambda:crm/hooks/x"), ("https://b.example/", "https://b.example/")],
)  # fmt: skip
def test_a_url_is_relative_to_a_functions_path(url: str, found: str) -> None:
    """The function stays the same one, with its alias; another one is allowed as another origin is."""
    assert resolve("lambda:ivr:live/start?x=1", url, ("lambda:crm/hooks", "https://b.example")) == found


@pytest.mark.parametrize(
    ("base", "url"),
    [("lambda:ivr", "lambda:other"), ("lambda:ivr", "lambda:ivr:live"), ("lambda:ivr", "//b.example/x"),
     ("lambda:ivr", "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/other/invocations"),
     ("lambda:ivr", "lambda:crm/other"), ("lambda:ivr", "lambda:crm/hooks/../x"), ("lambda:ivr", "lambda:"),
     ("lambda:ivr", "lambda:a b"), ("lambda:ivr", "lambda:ivr\\x"), ("https://a.example", "lambda:ivr")],
)  # fmt: skip
def test_another_function_is_another_origin(base: str, url: str) -> None:
    """Also where it is an alias of the same one, or is named by the address of Lambda's API."""
    with pytest.raises(ValueError, match=r"origin|function|http"):
        resolve(base, url, ("lambda:crm/hooks",))


def test_what_to_write_for_another_function() -> None:
    """With the credentials, without which it cannot be invoked."""
    with pytest.raises(ValueError, match=r'allow_urls = \[\{url = "lambda:crm", credentials = true\}\]'):
        resolve("lambda:ivr", "lambda:crm/x?secret")


def test_credentials_go_to_the_own_function() -> None:
    """Not to another one, unless it is listed."""
    assert entrusted("lambda:ivr", "lambda:ivr/menu", ())
    assert not entrusted("lambda:ivr", "lambda:crm", ())
    assert entrusted("lambda:ivr", "lambda:crm/x", ("lambda:crm",))
