"""The queue's time: even, whatever the wall clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.common.steady_clock import SteadyClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY_S = 86400.0


class Machine:
    """A wall clock that is set, and a monotonic one that is not."""

    def __init__(self, wall: datetime = NOON) -> None:
        self.wall_time = wall
        self.seconds = 1000.0

    def wall(self) -> datetime:
        return self.wall_time

    def monotonic(self) -> float:
        return self.seconds

    def run(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall_time += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        self.wall_time += timedelta(seconds=seconds)

    def clock(self) -> SteadyClock:
        return SteadyClock(self.wall, self.monotonic)


@pytest.mark.parametrize("step_s", [400 * DAY_S, 3600.0, 0.5, 0.0, -0.5, -3600.0, -400 * DAY_S])
def test_a_step_does_not_count(step_s: float) -> None:
    machine = Machine()
    clock = machine.clock()
    clock.resume(None)
    assert clock() == NOON
    machine.run(10)
    machine.step(step_s)
    machine.run(5)
    assert clock() == NOON + timedelta(seconds=15)
    assert clock.on_the_wall(clock() + timedelta(seconds=60)) == machine.wall_time + timedelta(seconds=60)


def test_it_goes_on_from_what_is_remembered() -> None:
    machine = Machine(NOON + timedelta(days=400))
    clock = machine.clock()
    clock.resume(NOON)
    machine.run(3)
    assert clock() == NOON + timedelta(seconds=3)
    clock.resume(NOON + timedelta(days=1))
    assert clock() == NOON + timedelta(seconds=3), "it is resumed once"


def test_before_it_is_resumed_it_is_the_wall_clock() -> None:
    machine = Machine()
    assert machine.clock()() == NOON
