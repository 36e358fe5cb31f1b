"""What follows when a worker ends: the table of deaths, pauses and exit codes."""

from __future__ import annotations

import signal

import pytest

from gateway.lifecycle import exit_code
from gateway.lifecycle.worker_lives import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MOST_QUICK_ENDS,
    STEADY_S,
    EndAll,
    StartAgain,
    WorkerLives,
    of_supervisor,
)

QUICK_S, LONG_S = STEADY_S - 1, STEADY_S


def lives(workers: int = 2, *, serving: tuple[int, ...] = (1, 2)) -> WorkerLives:
    found = WorkerLives(workers)
    for worker in serving:
        found.serves(worker)
    return found


def test_pauses_grow_until_the_supervisor_ends_with_the_workers_code() -> None:
    found = lives()
    pauses = [found.ended(1, exit_code.SOFTWARE, QUICK_S) for _ in range(MOST_QUICK_ENDS - 1)]
    assert pauses == [StartAgain(FIRST_PAUSE_S * factor) for factor in (1, 2, 4, 8, 16)]
    assert found.ended(1, exit_code.SOFTWARE, QUICK_S) == EndAll(exit_code.SOFTWARE)


@pytest.mark.parametrize(
    ("code", "of_all"),
    [
        (exit_code.SOFTWARE, exit_code.SOFTWARE),
        (exit_code.UNAVAILABLE, exit_code.UNAVAILABLE),
        (exit_code.SUCCESS, exit_code.SOFTWARE),
        (-signal.SIGKILL, exit_code.SOFTWARE),
        (-signal.SIGSEGV, exit_code.SOFTWARE),
    ],
    ids=["a part died", "aborted", "ended by others", "killed", "crashed"],
)
def test_the_exit_code_after_quick_ends_is_never_that_of_success(code: int, of_all: int) -> None:
    found = lives()
    ends = [found.ended(2, code, QUICK_S) for _ in range(MOST_QUICK_ENDS)]
    assert ends[-1] == EndAll(of_all)


def test_a_long_life_makes_the_next_pause_a_short_one() -> None:
    found = lives()
    for _ in range(4 * MOST_QUICK_ENDS):
        found.ended(1, -signal.SIGKILL, QUICK_S)
        assert found.ended(1, -signal.SIGKILL, LONG_S) == StartAgain(FIRST_PAUSE_S)


def test_each_worker_has_its_own_count() -> None:
    found = lives(3, serving=(1, 2, 3))
    ends = [found.ended(worker, exit_code.SOFTWARE, QUICK_S) for _ in range(MOST_QUICK_ENDS - 1) for worker in (1, 2)]
    assert not any(isinstance(end, EndAll) for end in ends)
    assert found.ended(3, exit_code.SOFTWARE, QUICK_S) == StartAgain(FIRST_PAUSE_S)


@pytest.mark.parametrize(
    ("serving", "goes_on"),
    [((), False), ((2,), False), ((1, 2), True)],
    ids=["no other has served", "not all have served yet", "all have served"],
)
def test_a_refused_configuration_ends_all_at_the_first_start(serving: tuple[int, ...], goes_on: bool) -> None:
    end = lives(serving=serving).ended(1, exit_code.CONFIGURATION, 1.0)
    assert end == (StartAgain(FIRST_PAUSE_S) if goes_on else EndAll(exit_code.CONFIGURATION))


def test_a_refused_configuration_never_ends_those_that_serve() -> None:
    found = lives()
    ends = [found.ended(1, exit_code.CONFIGURATION, 1.0) for _ in range(100)]
    assert ends[-1] == StartAgain(LONGEST_PAUSE_S)
    found.serves(1)
    assert found.ended(2, exit_code.CONFIGURATION, 1.0) == StartAgain(FIRST_PAUSE_S)


def test_a_refused_configuration_ends_all_when_no_other_serves() -> None:
    found = lives()
    found.ended(2, -signal.SIGKILL, QUICK_S)
    assert found.ended(1, exit_code.CONFIGURATION, 1.0) == EndAll(exit_code.CONFIGURATION)


@pytest.mark.parametrize(("code", "told"), [(0, 0), (75, 75), (-9, exit_code.SOFTWARE)])
def test_a_worker_that_was_killed_has_no_code_of_its_own(code: int, told: int) -> None:
    assert of_supervisor(code) == told
