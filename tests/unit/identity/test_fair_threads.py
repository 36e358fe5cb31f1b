"""Work in threads is bounded, and hosts take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.identity.fair_threads import FairThreads
from gateway.identity.values import NotVerifiable


class Gate:
    """Functions that wait until they are let go, and tell in which order they began."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._open = threading.Semaphore(0)

    def work(self, name: str) -> Callable[[], str]:
        def function() -> str:
            with self._lock:
                self.began.append(name)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            self._open.acquire(timeout=60)
            with self._lock:
                self.at_once -= 1
            return name

        return function

    def let_go(self, number: int = 1) -> None:
        self._open.release(number)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_never_more_than_at_once() -> None:
    turns, gate = FairThreads(2), Gate()
    tasks = [asyncio.create_task(turns.run(f"host {n}", gate.work(str(n)))) for n in range(10)]
    await until(lambda: len(gate.began) == 2)
    assert (turns.running, turns.waiting) == (2, 8)
    gate.let_go(10)
    assert sorted(await asyncio.gather(*tasks)) == sorted(map(str, range(10)))
    assert gate.most_at_once == 2
    await until(lambda: (turns.running, turns.waiting) == (0, 0))


async def test_a_flood_from_one_host_makes_another_wait_for_one_turn() -> None:
    turns, gate = FairThreads(1), Gate()
    flood = [asyncio.create_task(turns.run("flood", gate.work(f"flood {n}"))) for n in range(10)]
    await until(lambda: len(gate.began) == 1)
    honest = asyncio.create_task(turns.run("honest", gate.work("honest")))
    await until(lambda: turns.waiting == 10)
    gate.let_go(3)
    assert await honest == "honest"
    assert gate.began.index("honest") <= 2
    gate.let_go(20)
    await asyncio.gather(*flood)


async def test_a_host_with_too_many_is_refused_and_others_are_not() -> None:
    turns, gate = FairThreads(1, most_per_host=3), Gate()
    flood = [asyncio.create_task(turns.run("flood", gate.work("flood"))) for _ in range(4)]
    await until(lambda: turns.waiting == 3)
    with pytest.raises(NotVerifiable, match="of this host"):
        await turns.run("flood", gate.work("flood"))
    honest = asyncio.create_task(turns.run("honest", gate.work("honest")))
    gate.let_go(10)
    assert await honest == "honest"
    await asyncio.gather(*flood)


async def test_the_host_with_most_makes_room() -> None:
    turns, gate = FairThreads(1, most_waiting=4, most_per_host=4), Gate()
    flood = [asyncio.create_task(turns.run("flood", gate.work("flood"))) for _ in range(5)]
    await until(lambda: turns.waiting == 4)
    honest = asyncio.create_task(turns.run("honest", gate.work("honest")))
    await until(lambda: flood[-1].done())
    assert isinstance(flood[-1].exception(), NotVerifiable)
    assert turns.waiting == 4
    gate.let_go(10)
    assert await honest == "honest"
    await asyncio.gather(*flood[:-1])


async def test_hosts_with_one_each_do_not_displace_one_another() -> None:
    turns, gate = FairThreads(1, most_waiting=3), Gate()
    tasks = [asyncio.create_task(turns.run(str(n), gate.work(str(n)))) for n in range(4)]
    await until(lambda: turns.waiting == 3)
    with pytest.raises(NotVerifiable, match="too many user identities wait"):
        await turns.run("late", gate.work("late"))
    gate.let_go(10)
    assert await asyncio.gather(*tasks) == ["0", "1", "2", "3"]


async def test_a_caller_that_leaves_frees_its_place_when_the_thread_ends() -> None:
    turns, gate = FairThreads(1), Gate()
    first = asyncio.create_task(turns.run("a", gate.work("first")))
    second = asyncio.create_task(turns.run("b", gate.work("second")))
    third = asyncio.create_task(turns.run("c", gate.work("third")))
    await until(lambda: gate.began == ["first"] and turns.waiting == 2)
    first.cancel()
    second.cancel()
    await until(lambda: first.done() and second.done())
    assert (turns.running, turns.waiting) == (1, 1)
    gate.let_go(2)
    assert await third == "third"
    assert gate.began == ["first", "third"]
    await until(lambda: turns.running == 0)


async def test_an_exception_frees_the_place() -> None:
    turns = FairThreads(1)

    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await turns.run("a", fail)
    await until(lambda: turns.running == 0)
