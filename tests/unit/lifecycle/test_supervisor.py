"""The supervisor with workers and a clock that do as the test says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gateway.lifecycle import exit_code
from gateway.lifecycle.reload import ReloadRefused, ReloadReport
from gateway.lifecycle.signals import Stop
from gateway.lifecycle.supervisor import DRAIN_GRACE_S, FORCED_S, SupervisedWorker, Supervisor, within
from gateway.lifecycle.worker_lives import MOST_QUICK_ENDS
from tests.support.processes import until

DRAIN_S = 20.0
NOW = datetime(2026, 1, 2, tzinfo=UTC)
REPORT = ReloadReport(1, NOW, True, "v1")


class HandWorker:
    """Notes what it is ordered, and ends when the test says."""

    def __init__(self, number: int, on_event: Callable[[SupervisedWorker, str], None]) -> None:
        self.number, self.pid, self.is_serving = number, 1000 + number, False
        self.orders: list[str] = []
        self.results: list[Mapping[str, object]] = []
        self._on_event = on_event
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def serve(self) -> None:
        self.is_serving = True
        self._on_event(self, "serving")

    def want_reload(self) -> None:
        self._on_event(self, "reload_wanted")

    def end(self, code: int) -> None:
        self._exit.set_result(code)

    def drain(self) -> None:
        self.orders.append("drain")

    def force(self) -> None:
        self.orders.append("force")

    def kill(self) -> None:
        self.orders.append("kill")
        if not self._exit.done():
            self.end(-signal.SIGKILL)

    def send_result(self, result: Mapping[str, object]) -> None:
        self.results.append(result)

    async def reload(self) -> None:
        raise AssertionError("the reload is a fake")

    async def ended(self) -> int:
        return await self._exit


@dataclass
class Reloading:
    """Notes whom it reloads; refuses to start workers again while `refusal` is set."""

    reloaded: list[list[int]] = field(default_factory=list)
    refusal: ReloadRefused | None = None

    async def reload(
        self, workers: Callable[[], Collection[SupervisedWorker]], stopping: asyncio.Event
    ) -> ReloadReport:
        self.reloaded.append([worker.number for worker in workers()])
        return REPORT

    async def check(self, stopping: asyncio.Event) -> None:
        if self.refusal is not None:
            raise self.refusal


class Rig:
    """A supervisor of workers of the test."""

    def __init__(self, workers: int) -> None:
        self.workers: dict[int, HandWorker] = {}
        """The last one of each number."""
        self.starts: list[int] = []
        self.start_error: OSError | None = None
        self.now_s = 0.0
        self.waits: list[float] = []
        """Limits of what is waited for now."""
        self._over: dict[float, asyncio.Event] = {}
        self.reloading = Reloading()
        self.stop, self.reload_requested = Stop(), asyncio.Event()
        self.supervisor = Supervisor(
            workers,
            start=self._start,
            reloading=cast(Any, self.reloading),
            drain_s=DRAIN_S,
            monotonic=lambda: self.now_s,
            within=self._within,
        )

    async def _start(self, number: int, on_event: Callable[[SupervisedWorker, str], None]) -> SupervisedWorker:
        if self.start_error is not None:
            raise self.start_error
        self.starts.append(number)
        self.workers[number] = worker = HandWorker(number, on_event)
        return worker

    async def _within(self, event: Awaitable[object], limit_s: float) -> None:
        self.waits.append(limit_s)
        over = self._over.setdefault(limit_s, asyncio.Event())
        both = {asyncio.ensure_future(event), asyncio.ensure_future(over.wait())}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in both:
                waiting.cancel()
        over.clear()
        self.waits.remove(limit_s)

    async def pass_time(self, limit_s: float) -> None:
        """The limit is over, as soon as it is waited for."""
        await until(lambda: limit_s in self.waits, what=f"a wait of {limit_s} s")
        self._over[limit_s].set()
        await until(lambda: limit_s not in self.waits)

    async def started(self, count: int) -> None:
        await until(lambda: len(self.starts) == count, what=f"{count} starts")

    def orders(self) -> dict[int, list[str]]:
        return {number: worker.orders for number, worker in self.workers.items()}

    async def ordered(self, *orders: str) -> None:
        await until(lambda: all(each == list(orders) for each in self.orders().values()), what=str(orders))


@asynccontextmanager
async def running(workers: int = 2, *, serving: bool = True) -> AsyncIterator[tuple[Rig, asyncio.Task[int]]]:
    rig = Rig(workers)
    task = asyncio.create_task(rig.supervisor.run(rig.stop, rig.reload_requested))
    await rig.started(workers)
    if serving:
        for worker in rig.workers.values():
            worker.serve()
    try:
        yield rig, task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize(
    ("codes", "told"),
    [((0, 0), 0), ((0, 75), 75), ((70, 0), 70), ((0, -signal.SIGSEGV), 70)],
    ids=["all ended in time", "one did not", "one died", "one crashed"],
)
async def test_a_signal_drains_all_and_ends_with_their_worst_code(codes: tuple[int, int], told: int) -> None:
    async with running() as (rig, task):
        rig.stop.request("SIGTERM")
        await rig.ordered("drain")
        for worker, code in zip(rig.workers.values(), codes, strict=True):
            worker.end(code)
        assert await task == told
        assert rig.starts == [1, 2]


async def test_a_second_signal_aborts_and_what_does_not_end_is_killed() -> None:
    async with running() as (rig, task):
        rig.stop.request("SIGTERM")
        await rig.ordered("drain")
        rig.workers[1].end(0)
        rig.stop.request("SIGTERM")
        await until(lambda: rig.workers[2].orders == ["drain", "force"])
        await rig.pass_time(FORCED_S)
        assert await task == exit_code.UNAVAILABLE
        assert rig.orders() == {1: ["drain"], 2: ["drain", "force", "kill"]}


async def test_a_worker_that_hangs_does_not_keep_the_supervisor() -> None:
    async with running() as (rig, task):
        rig.stop.request("SIGTERM")
        await rig.pass_time(DRAIN_S + DRAIN_GRACE_S)
        await rig.pass_time(FORCED_S)
        assert await task == exit_code.UNAVAILABLE


async def test_a_worker_that_dies_is_started_again_after_a_pause_and_the_others_go_on() -> None:
    with capture_logs() as events:
        async with running() as (rig, task):
            rig.workers[1].end(-signal.SIGKILL)
            await rig.pass_time(0.5)
            await rig.started(3)
            rig.workers[1].serve()
            rig.workers[1].end(70)
            await rig.pass_time(1.0)
            await rig.started(4)
            assert rig.starts == [1, 2, 1, 1]
            assert rig.workers[2].orders == []
            assert not task.done()
    ends = [{name: value for name, value in event.items() if name != "log_level"} for event in events]
    assert {"event": "worker_ended", "worker": 1, "signal": "SIGKILL", "restart_in_s": 0.5} in ends
    assert {"event": "worker_ended", "worker": 1, "code": 70, "restart_in_s": 1.0} in ends


async def test_after_so_many_quick_deaths_all_end_with_the_workers_code() -> None:
    async with running() as (rig, task):
        for number in range(MOST_QUICK_ENDS - 1):
            rig.workers[1].end(70)
            await rig.pass_time(0.5 * 2**number)
            await rig.started(3 + number)
        rig.workers[1].end(70)
        await until(lambda: rig.workers[2].orders == ["drain"])
        rig.workers[2].end(0)
        assert await task == 70


async def test_a_long_life_is_no_quick_death() -> None:
    async with running() as (rig, task):
        for number in range(2 * MOST_QUICK_ENDS):
            rig.now_s += 3600.0
            rig.workers[1].end(70)
            await rig.pass_time(0.5)
            await rig.started(3 + number)
        assert not task.done()


async def test_a_start_that_is_refused_ends_all() -> None:
    async with running(serving=False) as (rig, task):
        rig.workers[2].end(exit_code.CONFIGURATION)
        await until(lambda: rig.workers[1].orders == ["drain"])
        rig.workers[1].end(0)
        assert await task == exit_code.CONFIGURATION


async def test_rules_that_cannot_serve_keep_a_worker_down_and_the_others_up() -> None:
    async with running() as (rig, task):
        rig.reloading.refusal = ReloadRefused("rules", ("site.yaml:1:1: error",))
        rig.workers[1].end(-signal.SIGKILL)
        with capture_logs() as events:
            for pause_s in (0.5, 1.0, 2.0):
                await rig.pass_time(pause_s)
        refused = [event for event in events if event["event"] == "worker_not_started"]
        assert [event["reason"] for event in refused] == ["site.yaml:1:1: error"] * len(refused)
        assert refused
        assert refused[0]["remedy"].startswith("correct what")
        assert rig.starts == [1, 2]
        assert not task.done()
        rig.reloading.refusal = None
        await rig.pass_time(4.0)
        await rig.started(3)


async def test_a_machine_that_gives_no_process_is_tried_again() -> None:
    async with running() as (rig, task):
        rig.start_error = OSError(11, "Resource temporarily unavailable")
        rig.workers[1].end(-signal.SIGKILL)
        await rig.pass_time(0.5)
        await rig.pass_time(1.0)
        rig.start_error = None
        await rig.pass_time(2.0)
        await rig.started(3)
        assert not task.done()


async def test_a_stop_during_the_pause_starts_nothing() -> None:
    async with running() as (rig, task):
        rig.workers[1].end(70)
        await until(lambda: 0.5 in rig.waits)
        rig.stop.request("SIGTERM")
        await until(lambda: rig.workers[2].orders == ["drain"])
        rig.workers[2].end(0)
        assert await task == 0
        assert rig.starts == [1, 2]


async def test_a_worker_that_is_just_being_started_is_drained_too() -> None:
    async with running() as (rig, task):
        starting, go_on = asyncio.Event(), asyncio.Event()
        real = rig.supervisor._start

        async def slow(number: int, on_event: Callable[[SupervisedWorker, str], None]) -> SupervisedWorker:
            starting.set()
            await go_on.wait()
            return await real(number, on_event)

        rig.supervisor._start = slow
        rig.workers[1].end(70)
        await rig.pass_time(0.5)
        await starting.wait()
        rig.stop.request("SIGTERM")
        await until(lambda: rig.workers[2].orders == ["drain"])
        go_on.set()
        await rig.started(3)
        await until(lambda: rig.workers[1].orders == ["drain"])
        for worker in rig.workers.values():
            worker.end(0)
        assert await task == 0


async def test_a_hangup_reloads_all_once_one_serves() -> None:
    async with running(serving=False) as (rig, _):
        rig.reload_requested.set()
        rig.workers[2].serve()
        await until(lambda: rig.reloading.reloaded == [[1, 2]])
        rig.reload_requested.set()
        await until(lambda: rig.reloading.reloaded == [[1, 2], [1, 2]])


async def test_a_reload_that_one_worker_wants_is_one_of_all_and_it_is_told() -> None:
    async with running() as (rig, _):
        rig.workers[2].want_reload()
        await until(lambda: rig.workers[2].results == [REPORT.as_json()])
        assert rig.reloading.reloaded == [[1, 2]]
        assert rig.workers[1].results == []


async def test_waiting_ends_with_the_event_or_the_limit() -> None:
    event = asyncio.Event()
    await within(event.wait(), 0.0)
    event.set()
    await within(event.wait(), 3600.0)
