"""The name of a function, and what stands behind it."""

from __future__ import annotations

import pytest

from hookrouter.text.functions import Function, function, joined
from hookrouter.text.urls import beside, shown_url

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:ivr"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("lambda:ivr", Function("ivr", "ivr", "", "", "/", "")),
        ("lambda:ivr:live", Function("ivr:live", "ivr", "", "", "/", "")),
        ("lambda:ivr:$LATEST/menu", Function("ivr:$LATEST", "ivr", "", "", "/menu", "")),
        ("lambda:123456789012:function:ivr:7", Function("123456789012:function:ivr:7", "ivr", "", "123456789012", "/", "")),
        (f"lambda:{ARN}:live?x=1", Function(f"{ARN}:live", "ivr", "eu-central-1", "123456789012", "/", "x=1")),
        ("lambda:arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:ivr/a?b",
         Function("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:ivr", "ivr", "us-gov-west-1", "123456789012", "/a", "b")),
    ],
)  # fmt: skip
def test_names(url: str, found: Function) -> None:
    """All that Lambda takes as FunctionName."""
    assert function(url) == found


@pytest.mark.parametrize(
    "url",
    ["lambda:", "lambda:/menu", "lambda:a b", "lambda:ä", "lambda://ivr", "lambda:ivr:", "lambda:a:b:c", "lambda:ivr@x",
     "lambda:" + "a" * 300, "lambda:ivr/a b", "lambda:ivr/ä", "lambda:ivr/a\\b", "lambda:ivr#x", "lambda:ivr/a\nb", "lambda:ivr\n",
     "lambda:arn:aws:s3:::bucket"],
)  # fmt: skip
def test_what_is_no_name(url: str) -> None:
    """Refused, with what it may be."""
    with pytest.raises(ValueError, match=r"function's name"):
        function(url)


def test_nothing_behind_stays_nothing() -> None:
    """The route's own function, as it is written, is one endpoint; it is not another with a slash behind it."""
    assert joined("lambda:ivr", "/") == joined("lambda:ivr", "lambda:ivr") == "lambda:ivr"
    assert joined("https://a.test/x", "lambda:ivr/y") == "lambda:ivr/y"


def test_a_candidate_gets_the_same_path() -> None:
    """From a function to a function, and between a function and a web address."""
    assert beside("lambda:next", "lambda:ivr", "lambda:ivr") == "lambda:next"
    assert beside("lambda:next", "lambda:ivr", "lambda:ivr/menu?x=1") == "lambda:next/menu"
    assert beside("https://next.test/x", "lambda:ivr", "lambda:ivr/menu") == "https://next.test/menu"
    assert beside("lambda:next", "https://a.test/ivr", "https://a.test/menu") == "lambda:next/menu"


def test_what_is_behind_the_question_mark_is_not_shown() -> None:
    """As of a web address."""
    assert shown_url("lambda:ivr:live/menu?code=SECRET") == "lambda:ivr:live/menu?code=***"
