"""When a look counts, and when a node may judge others. The clock stands until it is moved."""

from __future__ import annotations

import pytest

from gateway.retrieve.look_record import FRESH_S, STEADY_S, LookRecord


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_look_counts_from_when_it_began(clock: Clock) -> None:
    looks = LookRecord(clock)
    seen = [looks.is_fresh]
    looks.succeeded(clock.now_s - 1)
    assert looks.age_s == 1.0
    seen.append(looks.is_fresh)
    clock.now_s += FRESH_S - 1
    assert [*seen, looks.is_fresh] == [False, True, False]


def test_what_is_forgotten_counts_no_more(clock: Clock) -> None:
    looks = LookRecord(clock)
    looks.succeeded(clock.now_s)
    looks.forget()
    assert not looks.is_fresh
    assert looks.age_s == FRESH_S


def test_a_node_is_steady_after_a_time_without_a_gap(clock: Clock) -> None:
    looks = LookRecord(clock)
    for _ in range(2):
        looks.succeeded(clock.now_s)
        seen = []
        for _ in range(round(STEADY_S)):
            seen.append(looks.is_steady)
            clock.now_s += 1.0
            looks.succeeded(clock.now_s)
        seen.append(looks.is_steady)
        clock.now_s += FRESH_S
        assert [*seen, looks.is_steady] == [False] * round(STEADY_S) + [True, False], "nor before the next look"


def test_failures_are_counted_and_the_last_one_is_kept(clock: Clock) -> None:
    looks = LookRecord(clock)
    for reason in ("first", "second"):
        looks.failed(reason)
    assert (looks.failures, looks.failure) == (2, "second")
