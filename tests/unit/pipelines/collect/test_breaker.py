"""A PLC that does not answer is left alone for longer and longer."""

from __future__ import annotations

from pipelines.collect import Breaker
from pipelines.timeline import SECOND_NS


def test_a_breaker_waits_longer_and_longer_and_forgets_at_the_first_success() -> None:
    breaker, now = Breaker(), 0
    assert not breaker.open(now)
    waits = []
    for _ in range(8):
        breaker.failed(now, "dead")
        waited = next(s for s in range(100) if not breaker.open(now + s * SECOND_NS))
        waits.append(waited)
        now += waited * SECOND_NS
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert breaker.reason == "dead"
    breaker.succeeded()
    assert not breaker.open(now)
    breaker.failed(now, "dead")
    assert not breaker.open(now - 3600 * SECOND_NS), "the clock was put back by an hour: nobody waits for that"


def test_who_refuses_us_is_left_alone_for_ten_minutes() -> None:
    breaker = Breaker()
    breaker.failed(0, "wrong password", refused=True)
    assert breaker.open(599 * SECOND_NS)
    assert not breaker.open(600 * SECOND_NS)
    breaker.failed(600 * SECOND_NS, "dead")
    assert not breaker.open(660 * SECOND_NS)
