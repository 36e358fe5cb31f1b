"""Timers that re-arm lazily."""

from collections.abc import Callable

import pytest

from gateway.dimse.protocol.deadlines import AssociationTimer, Deadlines


class Handle:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self._when, self.callback, self.is_cancelled = when, callback, False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Handle:
        self.handles.append(Handle(when, callback))
        return self.handles[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for handle in [handle for handle in self.handles if handle.when() <= self.now]:
            self.handles.remove(handle)
            if not handle.is_cancelled:
                handle.callback()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_timer_fires_once_in_its_time(clock: Clock) -> None:
    fired: list[AssociationTimer] = []
    deadlines = Deadlines(clock, fired.append)
    deadlines.start(AssociationTimer.IDLE, 10)
    deadlines.start(AssociationTimer.RESPONSE, 3)
    clock.advance(2.9)
    assert fired == []
    clock.advance(0.2)
    assert fired == [AssociationTimer.RESPONSE]
    clock.advance(100)
    assert fired == [AssociationTimer.RESPONSE, AssociationTimer.IDLE]
    assert not deadlines.is_running(AssociationTimer.IDLE)


def test_moving_a_deadline_later_arms_nothing(clock: Clock) -> None:
    fired: list[AssociationTimer] = []
    deadlines = Deadlines(clock, fired.append)
    for _ in range(1000):
        deadlines.start(AssociationTimer.RECEIVING, 60)
        clock.advance(0.01)
    assert len(clock.handles) == 1
    clock.advance(59.985)
    assert fired == []
    clock.advance(0.01)
    assert fired == [AssociationTimer.RECEIVING]


def test_stopped_timers_do_not_fire(clock: Clock) -> None:
    fired: list[AssociationTimer] = []
    deadlines = Deadlines(clock, fired.append)
    deadlines.start(AssociationTimer.ARTIM, 1)
    deadlines.start(AssociationTimer.IDLE, 2)
    deadlines.start(AssociationTimer.RECEIVING, 1)
    deadlines.stop(AssociationTimer.ARTIM, AssociationTimer.SENDING, AssociationTimer.RECEIVING)
    clock.advance(1.5)
    deadlines.stop_all()
    clock.advance(10)
    assert fired == []
    assert all(handle.is_cancelled for handle in clock.handles)


def test_a_timer_that_stops_another_as_it_fires(clock: Clock) -> None:
    fired: list[AssociationTimer] = []

    def expired(timer: AssociationTimer) -> None:
        fired.append(timer)
        deadlines.stop(AssociationTimer.IDLE)
        deadlines.start(AssociationTimer.ARTIM, 5)

    deadlines = Deadlines(clock, expired)
    deadlines.start(AssociationTimer.RESPONSE, 1)
    deadlines.start(AssociationTimer.IDLE, 1)
    clock.advance(1)
    assert fired == [AssociationTimer.RESPONSE]
    clock.advance(5)
    assert fired == [AssociationTimer.RESPONSE, AssociationTimer.ARTIM]
