"""The breaker: when it opens, who is let through, and how long it waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookrouter.delivery.breaker import Admission, Breaker


def _open(breaker: Breaker, now: float) -> None:
    for _ in range(breaker.open_after):
        breaker.failed(now, breaker.admit(now))


def test_it_opens_after_failures_in_a_row() -> None:
    """Five in a row open it; a success in between starts the count again."""
    breaker = Breaker()
    for _ in range(4):
        assert breaker.failed(0.0, breaker.admit(0.0)) is False
    assert breaker.succeeded() is False
    for _ in range(4):
        assert breaker.failed(0.0, breaker.admit(0.0)) is False
    assert breaker.failed(0.0, breaker.admit(0.0)) is True
    assert breaker.state == "open"
    assert breaker.admit(0.5) == "refused"


def test_one_probe() -> None:
    """After the cool-down exactly one delivery is let through, and its success closes the breaker."""
    breaker = Breaker()
    _open(breaker, 0.0)
    assert [breaker.admit(1.0) for _ in range(3)] == ["probe", "refused", "refused"]
    assert breaker.state == "half_open"
    assert breaker.succeeded() is True
    assert [breaker.admit(1.0) for _ in range(3)] == ["free"] * 3


def test_the_cool_down_grows() -> None:
    """Each probe that fails doubles it, up to the longest; a success makes it short again."""
    breaker = Breaker()
    _open(breaker, 0.0)
    now, waits = 0.0, []
    for _ in range(6):
        waits.append(breaker.until - now)
        now = breaker.until
        assert breaker.admit(now - 0.001) == "refused"
        assert breaker.failed(now, breaker.admit(now)) is True
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert breaker.admit(breaker.until) == "probe"
    breaker.succeeded()
    _open(breaker, now)
    assert breaker.until == now + 1.0


def test_stragglers_do_not_decide() -> None:
    """Deliveries that began before it opened and fail later neither end the probe nor lengthen the cool-down."""
    breaker = Breaker()
    late: Admission = breaker.admit(0.0)
    _open(breaker, 0.0)
    assert breaker.failed(0.9, late) is False
    assert breaker.until == 1.0
    assert breaker.admit(1.0) == "probe"
    assert breaker.failed(1.1, late) is False
    assert breaker.admit(1.1) == "refused"


def test_an_abandoned_probe_leaves_its_place() -> None:
    """A probe whose caller hung up says nothing: the next delivery is the probe."""
    breaker = Breaker()
    _open(breaker, 0.0)
    probe = breaker.admit(1.0)
    breaker.abandoned("free")
    assert breaker.admit(1.0) == "refused"
    breaker.abandoned(probe)
    assert breaker.state == "open"
    assert breaker.admit(1.0) == "probe"


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["succeeded", "failed", "abandoned", "none"]))))
def test_never_two_probes(steps: list[tuple[float, str]]) -> None:
    """Whatever happens, at most one probe is out, and an open breaker lets nobody else through."""
    breaker, now = Breaker(), 0.0
    out: list[Admission] = []
    for passed, then in steps:
        now += passed
        was = breaker.state
        admission = breaker.admit(now)
        assert admission == "free" if was == "closed" else admission in ("probe", "refused")
        if admission != "refused":
            out.append(admission)
        assert out.count("probe") <= 1
        if then != "none" and out:
            first = out.pop(0)
            if then == "succeeded":
                breaker.succeeded()
                out = [kept for kept in out if kept == "free"]
            elif then == "failed":
                breaker.failed(now, first)
            else:
                breaker.abandoned(first)
