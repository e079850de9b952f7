"""`check` warns of speech that nobody would hear."""

from __future__ import annotations

import pytest

from hookrouter.config import parse

SAY = '[speech]\ncommand = ["espeak-ng"]\n'
NEAR = '[asterisk.main]\npassword = "x"\n'
FAR = NEAR + 'url = "http://10.0.0.7:8088"\n'
COMES = NEAR + 'mode = "listen"\n'
OPEN = '[server]\nlisten = "0.0.0.0:8080"\ntoken = "0123456789abcdef"\n'
ROUTE = '[[routes]]\nurl = "http://127.0.0.1/"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(NEAR + SAY, "", id="one machine"),
        pytest.param(FAR, "", id="nothing is said"),
        pytest.param(FAR + SAY, "speech: asterisk.main at 10.0.0.7 cannot fetch from 127.0.0.1", id="loopback"),
        pytest.param(FAR + OPEN + SAY, "", id="open"),
        pytest.param(FAR + SAY + 'base_url = "http://10.0.0.1:8080"\n', "", id="base_url"),
        pytest.param(FAR + SAY + 'base_url = "http://127.0.0.1:80"\n', "speech.base_url: asterisk.main", id="a wrong base_url"),
        pytest.param(FAR + SAY + 'folder = "/shared"\n', "", id="folder"),
        pytest.param(COMES + SAY, "", id="it comes to us on one machine"),
        pytest.param(COMES + OPEN + SAY, "speech: asterisk.main has no `url` (mode `listen`)", id="it comes from anywhere"),
    ],
)
def test_what_asterisk_cannot_fetch_is_a_warning(text: str, told: str) -> None:
    """With its remedy; where it can, there is none."""
    warnings = [str(warning) for warning in parse(text + ROUTE, {}).warnings if "speech" in str(warning)]
    assert len(warnings) == bool(told)
    assert all(told in warning for warning in warnings), warnings
