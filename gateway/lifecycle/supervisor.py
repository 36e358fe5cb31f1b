"""The supervisor of `gateway run --workers`: starts the workers, and again where one ends; drains and reloads all.

It holds no object and no connection, and waits for no worker: its orders go into buffers, and each wait has a limit.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from gateway.lifecycle import exit_code
from gateway.lifecycle.reload import ReloadRefused
from gateway.lifecycle.signals import Stop
from gateway.lifecycle.worker_lives import EndAll, StartAgain, WorkerLives, of_supervisor
from gateway.lifecycle.workers_reload import ReloadingWorker, WorkersReload

log = structlog.get_logger()

DRAIN_GRACE_S = 30.0
"""Time for which a worker may take longer than `drain` before it is aborted: it also closes what it has open."""
FORCED_S = 10.0
"""Time after which a worker that was aborted is killed."""


class SupervisedWorker(ReloadingWorker, Protocol):
    """A worker that runs (`gateway.lifecycle.worker_process`)."""

    pid: int

    def drain(self) -> None: ...
    def force(self) -> None: ...
    def kill(self) -> None: ...
    def send_result(self, result: Mapping[str, object]) -> None: ...
    async def ended(self) -> int: ...


async def within(event: Awaitable[object], limit_s: float) -> None:
    """Return with the event, or after the limit."""
    waiting = asyncio.ensure_future(event)
    await asyncio.wait({waiting}, timeout=limit_s)
    waiting.cancel()


StartWorker = Callable[[int, Callable[[SupervisedWorker, str], None]], Awaitable[SupervisedWorker]]
"""Starts the worker of a number; what it tells is passed on (`SupervisedProcess.start`). Raises OSError."""


class Supervisor:
    """Runs `workers` workers until it is stopped, or one of them ends in a way that ends all.

    Args:
        workers: their number.
        start: starts one.
        reloading: reloads all.
        drain_s: time that a worker may take for what is in flight.
        monotonic: the clock of the workers' lives.
        within: waits.
    """

    def __init__(
        self,
        workers: int,
        *,
        start: StartWorker,
        reloading: WorkersReload,
        drain_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        within: Callable[[Awaitable[object], float], Awaitable[None]] = within,
    ) -> None:
        self._numbers = range(1, workers + 1)
        self._start = start
        self._reloading = reloading
        self._drain_s = drain_s
        self._monotonic = monotonic
        self._within = within
        self._lives = WorkerLives(workers)
        self._workers: dict[int, SupervisedWorker] = {}
        self._orders: list[Callable[[SupervisedWorker], None]] = []
        """Orders to all; a worker that was just being started gets them too."""
        self._ending = asyncio.Event()
        self._one_serves = asyncio.Event()
        self._codes: list[int] = []
        """Exit codes at the end, the one that counts first."""
        self._tasks = asyncio.TaskGroup()

    async def run(self, stop: Stop, reload_requested: asyncio.Event) -> int:
        """Start all, and return the exit code when all have ended."""
        async with self._tasks:
            beside = [
                self._tasks.create_task(self._stop_with(stop)),
                self._tasks.create_task(self._end_all(stop)),
                self._tasks.create_task(self._serve_requests(reload_requested)),
            ]
            await asyncio.wait([self._tasks.create_task(self._keep(number)) for number in self._numbers])
            for task in beside:
                task.cancel()
        code = next(filter(None, self._codes), exit_code.SUCCESS)
        log.info("supervisor_stopped", code=code)
        return code

    # --- lives -----------------------------------------------------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """Keep the worker running until the end of all."""
        is_first = True
        while not self._ending.is_set():
            began = self._monotonic()
            code = await self._life(number, is_first)
            is_first = False
            if self._ending.is_set():
                self._codes.append(of_supervisor(code))
                log.info("worker_stopped", worker=number, **_end(code))
                return
            match self._lives.ended(number, code, self._monotonic() - began):
                case EndAll(code_of_all):
                    log.critical("worker_not_restarted", worker=number, **_end(code))
                    self._codes.insert(0, code_of_all)
                    self._ending.set()
                case StartAgain(after_s):
                    log.error("worker_ended", worker=number, **_end(code), restart_in_s=after_s)
                    await self._within(self._ending.wait(), after_s)

    async def _life(self, number: int, is_first: bool) -> int:
        """One life of a worker; its exit code."""
        try:
            if not is_first:
                await self._reloading.check(self._ending)
            worker = await self._start(number, self._on_event)
        except ReloadRefused as refused:
            log.error("worker_not_started", worker=number, reason=str(refused), remedy=refused.remedy)
            return exit_code.CONFIGURATION
        except OSError as error:
            log.error("worker_not_started", worker=number, reason=error.strerror or str(error))
            return exit_code.SOFTWARE
        log.info("worker_launched", worker=number, pid=worker.pid)
        self._workers[number] = worker
        for order in self._orders:
            order(worker)
        try:
            return await worker.ended()
        finally:
            del self._workers[number]

    def _on_event(self, worker: SupervisedWorker, event: str) -> None:
        match event:
            case "serving":
                self._lives.serves(worker.number)
                self._one_serves.set()
                log.info("worker_started", worker=worker.number)
            case "reload_wanted":
                self._tasks.create_task(self._reload_for(worker))

    # --- reload ----------------------------------------------------------------------------------------------------

    async def _serve_requests(self, requested: asyncio.Event) -> None:
        """Reload all for each request, once a worker serves; until cancelled. None is lost."""
        await self._one_serves.wait()
        while True:
            await requested.wait()
            requested.clear()
            await self._reloading.reload(self._workers.values, self._ending)

    async def _reload_for(self, worker: SupervisedWorker) -> None:
        report = await self._reloading.reload(self._workers.values, self._ending)
        worker.send_result(report.as_json())

    # --- end -------------------------------------------------------------------------------------------------------

    async def _stop_with(self, stop: Stop) -> None:
        await stop.requested.wait()
        self._ending.set()

    async def _end_all(self, stop: Stop) -> None:
        """Once all end: drain them, abort those that take too long, kill those that take longer still."""
        await self._ending.wait()
        self._order(lambda worker: worker.drain())
        await self._within(stop.forced.wait(), self._drain_s + DRAIN_GRACE_S)
        self._order(lambda worker: worker.force())
        await self._within(asyncio.Event().wait(), FORCED_S)
        self._codes.append(exit_code.UNAVAILABLE)
        log.error("workers_killed", workers=sorted(self._workers), reason="they did not end")
        self._order(lambda worker: worker.kill())

    def _order(self, order: Callable[[SupervisedWorker], None]) -> None:
        self._orders.append(order)
        for worker in self._workers.values():
            order(worker)


def _end(code: int) -> dict[str, object]:
    """How a worker ended, for the log."""
    if code >= 0:
        return {"code": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:
        return {"signal": str(-code)}
