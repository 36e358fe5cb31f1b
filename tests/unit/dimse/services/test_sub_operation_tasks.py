"""Instances on their way: how many side by side, what is counted, and what a cut leaves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dimse.protocol.cancellation import Interrupted, OperationScope
from gateway.dimse.services.counters import SubOperationCounters
from gateway.dimse.services.sub_operation_tasks import SubOperationTasks
from gateway.model.association import AssociationFacts
from gateway.sending.store_outcome import SubOperationResult
from tests.support.fakes.meter import MemoryMeter


class Instance:
    """Counts how often it was closed."""

    transfer_syntaxes = ("1.2.840.10008.1.2",)
    sop_class_uid = "1.2.840.10008.5.1.4.1.1.2"

    def __init__(self, number: int) -> None:
        self.sop_instance_uid = f"1.2.{number}"
        self.closed = 0

    async def form_for(self, name: str) -> Instance:
        return self

    def close(self) -> None:
        self.closed += 1


class Target:
    """Ends each sub-operation with `result` when `go` is set."""

    def __init__(self, name: str, result: SubOperationResult = SubOperationResult.COMPLETED) -> None:
        self.name = self.label = name
        self.go = asyncio.Event()
        self.result = result
        self.begun = 0
        self.is_closed = False

    async def send(self, instance: Any) -> SubOperationResult:
        self.begun += 1
        await self.go.wait()
        return self.result

    def close(self) -> None:
        self.is_closed = True


class Bench:
    def __init__(self, targets: list[Target], number: int | None, *, width: int = 1) -> None:
        self.meter = MemoryMeter()
        self.watch = OperationScope()
        self.counters = SubOperationCounters(number, len(targets))
        self.reports = 0
        facts = AssociationFacts("CT1", "GATEWAY", "127.0.0.1")
        association: Any = SimpleNamespace(host=SimpleNamespace(meter=self.meter), facts=facts)
        self.tasks = SubOperationTasks(
            association, "move", self.watch, self.counters, targets, width=width, counted=self._counted
        )

    def _counted(self) -> None:
        self.reports += 1

    async def start(self, instance: Instance, *, is_alone: bool = False) -> None:
        some: Any = instance
        await self.tasks.start(some, is_alone=is_alone)

    @property
    def counts(self) -> tuple[int, ...]:
        elements = self.counters.elements(0)
        names = ("Completed", "Warning", "Failed")
        return tuple(elements[f"NumberOf{name}Suboperations"] for name in names)


async def soon(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_as_many_as_the_width_are_on_their_way() -> None:
    target = Target("ws1")
    bench = Bench([target], 3, width=2)
    await bench.start(Instance(1))
    second = asyncio.create_task(bench.start(Instance(2)))
    await soon(lambda: target.begun == 2)
    assert (second.done(), bench.tasks.uncounted, bench.tasks.has_room) == (False, 2, True)
    target.go.set()
    await second
    await bench.tasks.settle()
    assert (bench.counts, bench.reports, bench.tasks.uncounted) == ((2, 0, 0), 2, 0)


async def test_a_data_set_is_sent_before_the_next_yield() -> None:
    target = Target("ws1")
    bench = Bench([target], 1, width=4)
    started = asyncio.create_task(bench.start(one := Instance(1), is_alone=True))
    await soon(lambda: target.begun == 1)
    assert (started.done(), bench.tasks.has_room) == (False, False)
    target.go.set()
    await started
    assert one.closed == 1


async def test_each_destination_has_a_result_of_its_own() -> None:
    targets = [Target("ws1"), Target("ws2", SubOperationResult.FAILED)]
    bench = Bench(targets, 1)
    for target in targets:
        target.go.set()
    await bench.start(Instance(1))
    assert bench.counts == (1, 0, 1)
    assert bench.counters.failed_sop_instance_uids == ["1.2.1"]
    name = "gateway_retrieve_suboperations_total"
    assert bench.meter.counted == {(name, "move", "ws1", "completed"): 1, (name, "move", "ws2", "failed"): 1}
    await bench.tasks.close()
    assert [target.is_closed for target in targets] == [True, True]


async def test_a_cut_counts_answers_and_fails_the_rest() -> None:
    fast, slow = Target("fast"), Target("slow")
    fast.go.set()
    bench = Bench([fast, slow], 2)
    started = asyncio.create_task(bench.start(one := Instance(1)))
    await soon(lambda: slow.begun == 1)
    bench.watch.end("the peer released")
    with pytest.raises(Interrupted):
        await started
    await bench.tasks.close()
    assert (bench.counts, one.closed, bench.tasks.uncounted) == ((1, 0, 1), 1, 0)


async def test_an_instance_whose_task_never_ran_is_closed_and_not_counted() -> None:
    target = Target("ws1")
    bench = Bench([target], 2, width=2)
    await bench.start(one := Instance(1))  # its task has had no turn
    await bench.tasks.close()
    assert (target.begun, one.closed, bench.tasks.uncounted, bench.counts) == (0, 1, 0, (0, 0, 0))
