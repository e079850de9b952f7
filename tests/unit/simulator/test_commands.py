"""`hookrouter demo` and `simulate` as their users run them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from hookrouter.cli import main


def test_demo_shows_a_whole_call() -> None:
    """Every step is in the ladder, without colours, and the status is 0."""
    result = CliRunner().invoke(main, ["demo", "--speed", "10"])
    assert result.exit_code == 0, result.output
    for text in ("calls 1000", "DigitsCollected", "setVariable", "StasisEnd", "All is well"):
        assert text in result.output
    assert "\x1b" not in result.output


def test_simulate_says_that_nobody_answers() -> None:
    """Status 1, and what to do."""
    result = CliRunner().invoke(main, ["simulate", "http://127.0.0.1:1/"])
    assert result.exit_code == 1
    assert "is the endpoint running" in result.output


@pytest.mark.parametrize(
    ("options", "place"),
    [(["lambda:ivr"], "URL: a function is invoked with"), (["http://127.0.0.1:1/", "--secret", "x"], "--secret: ")],
    ids=["no-credentials", "no-secret"],
)
def test_simulate_names_what_was_given(options: list[str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a line of a routes.toml that nobody has written."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    result = CliRunner().invoke(main, ["simulate", *options])
    assert result.exit_code == 2
    assert result.output.startswith(place)


def test_simulate_refuses_a_wrong_script(tmp_path: Path) -> None:
    """Status 2, and nothing was started."""
    path = tmp_path / "script.toml"
    path.write_text("steps = 3")
    result = CliRunner().invoke(main, ["simulate", "http://127.0.0.1:1/", "--script", str(path)])
    assert result.exit_code == 2
    assert "steps" in result.output


def test_simulate_takes_a_route(tmp_path: Path) -> None:
    """The url, the deadline and the fallback of one's own routes.toml."""
    path = tmp_path / "routes.toml"
    path.write_text(
        '[asterisk.main]\npassword = "x"\n[[routes]]\nname = "ivr"\nurl = "http://127.0.0.1:1/"\ndeadline = 0.5\ntimeout = 0.2\n'
        '[routes.fallback]\nactions = [{ action = "play", media = "sound:vm-goodbye" }, { action = "hangup" }]\n'
    )
    result = CliRunner().invoke(main, ["simulate", "-c", str(path), "--route", "ivr", "--speed", "10", "--json"])
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert document["actions"] == ["play", "hangup"]
    assert document["problems"][0]["where"][0] == "StasisStart"


class _Says202(BaseHTTPRequestHandler):
    """What a platform answers before its flow has run."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_simulate_says_that_the_caller_is_left_in_silence(tmp_path: Path) -> None:
    """202 and nothing after it is no success: exit status 1, with what was answered and what would help."""
    with HTTPServer(("127.0.0.1", 0), _Says202) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "routes.toml"
        path.write_text(
            f'[asterisk.main]\npassword = "x"\n[[routes]]\nname = "flow"\nurl = "http://127.0.0.1:{server.server_port}/"\n'
            "silence_timeout = 0.3\n"
        )
        result = CliRunner().invoke(main, ["simulate", "-c", str(path), "--route", "flow", "--speed", "10", "--json"])
        server.shutdown()
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert "StasisStart, was answered with 202 and an empty body" in json.dumps(document["problems"])
    assert "POST /v1/calls/" in json.dumps(document["problems"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give the URL"),
        (["http://a.test/", "--route", "x"], "give -c routes.toml, too"),
        (["http://a.test/", "--dial", "PJSIP/a"], "is not WHOM=HOW"),
        (["http://a.test/", "--dial", "PJSIP/a=away"], "`away` is not one of answered, busy"),
        (["http://a.test/", "--listen", "here"], "is not an address and port"),
        (["http://a.test/", "--listen", "127.0.0.1:99999"], "is not an address and port"),
    ],
)
def test_simulate_says_how_it_is_used(options: list[str], said: str) -> None:
    """Status 2."""
    result = CliRunner().invoke(main, ["simulate", *options])
    assert result.exit_code == 2
    assert said in result.output
