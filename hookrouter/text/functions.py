"""`lambda:NAME`, a function of AWS Lambda that is invoked by name, and what may stand behind it: `/path?query`. Pure.

Rules: NAME is what Lambda's Invoke takes as `FunctionName`: a name, `NAME:ALIAS`, a part of an ARN or a whole one. It has no
slash, so that what follows the first one is a path, which the function gets as it would get it by its URL.
Source: AWS Lambda API, Invoke (the pattern of NamespacedFunctionName); RFC 3986 §5 (relative references).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

SCHEME = "lambda:"
_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]{1,140})(?::(?:\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]{1,128}))?"
)
_MOST = 256
_BEHIND = re.compile(r"(?:[/?][!\"$-\[\]-~]*)?")  # ASCII that can be read in one way: no backslash, no #
_ANYWHERE = "http://function"


class Function(NamedTuple):
    """`name`: as Lambda takes it; `plain`: without alias and ARN. `region` and `account`: of an ARN, else empty.
    `path` begins with a slash.
    """

    name: str
    plain: str
    region: str
    account: str
    path: str
    query: str


def is_function(url: str) -> bool:
    return url.startswith(SCHEME)


@lru_cache(maxsize=4096)
def function(url: str) -> Function:
    """Of `lambda:…`. Raises ValueError where it names no function.

    >>> function("lambda:ivr:live/menu?lang=de")
    Function(name='ivr:live', plain='ivr', region='', account='', path='/menu', query='lang=de')
    """
    name, behind = re.match(r"lambda:([^/?]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    found = _NAME.fullmatch(name)
    if found is None or len(name) > _MOST:
        raise ValueError(
            f"`{name[:_MOST]}` is not a function's name; such as lambda:ivr, lambda:ivr:live (an alias), or lambda: with an ARN"
        )
    if not _BEHIND.fullmatch(behind):
        raise ValueError("behind the function's name may be a path and a query, percent-encoded")
    path, _, query = behind.partition("?")
    return Function(name, found["name"], found["region"] or "", found["account"] or "", path or "/", query)


def path_of(url: str) -> str:
    """The path of an http(s) URL, or behind a function's name."""
    return function(url).path if is_function(url) else urlsplit(url).path


def joined(base: str, url: str) -> str:
    """`url` relative to `base`, as urljoin has it; of a function the base is its path. Raises ValueError."""
    if not is_function(base):
        return urljoin(base, url)
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return url
    one = function(base)
    there = urlsplit(urljoin(f"{_ANYWHERE}{one.path}{f'?{one.query}' if one.query else ''}", url))
    path = "" if there.path == "/" and not there.query else there.path
    return f"{SCHEME}{one.name}{path}{f'?{there.query}' if there.query else ''}"
