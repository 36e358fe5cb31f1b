"""Spool and queue that are replaced, moved or deleted under a running journal: nothing is lost, all of it is logged."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import DeliveryState
from gateway.model.instance import Instance
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import (
    ConfigurationError,
    PayloadLost,
    PayloadMissing,
    PayloadUnreadable,
    SpoolFull,
    Temporary,
)
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.lock import FileLock
from gateway.spool.presence import NotInPlace
from gateway.sqlite.store import SQLiteStore
from gateway.stores.index_reader import IndexReader
from tests.support.overridable_store import OverridableStore
from tests.support.samples import instance, settlement
from tests.unit.spool.test_journal import LARGE_BYTES, Site, commit, until, write


class Mishap(NamedTuple):
    """What happens to the folder of a site, and how it is made good; `problem` is part of what is logged."""

    problem: str
    happens: Callable[[Path], object]
    is_made_good: Callable[[Path], object]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def aside(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).rename(root / f"{name.replace('/', '-')}.aside")


def back(name: str) -> Callable[[Path], object]:
    def put_back(root: Path) -> None:
        place, kept = root / name, root / f"{name.replace('/', '-')}.aside"
        if place.is_dir():
            shutil.rmtree(place)
        kept.rename(place)

    return put_back


def replaced(name: str) -> Callable[[Path], None]:
    """By a copy of itself."""

    def happen(root: Path) -> None:
        aside(name)(root)
        kept = root / f"{name.replace('/', '-')}.aside"
        (shutil.copytree if kept.is_dir() else shutil.copy)(kept, root / name)

    return happen


def emptied(root: Path) -> None:
    (root / "spool.aside").mkdir()
    for path in (root / "spool").iterdir():
        path.rename(root / "spool.aside" / path.name)


def filled(root: Path) -> None:
    for path in (root / "spool.aside").iterdir():
        path.rename(root / "spool" / path.name)
    (root / "spool.aside").rmdir()


def written(name: str, text: str) -> Callable[[Path], None]:
    def happen(root: Path) -> None:
        shutil.copy(root / name, root / "kept")
        (root / name).write_text(text)

    return happen


def emptied_anew(root: Path) -> None:
    aside("spool")(root)
    (root / "spool").mkdir()


def piped(name: str) -> Callable[[Path], None]:
    """A named pipe, which a reader would wait at for ever."""

    def happen(root: Path) -> None:
        aside(name)(root)
        os.mkfifo(root / name)

    return happen


def unpiped(name: str) -> Callable[[Path], None]:
    def put_back(root: Path) -> None:
        (root / name).unlink()
        back(name)(root)

    return put_back


def nothing(root: Path) -> None:
    pass


NOT_THERE, ANOTHER = "is not there any more", "another folder than at the start"
MISHAPS = {
    "the spool is moved away": Mishap(NOT_THERE, aside("spool"), back("spool")),
    "another stands in its place": Mishap(ANOTHER, emptied_anew, back("spool")),
    "a copy stands in its place": Mishap(ANOTHER, replaced("spool"), back("spool")),
    "it is emptied": Mishap(NOT_THERE, emptied, filled),
    "segments are moved away": Mishap(NOT_THERE, aside("spool/segments"), back("spool/segments")),
    "a copy of segments stands there": Mishap(ANOTHER, replaced("spool/segments"), back("spool/segments")),
    "large files are moved away": Mishap(NOT_THERE, aside("spool/large"), back("spool/large")),
    "spool.id is another": Mishap(
        "holds 'another'",
        written("spool/spool.id", "another\n"),
        lambda root: shutil.copyfile(root / "kept", root / "spool/spool.id"),
    ),
    "spool.id is gone": Mishap("spool.id is missing", aside("spool/spool.id"), back("spool/spool.id")),
    "spool.id is a pipe": Mishap("is not a regular file", piped("spool/spool.id"), unpiped("spool/spool.id")),
    "the lock is gone": Mishap("gateway.lock was deleted", aside("spool/gateway.lock"), nothing),
    "the lock is another": Mishap(
        "gateway.lock was replaced", replaced("spool/gateway.lock"), back("spool/gateway.lock")
    ),
    "the database is gone": Mishap("queue.db was deleted", aside("queue.db"), back("queue.db")),
    "a copy of the database stands there": Mishap("queue.db was replaced", replaced("queue.db"), back("queue.db")),
    "the write-ahead log is gone": Mishap("queue.db-wal was deleted", aside("queue.db-wal"), back("queue.db-wal")),
    "its index is gone": Mishap("queue.db-shm was deleted", aside("queue.db-shm"), back("queue.db-shm")),
}
HEALED_AT_ONCE = "the lock is gone"


def payload_files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.suffix in (".seg", ".obj")}


@pytest.mark.parametrize("mishap", MISHAPS.values(), ids=MISHAPS)
async def test_nothing_is_taken_or_deleted_until_it_is_made_good(site: Site, mishap: Mishap) -> None:
    with capture_logs() as logs:
        async with site.journal() as journal:
            kept = [await commit(journal, bytes([number]) * size, number) for number, size in ((1, 1000), (2, 200_000))]
            before = payload_files(site.folder)
            mishap.happens(site.folder)
            refused = await refused_once(journal, logs)
            if mishap is not MISHAPS[HEALED_AT_ONCE]:
                await until(lambda: mishap.problem in journal.refusal())  # a look may have seen half of the mishap
                with pytest.raises(NotInPlace, match="nothing is taken"):
                    journal.receiver()
                assert await journal.sweep() == 0
                assert before <= payload_files(site.folder)
                for number, stored in enumerate(kept, start=1):  # what waits is still delivered
                    assert_reads(journal, stored, number)
            mishap.is_made_good(site.folder)
            await until(lambda: not journal.refusal())
            await commit(journal, b"afterwards", 4)
        async with site.journal() as journal:
            for number, stored in enumerate(kept, start=1):
                assert_reads(journal, stored, number)
            assert sum(row.count for row in await journal.depths()) == 3 + (refused is None)
    problems = [row for row in logs if row["event"] == "spool_not_found"]
    assert [row["log_level"] for row in problems] == ["error"] * len(problems)
    assert any(mishap.problem in row["problem"] for row in problems)
    assert not [row for row in logs if row["event"].startswith("payload")]


async def refused_once(journal: GroupCommitJournal, logs: list[MutableMapping[str, Any]]) -> Exception | None:
    """Commit until the mishap is seen: what the commit got, None when it went well.

    What heals by itself is a problem only from one look to the next, so that the log is waited for.
    """
    try:
        await commit(journal, b"meanwhile", 3)
    except SpoolFull as error:
        return error
    await until(lambda: any(row["event"] == "spool_not_found" for row in logs))
    return None


def assert_reads(journal: GroupCommitJournal, stored: Instance, number: int) -> None:
    body = journal.open(stored.payload)
    assert bytes(body.view()) == bytes([number]) * body.length_bytes
    body.close()


SEEN_IN_A_SECOND = ("spool.id", "lock", "large", "index")
"""What harms no object in a segment by itself."""
QUICK = {name: mishap for name, mishap in MISHAPS.items() if not any(each in name for each in SEEN_IN_A_SECOND)}


@pytest.mark.parametrize("mishap", QUICK.values(), ids=QUICK)
async def test_the_very_next_commit_is_refused_and_leaves_nothing(site: Site, mishap: Mishap) -> None:
    """Not only what comes after the next look of housekeeping: an answer promises that a restart finds the object."""
    async with site.journal() as journal:
        await commit(journal, b"before", 1)
        mishap.happens(site.folder)
        with pytest.raises(NotInPlace):
            await commit(journal, b"meanwhile", 2)
        mishap.is_made_good(site.folder)
        await until(lambda: not journal.refusal())
    async with site.journal() as journal:
        assert [row.count for row in await journal.depths()] == [1]


async def test_a_file_that_this_gateway_did_not_write_is_set_aside(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, b"ours", 1)
        with capture_logs() as logs:
            for name in ("segments/00000099.seg", "large/0000000000000077.obj"):
                (site.folder / "spool" / name).write_bytes(b"of a backup")
            await until(lambda: not {"00000099.seg", "0000000000000077.obj"} & payload_files(site.folder))
        kept = sorted(path.name for path in (site.folder / "spool" / "quarantine").iterdir())
        assert [name.partition(".2")[0] for name in kept] == ["0000000000000077.obj", "00000099.seg"]
    assert {row["log_level"] for row in logs if row["event"] == "file_quarantined"} == {"error"}


async def test_a_file_that_was_put_in_the_place_of_ours_is_set_aside(site: Site) -> None:
    """Its name is one that we made, but it is another file."""
    async with site.journal(retention_s=5.0) as journal:
        kept = await commit(journal, b"x" * 200_000, 1)
        path = site.folder / "spool" / kept.payload.name
        path.rename(site.folder / "original")
        path.write_bytes(b"of a backup")
        await settle(journal)
        site.clock.advance(6)
        await until(lambda: not path.exists())
        (found,) = (site.folder / "spool" / "quarantine").iterdir()
        assert found.read_bytes() == b"of a backup"


async def test_what_was_delivered_leaves_the_disk(site: Site) -> None:
    async with site.journal(retention_s=5.0) as journal:
        kept = await commit(journal, b"x" * 200_000, 1)
        await settle(journal)
        site.clock.advance(6)
        await until(lambda: not (site.folder / "spool" / kept.payload.name).exists())
        assert not (site.folder / "spool" / "quarantine").exists()


async def settle(journal: GroupCommitJournal) -> None:
    claimed = await journal.claim("pacs", 10, 60.0)
    await journal.settle([settlement(each, DeliveryState.DELIVERED) for each in claimed])


async def test_what_lies_in_the_quarantine_for_long_goes(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, b"ours", 1)
        (site.folder / "spool" / "segments" / "00000099.seg").write_bytes(b"of a backup")
        await until(lambda: "00000099.seg" not in payload_files(site.folder))
        (kept,) = (site.folder / "spool" / "quarantine").iterdir()
        site.clock.advance(30 * 86400)
        await journal.sweep()
        assert kept.exists()
        site.clock.advance(2)
        await until(lambda: not kept.exists())


async def test_an_older_database_that_was_written_over_the_queue_deletes_nothing(site: Site) -> None:
    class Older(OverridableStore):
        """Says after a while what an older copy would."""

        is_older = False

        def replayed_position(self) -> tuple[str, int]:
            return ("", 0) if Older.is_older else super().replayed_position()

        def payload_names(self) -> dict[str, int]:
            return {} if Older.is_older else super().payload_names()

    site.queue_factory = lambda: Older(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        kept = await commit(journal, b"x" * 200_000, 1)
        await journal.sweep()
        Older.is_older = True
        await until(journal.refusal)
        assert "older than before" in journal.refusal()
        assert await journal.sweep() == 0
        assert (site.folder / "spool" / kept.payload.name).exists()
        with pytest.raises(NotInPlace):
            await commit(journal, b"more", 2)


async def test_a_database_that_is_written_over_while_a_sweep_asks_it_deletes_nothing(site: Site) -> None:
    class Replaced(OverridableStore):
        """Is an older copy from the time on at which a sweep has asked for its position."""

        is_asked_for_the_last_time = is_older = False

        def replayed_position(self) -> tuple[str, int]:
            position = ("", 0) if Replaced.is_older else super().replayed_position()
            if threading.current_thread().name != "spool-committer":
                Replaced.is_older = Replaced.is_asked_for_the_last_time
            return position

        def payload_names(self) -> dict[str, int]:
            return {} if Replaced.is_older else super().payload_names()

    site.queue_factory = lambda: Replaced(site.folder / "queue.db", now=site.clock)
    async with site.journal() as journal:
        kept = await commit(journal, b"x" * 200_000, 1)
        Replaced.is_asked_for_the_last_time = True
        await until(journal.refusal)
        assert "older than before" in journal.refusal()
        assert (site.folder / "spool" / kept.payload.name).exists()


async def test_a_large_file_that_is_deleted_while_it_is_written_is_not_acknowledged(site: Site) -> None:
    async with site.journal() as journal:
        body = await write(journal, 2 * LARGE_BYTES)
        (path,) = (site.folder / "spool" / "large").iterdir()
        path.unlink()
        with pytest.raises(SpoolFull, match="deleted or replaced while it was written"):
            await journal.commit(instance(1), body, None, [])  # type: ignore[arg-type]
        body.close()  # type: ignore[attr-defined]


async def test_an_active_segment_that_is_deleted_is_noticed_before_the_answer(site: Site) -> None:
    async with site.journal() as journal:
        first = await commit(journal, b"first", 1)
        path = site.folder / "spool" / first.payload.name
        path.rename(site.folder / "aside")
        with capture_logs() as logs, pytest.raises(SpoolFull, match="deleted or replaced while it was written"):
            await commit(journal, b"second", 2)
        assert [row["log_level"] for row in logs if row["event"] == "segment_removed"] == ["error"]
        third = await commit(journal, b"third", 3)
        assert third.payload.name != first.payload.name


async def test_a_file_system_that_became_read_only_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.journal() as journal:
        await commit(journal, b"before", 1)
        found = os.statvfs(site.folder)
        read_only = os.statvfs_result((*found[:8], found.f_flag | os.ST_RDONLY, *found[9:]))
        with monkeypatch.context() as remounted:
            remounted.setattr(os, "fstatvfs", lambda _: read_only)
            await until(journal.refusal)
            assert journal.refusal() == f"the file system of {site.folder / 'spool'} is read-only"
            with pytest.raises(NotInPlace):
                journal.receiver()
        await until(lambda: not journal.refusal())
        await commit(journal, b"afterwards", 2)


async def test_a_shortage_of_descriptors_is_no_sign_of_another_spool(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with site.journal() as journal:
        with monkeypatch.context() as shortage:
            shortage.setattr(os, "open", short)
            assert journal.refusal() == ""
            assert journal._payloads.presence.look() == ""
        await commit(journal, b"afterwards", 1)


async def test_the_log_of_the_queue_is_saved_when_it_was_deleted(site: Site) -> None:
    """What the deleted file held is in the database then, even when the process is killed right after."""
    async with site.journal() as journal:
        await commit(journal, b"data", 1)
        aside("queue.db-wal")(site.folder)
        await until(journal.refusal)
        await journal.sweep()  # a round later
        copy = site.folder / "after.db"
        await until(lambda: shutil.copy(site.folder / "queue.db", copy) and rows_in(copy) == 1)
        back("queue.db-wal")(site.folder)


def rows_in(path: Path) -> int:
    try:
        queue = SQLiteStore(path, must_exist=True)
    except Exception:  # copied while it was written
        return 0
    try:
        return len(queue.administration.list(DeliveryFilter(), 10))
    finally:
        queue.close()


# --- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length_bytes", [1000, 200_000], ids=["small", "large"])
async def test_a_disk_that_gives_an_error_is_asked_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, length_bytes: int
) -> None:
    real, number = os.pread, errno.EIO

    def failing(descriptor: int, wanted_bytes: int, offset_bytes: int) -> bytes:
        raise OSError(number, os.strerror(number))

    async with site.journal() as journal:
        kept = await commit(journal, b"\1" * length_bytes, 1)
        body = journal.open(kept.payload)
        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(os, "pread", failing)
            with pytest.raises(PayloadUnreadable, match="Input/output error"):
                journal.open(kept.payload)
            if length_bytes > LARGE_BYTES:
                with pytest.raises(PayloadUnreadable, match="Input/output error"):
                    list(body.chunks(65536))
        body.close()
        assert next(row["log_level"] for row in logs if row["event"] == "payload_not_read") == "error"
        assert os.pread is real
        assert_reads(journal, kept, 1)


async def test_bytes_that_seem_damaged_in_a_spool_that_is_not_in_its_place_may_come_back(site: Site) -> None:
    async with site.journal() as journal:
        kept = await commit(journal, b"\1" * 1000, 1)
        with (site.folder / "spool" / kept.payload.name).open("r+b") as file:
            file.seek(500)
            file.write(b"?")
        journal.open(kept.payload).close()  # from memory
        with pytest.raises(PayloadLost):
            journal.open(kept.payload)
        aside("spool")(site.folder)
        with pytest.raises(Temporary, match="is not there any more"):
            journal.open(kept.payload)
        back("spool")(site.folder)


async def test_a_file_that_is_not_there_is_logged_once_in_a_while_and_counted_each_time(site: Site) -> None:
    async with site.journal() as journal:
        kept = await commit(journal, b"x" * 200_000, 1)
        aside(f"spool/{kept.payload.name}")(site.folder)
        with capture_logs() as logs:
            for _ in range(10):
                with pytest.raises(PayloadMissing):
                    journal.open(kept.payload)
        assert len(logs) == 1
        site.seconds += 61
        with capture_logs() as logs, pytest.raises(PayloadMissing):
            journal.open(kept.payload)
        assert len(logs) == 1


async def test_an_index_whose_file_was_replaced_is_a_failure_and_not_an_empty_answer(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, b"data", 1)
        index = IndexReader(lambda: SQLiteStore(site.folder / "queue.db", must_exist=True), moved=journal.moved_queue)
        assert await index.instances([1])
        aside("queue.db")(site.folder)
        SQLiteStore(site.folder / "queue.db").close()
        with pytest.raises(Temporary, match="was replaced"):
            await index.instances([1])
        (site.folder / "queue.db").unlink()
        back("queue.db")(site.folder)
        await index.close()


# --- the lock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda path: path.write_text("[[package]]\n"), lambda path: path.mkdir()])
def test_a_file_that_is_no_lock_is_not_emptied(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "poetry.lock"
    make(path)
    with pytest.raises(ConfigurationError):
        FileLock(path, "queue poetry")
    assert path.is_dir() or path.read_text() == "[[package]]\n"


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    (tmp_path / "gateway.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FileLock(tmp_path / "gateway.lock", "spool here")


def test_a_lock_that_was_deleted_is_made_again_unless_somebody_else_was_first(tmp_path: Path) -> None:
    path = tmp_path / "gateway.lock"
    lock = FileLock(path, "spool here")
    assert lock.gone() == ""
    path.unlink()
    assert lock.gone() == "the lock file gateway.lock was deleted"
    assert lock.renew()
    assert lock.gone() == ""
    path.unlink()
    other = FileLock(path, "spool here")
    assert not lock.renew()
    assert lock.gone() == "the lock file gateway.lock was replaced"
    other.release()
    lock.release()
