"""Segments: what is written ahead is never taken for a record, and never stays."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gateway.spool.record import HEADER_BYTES, read_records
from gateway.spool.segment import AHEAD_BYTES, FOLDER, SMALL_GROUP_BYTES, Payload, Segment, SegmentReader, segment_name
from tests.unit.spool.faulty import FaultyDisk, error

NAME = segment_name(1)
LIMIT_BYTES = 64 * 1024**2


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    (tmp_path / FOLDER).mkdir()
    return FaultyDisk()


def payload(length_bytes: int, fill: bytes = b"x") -> Payload:
    return Payload([fill * length_bytes], "1.2.840.10008.1.2.1")


def file_bytes(root: Path) -> int:
    return (root / NAME).stat().st_size


def test_small_groups_overwrite_what_was_written_ahead(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(tmp_path, NAME, disk, LIMIT_BYTES)
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
    segment = Segment(tmp_path, NAME, disk, LIMIT_BYTES)
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
    segment = Segment(tmp_path, NAME, disk, limit_bytes)
    segment.append([payload(length_bytes)])
    assert file_bytes(tmp_path) - segment.size_bytes == ahead_bytes
    segment.close()


def test_a_large_group_may_overwrite_and_pass_the_zeros(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(tmp_path, NAME, disk, LIMIT_BYTES)
    segment.append([payload(10)])
    segment.append([payload(2 * AHEAD_BYTES, b"z")])
    assert file_bytes(tmp_path) == segment.size_bytes
    assert [record.length_bytes for record in read_records(tmp_path / NAME)] == [10, 2 * AHEAD_BYTES]
    segment.close()


def test_after_a_write_that_failed_it_is_written_ahead_anew(tmp_path: Path, disk: FaultyDisk) -> None:
    segment = Segment(tmp_path, NAME, disk, LIMIT_BYTES)
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
