"""Where an action's own `url` may lead."""

from __future__ import annotations

import pytest

from hookrouter.actions.urls import resolve

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
