"""Sessions begin, open what their token opened, and end."""

from __future__ import annotations

from hookrouter.config import Access
from hookrouter.web import sessions
from hookrouter.web.sessions import LIFETIME, Sessions, cookie, secrets_in

READER = Access("acme", write=False)


def test_a_session_opens_what_its_token_opened() -> None:
    """For its lifetime, until the logout, and nobody knows another one's."""
    now = [5.0]
    found = Sessions(lambda: now[0])
    first, second = found.begin(READER), found.begin(Access())
    assert first != second
    assert len(first) >= 40
    assert (found.find(first), found.find(second)) == (READER, Access())
    assert found.find("") is None
    assert found.find(first[:-1]) is None
    found.end(second)
    found.end("no such")
    assert found.find(second) is None
    now[0] += LIFETIME - 0.1
    assert found.find(first) == READER
    now[0] += 0.2
    assert found.find(first) is None
    found.begin(READER)
    assert len(found) == 1


def test_there_are_only_so_many(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The oldest one goes."""
    monkeypatch.setattr(sessions, "MOST", 3)
    found = Sessions(lambda: 0.0)
    begun = [found.begin(READER) for _ in range(5)]
    assert [found.find(one) is not None for one in begun] == [False, False, True, True, True]


def test_the_cookie() -> None:
    """No script reads it, no other site sends it, and over TLS no plain page can have set it."""
    plain, tls = cookie("abc", secure=False), cookie("abc", secure=True)
    assert plain == f"hookrouter=abc; Path=/; Max-Age={int(LIFETIME)}; HttpOnly; SameSite=Strict"
    assert tls == f"__Host-hookrouter=abc; Path=/; Max-Age={int(LIFETIME)}; HttpOnly; SameSite=Strict; Secure"
    assert "Max-Age=0" in cookie("", secure=False)
    both = 'a="; x; hookrouter=one;hookrouter=two; __Host-hookrouter=three; hookrouter='
    assert secrets_in(both, secure=False) == ["one", "two", "three"]
    assert secrets_in(both, secure=True) == ["three"]
    assert secrets_in("", secure=False) == []
