"""One reload of all workers: looked at first, merged to one result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.config import Loaded
from gateway.lifecycle import workers_reload
from gateway.lifecycle.loading import Loading
from gateway.lifecycle.reload import REMEDIES, ReloadRefused, ReloadReport
from gateway.lifecycle.workers_reload import WorkersReload, merged
from gateway.model.listener import Listener
from gateway.model.problem import Mark, Problem
from gateway.model.settings import Settings, Spool
from gateway.ports.errors import ConfigurationError
from gateway.routing.table import RoutingTable

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS = Settings("GATEWAY", (Listener("dicom", 11112),), Spool("/spool"), "/queue.db")


def table(version: str = "1", **changes: Any) -> RoutingTable:
    settings = replace(SETTINGS, **changes)
    return RoutingTable(version, settings, coercions=(), routes=(), peers={}, groups={}, unmatched="hold")


def applied(version: str = "2", *problems: str) -> dict[str, object]:
    return ReloadReport(1, NOW, True, version, problems).as_json()


def refused(version: str = "1", *problems: str, remedy: str = "do this") -> dict[str, object]:
    return ReloadReport(1, NOW, False, version, problems, remedy=remedy).as_json()


@pytest.mark.parametrize(
    ("answers", "is_applied", "version", "problems", "remedy"),
    [
        pytest.param({1: applied(), 2: applied()}, True, "2", (), "", id="all apply"),
        pytest.param(
            {1: applied("2", "odd"), 2: applied("2", "odd", "stray")},
            True,
            "2",
            ("odd", "worker 2: stray"),
            "",
            id="a warning of all stands there once",
        ),
        pytest.param(
            {1: refused("1", "no room"), 2: refused("1", "no room")},
            False,
            "1",
            ("no room",),
            "do this",
            id="all refuse",
        ),
        pytest.param(
            {1: applied(), 2: refused("1", "no room"), 3: applied()},
            False,
            "1, 2",
            ("worker 2: no room",),
            REMEDIES["workers"],
            id="one refuses",
        ),
        pytest.param(
            {1: applied(), 2: None},
            False,
            "2",
            ("worker 2: it gave no result; see its log",),
            REMEDIES["workers"],
            id="one ended meanwhile",
        ),
        pytest.param(
            {1: applied("2"), 2: applied("3")},
            False,
            "2, 3",
            ("the rules changed while they were read, and not all workers read the same",),
            REMEDIES["workers"],
            id="they read different rules",
        ),
        pytest.param(
            {},
            False,
            "1",
            ("no worker serves now; each reads the rules when it starts",),
            REMEDIES["workers"],
            id="none serves",
        ),
    ],
)
def test_the_result_of_all(
    answers: Mapping[int, Mapping[str, Any] | None],
    is_applied: bool,
    version: str,
    problems: tuple[str, ...],
    remedy: str,
) -> None:
    report = merged(7, NOW, answers, "1")
    assert (report.number, report.started_at, report.is_applied, report.version) == (7, NOW, is_applied, version)
    assert (report.problems, report.remedy) == (problems, remedy)
    assert bool(report.cause) is not is_applied


class AnsweringWorker:
    """Gives its answer to each reload, once `can_answer` is set."""

    def __init__(self, number: int, answer: Mapping[str, Any] | None, *, is_serving: bool = True) -> None:
        self.number, self.is_serving = number, is_serving
        self.answer = answer
        self.asked = 0
        self.can_answer = asyncio.Event()
        self.can_answer.set()

    async def reload(self) -> Mapping[str, Any] | None:
        self.asked += 1
        await self.can_answer.wait()
        return self.answer


class Rig:
    def __init__(self, wanted: RoutingTable | None, *problems: Problem, limit_s: float = 3600.0) -> None:
        self.loaded = Loaded(wanted.settings if wanted else None, wanted, problems)
        self.reports: list[ReloadReport] = []
        self.reloading = WorkersReload(
            Loading(lambda: self.loaded), table(), self.reports.append, now=lambda: NOW, limit_s=limit_s
        )
        self.stopping = asyncio.Event()

    async def reload(self, *workers: AnsweringWorker) -> ReloadReport:
        report = await self.reloading.reload(lambda: workers, self.stopping)
        assert self.reports[-1] is report
        return report


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that others have; the real ones are looked at in the loopback ring."""
    ports: set[int] = set()

    async def refuse(settings: Settings, ours: frozenset[int]) -> None:
        for listener in settings.listeners:
            if listener.port in ports - ours:
                raise ConfigurationError(f"port {listener.port} is taken")

    monkeypatch.setattr(workers_reload, "refuse_taken", refuse)
    return ports


ERROR = Problem(Mark("site.yaml", 1, 1), "unknown", "wrong")


@pytest.mark.parametrize(
    ("wanted", "problems", "kind"),
    [
        (None, (ERROR,), "rules"),
        (table("2", drain_s=1.0), (), "restart"),
        (table("2", pid_file="/other.pid"), (), "restart"),
        (table("2", listeners=(Listener("dicom", 104),)), (), "machine"),
    ],
    ids=["an error", "a process setting", "the pid file, which no worker has", "a port that others have"],
)
async def test_no_worker_is_asked_for_what_cannot_be_in_force(
    wanted: RoutingTable | None, problems: tuple[Problem, ...], kind: str, taken: set[int]
) -> None:
    taken.add(104)
    rig, worker = Rig(wanted, *problems), AnsweringWorker(1, applied())
    report = await rig.reload(worker)
    assert not report.is_applied
    assert (worker.asked, report.version, report.remedy) == (0, "1", REMEDIES[kind])
    with pytest.raises(ReloadRefused):
        await rig.reloading.check(rig.stopping)


async def test_all_are_asked_side_by_side_and_numbers_count_on() -> None:
    rig = Rig(table("2"))
    workers = [AnsweringWorker(number, applied()) for number in (1, 2, 3)]
    assert [(await rig.reload(*workers)).number for _ in range(2)] == [1, 2]
    assert [worker.asked for worker in workers] == [2, 2, 2]
    await rig.reloading.check(rig.stopping)


async def test_a_worker_that_starts_is_asked_and_not_waited_for() -> None:
    rig, starting = Rig(table("2")), AnsweringWorker(2, applied(), is_serving=False)
    starting.can_answer.clear()
    report = await rig.reload(AnsweringWorker(1, applied()), starting)
    assert report.is_applied
    assert report.problems == ("worker 2: it is starting, and loads them when it serves",)
    assert starting.asked == 1
    starting.can_answer.set()


async def test_a_worker_that_hangs_is_not_waited_for_beyond_the_limit() -> None:
    rig, hanging = Rig(table("2"), limit_s=0.0), AnsweringWorker(2, applied())
    hanging.can_answer.clear()
    report = await rig.reload(hanging)
    assert not report.is_applied
    assert report.problems == ("it gave no result; see its log",)
    hanging.can_answer.set()


async def test_ports_that_workers_have_are_not_looked_at(taken: set[int]) -> None:
    rig = Rig(table("2", listeners=(Listener("dicom", 11112), Listener("more", 104))))
    taken.add(11112)  # by the workers
    assert (await rig.reload(AnsweringWorker(1, applied()))).is_applied
    taken.add(104)
    assert (await rig.reload(AnsweringWorker(1, applied()))).is_applied


async def test_a_port_that_was_left_is_looked_at_again_and_one_of_some_workers_is_not(taken: set[int]) -> None:
    rig = Rig(table("2", listeners=(Listener("more", 104),)))
    assert not (await rig.reload(AnsweringWorker(1, applied()), AnsweringWorker(2, refused("1", "no")))).is_applied
    taken |= {11112, 104}
    assert (await rig.reload(AnsweringWorker(1, applied()))).is_applied  # 104: one worker has it
    rig.loaded = Loaded(SETTINGS, table("3"), ())
    assert not (await rig.reload(AnsweringWorker(1, applied("3")))).is_applied  # 11112 is free for others since


async def test_a_stop_refuses() -> None:
    rig = Rig(table("2"))
    rig.stopping.set()
    rig.reloading = WorkersReload(Loading(lambda: rig.loaded), table(), rig.reports.append)
    report = await rig.reload(AnsweringWorker(1, None))
    assert not report.is_applied
