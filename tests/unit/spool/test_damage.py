"""Damaged segments behind the queue's position: what is whole is kept, what is not is named, nothing is cut away."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import DeliveryState
from gateway.model.instance import Identifiers
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.spool import record
from gateway.spool.record import HEADER_BYTES, PAYLOAD, REDO, RecordHeader, seed_of
from gateway.spool.walk import FoundRecord, Gap, walk
from gateway.sqlite.store import SQLiteStore
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import instance
from tests.unit.spool.test_journal import LARGE_BYTES, Site, commit
from tests.unit.spool.test_power_cut import roll_back, saved

GROUPS = 6
"""Of one object each, numbered from 2; number 1 is what the queue knew before."""


def body_of(number: int, length_bytes: int = 700) -> bytes:
    """Not DICOM: what `identify` below reads."""
    return f"object {number};".encode().ljust(length_bytes, b"x")


def identify(view: memoryview, transfer_syntax_uid: str) -> Identifiers | None:
    text = bytes(view).partition(b";")[0].decode(errors="replace")
    if not text.startswith("object "):
        return None
    like = instance(int(text.removeprefix("object ")))
    return Identifiers(like.sop_class_uid, like.sop_instance_uid, like.study_instance_uid, like.series_instance_uid)


@dataclass
class Outcome:
    """After a start on what is left."""

    owed: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    logs: Sequence[MutableMapping[str, Any]] = ()

    def errors(self, event: str) -> list[MutableMapping[str, Any]]:
        return [each for each in self.logs if each["event"] == event and each["log_level"] == "error"]

    def warnings(self, event: str) -> list[MutableMapping[str, Any]]:
        return [each for each in self.logs if each["event"] == event and each["log_level"] == "warning"]

    def named(self) -> set[int]:
        """Objects that the log names at level error."""
        found: set[str] = set()
        for each in self.logs:
            if each["log_level"] == "error":
                found |= {*each.get("sop_instance_uids", ()), each.get("sop_instance_uid", "")} - {""}
        return {number_of(uid) for uid in found}


def number_of(uid: str) -> int:
    return int(uid.rpartition(".")[2])


class Behind:
    """A site whose queue is GROUPS groups behind its one segment; number 5 is a large file."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self.site.identify = identify
        self.segment = folder / "spool" / "segments" / "00000002.seg"

    async def fill(self) -> None:
        before = await saved(self.site)
        async with self.site.journal() as journal:
            for number in range(2, 2 + GROUPS):
                length_bytes = LARGE_BYTES + 100 if number == 5 else 700
                await commit(journal, body_of(number, length_bytes), number)
        roll_back(self.site, before)

    def records(self) -> list[RecordHeader]:
        found = list(walk(self.segment, self.seed))
        assert all(isinstance(each, FoundRecord) and not each.trouble for each in found)
        return [each.record for each in found if isinstance(each, FoundRecord)]

    @property
    def seed(self) -> int:
        return seed_of((self.site.folder / "spool" / "spool.id").read_text().strip())

    def of_kind(self, kind: int, index: int) -> RecordHeader:
        return [each for each in self.records() if each.kind == kind][index]

    def flip(self, at_bytes: int, count: int = 1, path: Path | None = None) -> None:
        with (path or self.segment).open("r+b") as file:
            file.seek(at_bytes)
            data = file.read(count)
            file.seek(at_bytes)
            file.write(bytes(each ^ 0x55 for each in data))

    async def start(self) -> Outcome:
        outcome = Outcome()
        with capture_logs() as outcome.logs:
            async with self.site.journal() as journal:
                queue = SQLiteStore(self.site.folder / "queue.db", must_exist=True)
                for delivery in queue.administration.list(DeliveryFilter(), -1):
                    journal.open(delivery.instance.payload).close()
                    number = number_of(delivery.instance.sop_instance_uid)
                    (outcome.owed if delivery.state is DeliveryState.PENDING else outcome.held).add(number)
                queue.close()
        return outcome


@pytest.fixture
async def behind(tmp_path: Path) -> Behind:
    made = Behind(tmp_path)
    await made.fill()
    return made


EVERYTHING = set(range(1, 2 + GROUPS))


async def test_a_whole_segment_is_replayed_whole(behind: Behind) -> None:
    found = await behind.start()
    assert (found.owed, found.held, found.named()) == (EVERYTHING, set(), set())


@pytest.mark.parametrize("offset_bytes", [0, 3, 9, 13, 17, 30, 60, 119, 121, 125])
@pytest.mark.parametrize("kind", [PAYLOAD, REDO], ids=["payload", "note"])
async def test_one_byte_of_a_header_costs_nothing(behind: Behind, kind: int, offset_bytes: int) -> None:
    damaged = behind.of_kind(kind, 1)
    behind.flip(damaged.offset_bytes - HEADER_BYTES + offset_bytes)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING, set())
    is_noticed = offset_bytes < 124  # the checksum behind the CRC only saves time
    assert len(found.errors("spool_damaged")) == is_noticed


async def test_a_damaged_payload_costs_that_object_alone(behind: Behind) -> None:
    damaged = behind.of_kind(PAYLOAD, 1)
    behind.flip(damaged.offset_bytes + 300)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {3}, set())
    assert found.named() == {3}
    (told,) = found.errors("spool_damaged")
    assert told["file"] == "segments/00000002.seg"
    assert (told["start_bytes"], told["end_bytes"]) == (damaged.offset_bytes - HEADER_BYTES, damaged.end_bytes)
    assert (told["what"], told["objects"]) == ("payload", 1)
    (lost,) = found.errors("instance_lost")
    assert number_of(lost["sop_instance_uid"]) == 3


async def test_what_became_of_them_is_counted(behind: Behind) -> None:
    payload, note = behind.of_kind(PAYLOAD, 1), behind.of_kind(REDO, 2)
    behind.flip(payload.offset_bytes + 300)
    behind.flip(note.offset_bytes + 50)
    behind.site.meter = meter = MemoryMeter()
    await behind.start()
    name = "gateway_spool_told_again_total"
    counted = {key[1]: number for key, number in meter.counted.items() if key[0] == name}
    assert counted == {"told": GROUPS - 2, "held": 1, "lost": 1}


async def test_what_is_damaged_is_set_aside_and_stays(behind: Behind) -> None:
    damaged = behind.of_kind(PAYLOAD, 1)
    behind.flip(damaged.offset_bytes + 300)
    before = behind.segment.read_bytes()
    found = await behind.start()
    (told,) = found.errors("spool_damaged")
    kept = (behind.site.folder / "spool" / told["kept_as"]).read_bytes()
    assert kept == before[told["start_bytes"] : told["end_bytes"]]
    assert behind.segment.read_bytes() == before, "nothing of the segment is cut"


async def test_an_object_whose_note_is_damaged_is_held(behind: Behind) -> None:
    behind.flip(behind.of_kind(REDO, 1).offset_bytes + 50)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {3}, {3})
    assert found.named() == {3}
    assert found.errors("instance_held_after_recovery")
    again = await behind.start()
    assert (again.owed, again.held, again.named()) == (EVERYTHING - {3}, {3}, set()), "once"


async def test_a_large_object_whose_note_is_damaged_is_held(behind: Behind) -> None:
    behind.flip(behind.of_kind(REDO, 3).offset_bytes + 50)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {5}, {5})
    assert found.named() == {5}


async def test_an_object_that_does_not_say_what_it_is_is_set_aside(behind: Behind) -> None:
    behind.site.identify = lambda view, transfer_syntax_uid: None
    payload = behind.of_kind(PAYLOAD, 1)
    behind.flip(behind.of_kind(REDO, 1).offset_bytes + 50)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {3}, set())
    (told,) = found.errors("payload_not_identified")
    kept = (behind.site.folder / "spool" / told["kept_as"]).read_bytes()
    assert kept == body_of(3)
    assert told["start_bytes"] == payload.offset_bytes


async def test_what_an_operator_released_is_not_held_again(behind: Behind) -> None:
    behind.flip(behind.of_kind(REDO, -1).offset_bytes + 50)
    assert (await behind.start()).held == {1 + GROUPS}
    queue = SQLiteStore(behind.site.folder / "queue.db", must_exist=True)
    with queue.transaction():
        assert queue.administration.discard(DeliveryFilter(state=DeliveryState.HELD)) == 1
    queue.close()
    found = await behind.start()
    assert (found.owed, found.held, found.named()) == (EVERYTHING - {1 + GROUPS}, set(), set())


@pytest.mark.parametrize("count", [2, 60, 128, 500, 3000])
async def test_a_stretch_costs_what_it_hits(behind: Behind, count: int) -> None:
    """From a header on: the objects behind it are found by their own headers."""
    at_bytes = behind.of_kind(PAYLOAD, 1).offset_bytes - HEADER_BYTES
    hit = [each for each in behind.records() if at_bytes <= each.offset_bytes - HEADER_BYTES < at_bytes + count]
    payloads_before = sum(each.kind == PAYLOAD and each.offset_bytes < at_bytes for each in behind.records())
    last_hit = 1 + payloads_before + sum(each.kind == PAYLOAD for each in hit)
    behind.flip(at_bytes, count)
    found = await behind.start()
    assert found.owed >= {1, 2, *range(last_hit + 2, 2 + GROUPS)}
    assert found.errors("spool_damaged")
    if count <= HEADER_BYTES:
        assert found.owed == EVERYTHING, "a note says where the payload lies, and its digest proves it"


async def test_everything_between_two_places_may_be_gone(behind: Behind) -> None:
    """Header, payload, note and the next header: the rest is found all the same."""
    first, last = behind.of_kind(PAYLOAD, 0), behind.of_kind(PAYLOAD, 2)
    behind.flip(first.offset_bytes - HEADER_BYTES, last.offset_bytes - first.offset_bytes)
    found = await behind.start()
    assert found.owed == {1, *range(4, 2 + GROUPS)}
    (told,) = found.errors("spool_damaged")
    assert told["what"] == "unknown"


# --- the end of a segment -------------------------------------------------------------------------------------------


def unwritten(behind: Behind, start_bytes: int, end_bytes: int) -> None:
    """These pages did not reach the disk."""
    with behind.segment.open("r+b") as file:
        file.seek(start_bytes)
        file.write(bytes(end_bytes - start_bytes))


def cut_in_note(behind: Behind) -> None:
    os.truncate(behind.segment, behind.of_kind(REDO, -1).offset_bytes + 10)


def cut_behind_payload(behind: Behind) -> None:
    os.truncate(behind.segment, behind.of_kind(PAYLOAD, -1).end_bytes)


def note_unwritten(behind: Behind) -> None:
    note = behind.of_kind(REDO, -1)
    unwritten(behind, note.offset_bytes - HEADER_BYTES, note.end_bytes)


@pytest.mark.parametrize("tear", [cut_in_note, cut_behind_payload, note_unwritten], ids=lambda tear: tear.__name__)
async def test_a_group_that_the_power_cut_short_is_no_damage(behind: Behind, tear: Callable[[Behind], None]) -> None:
    tear(behind)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {1 + GROUPS}, set())
    assert not found.errors("spool_damaged")
    (told,) = found.warnings("group_not_finished")
    assert told["sop_instance_uids"] == [instance(1 + GROUPS).sop_instance_uid]
    kept = (behind.site.folder / "spool" / told["kept_as"]).read_bytes()
    assert body_of(1 + GROUPS) in kept, "a copy of it is kept all the same"


async def test_damage_at_the_very_end_is_no_power_cut(behind: Behind) -> None:
    behind.flip(behind.of_kind(REDO, -1).offset_bytes + 50)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING - {1 + GROUPS}, {1 + GROUPS})
    assert len(found.errors("spool_damaged")) == 1


async def test_zeros_in_the_middle_are_damage(behind: Behind) -> None:
    """What was written behind them shows that they had been written."""
    damaged = behind.of_kind(PAYLOAD, 1)
    unwritten(behind, damaged.offset_bytes, damaged.end_bytes)
    found = await behind.start()
    assert (found.owed, found.named()) == (EVERYTHING - {3}, {3})
    assert found.errors("spool_damaged")


async def test_the_queue_has_what_it_accepted(behind: Behind) -> None:
    """Also where the end is damaged: the next start does not read it again."""
    behind.flip(behind.of_kind(REDO, -1).offset_bytes + 50)
    await behind.start()
    queue = SQLiteStore(behind.site.folder / "queue.db", must_exist=True)
    assert queue.spool.replayed_position() == ("segments/00000002.seg", behind.segment.stat().st_size)
    queue.close()


# --- bytes of a sender that look like records -----------------------------------------------------------------------


async def test_records_inside_a_payload_are_never_taken_for_records(tmp_path: Path) -> None:
    """A sender archives a copy of a segment, and the headers before it are destroyed."""
    made = Behind(tmp_path)
    before = await saved(made.site)
    async with made.site.journal() as journal:
        await commit(journal, body_of(2), 2)
    copied = made.segment.read_bytes().rstrip(b"\0")
    inner = b"".join(
        record.pack(len(data), data_digest, "", kind) + data
        for data, data_digest, kind in [
            (copied[each.offset_bytes : each.end_bytes], each.digest, each.kind) for each in made.records()
        ]
    )
    async with made.site.journal() as journal:
        await commit(journal, b"object 9;" + inner, 9)
        await commit(journal, body_of(10), 10)
    roll_back(made.site, before)
    made.segment = made.segment.with_name("00000003.seg")
    made.flip(0, HEADER_BYTES)
    first, *rest = walk(made.segment, made.seed)
    assert isinstance(first, Gap)
    assert not any(isinstance(each, Gap) for each in rest)
    found = await made.start()
    assert found.owed == {1, 2, 9, 10}, "number 9 by its note"


async def test_segments_of_a_former_version_are_read(behind: Behind) -> None:
    """Their headers have a CRC that begins with 0; their redo records have SHA-256."""
    whole = behind.segment.read_bytes()
    records = behind.records()
    former = b""
    for each in records:
        content = whole[each.offset_bytes : each.end_bytes]
        digest = each.digest if each.kind == PAYLOAD else hashlib.sha256(content).digest()
        former += record.pack(each.length_bytes, digest, each.transfer_syntax_uid, each.kind, each.checksum) + content
    behind.segment.write_bytes(former)
    behind.flip(records[2].offset_bytes - HEADER_BYTES, 100)
    found = await behind.start()
    assert (found.owed, found.held) == (EVERYTHING, set())


async def test_a_file_that_is_gone_names_what_is_lost(behind: Behind) -> None:
    await behind.start()
    shutil.rmtree(behind.site.folder / "spool" / "large")
    (behind.site.folder / "spool" / "large").mkdir()
    with capture_logs() as logs:
        async with behind.site.journal():
            pass
    assert [each["event"] for each in logs if each["log_level"] == "error"] == ["payload_file_not_found"]


def unreadable(monkeypatch: pytest.MonkeyPatch, path: Path, start_bytes: int, end_bytes: int) -> None:
    """The disk gives errors for a part of a file."""
    bad, system = path.stat().st_ino, os.pread

    def pread(descriptor: int, length_bytes: int, at: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad and at < end_bytes and at + length_bytes > start_bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return system(descriptor, length_bytes, at)

    monkeypatch.setattr(os, "pread", pread)


@pytest.mark.parametrize("ahead_bytes", [0, 8192], ids=["ends there", "zeros behind"])
@pytest.mark.parametrize("what", ["group", "note"])
async def test_the_last_group_is_not_unwritten_when_it_cannot_be_read(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, what: str, ahead_bytes: int
) -> None:
    """It was acknowledged: a power cut leaves no read errors."""
    payload, note = behind.of_kind(PAYLOAD, -1), behind.of_kind(REDO, -1)
    whole = behind.segment.read_bytes()
    behind.segment.write_bytes(whole + bytes(ahead_bytes))
    start_bytes = (payload if what == "group" else note).offset_bytes - HEADER_BYTES
    with monkeypatch.context() as failing:
        unreadable(failing, behind.segment, start_bytes, note.end_bytes)
        outcome = Outcome()
        with capture_logs() as outcome.logs:
            async with behind.site.journal():
                pass
    (told,) = outcome.errors("spool_damaged")
    assert (told["file"], told["start_bytes"]) == ("segments/00000002.seg", start_bytes)
    assert told["end_bytes"] >= note.end_bytes
    assert len(outcome.errors("instance_held_after_recovery")) == (what == "note")
    assert behind.segment.read_bytes()[: len(whole)] == whole, "nothing but zeros is cut"


async def test_a_start_on_a_disk_that_fails_says_so(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failing:
        failing.setattr("gateway.spool.recovery.not_files", scandir)
        with pytest.raises(SpoolFull, match="the disk failed at the start"):
            await behind.start()
    assert (await behind.start()).owed == EVERYTHING
