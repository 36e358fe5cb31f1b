"""Verbs that a gateway carries out itself: begun, recorded, bounded, stopped between two transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import DeliveryState
from gateway.operations.background_verbs import MOST_AT_ONCE, BackgroundVerbs, TooManyVerbs
from gateway.operations.queue_administration import HOLD, Operator
from gateway.operations.store_on_file import StoreOnFile
from gateway.operations.verb_request import VerbRequest
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.ports.operation_log import OperationState
from gateway.ports.store import Store
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import TO_PACS, Clock, instance

T = TypeVar("T")
NUMBER = 100
PACS = DeliveryFilter(destination="pacs")
BY = Operator("night-shift (HTTP)", "the disk is full")


class Gated(StoreOnFile):
    """A store whose changes of deliveries wait while the gate is closed; `full` for some writes, or all."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()
        self.full: Literal["", "changes", "all"] = ""

    async def write(self, function: Callable[[Store], T]) -> T:
        is_change = isinstance(function, partial) and "verb" in function.keywords
        if self.full == "all" or (self.full == "changes" and is_change):
            raise SpoolFull("the disk takes no more")
        if is_change:
            await self.gate.wait()
        return await super().write(function)


@pytest.fixture
async def access() -> Gated:
    clock = Clock()
    made = Gated(MemoryStore(clock))
    arrivals = [(instance(number), [TO_PACS]) for number in range(NUMBER)]
    await StoreOnFile.write(made, lambda store: store.deliveries.accept(arrivals, clock()))
    return made


def hold(which: DeliveryFilter = PACS, *, is_dry_run: bool = False) -> VerbRequest:
    return VerbRequest(HOLD, which, "", "", is_dry_run)


async def held(access: StoreOnFile) -> int:
    return await access.read(lambda store: store.administration.count(DeliveryFilter(), (DeliveryState.HELD,)))


async def states(access: StoreOnFile) -> list[OperationState]:
    found = await access.read(lambda store: store.operations.last_operations(10))
    return [each.state for each in found]


async def test_the_answer_comes_when_it_has_begun(access: Gated) -> None:
    verbs = BackgroundVerbs(access)
    access.gate.clear()
    with capture_logs() as logs:
        begun = await verbs.begin(hold(), BY)
        assert (begun.meant, begun.operation_id, begun.left_out) == (NUMBER, 1, [])
        assert await held(access) == 0
        access.gate.set()
        while await states(access) != [OperationState.COMPLETE]:
            await asyncio.sleep(0)
        await verbs.end()
    assert await held(access) == NUMBER
    (found,) = await access.read(lambda store: store.operations.last_operations(10))
    assert (found.operator, found.why, found.meant, found.done) == (BY.name, BY.why, NUMBER, NUMBER)
    (line,) = [each for each in logs if each["event"] == "queue_administered"]
    assert (line["user"], line["deliveries"], line["is_complete"]) == (BY.name, NUMBER, True)


@pytest.mark.parametrize(
    ("request_", "meant"),
    [(hold(is_dry_run=True), NUMBER), (hold(which=DeliveryFilter(destination="vna")), 0)],
    ids=["a dry run", "nothing fits"],
)
async def test_nothing_is_begun(access: Gated, request_: VerbRequest, meant: int) -> None:
    verbs = BackgroundVerbs(access)
    begun = await verbs.begin(request_, BY)
    assert (begun.meant, begun.operation_id) == (meant, 0)
    assert await states(access) == []
    await verbs.end()


async def test_named_deliveries_that_are_not_there_are_told(access: Gated) -> None:
    begun = await BackgroundVerbs(access).begin(hold(which=DeliveryFilter(ids=(999,))), BY)
    assert begun.left_out == ["there is no delivery 999"]


async def test_an_end_stops_it_between_two_transactions(access: Gated) -> None:
    verbs = BackgroundVerbs(access)
    access.gate.clear()
    await verbs.begin(hold(), BY)
    ending = asyncio.create_task(verbs.end())
    await asyncio.sleep(0)
    access.gate.set()
    await ending
    assert await states(access) == [OperationState.INTERRUPTED]
    assert 0 < await held(access) < NUMBER
    with pytest.raises(TooManyVerbs, match="the gateway is ending"):
        await verbs.begin(hold(), BY)


async def test_so_many_at_once_and_no_more(access: Gated) -> None:
    verbs = BackgroundVerbs(access)
    access.gate.clear()
    for _ in range(MOST_AT_ONCE):
        await verbs.begin(hold(), BY)
    with pytest.raises(TooManyVerbs, match="4 verbs are under way"):
        await verbs.begin(hold(), BY)
    access.gate.set()
    await verbs.end()


async def test_a_store_that_takes_nothing_is_told_at_once(access: Gated) -> None:
    access.full = "all"
    with pytest.raises(SpoolFull):
        await BackgroundVerbs(access).begin(hold(), BY)


async def test_a_store_that_takes_nothing_later_breaks_it_off(access: Gated) -> None:
    verbs = BackgroundVerbs(access)
    access.full = "changes"
    with capture_logs() as logs:
        begun = await verbs.begin(hold(), BY)
        await verbs.end()
    (line,) = [each for each in logs if each["event"] == "operation_stopped"]
    assert (line["operation"], line["verb"]) == (begun.operation_id, "hold")
