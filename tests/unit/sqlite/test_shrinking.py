"""Free pages go back to the file system, and the write-ahead log stays small, while commits wait for neither."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite import log_checkpoints, store
from gateway.sqlite.checkpointer import Checkpointer
from gateway.sqlite.connection import LOG_KEPT_BYTES, PAGES_BEFORE_CHECKPOINT
from gateway.sqlite.inspection import problems_of
from gateway.sqlite.log_checkpoints import LogCheckpoints
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import log_of
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.unit.sqlite.test_migration import former

GROUP = 250
FRAME_BYTES = 4096 + 24


def fill(queue: SQLiteStore, count: int, *, start: int = 0, group: int = GROUP) -> None:
    """Small groups leave many pages in the log."""
    for first in range(start, start + count, group):
        with queue.transaction(is_durable=False):
            queue.deliveries.accept([(instance(first + number), [TO_PACS]) for number in range(group)], NOON)


def empty(queue: SQLiteStore) -> None:
    """All is delivered and forgotten."""
    while True:
        with queue.transaction(is_durable=False):
            claimed = queue.deliveries.claim("pacs", 500, 60.0, NOON + timedelta(seconds=1))
            queue.deliveries.settle([settlement(each) for each in claimed])
        if not claimed:
            break
    while True:
        with queue.transaction(is_durable=False):
            if not queue.deliveries.forget(NOON + timedelta(days=1), 500):
                return


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "queue.db", now=Clock())
    yield opened
    opened.close()


def pages(queue: SQLiteStore) -> tuple[int, int]:
    """All, and free ones."""
    return int(queue.connection.pragma("page_count")), int(queue.connection.pragma("freelist_count"))


def test_a_database_that_was_large_gets_small_again(queue: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FREE_PAGES_KEPT", 100)
    assert queue.surplus_blocks() == 0
    fill(queue, 5000)
    queue.consolidate()
    large_bytes = queue.path.stat().st_size
    empty(queue)
    before, free = pages(queue)
    assert free > before // 2
    assert queue.surplus_blocks() == free - 100
    steps = 0
    while queue.surplus_blocks():
        with queue.transaction():
            queue.release_blocks(256)
        steps += 1
    after, still_free = pages(queue)
    assert steps >= (before - after) // 300
    assert 90 < still_free < 200
    queue.consolidate()
    assert queue.path.stat().st_size == after * 4096 < large_bytes // 2
    assert problems_of(queue.path) == []


def test_one_step_gives_back_no_more_than_it_may(queue: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FREE_PAGES_KEPT", 100)
    fill(queue, 3000)
    empty(queue)
    before, free = pages(queue)
    with queue.transaction():
        queue.release_blocks(50)
    after, still_free = pages(queue)
    assert 0 < before - after <= 60, "the pages that say where others are go with them"
    assert free - still_free >= 50


def test_few_free_pages_stay(queue: SQLiteStore) -> None:
    fill(queue, 1000)
    empty(queue)
    assert 0 < pages(queue)[1] < store.FREE_PAGES_KEPT
    assert queue.surplus_blocks() == 0


def test_a_database_of_a_former_version_works_and_says_that_it_cannot(tmp_path: Path) -> None:
    queue = SQLiteStore(former(tmp_path), now=Clock())
    assert queue.surplus_blocks() is None
    fill(queue, GROUP, start=1000)
    with queue.transaction():
        queue.release_blocks(100)
    assert len(queue.administration.list(DeliveryFilter(), 1000)) == 9 + GROUP
    queue.close()


# --- the log --------------------------------------------------------------------------------------------------------


def test_a_log_that_grew_because_somebody_read_is_cut(queue: SQLiteStore) -> None:
    reader = apsw.Connection(str(queue.path), vfs=queue.connection.open_vfs)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM delivery").fetchall()
    fill(queue, 12_000, group=10)
    grown_bytes = log_of(queue.path).stat().st_size
    assert grown_bytes > 2 * LOG_KEPT_BYTES
    reader.execute("ROLLBACK")
    reader.close()
    fill(queue, 3 * GROUP, start=20_000)
    assert log_of(queue.path).stat().st_size <= LOG_KEPT_BYTES
    assert len(queue.administration.list(DeliveryFilter(), 20_000)) == 12_000 + 3 * GROUP


def test_commits_go_on_while_another_thread_puts_the_log_into_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    real = Checkpointer._checkpoint

    def slowly(self: Checkpointer) -> apsw.Error | None:
        begun.set()
        assert may_end.wait(60.0)
        return real(self)

    monkeypatch.setattr(Checkpointer, "_checkpoint", slowly)
    queue = SQLiteStore(tmp_path / "queue.db", now=Clock(), checkpoints_aside=True)
    own: list[int] = []
    real_own = LogCheckpoints.checkpoint

    def counted(self: LogCheckpoints) -> None:
        own.append(self.pages)
        real_own(self)

    monkeypatch.setattr(LogCheckpoints, "checkpoint", counted)
    try:
        fill(queue, 7_000, group=10)
        assert begun.wait(60.0)
        assert own == [], "a slow disk stops no commit"
        assert log_of(queue.path).stat().st_size > PAGES_BEFORE_CHECKPOINT * FRAME_BYTES
        may_end.set()
        number = 0
        while not own:
            fill(queue, 10, start=100_000 + number * 10, group=10)
            number += 1
        fill(queue, 2 * GROUP, start=900_000)
        assert queue._wal.pages < PAGES_BEFORE_CHECKPOINT, "the log is written from its beginning again"
    finally:
        may_end.set()
        queue.close()
    assert problems_of(tmp_path / "queue.db") == []


def test_a_log_that_grows_all_the_same_is_put_in_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the other thread, the log has a bound."""
    monkeypatch.setattr(log_checkpoints, "MOST_PAGES_ASIDE", PAGES_BEFORE_CHECKPOINT + 1000)
    monkeypatch.setattr(Checkpointer, "request", lambda self: None)
    queue = SQLiteStore(tmp_path / "queue.db", now=Clock(), checkpoints_aside=True)
    fill(queue, 12_000, group=10)
    assert log_of(queue.path).stat().st_size < 1.5 * (PAGES_BEFORE_CHECKPOINT + 1000) * FRAME_BYTES
    queue.close()


def test_without_a_thread_for_it_commits_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    queue = SQLiteStore(tmp_path / "queue.db", now=Clock(), checkpoints_aside=True)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", fail)
        short.setattr(log_checkpoints, "PAGES_BEFORE_CHECKPOINT", 1)
        fill(queue, 10, group=1)
    fill(queue, 10, start=10, group=1)
    queue.close()
    assert problems_of(tmp_path / "queue.db") == []


def test_what_fails_aside_is_in_doubt_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the log is begun anew before anything else is committed."""
    monkeypatch.setattr(Checkpointer, "_checkpoint", lambda self: apsw.IOError("no sync"))
    queue = SQLiteStore(tmp_path / "queue.db", now=Clock(), checkpoints_aside=True)
    anew: list[bool] = []
    real = LogCheckpoints._begin_anew

    def noted(self: LogCheckpoints) -> None:
        anew.append(True)
        real(self)

    monkeypatch.setattr(LogCheckpoints, "_begin_anew", noted)
    number = 0
    while not anew and number < 400:
        fill(queue, GROUP, start=number * GROUP)
        number += 1
    assert anew
    queue.close()
