"""Mode `invite` in routes.toml: where Asterisk is told to come, and whether it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.certificates import Authority

from hookrouter.cluster.leases import NOBODY, Identity
from hookrouter.config import parse
from hookrouter.config.invited import advertised
from hookrouter.errors import ConfigurationError

NEAR = '[asterisk.main]\npassword = "x"\nmode = "invite"\n'
FAR = NEAR + 'url = "http://10.0.0.7:8088"\n'
OPEN = '[server]\nlisten = "0.0.0.0:8080"\ntoken = "0123456789abcdef"\n'
ROUTE = '[[routes]]\nurl = "http://127.0.0.1/"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(NEAR, "", id="one machine"),
        pytest.param(FAR, "Asterisk at 10.0.0.7 cannot come to 127.0.0.1: let [server] listen there", id="loopback"),
        pytest.param(FAR + OPEN, "", id="open"),
        pytest.param(FAR + 'advertise = "http://10.0.0.1:8080"\n', "", id="advertise"),
        pytest.param(FAR + 'advertise = "http://localhost:80"\n', "cannot come to localhost: name an address", id="a wrong one"),
        pytest.param(FAR + '[cluster]\naddress = "http://10.0.0.1:8080"\n', "", id="address of the cluster"),
        pytest.param(
            FAR.replace("invite", "listen") + 'advertise = "http://10.0.0.1:8080"\n', "has no effect in mode listen", id="listen"
        ),
    ],
)
def test_what_keeps_asterisk_from_coming_is_a_warning(text: str, told: str) -> None:
    """With its remedy; where it can come, there is none."""
    warnings = [str(one) for one in parse(text + ROUTE, {}).warnings if "advertise" in str(one)]
    assert len(warnings) == bool(told)
    assert all(told in warning for warning in warnings), warnings


def test_what_is_told_is_the_nearest_that_is_given() -> None:
    """`advertise` of the Asterisk before `address` of the cluster; without a slash at the end."""
    (near,) = parse(NEAR + ROUTE, {}).asterisks
    (named,) = parse(NEAR + 'advertise = "https://a.example/"\nadvertise_ca = "/ca.pem"\n' + ROUTE, {}).asterisks
    cluster = Identity("a", "http://10.0.0.1:8080")
    assert (near.mode, near.url) == ("invite", "http://127.0.0.1:8088")
    assert [advertised(near, NOBODY), advertised(near, cluster), advertised(named, cluster)] == [
        "", "http://10.0.0.1:8080", "https://a.example",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param('advertise = "ws://a"\n', r"advertise: .ws://a. is not an http", id="no URL"),
        pytest.param('advertise = "https://a"\n', r"advertise_ca: missing", id="whom to trust"),
        pytest.param("TLS", r"advertise: missing: by TLS Asterisk needs a name", id="no name"),
        pytest.param('advertise = "http://a"\nTLS', r"advertise: http://a is plain HTTP", id="plain"),
    ],
)
def test_what_no_asterisk_could_come_to_is_a_fault(tmp_path: Path, text: str, told: str) -> None:
    """An address that is none, and TLS on one side only."""
    pair = Authority(tmp_path).issue("router")
    server = f'[server]\ntls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"\n'
    with pytest.raises(ConfigurationError, match=rf"asterisk\.main\.{told}"):
        parse(NEAR + text.replace("TLS", server) + ROUTE, {})
