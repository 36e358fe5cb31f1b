"""A worker as a process: its orders, its events, its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.lifecycle.worker_process import SupervisedProcess, own_command
from tests.support.processes import until

READ_ORDERS = """
import json, os, socket, sys
number, descriptor = os.environ["GATEWAY_WORKER"].split(":")
link = socket.socket(fileno=int(descriptor))
lines = link.makefile("rb")
def tell(**message): link.sendall(json.dumps(message).encode() + b"\\n")
def order(): return json.loads(lines.readline() or b"{}")
"""
DRAINS = (
    "tell(event='serving')\nassert order() == {'order': 'drain'}\nassert order() == {'order': 'force'}\nsys.exit(75)"
)
ANSWERS = """
tell(event='serving')
first, second = order(), order()
for asked in (second, first):
    tell(event='reloaded', number=asked['number'], result={'result': asked['order'] + str(asked['number'])})
tell(event='reloaded', number=99, result={})
tell(event='reload_wanted')
assert order() == {'reloaded': {'result': 'applied'}}
order()
"""
MASK = """
import signal
tell(event=','.join(sorted(one.name for one in signal.pthread_sigmask(signal.SIG_BLOCK, ()))))
order()
"""


@asynccontextmanager
async def worker(program: str) -> AsyncIterator[tuple[SupervisedProcess, list[str]]]:
    events: list[str] = []
    process = await SupervisedProcess.start(
        [sys.executable, "-c", READ_ORDERS + program], 3, lambda worker, event: events.append(event)
    )
    try:
        yield process, events
    finally:
        process.kill()
        await process.ended()


async def test_orders_reach_it_and_its_end_has_its_code() -> None:
    async with worker(DRAINS) as (process, events):
        process.drain()
        process.force()
        assert await process.ended() == 75
        assert events == ["serving"]
        assert process.is_serving
        process.drain()  # nobody is there
        assert await process.reload() is None


async def test_each_result_belongs_to_its_order() -> None:
    async with worker(ANSWERS) as (process, events):
        results = [asyncio.create_task(process.reload()) for _ in range(2)]
        assert [await result for result in results] == [{"result": "reload1"}, {"result": "reload2"}]
        await until(lambda: "reload_wanted" in events)
        process.send_result({"result": "applied"})
        process.drain()
        assert await process.ended() == 0


@pytest.mark.parametrize(
    ("program", "code"),
    [("order(); sys.exit(7)", 7), ("order(); link.sendall(b'no JSON\\n'); order()", 0)],
    ids=["it ends", "it sends something else"],
)
async def test_a_reload_without_an_answer_ends_with_the_worker(program: str, code: int) -> None:
    async with worker(program) as (process, _):
        assert await process.reload() is None
        process.drain()
        assert await process.ended() == code


async def test_one_that_is_killed_has_the_signal_and_one_that_reads_nothing_keeps_nobody() -> None:
    async with worker("import time\nwhile True: time.sleep(60)") as (process, _):
        for _ in range(10_000):
            process.drain()
        reload = asyncio.create_task(process.reload())
        process.kill()
        assert await process.ended() == -signal.SIGKILL
        assert await reload is None


async def test_signals_wait_from_its_first_moment_on() -> None:
    async with worker(MASK) as (_, events):
        await until(lambda: events)
        assert events == ["SIGHUP,SIGINT,SIGTERM"]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}


async def test_a_program_that_is_not_there_leaves_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        await SupervisedProcess.start(["/nowhere/gateway"], 1, lambda worker, event: None)


def test_its_command_line_is_that_of_its_supervisor() -> None:
    assert own_command()[0] == sys.executable
    assert own_command()[1:] == sys.orig_argv[1:]
