"""What was answered as refused is not delivered by the next start, as far as the disk lets us."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import DeliveryState
from gateway.model.settings import Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.spool import record
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.walk import FoundRecord, walk
from gateway.sqlite.store import SQLiteStore
from tests.support.overridable_store import OverridableStore
from tests.support.samples import TO_PACS, instance
from tests.unit.spool.faulty import FaultyDisk, error
from tests.unit.spool.test_journal import Site, acknowledge, commit, until
from tests.unit.spool.test_power_cut import owed, roll_back, saved
from tests.unit.spool.test_replay import uids


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class NoRoom(OverridableStore):
    """Takes no acceptances while `is_full`."""

    is_full = False

    def accept(self, arrivals: Any, now: datetime, *rest: Any) -> Any:
        if NoRoom.is_full:
            raise SpoolFull("queue: the disk takes no more")
        return super().accept(arrivals, now, *rest)


@pytest.fixture
def no_room(site: Site) -> type[NoRoom]:
    NoRoom.is_full = False
    site.queue_factory = lambda: NoRoom(site.folder / "queue.db", now=site.clock)
    return NoRoom


def kinds(site: Site) -> list[int]:
    """The kinds of all records in all segments, in order. A segment that is given up meanwhile is none."""
    seed, found = record.seed_of((site.folder / "spool" / "spool.id").read_text().strip()), []
    for path in sorted((site.folder / "spool" / "segments").iterdir()):
        with suppress(FileNotFoundError):
            found += [each.record.kind for each in walk(path, seed) if isinstance(each, FoundRecord)]
    return found


@pytest.mark.parametrize("refused", [1, 3], ids=["one", "three in a row"])
async def test_what_is_refused_while_the_store_takes_nothing_is_not_written(
    site: Site, no_room: type[NoRoom], refused: int
) -> None:
    async with site.journal() as journal:
        await commit(journal, number=1)
        no_room.is_full = True
        await acknowledge(journal, number=2)
        with pytest.raises(SpoolFull):
            await journal.until_recorded()
        for number in range(3, 3 + refused):
            with pytest.raises(SpoolFull):
                await commit(journal, number=number)
        no_room.is_full = False
        await commit(journal, number=9)
    assert uids(await owed(site)) == ["1", "2", "9"]
    assert kinds(site) == [0, 1, 0, 1, 0, 1], "no byte of what was refused"


@pytest.mark.parametrize("is_process_killed", [False, True], ids=["closed", "killed"])
async def test_what_was_refused_last_is_not_delivered(
    site: Site, no_room: type[NoRoom], is_process_killed: bool
) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        no_room.is_full = True
        await acknowledge(journal, number=2)
        with pytest.raises(SpoolFull):
            await journal.until_recorded()
        with pytest.raises(SpoolFull):
            await commit(journal, number=3)
    no_room.is_full = False
    if is_process_killed:
        roll_back(site, before)
    assert uids(await owed(site)) == ["1", "2"]


async def test_what_was_refused_may_be_sent_again(site: Site, no_room: type[NoRoom]) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        no_room.is_full = True
        await acknowledge(journal, number=2)
        with pytest.raises(SpoolFull):
            await journal.until_recorded()
        with pytest.raises(SpoolFull):
            await commit(journal, number=3)
        no_room.is_full = False
        await commit(journal, number=3)
    roll_back(site, before)
    assert uids(await owed(site)) == ["1", "2", "3"]


class FailsOnce:
    """The first sync fails; the bytes are there all the same."""

    def __init__(self, times: int = 1) -> None:
        self.left = times

    def __call__(self) -> None:
        self.left -= 1
        if self.left >= 0:
            error(errno.EIO)()


async def test_a_group_whose_sync_failed_is_cancelled_in_the_next_segment(site: Site) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        site.disk.fail["fdatasync"] = FailsOnce()
        with pytest.raises(SpoolFull):
            await commit(journal, number=2)
        await commit(journal, number=3)
    assert kinds(site) == [0, 1, 0, 1, record.CANCEL, 0, 1]
    roll_back(site, before)
    with capture_logs() as logs:
        assert uids(await owed(site)) == ["1", "3"]
    (told,) = [each for each in logs if each["event"] == "group_replayed"]
    assert (told["instances"], told["refused"], told["held"], told["lost"]) == (1, 1, 0, 0)


async def test_a_cancellation_is_durable_before_the_refusal_is_answered(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, number=1)
        site.disk.fail["fdatasync"] = FailsOnce()
        site.disk.calls_of_committer.clear()
        with pytest.raises(SpoolFull):
            await commit(journal, number=2)
        calls = [each for each in site.disk.calls_of_committer if each != "free_bytes"]
    assert calls == ["pwritev", "fdatasync", "create", "sync_folder", "pwritev", "fdatasync"]


def becomes_read_only(disk: FaultyDisk) -> Callable[[], None]:
    """With the sync that fails, as file systems do after an error."""

    def fail() -> None:
        disk.fail["create"] = disk.fail["pwritev"] = error(errno.EROFS)
        error(errno.EIO)()

    return fail


async def test_where_nothing_can_be_written_the_cancellation_waits_for_the_disk(site: Site) -> None:
    """The answer goes out: a sender that waits for ever learns nothing. It is written once the disk takes it."""
    before = await saved(site)
    with capture_logs() as logs:
        async with site.journal() as journal:
            site.disk.fail["fdatasync"] = becomes_read_only(site.disk)
            with pytest.raises(SpoolFull):
                await commit(journal, number=2)
            with pytest.raises(SpoolFull):
                await commit(journal, number=3)
            assert record.CANCEL not in kinds(site)
            site.disk.fail.clear()
            await commit(journal, number=4)
            await until(lambda: record.CANCEL in kinds(site))
    (told,) = [each for each in logs if each["event"] == "refusal_not_written"]
    assert (told["log_level"], told["instances"]) == ("error", 1)
    roll_back(site, before)
    assert uids(await owed(site)) == ["1", "4"]


async def test_where_the_disk_never_recovers_the_object_comes_again(site: Site) -> None:
    """The safe side: what may have been on the disk is delivered rather than lost; its sender sends it again anyway."""
    before = await saved(site)
    async with site.journal() as journal:
        site.disk.fail["fdatasync"] = becomes_read_only(site.disk)
        with pytest.raises(SpoolFull):
            await commit(journal, number=2)
    site.disk = FaultyDisk()
    roll_back(site, before)
    assert uids(await owed(site)) == ["1", "2"]


async def test_the_way_of_success_is_as_short_as_before(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, number=1)
        site.disk.calls_of_committer.clear()
        await commit(journal, number=2)
        assert [each for each in site.disk.calls_of_committer if each != "free_bytes"] == ["pwritev", "fdatasync"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
async def test_a_write_that_failed_leaves_nothing_for_a_start(site: Site, number: int) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        await commit(journal, number=2)
        site.disk.fail["pwritev"] = error(number)
        with pytest.raises(SpoolFull):
            await commit(journal, number=3)
        site.disk.fail.clear()
        await commit(journal, number=4)
    roll_back(site, before)
    assert uids(await owed(site)) == ["1", "2", "4"]


async def test_a_group_that_could_not_be_noted_is_not_cancelled(site: Site, no_room: type[NoRoom]) -> None:
    async with site.journal() as journal:
        odd = dataclasses.replace(TO_PACS, rule="a \udc80 rule")
        receiver = journal.receiver()
        receiver.write(memoryview(b"odd"))
        no_room.is_full = True
        with pytest.raises(SpoolFull):
            await journal.commit(instance(1), receiver.finish(), None, [odd])
        no_room.is_full = False
    assert await owed(site) == []
    queue = SQLiteStore(site.folder / "queue.db", must_exist=True)
    assert queue.administration.list(DeliveryFilter(state=DeliveryState.HELD), 10) == []
    queue.close()


class FailingSync(apsw.VFS):
    """The write-ahead log of the queue cannot be synced while `is_failing`; what was written is there all the same."""

    is_failing = False

    def __init__(self) -> None:
        super().__init__("failing sync", "unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _FailingSyncFile("unix", name, flags)


class _FailingSyncFile(apsw.VFSFile):
    def xSync(self, flags: int) -> None:
        if FailingSync.is_failing:
            FailingSync.is_failing = False
            raise apsw.IOError("the disk does not take it")
        super().xSync(flags)


@pytest.fixture
def failing_sync() -> Iterator[type[FailingSync]]:
    files, before = FailingSync(), apsw.vfs_names()[0]
    apsw.set_default_vfs("failing sync")
    yield FailingSync
    apsw.set_default_vfs(before)
    files.unregister()


async def test_a_transaction_whose_sync_failed_is_gone_before_the_answer(
    site: Site, failing_sync: type[FailingSync], tmp_path: Path
) -> None:
    """Its commit stands in the log: a start after a kill would find it."""
    journal = GroupCommitJournal(
        Spool(str(site.folder / "spool"), 0), lambda: SQLiteStore(site.folder / "queue.db"), poll_s=3600.0
    )
    await journal.start()
    try:
        await commit(journal, number=1)
        odd = dataclasses.replace(TO_PACS, rule="a \udc80 rule")  # cannot be noted: the transaction is synced
        failing_sync.is_failing = True
        receiver = journal.receiver()
        receiver.write(memoryview(b"refused"))
        with pytest.raises(SpoolFull):
            await journal.commit(instance(2), receiver.finish(), None, [odd])
        assert not failing_sync.is_failing
        for suffix in ("", "-wal"):
            shutil.copy(site.folder / f"queue.db{suffix}", tmp_path / f"killed.db{suffix}")
    finally:
        await journal.close()
    queue = SQLiteStore(tmp_path / "killed.db", must_exist=True)
    assert uids([each.instance for each in queue.administration.list(DeliveryFilter(), 10)]) == ["1"]
    queue.close()
