"""The index as coroutines: batches, threads of its own, interruption."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.model.query import Attributes, Query
from gateway.model.settings import Spool
from gateway.ports.errors import Temporary
from gateway.ports.store import Store
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from gateway.stores import index_reader
from gateway.stores.index_reader import IndexReader
from tests.contract.test_index import ALL, STUDIES, held
from tests.support.fakes.memory_store import MemoryStore
from tests.support.processes import until
from tests.support.samples import NOON, TO_PACS, Clock

COUNT = 2 * index_reader.BATCH + 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "queue.db"
    queue = SQLiteStore(path)
    with queue.transaction():
        arrivals = [held(number, StudyInstanceUID=f"1.{number}") for number in range(COUNT)]
        queue.deliveries.accept([(each, [TO_PACS]) for each in arrivals], NOON)
    queue.close()
    return path


@pytest.fixture
async def index(path: Path) -> AsyncIterator[IndexReader]:
    opened = IndexReader(lambda: SQLiteStore(path, must_exist=True))
    yield opened
    await opened.close()


async def sizes(index: IndexReader, query: Query, limit: int = 0) -> list[int]:
    return [len(batch) async for batch in index.find(query, limit)]


async def test_matches_come_in_batches(index: IndexReader) -> None:
    assert await sizes(index, STUDIES) == [index_reader.BATCH, index_reader.BATCH, 3]
    assert await sizes(index, STUDIES, limit=5) == [5]


class Counting(MemoryStore):
    """Notes the batches that are read."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.reads: list[int] = []

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        return range(10 * index_reader.BATCH)

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        self.reads.append(keys[0])
        return [{}] * len(keys)


async def test_one_batch_is_read_ahead_and_no_more() -> None:
    store = Counting()
    index = IndexReader(lambda: store)
    async with aclosing(index.find(STUDIES)) as batches:
        for _ in range(3):
            await anext(batches)
        await until(lambda: len(store.reads) == 4)
        await index.find_instances(ALL)  # the threads have nothing else to do
    assert store.reads == [start * index_reader.BATCH for start in range(4)]
    await index.close()


class Failing(Counting):
    """The second batch cannot be read."""

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        if super().matches(query, keys) and len(self.reads) == 2:
            raise Temporary("the disk is away")
        return [{}] * len(keys)


async def test_what_fails_ahead_is_raised_when_it_is_its_turn() -> None:
    store = Failing()
    index = IndexReader(lambda: store)
    async with aclosing(index.find(STUDIES)) as batches:
        assert len(await anext(batches)) == index_reader.BATCH
        await until(lambda: len(store.reads) == 2)
        with pytest.raises(Temporary):
            await anext(batches)
    async with aclosing(index.find(STUDIES)) as batches:  # and one that nobody waits for does no harm
        await anext(batches)
    await index.close()


async def test_instances_are_counted_before_they_are_read(index: IndexReader) -> None:
    found = await index.find_instances(ALL)
    assert len(found) == COUNT
    assert [each.sop_instance_uid for each in await index.instances(found[:2])] == ["1.2.3.4.5.0", "1.2.3.4.5.1"]


async def test_what_was_committed_meanwhile_is_seen_by_the_next_query(path: Path, index: IndexReader) -> None:
    async with aclosing(index.find(STUDIES)) as batches:
        await anext(batches)
        queue = SQLiteStore(path)
        with queue.transaction():  # nothing that a reader holds is in the way
            queue.deliveries.accept([(held(9999), [TO_PACS])], NOON)
    assert len(await index.find_instances(ALL)) == COUNT + 1


async def test_closed_is_closed(path: Path) -> None:
    index = IndexReader(lambda: SQLiteStore(path, must_exist=True))
    await index.find_instances(ALL)
    await index.close()
    with pytest.raises(Temporary):
        await index.find_instances(ALL)


class Endless(MemoryStore):
    """Every question goes on until it is interrupted."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.is_asked = threading.Event()
        self.is_interrupted = threading.Event()

    def find_instances(self, query: Query) -> Sequence[int]:
        self.is_asked.set()
        assert self.is_interrupted.wait(60)
        raise Temporary("interrupted")

    def interrupt(self) -> None:
        self.is_interrupted.set()


async def test_a_caller_that_gives_up_ends_the_statement() -> None:
    endless = Endless()
    index = IndexReader(lambda: endless)
    asking = asyncio.create_task(index.find_instances(ALL))
    assert await asyncio.to_thread(endless.is_asked.wait, 60)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert endless.is_interrupted.is_set()
    await index.close()


async def test_closing_ends_the_statement_that_runs() -> None:
    endless = Endless()
    index = IndexReader(lambda: endless)
    asking = asyncio.create_task(index.find_instances(ALL))
    assert await asyncio.to_thread(endless.is_asked.wait, 60)
    await index.close()
    with pytest.raises(Temporary):
        await asking


def test_sqlite_is_interrupted(path: Path) -> None:
    queue = SQLiteStore(path)
    is_over = threading.Event()
    # Between two statements there is nothing to interrupt: again and again, until one was.
    interrupting = threading.Thread(target=interrupt_until, args=(queue, is_over))
    interrupting.start()
    with pytest.raises(Temporary, match="interrupted"):
        ask_for_ever(queue)
    is_over.set()
    interrupting.join()
    queue.close()


def interrupt_until(queue: SQLiteStore, is_over: threading.Event) -> None:
    while not is_over.wait(0.001):
        queue.interrupt()


def ask_for_ever(queue: SQLiteStore) -> None:
    while True:
        queue.index.find_instances(ALL)


async def test_a_journal_and_a_reader_on_one_queue(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"

    def open_queue() -> Store:
        return SQLiteStore(path)

    journal = GroupCommitJournal(Spool(str(tmp_path / "spool"), min_free_bytes=0), open_queue)
    await journal.start()
    index = IndexReader(open_queue, until_recorded=journal.until_recorded)
    for number in range(3):
        await journal.commit(held(number), InMemoryDataSet([b"x" * 10]), None, [TO_PACS])
        assert len(await index.find_instances(ALL)) == number + 1
    await index.close()
    await journal.close()


async def test_only_the_question_waits_for_what_is_not_recorded_yet(path: Path) -> None:
    """What it found is read even when nothing further can be recorded."""
    asked: list[str] = []

    async def once() -> None:
        asked.append("recorded")
        if len(asked) > 1:
            raise Temporary("the store takes nothing")

    index = IndexReader(lambda: SQLiteStore(path, must_exist=True), until_recorded=once)
    assert await sizes(index, STUDIES) == [index_reader.BATCH, index_reader.BATCH, 3]
    assert len(await index.instances([1, 2])) == 2
    assert asked == ["recorded"]
    with pytest.raises(Temporary, match="takes nothing"):
        await index.find_instances(ALL)
    await index.close()
