"""What a power cut leaves: the queue as it was some transactions ago, and segments that know better."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import UID

from gateway.model.instance import IndexEntry, Instance
from gateway.ports.errors import ConfigurationError
from gateway.spool import record, redo, survey
from gateway.spool.body import InMemoryDataSet
from gateway.spool.redo import NOWHERE, Position
from gateway.sqlite.store import SQLiteStore
from tests.process.spool.test_crash import recovered, remember, start_writer
from tests.support.samples import NOON, TO_PACS, TO_VNA, instance, settlement
from tests.support.spool_records import read_records
from tests.unit.spool.test_journal import LARGE_BYTES, Site, commit

ROUNDS = 15


@pytest.mark.campaign
@pytest.mark.process
def test_a_power_cut_at_any_instant_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """SIGKILL under load, then the write-ahead log loses an end of any length that was not synced at the start."""
    chance = random.Random(20261121)
    acknowledged: dict[str, str] = {}
    cut_bytes = 0
    log = tmp_path / "queue.db-wal"
    for seed in range(1, ROUNDS + 1):
        with start_writer(tmp_path, seed, is_sweeping=False) as writer:
            assert writer.stdout is not None
            while writer.stdout.readline() != "started\n":
                assert writer.poll() is None
            synced_bytes = log.stat().st_size
            for _ in range(chance.randrange(5, 60)):
                remember(writer.stdout.readline(), acknowledged)
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                remember(line, acknowledged)
        lost_bytes = chance.randrange(log.stat().st_size - synced_bytes + 1)
        os.truncate(log, log.stat().st_size - lost_bytes)
        cut_bytes += lost_bytes
        (tmp_path / "queue.db-shm").unlink()
        found = asyncio.run(recovered(tmp_path))
        assert {uid for uid, digest in acknowledged.items() if found.get(uid) != digest} == set()
    assert len(acknowledged) > 5 * ROUNDS
    assert cut_bytes > 100_000, "something was lost of the log"


def test_text_of_a_class_of_its_own_is_text() -> None:
    (arrival,) = redo.decode(
        redo.encode(NOON, [(replace(instance(1), transfer_syntax_uid=UID("1.2.840.1")), [])])
    ).arrivals
    assert arrival[0].transfer_syntax_uid == "1.2.840.1"


async def test_what_cannot_be_noted_is_synced(site: Site) -> None:
    """The queue replaces what has no UTF-8; a note cannot be made of it."""
    async with site.journal() as journal:
        receiver = journal.receiver()
        receiver.write(memoryview(b"odd"))
        dispatches = [replace(TO_PACS, rule="a \udc80 rule")]
        await journal.commit(instance(1), receiver.finish(), None, dispatches)
    assert [each.sop_instance_uid for each in await owed(site)] == [instance(1).sop_instance_uid]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def roll_back(site: Site, to: Path) -> None:
    """The queue is what it was when it was saved."""
    for path in site.folder.glob("queue.db*"):
        path.unlink()
    shutil.copy(to, site.folder / "queue.db")


async def saved(site: Site) -> Path:
    """The queue's file, closed in order, with one instance in it."""
    async with site.journal() as journal:
        await commit(journal, b"before", number=1)
    copy = site.folder / "saved.db"
    shutil.copy(site.folder / "queue.db", copy)
    return copy


async def owed(site: Site) -> list[Instance]:
    async with site.journal() as journal:
        return [delivery.instance for delivery in await journal.claim("pacs", 100, 60.0)]


async def test_what_the_queue_lost_is_reported_to_it_again(site: Site) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        stored = [await commit(journal, b"x" * size, number=number) for number, size in ((2, 10), (3, LARGE_BYTES + 1))]
    roll_back(site, before)
    found = await owed(site)
    assert [each.sop_instance_uid for each in found[1:]] == [each.sop_instance_uid for each in stored]
    assert [each.payload for each in found[1:]] == [each.payload for each in stored]
    assert found[1].association == stored[0].association
    assert found[1].received_at == stored[0].received_at


async def test_what_was_read_at_arrival_outlives_the_queue(site: Site) -> None:
    before = await saved(site)
    kept = '{"x":1}'
    async with site.journal() as journal:
        body = InMemoryDataSet([b"deflated"])
        await journal.commit(replace(instance(2), kept_facts=kept), body, None, [TO_PACS])
        body.close()
        (_, claimed) = await journal.claim("pacs", 10, 60.0)
        assert claimed.instance.kept_facts == kept
    roll_back(site, before)
    assert [each.kept_facts for each in await owed(site)] == ["", kept]


async def test_what_the_queue_knows_is_not_reported_twice(site: Site) -> None:
    async with site.journal() as journal:
        await commit(journal, b"delivered", number=1)
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        await journal.settle([settlement(claimed)])
    assert await owed(site) == []


async def test_segments_begun_after_everything_was_swept_are_found(site: Site) -> None:
    """Their numbers lie behind what the queue says it knows."""
    async with site.journal(retention_s=0.0) as journal:
        await commit(journal, b"one", number=1)
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        await journal.settle([settlement(claimed)])
        site.clock.advance(1)
    async with site.journal(retention_s=0.0) as journal:
        async with asyncio.timeout(60):
            while list((site.folder / "spool").glob("segments/*")):
                await journal.sweep()
                await asyncio.sleep(0.01)
    copy = site.folder / "saved.db"
    shutil.copy(site.folder / "queue.db", copy)
    async with site.journal() as journal:
        await commit(journal, b"two", number=2)
    roll_back(site, copy)
    assert [each.sop_instance_uid for each in await owed(site)] == [instance(2).sop_instance_uid]


def tear_note(path: Path) -> None:
    """The last bytes of the note did not reach the disk."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 3)


def change_note(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"???")


def change_payload(path: Path) -> None:
    """The pages of the payload did not reach the disk, those of the note did."""
    with path.open("r+b") as file:
        file.seek(record.HEADER_BYTES)
        file.write(b"?")


@pytest.mark.parametrize("damage", [tear_note, change_note, change_payload], ids=lambda damage: damage.__name__)
async def test_a_group_that_is_not_whole_was_never_answered(site: Site, damage: Callable[[Path], None]) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        await commit(journal, b"payload", number=2)
    roll_back(site, before)
    damage(site.folder / "spool" / "segments" / "00000002.seg")
    assert [each.sop_instance_uid for each in await owed(site)] == [instance(1).sop_instance_uid]


async def test_notes_of_a_newer_version_stop_the_start(site: Site) -> None:
    before = await saved(site)
    async with site.journal() as journal:
        await commit(journal, b"payload", number=2)
    roll_back(site, before)
    path = site.folder / "spool" / "segments" / "00000002.seg"
    (whole,) = [each for each in read_records(path) if each.kind == record.REDO]
    newer = b"\x93\x63" + path.read_bytes()[whole.offset_bytes + 2 : whole.end_bytes]
    digest = hashlib.sha256(newer).digest()
    with path.open("r+b") as file:
        file.seek(whole.offset_bytes - record.HEADER_BYTES)
        file.write(record.pack(len(newer), digest, "", record.REDO) + newer)
    with pytest.raises(ConfigurationError, match="newer gateway"):
        await owed(site)


def test_a_note_comes_back_as_it_was() -> None:
    entry = IndexEntry("{}", '{"0020000D":"1.2"}', "{}", "{}")
    arrivals = [(replace(instance(1), index=entry, kept_facts='{"x":1}'), [TO_PACS, TO_VNA]), (instance(2), [])]
    note = redo.decode(redo.encode(NOON, arrivals))
    assert [each.index for each, _ in note.arrivals] == [entry, None]
    assert note.now == NOON
    assert note.arrivals == arrivals


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"[]", b"\x93\x01\xc0\x90"], ids=["empty", "garbage", "json", "no time"]
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a note"):
        redo.decode(data)


def test_no_segments_no_notes(tmp_path: Path) -> None:
    for folder in ("segments", "large"):
        (tmp_path / folder).mkdir()
    assert survey.segments_from(tmp_path, NOWHERE) == []
    assert survey.segments_from(tmp_path, Position("segments/00000007.seg", 100)) == []


def test_nothing_is_swept_before_the_queue_is_on_disk(tmp_path: Path) -> None:
    """A durable transaction that changes nothing else syncs what was committed without one before it."""
    queue = SQLiteStore(tmp_path / "queue.db")
    with queue.transaction(is_durable=False):
        queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
    pages = queue._wal.pages
    queue.sync()
    assert queue._wal.pages > pages, "there was something to write, so that there was something to sync"
    queue.close()
