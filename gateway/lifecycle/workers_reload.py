"""One reload of all workers: looked at once before any of them does it, with one result."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from gateway.lifecycle.loading import Loading, NotLoaded
from gateway.lifecycle.reload import REMEDIES, ReloadRefused, ReloadReport, checked
from gateway.lifecycle.shared_ports import refuse_taken
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError
from gateway.routing.table import RoutingTable

log = structlog.get_logger()

LIMIT_S = 180.0
"""Time limit for the answers of workers; each reads the rules for at most `gateway.lifecycle.loading.LIMIT_S`."""

Result = Mapping[str, Any]


class ReloadingWorker(Protocol):
    """The part of a worker that a reload needs (`gateway.lifecycle.worker_process`)."""

    number: int
    is_serving: bool

    async def reload(self) -> Result | None: ...


class WorkersReload:
    """Does reloads one after the other.

    Args:
        loading: reads the rules.
        table: the rules at the start.
        report: is given each result.
        now: the wall clock.
        limit_s: for the answers of workers.
    """

    def __init__(
        self,
        loading: Loading,
        table: RoutingTable,
        report: Callable[[ReloadReport], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        limit_s: float = LIMIT_S,
    ) -> None:
        self._loading = loading
        self._settings = table.settings
        self._version = table.version
        self._ports = _ports(table.settings)
        self._report = report
        self._now = now
        self._limit_s = limit_s
        self._one_at_a_time = asyncio.Lock()
        self._number = 0

    async def reload(self, workers: Callable[[], Collection[ReloadingWorker]], stopping: asyncio.Event) -> ReloadReport:
        """One reload of the workers that there are once it begins. Those that are starting have theirs afterwards.

        Nothing has changed when the rules have an error, need a restart, or have a listener on a port that is taken: no
        worker does anything then.
        """
        async with self._one_at_a_time:
            started_at = self._now()
            self._number += 1
            try:
                table = await self._looked_at(stopping)
                report = await self._reloaded(tuple(workers()), started_at)
                self._ports |= _ports(table.settings)
                if report.is_applied:
                    self._ports = _ports(table.settings)
                    self._version = report.version
            except ReloadRefused as refused:
                report = ReloadReport(
                    self._number, started_at, False, self._version, refused.problems, refused.cause, refused.remedy
                )
            self._report(report)
            return report

    async def check(self, stopping: asyncio.Event) -> None:
        """Look at the rules before a worker is started again. Raises ReloadRefused when it could not serve by them."""
        await self._looked_at(stopping)

    async def _looked_at(self, stopping: asyncio.Event) -> RoutingTable:
        """Raises ReloadRefused."""
        try:
            loaded = await self._loading.load(stopping)
        except NotLoaded as error:
            raise ReloadRefused("stopping" if stopping.is_set() else "reading", (str(error),)) from error
        table = checked(loaded, self._settings)
        try:
            await refuse_taken(table.settings, self._ports)
        except ConfigurationError as error:
            raise ReloadRefused("machine", (str(error),)) from error
        return table

    async def _reloaded(self, workers: Collection[ReloadingWorker], started_at: datetime) -> ReloadReport:
        """Ask all, and wait for those that serve."""
        reloads = {worker: asyncio.create_task(worker.reload()) for worker in workers}
        serving = [worker for worker in workers if worker.is_serving]
        starting = [worker for worker in workers if not worker.is_serving]
        if serving:
            await asyncio.wait([reloads[worker] for worker in serving], timeout=self._limit_s)
        answers = {worker.number: reloads[worker].result() if reloads[worker].done() else None for worker in serving}
        report = merged(self._number, started_at, answers, self._version)
        later = tuple(f"worker {worker.number}: it is starting, and loads them when it serves" for worker in starting)
        return dataclasses.replace(report, problems=(*report.problems, *later))


def merged(number: int, started_at: datetime, answers: Mapping[int, Result | None], version: str) -> ReloadReport:
    """The result of all workers: refused when any refuses, or does not answer.

    A problem that all have stands there once. `version` is that in force where no worker answered.
    """
    problems = _problems(answers)
    versions = sorted({str(answer["version"]) for answer in answers.values() if answer}) or [version]
    refusals = [answer for answer in answers.values() if answer is None or answer["result"] != "applied"]
    if not answers:
        problems = ("no worker serves now; each reads the rules when it starts",)
    elif not refusals and len(versions) == 1:
        return ReloadReport(number, started_at, True, versions[0], problems)
    elif not refusals:
        problems = ("the rules changed while they were read, and not all workers read the same", *problems)
    refusal = next((answer for answer in refusals if answer), {})
    is_split = len(refusals) < len(answers) or len(versions) > 1
    remedy = REMEDIES["workers"] if is_split else str(refusal.get("remedy", REMEDIES["workers"]))
    cause = [*problems[:1], *refusal.get("problems", ())][-1]
    return ReloadReport(number, started_at, False, ", ".join(versions), problems, cause, remedy)


def _problems(answers: Mapping[int, Result | None]) -> tuple[str, ...]:
    having: dict[str, list[int]] = {}
    for number, answer in answers.items():
        found: Sequence[str] = ("it gave no result; see its log",) if answer is None else answer["problems"]
        for problem in dict.fromkeys(found):
            having.setdefault(problem, []).append(number)
    return tuple(
        text if len(numbers) == len(answers) else f"worker {', '.join(map(str, numbers))}: {text}"
        for text, numbers in having.items()
    )


def _ports(settings: Settings) -> frozenset[int]:
    return frozenset(listener.port for listener in settings.listeners)
