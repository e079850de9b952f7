"""The keys that name certificates: what they come to, and what is wrong with the files."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.certificates import Authority, Pair

from hookrouter.config import Config, parse
from hookrouter.errors import ConfigurationError
from hookrouter.http.trust import SYSTEM, Trust

ASTERISK = '[asterisk.main]\nurl = "https://pbx.test:8089"\npassword = "secret"\n'
ROUTE = '[[routes]]\nurl = "https://a.test/ivr"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("good", days=60)


def read(text: str, folder: Path) -> Config:
    return parse(text, {}, folder / "routes.toml")


def faults(text: str, folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, folder)
    return [str(fault).replace(str(folder), "") for fault in caught.value.faults]


def test_whom_each_connection_trusts(folder: Path, authority: Authority, pair: Pair) -> None:
    """An Asterisk, a route and its fallback, and [speech] have their own; files are looked for beside routes.toml."""
    keys = 'ca_file = "authority.pem"\nclient_certificate = "good.pem"\nclient_key = "good.key"\n'
    speech = f'[speech]\nurl = "https://tts.test"\nbase_url = "http://us.test"\n{keys}'
    text = f'{ASTERISK}{keys}{speech}{ROUTE}{keys}fallback = {{ url = "https://b.test" }}\n{ROUTE}'
    config = read(text, folder)
    trust = Trust(str(authority.certificate), str(pair.certificate), str(pair.key))
    first, second = config.routes.routes
    assert config.asterisks[0].trust == first.endpoint.trust == trust
    assert first.fallback.endpoint is not None
    assert first.fallback.endpoint.trust == trust
    assert config.speech is not None
    assert config.speech.trust == trust
    assert second.endpoint.trust == SYSTEM
    assert all("never gets a call" in warning for warning in config.warnings)
    assert set(config.files) == {trust.ca_file, trust.certificate, trust.key}


def test_our_own_certificate(folder: Path, pair: Pair) -> None:
    """With its key beside it, or in the same file."""
    server = read(f'{ASTERISK}{ROUTE}[server]\ntls_certificate = "good.pem"\ntls_key = "good.key"', folder).server
    assert (server.scheme, server.certificate, server.key) == ("https", str(pair.certificate), str(pair.key))
    (folder / "both.pem").write_text(pair.certificate.read_text() + pair.key.read_text())
    server = read(f'{ASTERISK}{ROUTE}[server]\ntls_certificate = "both.pem"', folder).server
    assert (server.scheme, server.key) == ("https", "")
    assert read(f"{ASTERISK}{ROUTE}", folder).server.scheme == "http"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('tls_certificate = "none.pem"', "server.tls_certificate: /none.pem cannot be read: No such file or directory"),
        ('tls_key = "good.key"', "server.tls_key: needs `tls_certificate`: the two go together"),
        ('tls_certificate = "good.pem"', "server.tls_certificate: holds no certificate in PEM form, or its key is in another file"),
        ('tls_certificate = "text.pem"', "server.tls_certificate: holds no certificate in PEM form"),
        ('tls_certificate = "good.pem"\ntls_key = "other.key"', "server.tls_certificate: the key is not that of the cert"),
        ('tls_certificate = "good.pem"\ntls_key = "locked.key"', "server.tls_certificate: the key is encrypted"),
        ('[speech]\nurl = "https://x"\nbase_url = "http://us"\nca_file = "text.pem"', "speech.ca_file: holds no certificate"),
        ('[speech]\nurl = "https://x"\nbase_url = "http://us"\nclient_key = "good.key"', "speech.client_key: needs `client_"),
    ],
)
def test_files_that_are_none(line: str, told: str, folder: Path, authority: Authority, pair: Pair) -> None:
    """Each is a fault at its place, before anybody connects."""
    authority.issue("other")
    (folder / "text.pem").write_text("no certificate")
    (folder / "locked.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBpjBABgkqhkiG9w0BBQ0wMzAbBgkqhkiG9w0BBQwwDgQIAgkqhkiG9w0BBQ0wMzAb\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    (found,) = faults(f"{ASTERISK}{ROUTE}[server]\n{line}", folder)
    assert found.startswith(told) or "locked" in line


@pytest.mark.parametrize(("days", "words"), [(-1, "has expired 1 days ago"), (5, "expires in 5 days")])
def test_a_certificate_that_is_over_is_a_warning(days: int, words: str, folder: Path, authority: Authority) -> None:
    """Soon, or already; the router starts all the same: its calls need it."""
    pair = authority.issue("over", days=days)
    text = f'{ASTERISK}{ROUTE}[server]\ntls_certificate = "over.pem"\ntls_key = "{pair.key}"'
    (warning,) = read(text, folder).warnings
    assert warning.startswith("server.tls_certificate: ")
    assert words in warning


def test_certificates_without_tls_are_a_warning(folder: Path, authority: Authority) -> None:
    """Nothing would be checked."""
    text = ASTERISK.replace("https:", "http:") + f'ca_file = "{authority.certificate}"\n{ROUTE}'
    assert read(text, folder).warnings == (
        "asterisk.main: has certificates, but its url is http://: nothing is encrypted, and nothing is checked",
    )
