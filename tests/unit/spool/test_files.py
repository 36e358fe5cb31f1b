"""Records, writing, room and lock: the small parts of the spool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.common.buffer import Buffer
from gateway.common.file_modes import UMASKS
from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.spool import record
from gateway.spool.disk import IOV_MAX, LocalDisk, write_all
from gateway.spool.free_space import FreeSpace
from gateway.spool.lock import SpoolLock
from tests.support.spool_records import read_records
from tests.unit.spool.faulty import FaultyDisk

# --- records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1", "1" * 64, ""], ids=["usual", "longest", "none"])
def test_a_header_says_what_was_packed(uid: str) -> None:
    header = record.pack(2**40, b"d" * 32, uid)
    assert len(header) == record.HEADER_BYTES
    assert record.unpack(header, 1000) == record.RecordHeader(1128, 2**40, b"d" * 32, uid)


@pytest.mark.parametrize("position", range(0, 124, 3))
def test_a_flipped_bit_is_noticed(position: int) -> None:
    header = bytearray(record.pack(5, b"d" * 32, "1.2"))
    header[position] ^= 4
    assert record.unpack(bytes(header)) is None


def test_a_segment_is_read_without_a_database_up_to_where_it_is_torn(tmp_path: Path) -> None:
    payloads = [b"first", b"", b"third"]
    data = b"".join(record.pack(len(each), bytes(32), "1.2") + each for each in payloads)
    path = tmp_path / "segment"
    torn = data + record.pack(100, bytes(32), "1.2") + b"cut short"
    path.write_bytes(torn)
    records = list(read_records(path))
    assert [torn[each.offset_bytes : each.offset_bytes + each.length_bytes] for each in records] == payloads


# --- writing ----------------------------------------------------------------------------------------------------


class Dribbling(LocalDisk):
    """Takes a few bytes at a time, as a kernel may."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes

    def pwritev(self, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int:
        assert len(buffers) <= IOV_MAX
        return os.pwrite(descriptor, b"".join(buffers)[: self.most_bytes], offset_bytes)


@pytest.mark.parametrize("most_bytes", [1, 7, 10, 10**9])
@pytest.mark.parametrize("count", [0, 1, 3, IOV_MAX + 5])
def test_all_bytes_are_written_whatever_the_kernel_takes_at_once(tmp_path: Path, most_bytes: int, count: int) -> None:
    buffers: list[Buffer] = [bytes([index % 251]) * (index % 4) for index in range(count)]
    buffers += [bytearray(b"array"), memoryview(b"view"), b""]
    expected = b"".join(buffers)
    disk = Dribbling(most_bytes)
    descriptor = disk.create(tmp_path / "file")
    assert write_all(disk, descriptor, buffers, 3) == 3 + len(expected)
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"\0\0\0" + expected


def test_payloads_are_for_nobody_else(tmp_path: Path) -> None:
    before = os.umask(UMASKS["owner"])
    try:
        os.close(LocalDisk().create(tmp_path / "file"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o077 == 0


# --- room -------------------------------------------------------------------------------------------------------


def test_room_is_looked_at_once_a_second_and_recovers(tmp_path: Path) -> None:
    seconds = [0.0]
    disk = FaultyDisk()
    disk.free = 1000
    room = FreeSpace(tmp_path, 1000, disk, lambda: seconds[0])
    room.check()
    disk.free = 999
    room.check()
    seconds[0] = 1.0
    with pytest.raises(SpoolFull, match=r"999 bytes free, under the min_free of 1000"):
        room.check()
    disk.free = 1001
    with pytest.raises(SpoolFull):
        room.check()
    room.invalidate()
    room.check()
    assert disk.calls.count("free_bytes") == 3


@pytest.mark.parametrize(("free", "is_low"), [(1249, True), (1250, False)])
def test_room_is_low_before_it_is_out(tmp_path: Path, free: int, is_low: bool) -> None:
    disk = FaultyDisk()
    disk.free = free
    assert FreeSpace(tmp_path, 1000, disk, lambda: 0.0).is_low is is_low


# --- lock -------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from gateway.spool.lock import SpoolLock
lock = SpoolLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.process
def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match=rf"another gateway uses it \(process {holder.pid}\)"):
            SpoolLock(tmp_path)
        holder.kill()
    SpoolLock(tmp_path).release()


def test_a_lock_given_back_can_be_taken_again(tmp_path: Path) -> None:
    SpoolLock(tmp_path).release()
    SpoolLock(tmp_path).release()


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        SpoolLock(tmp_path / "missing")
