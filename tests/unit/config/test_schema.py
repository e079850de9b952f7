"""The published schema of routes.toml agrees with the loader."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hookrouter.config import parse
from hookrouter.config.schema import routes_schema
from hookrouter.errors import ConfigurationError

_HEAD = '[asterisk.main]\npassword = "x"\n'
_ROUTE = '[[routes]]\nurl = "http://a.test"\n'


@pytest.fixture
def validator() -> Any:
    """Checks documents against the schema, which is checked itself."""
    jsonschema.Draft202012Validator.check_schema(routes_schema())
    return jsonschema.Draft202012Validator(routes_schema())


@pytest.mark.parametrize(
    ("text", "good"),
    [
        pytest.param("", True, id="shortest"),
        pytest.param("timout = 1", False, id="unknown-key"),
        pytest.param("timeout = '1'", False, id="type"),
        pytest.param("timeout = 0", False, id="limit"),
        pytest.param("timeout = 2", True, id="whole-number-for-a-number"),
        pytest.param('mode = "notify"', True, id="choice"),
        pytest.param('mode = "other"', False, id="no-choice"),
        pytest.param('events = ["StasisStart", "*"]', True, id="events"),
        pytest.param('events = ["Stasis"]', False, id="no-event"),
        pytest.param("events = []", False, id="no-events"),
        pytest.param('secret = "0123456789abcdef"', True, id="secret"),
        pytest.param('secret = ["0123456789abcdef", "0123456789abcdef"]', True, id="secrets"),
        pytest.param("secret = 1", False, id="no-secret"),
        pytest.param('match = { app = ["a", { regex = "b" }], channel.name = 1, args = "x" }', True, id="match"),
        pytest.param('fallback = { actions = [{ action = "hangup" }] }', True, id="actions"),
        pytest.param("fallback = { actions = [1] }", False, id="no-actions"),
        pytest.param("fallback = { actions = [{}] }", False, id="no-action"),
        pytest.param('auth = { type = "basic", username = "u", password = "p" }', True, id="auth"),
        pytest.param('auth = { username = "u", password = "p" }', False, id="auth-of-no-type"),
        pytest.param("name = ''", False, id="empty-name"),
        pytest.param("allow_urls = []", True, id="empty-list"),
    ],
)
def test_schema_and_loader_agree(validator: Any, text: str, good: bool) -> None:
    """What one refuses by its shape, the other does."""
    whole = f"{_HEAD}{_ROUTE}{text}\n"
    assert validator.is_valid(tomllib.loads(whole)) is good
    assert _loads(whole) is good


def _loads(text: str) -> bool:
    try:
        parse(text, {})
    except ConfigurationError:
        return False
    return True


def test_the_file_at_the_top_is_what_it_should_be(validator: Any) -> None:
    """routes.toml of the project runs as it is, with an empty environment and without a warning."""
    text = (Path(__file__).parents[3] / "routes.toml").read_text()
    validator.validate(tomllib.loads(text))
    config = parse(text, {})
    assert config.warnings == ()
    assert config.server.loopback
    assert [route.mode for route in config.routes.routes] == ["control"]


def test_everything_is_described() -> None:
    """Editors show it, and docs/routes.md is checked against it."""
    for name, table in routes_schema()["$defs"].items():
        assert table["description"], name
        for key, schema in table["properties"].items():
            assert schema.get("description"), f"{name}.{key}"


def test_defaults_are_those_of_the_loader() -> None:
    """A file that spells out every default of a route is the same as one without."""
    properties = routes_schema()["$defs"]["RouteShape"]["properties"]
    given = {key: schema["default"] for key, schema in properties.items() if "default" in schema}
    assert {
        "mode",
        "events",
        "timeout",
        "deadline",
        "idle_timeout",
        "scope",
        "order",
        "format",
        "adopt",
    } <= given.keys()
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in given.items())
    assert parse(_HEAD + _ROUTE + text, {}).routes == parse(_HEAD + _ROUTE, {}).routes


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
