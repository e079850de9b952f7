"""The router that a simulated call runs through: routes of one's own, or one made for a URL.

Rule: of routes.toml everything is taken but where the calls come from: the Asterisk is the simulated one, the named routes'
`match` holds for every call, and other routes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config import Config
from hookrouter.config.loader import parse
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.policy.hosts import host_of_url
from hookrouter.routing.endpoint import Route
from hookrouter.routing.table import RouteTable

APP = "simulated"


class Setting(msgspec.Struct, frozen=True):
    """`listen`: host and port where the router's own HTTP serves; None: it does not."""

    config: Config
    listen: tuple[str, int] | None = None

    @property
    def app(self) -> str:
        return self.config.asterisks[0].apps[0]

    def at(self, url: str, username: str, password: str) -> Config:
        """The configuration with the simulated Asterisk in it."""
        (first, *_) = self.config.asterisks
        asterisk = AsteriskSettings(first.name, url, username, password, (self.app,))
        server = self.config.server
        if self.listen:
            host, port = self.listen
            server = msgspec.structs.replace(server, host=host, port=port)
        return msgspec.structs.replace(self.config, asterisks=(asterisk,), server=server, speech=None)


_GIVEN_AS = {"routes[0].url": "URL", "routes[0].secret": "--secret", "routes[0].events": "--events"}
"""There is no routes.toml: what is wrong stands on the command line."""


def for_url(
    url: str,
    *,
    secret: str = "",
    events: Sequence[str] = (),
    listen: tuple[str, int] | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Setting:
    """One control route to that endpoint. `environ`: of it AWS's variables count, for a function. Raises ConfigurationError."""
    text = '[asterisk.simulator]\npassword = "simulated"\n[[routes]]\nurl = "http://127.0.0.1/"\n'
    shape: dict[str, object] = {"url": url, "name": "endpoint", "events": list(events or ("StasisStart", "StasisEnd"))}
    if secret:
        shape["secret"] = secret
    lines = "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in shape.items())
    head = text.partition("[[routes]]")[0]
    of_aws = {name: value for name, value in environ.items() if name.startswith("AWS_")}
    try:
        config = parse(f'{head.strip()}\napps = ["{APP}"]\n[[routes]]\n{lines}', of_aws)
    except ConfigurationError as error:
        told = [Fault(_GIVEN_AS.get(fault.place, fault.place), fault.message) for fault in error.faults]
        raise ConfigurationError(told) from None
    return Setting(config, listen)


def for_routes(
    config: Config, names: Sequence[str], url: str = "", *, listen: tuple[str, int] | None = None
) -> Setting:
    """The named routes of a configuration; none named: its only control route. Raises ConfigurationError."""
    routes = config.routes.routes
    able = [route for route in routes if route.mode == "control" and route.wants("StasisStart")]
    if names:
        unknown = [name for name in names if config.routes.by_name(name) is None]
        if unknown:
            known = ", ".join(route.name for route in routes)
            raise ConfigurationError([Fault("--route", f"there is no route `{unknown[0]}`; there are: {known}")])
        chosen = [route for name in names if (route := config.routes.by_name(name)) is not None]
    elif len(able) == 1:
        chosen = able
    else:
        known = ", ".join(route.name for route in able) or "none"
        raise ConfigurationError([Fault("--route", f"name the control route that gets the call; there are: {known}")])
    if not any(route in able for route in chosen):
        raise ConfigurationError(
            [Fault("--route", f"`{chosen[0].name}` is not a control route with StasisStart: it owns no call")]
        )
    table = RouteTable(_for_every_call(route, url if index == 0 else "") for index, route in enumerate(chosen))
    return Setting(msgspec.structs.replace(config, routes=table), listen)


def _for_every_call(route: Route, url: str) -> Route:
    if not url:
        return msgspec.structs.replace(route, conditions=())
    policy = msgspec.structs.replace(route.policy, own_hosts=(*route.policy.own_hosts, host_of_url(url)))
    endpoint = msgspec.structs.replace(route.endpoint, url=url)
    return msgspec.structs.replace(route, endpoint=endpoint, policy=policy, conditions=())
