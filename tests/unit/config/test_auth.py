"""AWS's credentials: of the table, of files, of the environment; and the functions that they invoke."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hookrouter.config import load, parse
from hookrouter.errors import ConfigurationError
from hookrouter.routing.endpoint import Route

ASTERISK = '[asterisk.main]\npassword = "secret"\n'
ENVIRON = {
    "AWS_ACCESS_KEY_ID": " AKID ", "AWS_SECRET_ACCESS_KEY": "shh", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}  # fmt: skip
OWN = 'auth = { type = "aws-sigv4", access_key_id = "a", secret_access_key = "s", region = "r-1" }\n'
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:ivr"


def one(text: str, environ: dict[str, str] = ENVIRON) -> Route:
    (found,) = parse(f"{ASTERISK}[[routes]]\n{text}", environ).routes.routes
    return found


def faults(text: str, environ: dict[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"{ASTERISK}[[routes]]\n{text}", environ)
    return [str(fault) for fault in caught.value.faults]


def options(route: Route) -> dict[str, str]:
    assert route.endpoint.auth is not None
    assert route.endpoint.auth.type == "aws-sigv4"
    return dict(route.endpoint.auth.options)


def test_the_environment() -> None:
    """A function's name is all that it takes."""
    assert options(one('url = "lambda:ivr"')) == {
        "access_key_id": "AKID", "secret_access_key": "shh", "session_token": "t", "region": "eu-central-1",
        "endpoint_url": "http://127.0.0.1:1",
    }  # fmt: skip
    written = one('url = "lambda:ivr"\nauth = { type = "aws-sigv4", region = "r-1" }', ENVIRON | {"AWS_ENDPOINT_URL_LAMBDA": "http://[::1]:2"})
    assert (options(written)["region"], options(written)["endpoint_url"]) == ("r-1", "http://[::1]:2")
    assert options(written)["access_key_id"] == "AKID"


def test_the_table_and_the_environment_are_not_mixed() -> None:
    """A session token of other credentials would be wrong."""
    assert "session_token" not in options(one(f'url = "lambda:ivr"\n{OWN}'))
    given = 'url = "lambda:ivr"\nauth = { type = "aws-sigv4", access_key_id = "a" }'
    assert faults(given) == [
        "routes[0].auth.secret_access_key: no secret_access_key: give `secret_access_key` in `auth`, or set AWS_SECRET_ACCESS_KEY"
    ]


def test_files(tmp_path: Path) -> None:
    """All three of temporary credentials; the files are watched."""
    for name in ("id", "key", "token"):
        (tmp_path / name).write_text(f"{name} of a file\n".replace(" ", "-"))
    path = tmp_path / "routes.toml"
    auth = 'type = "aws-sigv4", access_key_id_file = "id", secret_access_key_file = "key", session_token_file = "token"'
    path.write_text(f'{ASTERISK}[[routes]]\nurl = "lambda:ivr"\nauth = {{ {auth}, region = "r-1" }}\n')
    config = load(path, ENVIRON)
    found = options(config.routes.routes[0])
    assert [found[key] for key in ("access_key_id", "secret_access_key", "session_token")] == [
        "id-of-a-file", "key-of-a-file", "token-of-a-file"
    ]  # fmt: skip
    assert {Path(name).name for name in config.files} >= {"id", "key", "token"}
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigurationError) as caught:
        load(path, ENVIRON)
    assert [fault.place for fault in caught.value.faults] == ["routes[0].auth.secret_access_key_file"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param('url = "lambda:ivr"', [
            "routes[0].url: a function is invoked with credentials of AWS: no access_key_id: give `access_key_id` in `auth`, "
            "or set AWS_ACCESS_KEY_ID",
        ], id="no credentials"),
        pytest.param(f'url = "lambda:ivr"\n{OWN.replace(", region = ", ", service = ")}', [
            "routes[0].url: no region: give `region` in `auth`, or set AWS_REGION or AWS_DEFAULT_REGION; an ARN names its own",
        ], id="no region"),
        pytest.param('url = "https://a.test"\nauth = { type = "aws-sigv4", scope = "x" }', [
            "routes[0].auth.access_key_id: no access_key_id: give `access_key_id` in `auth`, or set AWS_ACCESS_KEY_ID",
            "routes[0].auth.secret_access_key: no secret_access_key: give `secret_access_key` in `auth`, or set AWS_SECRET_ACCESS_KEY",
            'routes[0].auth.scope: type "aws-sigv4" has no use for it; it takes access_key_id, secret_access_key, region',
            "routes[0].auth.region: no region: give `region` in `auth`, or set AWS_REGION or AWS_DEFAULT_REGION; an ARN names its own",
        ], id="a web address"),
        pytest.param('url = "lambda:ivr"\nauth = { type = "bearer", token = "t" }', [
            'routes[0].auth.type: a function is invoked with type "aws-sigv4", not with "bearer": lambda:ivr',
        ], id="another kind"),
        pytest.param(f'url = "lambda:i v r"\n{OWN}', [
            "routes[0].url: `i v r` is not a function's name; such as lambda:ivr, lambda:ivr:live (an alias), or lambda: with an ARN",
        ], id="no name"),
        pytest.param(f'url = "lambda:ivr"\nfallback = {{ url = "lambda:" }}\n{OWN}', [
            "routes[0].fallback.url: `` is not a function's name; such as lambda:ivr, lambda:ivr:live (an alias), "
            "or lambda: with an ARN",
        ], id="fallback"),
        pytest.param('url = "https://a.test"\nallow_urls = ["lambda:crm"]', [
            "routes[0].allow_urls[0]: a function is invoked with the route's `auth`; write {url = \"lambda:crm\", credentials = true}",
        ], id="without credentials"),
        pytest.param('url = "https://a.test"\nallow_urls = [{ url = "lambda:crm", credentials = true }]', [
            "routes[0].allow_urls[0]: a function is invoked with the route's `auth`; give one of type \"aws-sigv4\"",
        ], id="without auth"),
        pytest.param(f'url = "lambda:ivr"\n{OWN[:-3]}, endpoint_url = "x" }}', [
            "routes[0].auth.endpoint_url: `x` is not an http:// or https:// URL",
        ], id="endpoint_url"),
        pytest.param(f'url = "lambda:ivr"\n{OWN[:-3]}, session_token = "a b" }}', [
            "routes[0].auth.session_token: goes into a header: ASCII without spaces",
        ], id="token"),
    ],
)  # fmt: skip
def test_what_is_wrong(text: str, told: list[str]) -> None:
    """With its place, and what to do."""
    assert faults(text, {}) == told


def test_a_wrong_variable_is_told() -> None:
    """Of the endpoint: there is no table."""
    assert faults('url = "lambda:ivr"', ENVIRON | {"AWS_ENDPOINT_URL": "x"}) == [
        "routes[0].url: `x` is not an http:// or https:// URL"
    ]


def test_an_arn_names_its_region() -> None:
    """A fallback may be in another one."""
    route = one(f'url = "lambda:{ARN}"\nfallback = {{ url = "lambda:{ARN.replace("eu-west-1", "us-east-1")}" }}\n'
                + OWN.replace(', region = "r-1"', ""), {})  # fmt: skip
    assert route.fallback.endpoint is not None
    assert "region" not in options(route)


def test_the_environments_credentials_go_to_functions_only() -> None:
    """A fallback by a web address gets none of them; one that is a function does, whatever the route's url is."""
    route = one('url = "lambda:ivr"\nfallback = { url = "https://a.test" }\nshadow = { url = "lambda:next" }')
    assert route.fallback.endpoint is not None
    assert route.fallback.endpoint.auth is None
    assert route.shadow is not None
    assert route.shadow.endpoint.auth == route.endpoint.auth
    other = one('url = "https://a.test"\nfallback = { url = "lambda:ivr" }')
    assert other.endpoint.auth is None
    assert other.fallback.endpoint == msgspec.structs.replace(
        route.endpoint, timeout=other.endpoint.timeout
    )  # the same function
    assert other.policy.own_hosts == ("a.test",)
    assert route.policy.own_hosts == ("a.test",)


def test_what_is_written_goes_to_both() -> None:
    """As with every other kind."""
    route = one(f'url = "lambda:ivr"\nfallback = {{ url = "https://a.lambda-url.r-1.on.aws/" }}\n{OWN}')
    assert route.fallback.endpoint is not None
    assert route.fallback.endpoint.auth == route.endpoint.auth
