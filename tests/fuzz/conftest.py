"""How long each target is fuzzed: one round, or its share of `--minutes`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

TARGETS = 6
Fuzz = Callable[..., None]


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """`fuzz(check, strategy)`: round after round until the time is over; a failure shows the smallest example."""
    share = request.config.getoption("--minutes") * 60 / TARGETS

    def run(check: Callable[[Any], None], strategy: st.SearchStrategy[Any], examples: int = 100) -> None:
        until = time.monotonic() + share
        named = settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
        )
        while True:
            number = random.getrandbits(64)

            @seed(number)
            @named
            @given(strategy)
            def once(value: Any) -> None:
                check(value)

            once()
            if time.monotonic() >= until:
                return

    return run


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes], pieces: list[bytes]) -> bytes:
    """A good text with some of it cut, doubled, moved, or replaced; or pieces by themselves."""
    text = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 6))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 20))
        kind = draw(st.sampled_from(["cut", "double", "piece", "byte", "move"]))
        part = bytes(text[at : at + length])
        if kind == "cut":
            del text[at : at + length]
        elif kind == "double":
            text[at:at] = part * draw(st.integers(1, 3))
        elif kind == "piece":
            text[at:at] = draw(st.sampled_from(pieces)) * draw(st.sampled_from([1, 1, 1, 2, 200]))
        elif kind == "byte":
            text[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        else:
            del text[at : at + length]
            to = draw(st.integers(0, len(text)))
            text[to:to] = part
    return bytes(text)
