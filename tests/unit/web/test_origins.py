"""Who a request is for and from, whatever its headers try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.web.origins import foreign, host_of, is_loopback, not_local, proxied, read_authority, read_origin

LOCAL = [
    "localhost", "LOCALHOST:8080", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:8080", "127.255.0.9",
    "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:80", "localhost:",
]  # fmt: skip
FOREIGN = [
    "", "localhost.evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "127.evil.example", "::1",
    "[::1].evil.example", "[::1", "::1.evil.example", "localhost@evil.example", "evil.example@localhost", "localhost/..",
    "localhost:0", "localhost:99999", "localhost:80:80", "localhost evil.example", "evil.example,localhost", "0.0.0.0",
    "evil.example", "localhost..", ".localhost", "x.localhost", "localhost%00", "[::1%25lo]", "[fe80::1]", "127.1",
    "0x7f000001", "2130706433", "127.0.0.01", "128.0.0.1", "[::ffff:10.0.0.1]", "lоcalhost", "testclient", "[::]",
]  # fmt: skip


def headers(*lines: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in lines]


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_itself(host: str) -> None:
    """By any of its own names."""
    assert not_local(headers(("host", host)), "127.0.0.1") == ""


@pytest.mark.parametrize("host", FOREIGN)
def test_names_that_are_not_this_machine_s(host: str) -> None:
    """Also where they begin or end like one: a web page's own name may lead to 127.0.0.1."""
    assert "`Host`" in not_local(headers(("host", host)), "127.0.0.1")


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param([("host", "localhost"), ("host", "localhost")], id="twice"),
        pytest.param([("host", "localhost"), ("host", "evil.example")], id="two"),
    ],
)
def test_a_host_is_there_once(lines: list[tuple[str, str]]) -> None:
    """Else nobody knows which one counts."""
    assert host_of(headers(*lines)) is None
    assert not_local(headers(*lines), "127.0.0.1")


@pytest.mark.parametrize("client", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "localhost", "testclient", "127.0.0.1.x"])
def test_another_machine(client: str) -> None:
    """The connection's address decides, whatever is said in the request."""
    assert "another machine" in not_local(headers(("host", "localhost"), ("x-forwarded-for", "127.0.0.1")), client)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_addresses(client: str) -> None:
    """Of both kinds, and of one written as the other."""
    assert is_loopback(client)


@pytest.mark.parametrize(
    "name",
    [
        "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded", "x-forwarded-by-us",
        "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip", "x_forwarded_for", "forwarded-for", "x-forward-for",
        "x-original-forwarded-for", "cdn-loop", "client-ip", "x-original-url", "x-appengine-remote-addr",
    ],
)  # fmt: skip
def test_what_a_proxy_passes_on_is_not_local(name: str) -> None:
    """Whatever it says; an empty header too."""
    for value in ("127.0.0.1", "for=127.0.0.1", ""):
        assert name in not_local(headers(("host", "localhost"), (name, value)), "127.0.0.1")
    assert proxied(headers(("host", "localhost"), ("x-forwar", "x"), ("accept", "via"))) == ""


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        pytest.param("http://localhost:8080", "localhost:8080", "http", id="same"),
        pytest.param("HTTP://LocalHost:8080", "localhost.:8080", "http", id="case-and-dot"),
        pytest.param("http://pbx.test", "pbx.test:80", "http", id="default-port"),
        pytest.param("https://pbx.test", "pbx.test", "http", id="a-proxy-speaks-tls"),
        pytest.param("https://pbx.test:443", "pbx.test", "https", id="tls"),
        pytest.param("http://[::1]:8080", "[0::1]:8080", "http", id="ipv6"),
    ],
)
def test_our_own_pages(origin: str, host: str, scheme: str) -> None:
    """However their address is written."""
    assert foreign(headers(("host", host), ("origin", origin), ("sec-fetch-site", "same-origin")), scheme) == ""


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        pytest.param("null", "localhost", "http", id="null"),
        pytest.param("", "localhost", "http", id="empty"),
        pytest.param("localhost:8080", "localhost:8080", "http", id="no-scheme"),
        pytest.param("http://localhost:8080.evil.example", "localhost:8080", "http", id="begins-alike"),
        pytest.param("http://evil.example/://localhost:8080", "localhost:8080", "http", id="path"),
        pytest.param("http://localhost:8080/", "localhost:8080", "http", id="slash"),
        pytest.param("http://localhost:8080@evil.example", "localhost:8080", "http", id="user"),
        pytest.param("http://evil.example@localhost:8080", "localhost:8080", "http", id="user-before"),
        pytest.param("http://localhost", "localhost:8080", "http", id="other-port"),
        pytest.param("http://127.0.0.1:8080", "localhost:8080", "http", id="other-name"),
        pytest.param("http://pbx.test", "pbx.test", "https", id="plain-page-of-a-tls-port"),
        pytest.param("https://pbx.test", "pbx.test:80", "http", id="https-is-443"),
        pytest.param("file://", "localhost", "http", id="file"),
        pytest.param("chrome-extension://localhost", "localhost", "http", id="extension"),
        pytest.param("http://localhost http://evil.example", "localhost", "http", id="list"),
        pytest.param("http://localhost", "", "http", id="empty-host"),
        pytest.param("http://", "", "http", id="both-empty"),
    ],
)
def test_pages_of_others(origin: str, host: str, scheme: str) -> None:
    """Compared part by part."""
    assert foreign(headers(("host", host), ("origin", origin)), scheme)


def test_what_a_browser_says_of_itself() -> None:
    """`Sec-Fetch-Site` cannot be set by a page; without it and without `Origin` no browser's page sent it."""
    host = ("host", "localhost")
    assert foreign(headers(host), "http") == ""
    assert foreign(headers(host, ("sec-fetch-site", "none")), "http") == ""
    assert foreign(headers(host, ("sec-fetch-site", "cross-site")), "http")
    assert foreign(headers(host, ("sec-fetch-site", "same-site")), "http")
    twice = ("origin", "http://localhost")
    assert "several" in foreign(headers(host, twice, twice), "http")


@given(st.text(max_size=30))
def test_anything_at_all(text: str) -> None:
    """Is read or not, and never raises; what is read is written in one way only."""
    for found in (read_authority(text), getattr(read_origin(f"http://{text}"), "authority", None)):
        if found is not None:
            shown = f"[{found.host}]" if ":" in found.host else found.host
            assert read_authority(shown if found.port is None else f"{shown}:{found.port}") == found
