"""Threads that may hang: as many as are needed, and nobody waits for them longer than he wants to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gateway.cluster.object_threads import ObjectThreads
from tests.support.processes import GUARD_S


@pytest.fixture
def thawed() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_answers_and_errors_come_back() -> None:
    threads = ObjectThreads(2, "test-objects")
    assert threads.submit(divmod, 7, 2).result(GUARD_S) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(GUARD_S)
    assert threads.stop(GUARD_S)
    with pytest.raises(RuntimeError, match="test-objects are stopped"):
        threads.submit(divmod, 7, 2)


def test_one_that_is_idle_is_used_again_and_there_are_no_more_than_allowed(thawed: threading.Event) -> None:
    threads = ObjectThreads(2, "test-objects")
    for _ in range(5):
        threads.submit(int).result(GUARD_S)
    first = [threads.submit(thawed.wait) for _ in range(6)]
    assert len(threads._threads) == 2
    thawed.set()
    assert all(each.result(GUARD_S) for each in first)
    assert threads.stop(GUARD_S)


def test_a_thread_that_hangs_holds_up_no_end(thawed: threading.Event) -> None:
    threads = ObjectThreads(1, "test-objects")
    begun = threading.Event()

    def hang() -> bool:
        begun.set()
        return thawed.wait()

    hangs, waits, given_up = threads.submit(hang), threads.submit(int), threads.submit(int)
    given_up.cancel()
    assert begun.wait(GUARD_S)
    assert not threads.stop(0.0)
    assert waits.cancelled(), "it has not begun"
    assert threads._threads[0].daemon
    thawed.set()
    assert hangs.result(GUARD_S)
    assert threads.stop(GUARD_S)
