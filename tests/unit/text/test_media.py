"""Media lists: each URI is one medium, below Asterisk's own folders or on the web."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.arguments import separate

from hookrouter.text.media import media_address, media_fault, media_list


def asterisk_reads(uris: list[str]) -> list[str]:
    """The list as Asterisk takes it apart, after the router has joined it."""
    return separate(",".join(media_list(uris)))


PIECES = st.lists(
    st.sampled_from(
        ["sound:", "recording:", "digits:", "http://h/", ",", "%2c", "\\", '"', "(", ")", "[", "]", "..", "/", "1", "a"]
    ),
    max_size=8,
)  # fmt: skip


@given(st.lists(PIECES.map("".join) | st.text(), min_size=1, max_size=4))
def test_what_is_written_is_read_as_exactly_these_media(uris: list[str]) -> None:
    """No text that is let through makes one medium more, or another."""
    uris = [uri for uri in uris if not media_fault(uri)]
    if uris:
        assert asterisk_reads(uris) == media_list(uris)


@given(PIECES.map("".join))
def test_no_medium_leads_out_of_its_folder(path: str) -> None:
    """Neither by its beginning nor by `..`."""
    for scheme in ("sound", "recording"):
        if not media_fault(f"{scheme}:{path}") and not media_address(f"{scheme}:{path}"):
            assert not path.startswith("/")
            assert ".." not in path.split("/")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("hello", "has no scheme; did you mean `sound:hello`?"),
        ("digits:1,recording:voicemail/100/1", "a comma begins another medium"),
        ("digits:1%2crecording:voicemail/100/1", "percent-encoded"),
        ("characters:a%2Crecording:x", "percent-encoded"),
        ("sound:/etc/asterisk/keys/x", "the path of a file"),
        ("sound:~root/x", "the path of a file"),
        ("sound:../../../tmp/x", "`..` leads out of Asterisk's folder of sounds"),
        ("recording:a/../../x", "`..` leads out of Asterisk's folder of recordings"),
        ("sound:file:///tmp/x.wav", "only http:// and https://"),
        ("recording:http://h/x", "only http:// and https://"),
        ("rec\\ording:x", "has no scheme"),
        ('sound:a"b', "Asterisk takes"),
        ("sound:a(b", "without its other half"),
        ("number:1;2", "takes a whole number"),
        ("digits:1\n2", "cannot be printed"),
        ("http://user:pass@h/x.wav", "user and password"),
        ("http:///x.wav", "not an http:// or https:// address"),
        ("sound:http://h/a,b.wav", "write %2C"),
        ("http://h:0/x", "not an http:// or https:// address"),
        ("http://h/a(b", "without its other half"),
        ("http://h/a b", "percent-encode"),
        ("sound:a ", "spaces around it"),
    ],
)
def test_what_is_no_medium_is_told_with_its_remedy(uri: str, said: str) -> None:
    assert said in media_fault(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "sound:hello-world", "sound:custom/grüße", "recording:voicemail/100/1", "number:-42", "digits:+4930*#", "digits:",
        "characters:a-b_c!", "tone:ring;tonezone=de", "http://h/a%2Cb.wav", "https://[2001:db8::1]:8443/x?a=b&c=(d)",
        "sound:https://h/x.wav", "other:thing",
    ],
)  # fmt: skip
def test_what_can_be_played_is_let_through(uri: str) -> None:
    assert media_fault(uri) == ""


def test_a_web_address_is_a_sound_to_asterisk() -> None:
    assert media_list(["http://h/x", "HTTPS://h/x", "sound:x"]) == ["sound:http://h/x", "sound:HTTPS://h/x", "sound:x"]
    assert media_address("sound:http://h/x") == media_address("http://h/x") == "http://h/x"
    assert media_address("sound:x") == ""
