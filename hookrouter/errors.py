"""Every exception that hookrouter raises, one tree, ordered by whose fault it is.

    HookrouterError
    ├── ConfigurationError      the operator's: routes.toml or the environment; carries every fault with its place
    ├── AnswerRefused           the endpoint's: its answer is not a list of actions; carries every fault with a pointer
    ├── OverTheLimit            whoever asks: more at a time than the route may have
    ├── NotHere                 whoever asks: another router owns that Asterisk
    ├── HandOverRefused         whoever asks: an Asterisk cannot go to that router, or has not
    ├── AriError                Asterisk's, or the way to it
    │   ├── AriUnreachable      no connection: nothing of the request arrived
    │   ├── AriUnauthorized     401: wrong username or password
    │   └── AriFateUnknown      sent, but no reply came: it may or may not have been done
    └── StoreError              the disk's: what should have been kept was not

Expected results (an endpoint that answers 503, an Asterisk that answers 404) are values, never exceptions.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong: where (a TOML path such as `routes[1].timeout`, or a JSON pointer), and what to do."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def extra(name: str) -> str:
    """How one of our extras is installed. There is no package of ours on PyPI to name."""
    return f"install hookrouter with the extra `{name}`, such as by pipx install --force '.[speed,{name}]' (docs/install.md)"


class HookrouterError(Exception):
    """The root of all errors of this package."""


class _Faulty(HookrouterError):
    """An error that is a list of faults; its text has a line for each."""

    def __init__(self, faults: tuple[Fault, ...] | list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class ConfigurationError(_Faulty):
    """routes.toml or the environment is wrong; nothing has been started and nothing changed."""


class AnswerRefused(_Faulty):
    """An endpoint's answer was refused whole; nothing of it ran."""


class OverTheLimit(HookrouterError):
    """What was asked for is over a bound of its route, and was not done; it may be asked for again later."""


class NotHere(HookrouterError):
    """What was asked for is of an Asterisk that another router owns, or nobody at this moment."""


class HandOverRefused(HookrouterError):
    """An Asterisk was not handed over to another router. `status`: as HTTP says it."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        super().__init__(said)


class AriError(HookrouterError):
    """Asterisk, or the way to it, failed."""


class AriUnreachable(AriError):
    """Nothing of the request arrived at Asterisk: it may be sent again."""


class AriUnauthorized(AriError):
    """Asterisk answered 401: the username or password of the ARI user is wrong."""


class AriFateUnknown(AriError):
    """The request was sent and no reply came: ask Asterisk before sending it again."""


class StoreError(HookrouterError):
    """The journal could not keep something: the disk is full, read-only or locked."""
