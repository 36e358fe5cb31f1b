"""Work that is done once for all who ask for it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.web.joined import Joined, TooManyWaiting


class Work:
    """Counts its runs, each of which waits until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = asyncio.Semaphore(0)

    async def __call__(self) -> int:
        self.runs += 1
        number = self.runs
        await self.gate.acquire()
        if number == 3:
            raise ValueError("the third")
        return number


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_it_runs_shares_the_next_run() -> None:
    work = Work()
    joined = Joined(work, 100)
    first = asyncio.create_task(joined())
    await settle()
    later = [asyncio.create_task(joined()) for _ in range(20)]
    await settle()
    assert work.runs == 1
    work.gate.release()
    assert await first == 1
    await settle()
    assert work.runs == 2
    assert not any(task.done() for task in later)
    work.gate.release()
    assert set(await asyncio.gather(*later)) == {2}


async def test_who_comes_together_shares_one_run() -> None:
    work = Work()
    joined = Joined(work, 100)
    work.gate.release()
    assert await asyncio.gather(*(joined() for _ in range(5))) == [1] * 5


async def test_one_after_the_other_has_a_run_each() -> None:
    work = Work()
    joined = Joined(work, 1)
    for number in (1, 2):
        work.gate.release()
        assert await joined() == number


async def test_an_error_is_reported_to_all_and_is_over() -> None:
    work = Work()
    joined = Joined(work, 100)
    for _ in range(4):
        work.gate.release()
    assert [await joined(), await joined()] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        await joined()
    assert await joined() == 4


async def test_who_gives_up_does_not_end_it_for_the_others() -> None:
    work = Work()
    joined = Joined(work, 100)
    leaving, staying = asyncio.create_task(joined()), asyncio.create_task(joined())
    await settle()
    leaving.cancel()
    await settle()
    work.gate.release()
    assert await staying == 1
    assert leaving.cancelled()


async def test_only_so_many_wait() -> None:
    work = Work()
    joined = Joined(work, 2)
    waiting = [asyncio.create_task(joined()) for _ in range(2)]
    await settle()
    with pytest.raises(TooManyWaiting, match="2 requests wait"):
        await joined()
    work.gate.release()
    assert await asyncio.gather(*waiting) == [1, 1]
    work.gate.release()
    assert await joined() == 2
