"""What the queue is told again at a start: once, whole, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.model.instance import Instance, PayloadRef
from gateway.model.settings import Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import SpoolFull, Temporary
from gateway.spool.replay import replay
from gateway.spool.store import SpoolStore
from gateway.sqlite.store import SQLiteStore
from tests.support.overridable_store import OverridableStore
from tests.support.samples import TO_PACS, instance, settlement
from tests.unit.spool.test_journal import Breakable, Site, SlowSync, commit
from tests.unit.spool.test_power_cut import owed, roll_back, saved


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def uids(instances: Sequence[Instance]) -> list[str]:
    return [each.sop_instance_uid.rpartition(".")[2] for each in instances]


async def test_what_a_retired_segment_holds_stays_known(site: Site) -> None:
    """An instance breaks the transaction, after the segment of its group was retired."""
    site.queue_factory = lambda: Breakable(site.folder / "queue.db", now=site.clock)
    site.disk = disk = SlowSync()
    async with site.journal() as journal:
        first = asyncio.create_task(commit(journal, number=1))
        assert await asyncio.to_thread(disk.entered.wait, 60)
        group = [
            asyncio.create_task(journal._call(lambda _: journal._payloads.segments.retire())),
            asyncio.create_task(commit(journal, number=2)),
            asyncio.create_task(commit(journal, number=13)),
        ]
        await asyncio.sleep(0)
        disk.may_end.set()
        await asyncio.gather(first, *group)
        await commit(journal, number=3)
        claimed = await journal.claim("pacs", 10, 60.0)
        assert await journal.settle([settlement(each) for each in claimed]) == [True, True, True]
    assert await owed(site) == [], "what was delivered is not replayed"


class ShortOfDescriptors(SpoolStore):
    """Cannot read anything now."""

    def open(self, ref: PayloadRef) -> EncodedDataSet:
        raise Temporary("too many open files")


@contextlib.contextmanager
def queue_of(site: Site, kind: type[SpoolStore]) -> Any:
    spool = Spool(str(site.folder / "spool"), 0)
    with concurrent.futures.ThreadPoolExecutor(1) as workers:
        store = kind(spool, disk=site.disk, monotonic=lambda: 0.0, workers=workers)
        queue = SQLiteStore(site.folder / "queue.db", now=site.clock)
        with contextlib.closing(store), contextlib.closing(queue):
            yield store, queue


async def test_what_cannot_be_read_now_is_not_left_out(site: Site) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        await commit(journal, b"answered", number=2)
    roll_back(site, before)
    with queue_of(site, ShortOfDescriptors) as (store, queue), pytest.raises(Temporary):
        replay(store, queue)
    assert uids(await owed(site)) == ["1", "2"]


class PowerFails(OverridableStore):
    """In the middle of what is told."""

    notes = 0

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        PowerFails.notes += 1
        if PowerFails.notes == 2:
            raise SpoolFull("no room")
        super().set_replayed_position(name, end_bytes)


async def test_what_was_reported_half_is_reported_once(site: Site) -> None:
    """Instances that owe nothing have no deliveries that would tell a duplicate."""
    before = await saved(site)
    async with site.journal() as journal:
        for number in (2, 3):
            receiver = journal.receiver()
            receiver.write(memoryview(b"data %d" % number))
            await journal.commit(instance(number), receiver.finish(), None, [])
    roll_back(site, before)
    PowerFails.notes = 0
    site.queue_factory = lambda: PowerFails(site.folder / "queue.db", now=site.clock)
    with pytest.raises(SpoolFull):
        await owed(site)
    assert uids(await owed(site)) == ["1"]
    with queue_of(site, SpoolStore) as (_, queue):
        found = queue._connection.execute("SELECT sop_instance_uid FROM instance ORDER BY 1").fetchall()
        assert [uid.rpartition(".")[2] for (uid,) in found] == ["1", "2", "3"]


class Unlucky(OverridableStore):
    """Cannot take one instance; the queue that wrote the note could."""

    def accept(self, arrivals: Any, now: datetime, *rest: Any) -> Any:
        if any(each.sop_instance_uid.endswith(".13") for each, _ in arrivals):
            raise ValueError("unlucky")
        return super().accept(arrivals, now, *rest)


async def test_an_instance_that_cannot_be_replayed_holds_nobody_up(site: Site) -> None:
    before = await saved(site)
    site.disk = disk = SlowSync()
    async with site.journal() as journal:
        first = asyncio.create_task(commit(journal, number=2))
        assert await asyncio.to_thread(disk.entered.wait, 60)
        group = [asyncio.create_task(commit(journal, b"%d" % number, number)) for number in (12, 13, 14)]
        await asyncio.sleep(0)
        disk.may_end.set()
        await asyncio.gather(first, *group)
    roll_back(site, before)
    site.queue_factory = lambda: Unlucky(site.folder / "queue.db", now=site.clock)
    assert uids(await owed(site)) == ["1", "2", "12", "14"]
    with queue_of(site, SpoolStore) as (store, queue):
        assert replay(store, queue).instances == 0, "and it is not tried again"


async def test_replayed_objects_are_on_disk_before_redo_records_go(site: Site) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        await commit(journal, b"answered", number=2)
    roll_back(site, before)
    with queue_of(site, SpoolStore) as (store, queue):
        synced: list[str] = []

        def note(cursor: object, statement: str, values: object) -> bool:
            synced.append(statement)
            return True

        queue._connection.exec_trace = note
        assert replay(store, queue).instances == 1
        levels = [statement for statement in synced if "synchronous" in statement or "touched" in statement]
        assert ["NORMAL" in levels[0], "FULL" in levels[1], "touched" in levels[2]] == [True, True, True]
        assert len(queue.administration.list(DeliveryFilter(), 10)) == 2


async def test_what_has_no_place_in_a_note_fails_alone(site: Site) -> None:
    """The committer lives on."""
    async with site.journal() as journal:
        odd = dataclasses.replace(TO_PACS, rule=object())  # type: ignore[arg-type]
        receiver = journal.receiver()
        receiver.write(memoryview(b"odd"))
        with pytest.raises(TypeError):
            await journal.commit(instance(1), receiver.finish(), None, [odd])
        await commit(journal, number=2)
        assert journal.health() == ""
    assert uids(await owed(site)) == ["2"]
