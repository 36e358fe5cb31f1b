"""Operators' verbs on the file, and through the journal of a gateway that runs in this process: one contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.settings import Spool
from gateway.operations.delivery_listing import destinations, is_known_destination, list_deliveries, show_delivery
from gateway.operations.operation_listing import list_operations
from gateway.operations.queue_administration import (
    DISCARD,
    HOLD,
    RELEASE,
    RETARGET,
    RETRY,
    SEND_AGAIN,
    Operator,
    Progress,
    carry_out,
    count,
    left_out,
)
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryTotal
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import TO_PACS, TO_VNA, Clock, instance, settlement

ALL = DeliveryFilter()
NUMBER = 60


@asynccontextmanager
async def on_file(folder: Path, clock: Clock) -> AsyncIterator[StoreAccess]:
    store = SQLiteStore(folder / "queue.db", now=clock)
    yield StoreOnFile(store)
    store.close()


@asynccontextmanager
async def in_memory(folder: Path, clock: Clock) -> AsyncIterator[StoreAccess]:
    yield StoreOnFile(MemoryStore(clock))


@asynccontextmanager
async def through_the_journal(folder: Path, clock: Clock) -> AsyncIterator[StoreAccess]:
    spool = Spool(str(folder / "spool"), min_free_bytes=0, retention_s=3600.0)
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(folder / "queue.db", now=clock), now=clock)
    await journal.start()
    yield journal
    await journal.close()


WAYS: dict[str, Callable[[Path, Clock], AbstractAsyncContextManager[StoreAccess]]] = {
    "on the file": on_file,
    "in memory": in_memory,
    "through the journal": through_the_journal,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=WAYS)
async def access(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[StoreAccess]:
    async with WAYS[request.param](tmp_path, clock) as made:
        arrivals = [(instance(number), [TO_PACS]) for number in range(1, NUMBER + 1)]
        await made.write(lambda store: store.deliveries.accept(arrivals, clock()))
        yield made


async def at_once(seconds: float) -> None:
    """No pause."""


async def do(access: StoreAccess, *verbs: object, which: DeliveryFilter = ALL) -> list[int]:
    numbers = []
    for verb in verbs:
        progress = Progress()
        await carry_out(access, verb, which, progress, by=Operator("anna"), meant=NUMBER, pause=at_once)  # type: ignore[arg-type]
        assert progress.is_complete
        numbers.append(progress.done)
    return numbers


async def test_verbs_reach_every_delivery(access: StoreAccess, clock: Clock) -> None:
    assert await do(access, HOLD, HOLD, RELEASE, RETRY, DISCARD, DISCARD) == [NUMBER, 0, NUMBER, NUMBER, NUMBER, 0]
    assert await count(access, DISCARD, ALL) == 0
    noted = await list_operations(access, 4, clock())
    assert [(each["verb"], each["operator"], each["done"], each["state"]) for each in noted] == [
        (verb, "anna", done, "complete")
        for verb, done in [("discard", 0), ("discard", NUMBER), ("retry", NUMBER), ("release", NUMBER)]
    ]


async def test_everything_goes_elsewhere_once(access: StoreAccess, clock: Clock) -> None:
    progress = Progress()
    to: Any = {"by": Operator("anna"), "meant": NUMBER, "pause": at_once}
    await carry_out(access, RETARGET, ALL, progress, destination="vna", **to)
    assert (progress.done, set(await destinations(access))) == (NUMBER, {"vna"})

    def deliver(store: Store) -> int:
        claimed = store.deliveries.claim("vna", NUMBER, 60.0, clock())
        return sum(store.deliveries.settle([settlement(each) for each in claimed]))

    assert await access.write(deliver) == NUMBER
    for done, stayed in ((NUMBER, 0), (0, NUMBER)):
        progress = Progress()
        await carry_out(access, SEND_AGAIN, ALL, progress, destination="pacs", **to)
        assert (progress.done, progress.stayed) == (done, stayed)
    noted = await list_operations(access, 3, clock())
    assert [(each["verb"], each["to"], each["done"], each["stayed"]) for each in noted] == [
        ("send-again", "pacs", 0, NUMBER),
        ("send-again", "pacs", NUMBER, 0),
        ("retarget", "vna", NUMBER, 0),
    ]


async def test_what_is_listed_is_described(access: StoreAccess) -> None:
    found = await list_deliveries(access, ALL, 10, order="oldest", with_values=True)
    assert (len(found.rows), found.total) == (10, DeliveryTotal(NUMBER, is_exact=True))
    assert [row["id"] for row in found.described] == [row.delivery_id for row in found.rows]
    assert {row["state"] for row in found.described} == {"pending"}
    first = found.rows[0].delivery_id
    shown = await show_delivery(access, first, with_values=True)
    assert shown == {**found.described[0], "attempts": [], "kept_until": None}
    assert await show_delivery(access, 10_000, with_values=True) is None


async def test_identifiers_that_do_not_fit_are_named(access: StoreAccess) -> None:
    ids = tuple(
        await access.read(lambda store: store.administration.page(ALL, tuple(DeliveryState), after=0, last=99, limit=2))
    )
    await do(access, HOLD, which=DeliveryFilter(ids=ids[:1]))
    sentences = await left_out(access, HOLD, DeliveryFilter(ids=(*ids, 10_000)))
    assert sentences == [
        "there is no delivery 10000",
        f"delivery {ids[0]} is held: `hold` is for those that are pending and dead",
    ]


async def test_destinations_that_are_known(access: StoreAccess) -> None:
    assert await is_known_destination(access, "pacs")
    assert not await is_known_destination(access, "vna")
    assert set(await destinations(access)) == {"pacs"}


async def test_couriers_hear_of_what_was_done_through_the_journal(tmp_path: Path, clock: Clock) -> None:
    async with through_the_journal(tmp_path, clock) as journal:
        assert isinstance(journal, GroupCommitJournal)
        heard: asyncio.Queue[str] = asyncio.Queue()
        journal.subscribe_to_operators(heard.put_nowait)
        await journal.write(lambda store: store.deliveries.accept([(instance(1), [TO_VNA])], clock()))
        async with asyncio.timeout(60):
            assert await heard.get() == "vna"
