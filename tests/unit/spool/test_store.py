"""Segments, recovery and sweep of the spool folder."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef
from gateway.model.settings import Spool
from gateway.ports.errors import ConfigurationError, GatewayError, PayloadLost, PayloadMissing, SpoolFull
from gateway.spool import record
from gateway.spool.store import SpoolStore
from tests.support.spool_records import SmallPayload, read_records
from tests.unit.spool.faulty import FaultyDisk, error

IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def workers() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def open_store(
    tmp_path: Path, disk: FaultyDisk, workers: concurrent.futures.Executor
) -> Iterator[Callable[[], SpoolStore]]:
    opened: list[SpoolStore] = []

    def opener() -> SpoolStore:
        while opened:
            opened.pop().close()
        spool = Spool(str(tmp_path / "spool"), min_free_bytes=0, segment_bytes=2000, large_object_bytes=1000)
        opened.append(SpoolStore(spool, disk=disk, monotonic=lambda: 0.0, workers=workers))
        return opened[0]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], SpoolStore]) -> SpoolStore:
    return open_store()


def payload(data: bytes) -> SmallPayload:
    pieces: list[Buffer] = [data[:3], memoryview(data)[3:]]
    return SmallPayload(pieces, IMPLICIT)


def read(store: SpoolStore, ref: PayloadRef) -> bytes:
    body = store.open(ref)
    try:
        return bytes(body.view())
    finally:
        body.close()


def ends(refs: list[PayloadRef]) -> dict[str, int]:
    """What a queue would name."""
    return {ref.name: ref.offset_bytes + ref.length_bytes for ref in refs}


# --- appending --------------------------------------------------------------------------------------------------


def test_a_group_is_one_write_and_one_sync(store: SpoolStore, disk: FaultyDisk) -> None:
    store.segments.append([payload(b"first")])
    disk.calls.clear()
    refs = store.segments.append([payload(bytes([number]) * 50) for number in range(20)])
    assert disk.calls == ["pwritev", "fdatasync"]
    assert [read(store, ref) for ref in refs] == [bytes([number]) * 50 for number in range(20)]


def test_a_new_segment_is_durable_by_name_too(store: SpoolStore, disk: FaultyDisk) -> None:
    store.segments.append([payload(b"first")])
    assert disk.calls == ["create", "sync_folder", "pwritev", "fdatasync"]


def test_segments_roll_over(store: SpoolStore) -> None:
    refs = [store.segments.append([payload(b"x" * 900)])[0] for _ in range(5)]
    assert [ref.name for ref in refs] == [f"segments/0000000{number}.seg" for number in (1, 1, 2, 2, 3)]


def test_a_segment_can_be_read_without_a_database(store: SpoolStore) -> None:
    refs = store.segments.append([payload(b"one object"), payload(b"another")])
    records = list(read_records(store.root / refs[0].name))
    assert [(each.offset_bytes, each.digest, each.transfer_syntax_uid) for each in records] == [
        (ref.offset_bytes, ref.digest, IMPLICIT) for ref in refs
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
def test_a_failed_write_keeps_nothing_and_the_next_one_goes_on(
    store: SpoolStore, disk: FaultyDisk, number: int
) -> None:
    (before,) = store.segments.append([payload(b"before")])
    disk.fail["pwritev"] = error(number)
    with pytest.raises(SpoolFull, match=os.strerror(number)):
        store.segments.append([payload(b"lost"), payload(b"lost too")])
    assert (store.root / before.name).stat().st_size == before.offset_bytes + before.length_bytes
    disk.fail.clear()
    (after,) = store.segments.append([payload(b"after")])
    assert after.offset_bytes == before.offset_bytes + before.length_bytes + record.HEADER_BYTES
    assert (read(store, before), read(store, after)) == (b"before", b"after")


@pytest.mark.parametrize("call", ["create", "sync_folder"])
def test_a_segment_that_cannot_be_made_is_no_room(store: SpoolStore, disk: FaultyDisk, call: str) -> None:
    disk.fail[call] = error(errno.ENOSPC)
    with pytest.raises(SpoolFull):
        store.segments.append([payload(b"lost")])
    disk.fail.clear()
    (after,) = store.segments.append([payload(b"after")])
    assert read(store, after) == b"after"


def test_after_a_failed_sync_the_segment_is_written_no_more(store: SpoolStore, disk: FaultyDisk) -> None:
    (before,) = store.segments.append([payload(b"before")])
    disk.fail["fdatasync"] = error(errno.EIO)
    with pytest.raises(SpoolFull, match="Input/output error"):
        store.segments.append([payload(b"doubtful")])
    disk.fail.clear()
    (after,) = store.segments.append([payload(b"after")])
    assert after.name != before.name
    assert (read(store, before), read(store, after)) == (b"before", b"after")


# --- reading ----------------------------------------------------------------------------------------------------


def overwrite(path: Path, offset_bytes: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset_bytes)
        file.write(data)


DAMAGE: dict[str, Callable[[Path, PayloadRef], None]] = {
    "file gone": lambda path, ref: path.unlink(),
    "end gone": lambda path, ref: os.truncate(path, ref.offset_bytes + 2),
    "payload gone": lambda path, ref: os.truncate(path, ref.offset_bytes - 100),
    "bytes changed": lambda path, ref: overwrite(path, ref.offset_bytes, b"X"),
}


def error_of(damage: Callable[[Path, PayloadRef], None]) -> type[GatewayError]:
    """What is not there may come back; what was read and is not what it was is lost."""
    return PayloadLost if damage is DAMAGE["bytes changed"] else PayloadMissing


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_when_a_payload_is_opened(
    store: SpoolStore, damage: Callable[[Path, PayloadRef], None]
) -> None:
    good, bad = store.segments.append([payload(b"good one"), payload(b"bad one")])
    damage(store.root / bad.name, bad)
    with pytest.raises(error_of(damage), match=re.escape(bad.name)):
        store.open(bad)
    if (store.root / good.name).exists():
        assert read(store, good) == b"good one"


@pytest.mark.parametrize("offset_bytes", [0, 20, 28, 60, 123, 127], ids=lambda offset: f"byte {offset}")
@pytest.mark.parametrize("length_bytes", [900, 5000], ids=["small", "large"])
def test_a_damaged_header_loses_nothing(store: SpoolStore, length_bytes: int, offset_bytes: int) -> None:
    """What the object was stands in the queue, and its digest proves the bytes."""
    data = b"x" * length_bytes
    ref = large(store, data) if length_bytes > 1000 else store.segments.append([payload(data)])[0]
    overwrite(store.root / ref.name, ref.offset_bytes - record.HEADER_BYTES + offset_bytes, b"\xff")
    with contextlib.closing(store.open(ref)) as body:
        assert b"".join(body.chunks(1000)) == data


LARGE_DAMAGE = {name: DAMAGE[name] for name in ("file gone", "end gone", "payload gone")}


@pytest.mark.parametrize("damage", LARGE_DAMAGE.values(), ids=LARGE_DAMAGE)
def test_damage_of_a_large_file_is_noticed(store: SpoolStore, damage: Callable[[Path, PayloadRef], None]) -> None:
    ref = large(store, b"x" * 5000)
    assert read(store, ref) == b"x" * 5000
    damage(store.root / ref.name, ref)
    with pytest.raises(error_of(damage), match=re.escape(ref.name)):
        store.open(ref)


def large(store: SpoolStore, data: bytes) -> PayloadRef:
    file = store.new_file()
    file.write([data[:1000], data[1000:]])
    ref = file.seal(IMPLICIT)
    store.adopt(file)
    file.release()
    return ref


@pytest.mark.parametrize("call", ["create", "pwritev", "fdatasync", "sync_folder"])
def test_a_large_file_that_cannot_be_kept_is_no_room(store: SpoolStore, disk: FaultyDisk, call: str) -> None:
    file = store.new_file()
    disk.fail[call] = error(errno.ENOSPC)
    file.write([b"x" * 5000])
    with pytest.raises(SpoolFull):
        file.seal(IMPLICIT)
    disk.fail.clear()
    with pytest.raises(SpoolFull):
        file.seal(IMPLICIT)  # what failed once is not trusted later
    file.release()


# --- recovery ---------------------------------------------------------------------------------------------------


def test_zeros_are_cut_and_nothing_else_goes(open_store: Callable[[], SpoolStore]) -> None:
    store = open_store()
    (kept,) = store.segments.append([payload(b"committed")])
    store.segments.append([payload(b"synced, and the transaction never came")])
    known_bytes = store.segments.end.end_bytes
    large(store, b"nobody names it" * 100)
    store.segments.retire()
    store.segments.append([payload(b"nor this segment")])
    stranger = store.root / "segments" / "notes.txt"
    stranger.write_text("put here by an operator")

    store = open_store()
    os.truncate(store.root / kept.name, 5000)
    recovered = store.recover(ends([kept]))
    assert recovered.trimmed == [kept.name]
    assert recovered.unnamed == ["large/0000000000000001.obj", "segments/00000002.seg"]
    assert (recovered.missing, recovered.short) == ([], [])
    assert (store.root / kept.name).stat().st_size == known_bytes
    assert all((store.root / name).exists() for name in recovered.unnamed)
    assert read(store, kept) == b"committed"
    assert stranger.exists()


def test_what_is_lost_is_said_loudly(open_store: Callable[[], SpoolStore]) -> None:
    store = open_store()
    (first,) = store.segments.append([payload(b"x" * 900)])
    (second,) = store.segments.append([payload(b"y" * 900)])
    store.segments.retire()
    (gone,) = store.segments.append([payload(b"gone")])
    os.truncate(store.root / second.name, second.offset_bytes + 10)
    (store.root / gone.name).unlink()
    store = open_store()
    with capture_logs() as logs:
        recovered = store.recover(ends([first, second, gone]))
    assert (recovered.missing, recovered.short) == ([gone.name], [second.name])
    errors = {(each["event"], each["file"]) for each in logs if each["log_level"] == "error"}
    assert errors == {("payload_file_not_found", gone.name), ("payload_file_truncated", second.name)}
    assert read(store, first) == b"x" * 900
    with pytest.raises(PayloadMissing):
        store.open(second)


def test_names_are_never_used_again(open_store: Callable[[], SpoolStore]) -> None:
    store = open_store()
    (old,) = store.segments.append([payload(b"old")])
    store = open_store()
    store.recover(ends([old]) | {"segments/00000041.seg": 10, "large/0000000000000007.obj": 10})
    (new,) = store.segments.append([payload(b"new")])
    assert new.name == "segments/00000042.seg"
    assert large(store, b"x" * 2000).name == "large/0000000000000008.obj"
    assert read(store, old) == b"old"


# --- spool and queue belong together ----------------------------------------------------------------------------


def test_a_new_spool_gets_an_identity_and_keeps_it(open_store: Callable[[], SpoolStore]) -> None:
    assert open_store().pair("", {}, "first") == "first"
    assert open_store().pair("first", {}, "second") == "first"
    assert open_store().pair("", {}, "second") == "first", "a new queue on an empty spool"


def test_an_empty_queue_takes_another_empty_spool(store: SpoolStore) -> None:
    assert store.pair("the spool before", {}, "this") == "this"


def test_a_new_queue_does_not_empty_a_full_spool(store: SpoolStore) -> None:
    store.pair("", {}, "this")
    store.segments.append([payload(b"somebody's")])
    with pytest.raises(ConfigurationError, match="the queue does not know them"):
        store.pair("", {}, "new")


def test_a_spool_that_is_not_mounted_does_not_lose_the_queue(store: SpoolStore) -> None:
    with pytest.raises(ConfigurationError, match="not mounted"):
        store.pair("the real one", {"segments/00000001.seg": 10}, "new")


# --- sweeping ---------------------------------------------------------------------------------------------------


def files(store: SpoolStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.glob("*/0*"))


def test_a_file_goes_when_nothing_names_it(store: SpoolStore) -> None:
    named = store.segments.append([payload(b"named")])[0]
    store.segments.retire()
    garbage = store.segments.append([payload(b"forgotten")])[0]
    store.segments.retire()
    active = store.segments.append([payload(b"written now")])[0]
    kept, forgotten = large(store, b"k" * 2000), large(store, b"f" * 2000)
    read(store, garbage)  # open for reading: must not keep it
    assert store.sweep(store.candidates(), ends([named, kept])) == 2
    assert files(store) == sorted([named.name, active.name, kept.name])
    with pytest.raises(PayloadMissing):
        store.open(forgotten)
    with pytest.raises(PayloadMissing):
        store.open(garbage)


def test_what_is_still_arriving_is_not_swept(store: SpoolStore) -> None:
    file = store.new_file()
    file.write([b"x" * 5000])
    assert store.candidates() == []
    ref = file.seal(IMPLICIT)
    assert store.candidates() == []
    store.adopt(file)
    file.release()
    assert store.candidates() == [ref.name]


def test_room_is_looked_at_again_after_a_sweep(store: SpoolStore, disk: FaultyDisk) -> None:
    store.segments.append([payload(b"forgotten")])
    store.segments.retire()
    assert store.room.free_bytes > 0
    before = disk.calls.count("free_bytes")
    store.sweep(store.candidates(), {})
    assert store.room.free_bytes > 0
    assert disk.calls.count("free_bytes") == before + 1
