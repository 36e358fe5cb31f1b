"""Encoded data sets in memory, in files, and as pieces."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.ports.errors import GatewayError, PayloadMissing, PayloadUnreadable
from gateway.spool.body import PAGES_KEPT_BYTES, POPULATE_READ, FileDataSet, InMemoryDataSet
from gateway.spool.pieces import EditedDataSet


def in_file(path: Path, data: bytes, claimed_bytes: int | None = None) -> FileDataSet:
    path.write_bytes(b"head" + data)
    return FileDataSet(os.open(path, os.O_RDONLY), 4, len(data) if claimed_bytes is None else claimed_bytes, path.name)


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"one", bytearray(b"two"), memoryview(b"three")]])
def test_in_memory(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    body = InMemoryDataSet(chunks)
    assert body.length_bytes == len(whole)
    assert b"".join(body.chunks(2)) == whole
    assert bytes(body.view()) == whole
    assert body.view().readonly
    assert b"".join(body.chunks(100)) == whole
    body.close()


def test_one_chunk_is_not_copied() -> None:
    data = b"x" * 1000
    body = InMemoryDataSet([data])
    assert body.view().obj is data
    assert next(iter(body.chunks(1000))) is data


def test_closing_reports_once() -> None:
    told: list[int] = []
    body = InMemoryDataSet([b"x"], lambda: told.append(1))
    body.close()
    body.close()
    del body
    assert told == [1]


def test_an_abandoned_body_reports_too() -> None:
    told: list[int] = []
    InMemoryDataSet([b"x"], lambda: told.append(1))
    assert told == [1]


@pytest.mark.parametrize("length_bytes", [0, 1, 5000, 1_000_000])
def test_in_a_file(tmp_path: Path, length_bytes: int) -> None:
    data = os.urandom(length_bytes)
    body = in_file(tmp_path / "file", data)
    assert body.length_bytes == length_bytes
    assert b"".join(body.chunks(4097)) == data
    assert all(len(chunk) <= 4097 for chunk in body.chunks(4097))
    assert bytes(body.view()) == data
    assert body.view().readonly
    body.drop_pages()
    assert bytes(body.view()) == data
    body.close()
    body.close()


def test_a_view_outlives_its_body(tmp_path: Path) -> None:
    body = in_file(tmp_path / "file", b"payload")
    view = body.view()
    body.close()
    assert bytes(view) == b"payload"


def test_a_file_that_lost_its_end_may_come_back(tmp_path: Path) -> None:
    body = in_file(tmp_path / "file", b"payload", claimed_bytes=9)
    with pytest.raises(PayloadMissing, match="2 bytes are missing at its end"):
        list(body.chunks(4))
    with pytest.raises(PayloadMissing, match="2 bytes are missing at its end"):
        body.view()
    body.close()


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_a_mapped_edit_passes_through_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    size_bytes = 16 * PAGES_KEPT_BYTES
    with path.open("wb") as file:
        file.truncate(size_bytes)
    source = FileDataSet(os.open(path, os.O_RDONLY), 0, size_bytes, path.name)
    view = source.view()
    body = EditedDataSet([view[:1000], b"edit", view[1000:]], source)
    before_bytes = most_bytes = resident_bytes()
    total = 0
    for chunk in body.chunks(256 * 1024):
        total += len(bytes(chunk))
        most_bytes = max(most_bytes, resident_bytes())
    assert total == body.length_bytes == size_bytes + 4
    assert most_bytes - before_bytes < 4 * PAGES_KEPT_BYTES
    view.release()
    body.close()


def test_pieces_join_to_a_view() -> None:
    source = InMemoryDataSet([b"0123456789"])
    view = source.view()
    body = EditedDataSet([view[:3], b"--", view[5:]], source)
    assert body.length_bytes == 10
    assert bytes(body.view()) == b"012--56789"
    assert b"".join(body.chunks(2)) == b"012--56789"
    body.close()


def stored(path: Path, size_bytes: int) -> FileDataSet:
    path.write_bytes(bytes(size_bytes))
    return FileDataSet(os.open(path, os.O_RDONLY), 128, size_bytes - 128, path.name, digest=b"some")


class GivesErrors(mmap.mmap):
    """Of a kernel that does not know how to populate, or a disk with a bad sector."""

    def madvise(self, option: int, *place: int) -> None:
        if option == POPULATE_READ:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        super().madvise(option, *place)


class Cut(mmap.mmap):
    """Of a file that is cut off as soon as it is mapped: pages of it that are touched raise SIGBUS."""

    def __new__(cls, descriptor: int, *given: Any, **named: Any) -> Cut:
        made = super().__new__(cls, descriptor, *given, **named)
        os.truncate(f"/proc/self/fd/{descriptor}", 4096)
        return made


def test_a_page_that_the_disk_does_not_give_is_an_error_and_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touched, it would end this process."""
    monkeypatch.setattr("gateway.spool.body.mmap.mmap", Cut)
    body = stored(tmp_path / "large", 3 * PAGES_KEPT_BYTES)
    for _ in range(2):
        with pytest.raises(PayloadMissing, match=r"bytes are missing at its end|the file is not there"):
            body.view()
    body.close()


def test_an_error_of_the_disk_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[GatewayError] = []
    body = stored(tmp_path / "large", 2 * PAGES_KEPT_BYTES)
    body._report = reported.append
    monkeypatch.setattr("gateway.spool.body.mmap.mmap", GivesErrors)
    pread = os.pread

    def bad_sector(descriptor: int, size_bytes: int, offset: int) -> bytes:
        if offset >= PAGES_KEPT_BYTES:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, size_bytes, offset)

    monkeypatch.setattr("gateway.spool.body.os.pread", bad_sector)
    with pytest.raises(PayloadUnreadable, match="Input/output error; look at the disk"):
        body.view()
    assert len(reported) == 1
    body.close()


def test_a_kernel_that_cannot_populate_reads_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.spool.body.mmap.mmap", GivesErrors)
    body = stored(tmp_path / "large", PAGES_KEPT_BYTES + 4711)
    assert bytes(body.view()) == bytes(PAGES_KEPT_BYTES + 4711 - 128)
    body.close()
