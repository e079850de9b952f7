"""routes.toml → `Config`, or every fault at once.

Rules: nothing is started and nothing changes while anything is wrong; each fault has its place and its remedy. What is
odd but can be meant is a warning. Never a secret in either.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hookrouter.config.collecting import Findings, collect, did_you_mean
from hookrouter.config.environment import fill_in
from hookrouter.config.heard import warn_of_unheard
from hookrouter.config.invited import check_invited
from hookrouter.config.policy import check_policy
from hookrouter.config.reach import warn_of_unreachable
from hookrouter.config.routes import RouteBuilder
from hookrouter.config.shapes import File
from hookrouter.config.tables import Tables
from hookrouter.config.values import Config, Server
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.policy.hosts import host_of_url
from hookrouter.routing.endpoint import Route
from hookrouter.routing.table import RouteTable

_DEEPEST = 100


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Reads routes.toml, and the secrets' files that it names. Raises ConfigurationError with every fault."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        hint = "give another with -c, or start from the commented routes.toml of the project"
        raise ConfigurationError([Fault(str(path), f"no such file; {hint}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Fault(str(path), f"cannot be read: {error}")]) from None
    return parse(text, environ, path)


def parse(text: str, environ: Mapping[str, str], path: Path = Path("routes.toml")) -> Config:
    """The same from text; files are looked for beside `path`. Raises ConfigurationError."""
    try:
        raw = tomllib.loads(text)
        deep = _depth(raw) > _DEEPEST
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigurationError([Fault(str(path), f"not TOML: {error}")]) from None
    except RecursionError:
        deep = True
    if deep:
        raise ConfigurationError([Fault(str(path), f"nested over {_DEEPEST} deep")])
    findings = Findings()
    value = fill_in(raw, environ, "", findings)
    file = collect(value, File, "", findings)
    tables = Tables(path.parent, findings)
    asterisks = tables.asterisks(file.asterisk)
    server = tables.server(file.server)
    speech = tables.speech(file.speech)
    cluster = tables.cluster(file.cluster)
    check_invited(asterisks, server, cluster, findings)
    check_policy("policy", file.policy, findings)
    own = (host_of_url(speech.base_url),) if speech is not None and speech.base_url else ()
    routes = RouteBuilder(tables.secrets, tables.certificates, findings, file.policy, own, environ).routes(
        file.routes, value.get("routes")
    )
    if findings.faults:
        raise ConfigurationError(_in_order(findings.faults))
    warn_of_unreachable(routes, asterisks, findings)
    _warn_of_strangers(server, routes, findings)
    warn_of_unheard(speech, server, asterisks, findings)
    return Config(
        asterisks,
        server,
        RouteTable(routes),
        speech,
        file.store,
        cluster,
        tuple(findings.files),
        tuple(findings.warnings),
    )


def _warn_of_strangers(server: Server, routes: Sequence[Route], findings: Findings) -> None:
    """Tokens for a tenant that no route has open nothing: perhaps it is misspelt."""
    known = sorted({route.tenant for route in routes if route.tenant})
    for tenant in sorted({token.access.tenant for token in server.tokens if token.access.tenant is not None}):
        if tenant not in known:
            findings.warn("server.tokens", f"no route has the tenant `{tenant}`{did_you_mean(tenant, known)}")


def _depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, below), default=0)


def _in_order(faults: list[Fault]) -> list[Fault]:
    """Route by route after all else, otherwise as they were found."""

    def section(fault: Fault) -> int:
        found = re.match(r"routes\[(\d+)\]", fault.place)
        return int(found[1]) if found else -1

    return sorted(faults, key=section)
