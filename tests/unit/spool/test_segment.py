"""Segments: what is written ahead is never taken for a record, and never stays."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model.instance import PayloadRef
from gateway.ports.errors import PayloadLost
from gateway.spool import large
from gateway.spool.folder import SpoolFolder
from gateway.spool.reader import PayloadReader
from gateway.spool.record import HEADER_BYTES, checksum_of, pack
from gateway.spool.segment import (
    AHEAD_BYTES,
    FOLDER,
    SMALL_GROUP_BYTES,
    Segment,
    SegmentReader,
    segment_name,
)
from gateway.spool.walk import FoundRecord, walk
from tests.support.spool_records import SmallPayload, read_records
from tests.unit.spool.faulty import FaultyDisk, error

NAME = segment_name(1)
LIMIT_BYTES = 64 * 1024**2


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    (tmp_path / FOLDER).mkdir()
    return FaultyDisk()


def payload(length_bytes: int, fill: bytes = b"x") -> SmallPayload:
    return SmallPayload([fill * length_bytes], "1.2.840.10008.1.2.1")


def file_bytes(root: Path) -> int:
    return (root / NAME).stat().st_size


def test_small_groups_overwrite_what_was_written_ahead(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    segment.append([payload(1000)])
    first_bytes = file_bytes(tmp_path)
    assert first_bytes == segment.size_bytes + AHEAD_BYTES
    (ref,) = segment.append([payload(5000, b"y")])
    segment.sync()
    assert file_bytes(tmp_path) == first_bytes
    assert [record.length_bytes for record in read_records(tmp_path / NAME)] == [1000, 5000]
    assert bytes(SegmentReader(tmp_path).read(ref)) == b"y" * 5000
    segment.close()
    assert file_bytes(tmp_path) == segment.size_bytes == 2 * HEADER_BYTES + 6000


def test_the_next_stretch_is_written_when_the_last_is_used_up(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    lengths = set()
    for _ in range(30):
        segment.append([payload(100_000)])
        lengths.add(file_bytes(tmp_path))
        assert file_bytes(tmp_path) >= segment.size_bytes
    assert 2 <= len(lengths) <= 4
    assert len(list(read_records(tmp_path / NAME))) == 30
    segment.close()


@pytest.mark.parametrize(
    ("length_bytes", "limit_bytes", "ahead_bytes"),
    [
        pytest.param(SMALL_GROUP_BYTES + 1, LIMIT_BYTES, 0, id="a large group"),
        pytest.param(1000, 0, 0, id="a segment without a limit"),
        pytest.param(1000, 1500, 1500 - 1000 - HEADER_BYTES, id="up to the limit"),
        pytest.param(2000, 1500, 0, id="beyond the limit"),
    ],
)
def test_how_much_is_written_ahead(
    tmp_path: Path, disk: FaultyDisk, length_bytes: int, limit_bytes: int, ahead_bytes: int
) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, limit_bytes)
    segment.append([payload(length_bytes)])
    assert file_bytes(tmp_path) - segment.size_bytes == ahead_bytes
    segment.close()


def test_a_large_group_may_overwrite_and_pass_the_zeros(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    segment.append([payload(10)])
    segment.append([payload(2 * AHEAD_BYTES, b"z")])
    assert file_bytes(tmp_path) == segment.size_bytes
    assert [record.length_bytes for record in read_records(tmp_path / NAME)] == [10, 2 * AHEAD_BYTES]
    segment.close()


def damage(path: Path, offset_bytes: int) -> None:
    """One bit of the file is another one."""
    data = bytearray(path.read_bytes())
    data[offset_bytes] ^= 1
    path.write_bytes(data)


CHECKSUM_BYTE = HEADER_BYTES - 1


@pytest.mark.parametrize("offset_bytes", [HEADER_BYTES, HEADER_BYTES + 4999], ids=["first byte", "last byte"])
def test_a_changed_payload_is_never_read(tmp_path: Path, disk: FaultyDisk, offset_bytes: int) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    (ref,) = segment.append([payload(5000)])
    segment.close()
    damage(tmp_path / NAME, offset_bytes)
    with pytest.raises(PayloadLost, match="changed"):
        SegmentReader(tmp_path).read(ref)


def test_where_only_the_checksum_is_changed_the_digest_decides(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    (ref,) = segment.append([payload(5000)])
    segment.close()
    (found,) = read_records(tmp_path / NAME)
    assert found.checksum == checksum_of([b"x" * 1000, b"x" * 4000]) != 0
    damage(tmp_path / NAME, CHECKSUM_BYTE)
    assert bytes(SegmentReader(tmp_path).read(ref)) == b"x" * 5000


@pytest.mark.parametrize("changed", [b"", b"y"], ids=["as it was", "changed"])
@pytest.mark.parametrize("checksum", [0, 1], ids=["without a checksum", "with a wrong one"])
def test_records_of_former_versions_are_proved_by_their_sha_256(tmp_path: Path, checksum: int, changed: bytes) -> None:
    data = changed + b"x" * (5000 - len(changed))
    digest = hashlib.sha256(b"x" * 5000).digest()
    stored = pack(5000, digest, "1.2.840.10008.1.2.1", checksum=checksum) + data
    small, large_one = PayloadRef(NAME, HEADER_BYTES, 5000, digest), f"{large.FOLDER}/{1:016d}{large.SUFFIX}"
    for name in (NAME, large_one):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(stored)
    (found,) = walk(tmp_path / NAME, 0)
    assert isinstance(found, FoundRecord)
    assert found.trouble == ("its bytes have changed" if changed else "")
    reader = PayloadReader(tmp_path, 1000)
    for ref in (small, replace(small, name=large_one)):
        if changed:
            with pytest.raises(PayloadLost, match="changed"):
                b"".join(reader.open(ref).chunks(1000))
        else:
            assert b"".join(reader.open(ref).chunks(1000)) == data


@pytest.mark.parametrize(
    ("offset_bytes", "is_lost"),
    [(CHECKSUM_BYTE, False), (HEADER_BYTES, True), (HEADER_BYTES + 2_999_999, True)],
    ids=["checksum", "first byte", "last byte"],
)
def test_a_large_file_is_checked_likewise(
    tmp_path: Path, disk: FaultyDisk, offset_bytes: int, *, is_lost: bool
) -> None:
    (tmp_path / large.FOLDER).mkdir()
    file = large.LargeFile(SpoolFolder(tmp_path), 1, disk, lambda _: None)
    file.write_from([b"a" * 1_000_000, b"b" * 2_000_000])
    ref = file.seal("1.2.840.10008.1.2.1")
    damage(tmp_path / ref.name, offset_bytes)
    body = PayloadReader(tmp_path, 1_000_000).open(ref)
    try:
        if is_lost:
            with pytest.raises(PayloadLost, match="changed"):
                b"".join(body.chunks(100_000))
        else:
            assert b"".join(body.chunks(100_000)) == b"a" * 1_000_000 + b"b" * 2_000_000
    finally:
        body.close()


def test_after_a_write_that_failed_it_is_written_ahead_anew(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    segment.append([payload(10)])
    disk.fail["pwritev"] = error(errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        segment.append([payload(20)])
    segment.cut()
    assert file_bytes(tmp_path) == segment.size_bytes
    del disk.fail["pwritev"]
    segment.append([payload(30)])
    assert file_bytes(tmp_path) == segment.size_bytes + AHEAD_BYTES
    assert [record.length_bytes for record in read_records(tmp_path / NAME)] == [10, 30]
    segment.close()


def test_what_is_in_memory_is_read_without_waiting_and_checked_likewise(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(SpoolFolder(tmp_path), NAME, disk, LIMIT_BYTES)
    (ref,) = segment.append([payload(300_000, b"y")])
    segment.close()
    reader = PayloadReader(tmp_path, 1_000_000)
    body = reader.open_cached(ref)
    if body is None:
        pytest.skip("this file system does not tell what is in memory")
    assert bytes(body.view()) == b"y" * 300_000
    damage(tmp_path / NAME, HEADER_BYTES + 7)
    reader.forget(NAME)
    with pytest.raises(PayloadLost, match="changed"):
        reader.open_cached(ref)
    (tmp_path / NAME).unlink()
    reader.forget(NAME)
    assert reader.open_cached(ref) is None, "`open` says why"
