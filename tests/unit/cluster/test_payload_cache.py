"""The cache of payloads: bounded, emptied by a start, and of no consequence when its disk fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.cluster import payload_cache
from gateway.cluster.payload_cache import (
    FILE_BYTES,
    FILE_GROUPS,
    KEPT_SHARE,
    WAITING_BYTES,
    WAITING_GROUPS,
    WRITTEN_AT_ONCE_BYTES,
    PayloadCache,
)
from gateway.common.buffer import Buffer
from gateway.ports.errors import Temporary
from gateway.spool.disk import LocalDisk, write_all

MOST_BYTES = 1000


@pytest.fixture
def cache(tmp_path: Path) -> PayloadCache:
    return PayloadCache(tmp_path / "cache", MOST_BYTES)


def content(cache: PayloadCache, name: str, length_bytes: int = 1_000_000) -> bytes | None:
    found = cache.open(name)
    if found is None:
        return None
    try:
        return os.pread(found[0], length_bytes, found[1])
    finally:
        os.close(found[0])


def put(cache: PayloadCache, name: str, *pieces: Buffer) -> None:
    """Keep a group, in a file."""
    cache.add(name, pieces, sum(map(len, pieces)))
    cache.write()


PIECES = [[], [b""], [b"one"], [b"one", bytearray(b" two"), memoryview(b" three")]]


@pytest.mark.parametrize("pieces", PIECES, ids=len)
def test_what_is_put_comes_back(cache: PayloadCache, pieces: list[bytes]) -> None:
    put(cache, "journal/1/2", *pieces)
    assert content(cache, "journal/1/2") == b"".join(pieces)
    assert content(cache, "journal/1/3") is None


@pytest.mark.parametrize("pieces", PIECES, ids=len)
def test_a_part_of_what_is_in_memory_still(cache: PayloadCache, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert not cache.add("journal/1/2", pieces, len(data)), "too little for a file"
    for start in range(len(data) + 1):
        for length in range(len(data) - start + 1):
            part = cache.waiting("journal/1/2", start, length)
            assert part is not None
            assert b"".join(part) == data[start : start + length]
    assert content(cache, "journal/1/2") is None
    assert cache.waiting("journal/1/3", 0, 0) is None
    cache.write()
    assert cache.waiting("journal/1/2", 0, 0) is None


def test_groups_lie_in_one_file_once_they_are_enough(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path / "cache")
    groups = {f"journal/1/{number}": bytes([number]) * (FILE_BYTES // 4) for number in range(5)}
    is_time = [cache.add(name, [data], len(data)) for name, data in groups.items()]
    assert is_time == [False, False, False, True, False], "once, while nobody has written"
    cache.write()
    assert [content(cache, name, FILE_BYTES // 4) for name in groups] == [*groups.values()]
    assert len([*(tmp_path / "cache").iterdir()]) == 1
    assert not cache.add("journal/1/5", [b"x"], 1)


def test_no_call_writes_much_more_than_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[list[int]] = []

    def noted(disk: object, descriptor: int, pieces: Sequence[Buffer], offset_bytes: int) -> int:
        lengths.append([len(piece) for piece in pieces])
        return write_all(LocalDisk(), descriptor, pieces, offset_bytes)

    monkeypatch.setattr(payload_cache, "write_all", noted)
    cache = PayloadCache(tmp_path / "cache")
    half = WRITTEN_AT_ONCE_BYTES // 2
    group = [bytes([number]) * length for number, length in enumerate((0, half, half, 1, 4 * half, half, half - 1, 1))]
    put(cache, "journal/1/1", b"before")
    put(cache, "journal/1/2", *group)
    assert lengths == [[6], [0, half, half], [1], [4 * half], [half, half - 1, 1]]
    assert content(cache, "journal/1/2", 10 * half) == b"".join(group)


def test_what_comes_while_a_file_is_written_goes_into_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PayloadCache(tmp_path / "cache")
    written_groups = cache._written_groups
    later = {f"journal/1/{number}": bytes([number]) * FILE_BYTES for number in range(2, 4)}

    def written(groups: dict[str, Any]) -> str:
        for name, data in later.items():
            if name not in groups:
                assert not cache.add(name, [data], len(data))
        return written_groups(groups)

    monkeypatch.setattr(cache, "_written_groups", written)
    assert cache.add("journal/1/1", [b"x" * FILE_BYTES], FILE_BYTES)
    cache.write()
    assert [content(cache, name, FILE_BYTES) for name in later] == [*later.values()]
    assert len([*(tmp_path / "cache").iterdir()]) == 2
    assert cache._waiting_bytes == 0


def test_groups_do_not_heap_up_in_memory(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path / "cache")
    data = b"x" * FILE_BYTES
    for number in range(WAITING_BYTES // FILE_BYTES + 3):
        cache.add(f"journal/1/{number}", [data], len(data))
    assert cache._waiting_bytes == WAITING_BYTES
    assert cache.waiting("journal/1/0", 0, 1) == [b"x"]
    assert cache.waiting(f"journal/1/{WAITING_BYTES // FILE_BYTES}", 0, 1) is None
    cache.write()
    assert cache._waiting_bytes == 0
    assert cache.add("journal/1/99", [data], len(data))


def test_what_is_dropped_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, in a file with others, and while the file is written."""
    cache = PayloadCache(tmp_path / "cache")
    for number in range(3):
        cache.add(f"journal/1/{number}", [b"%d" % number], 1)
    cache.drop("journal/1/0")
    written_groups = cache._written_groups

    def written(groups: dict[str, Any]) -> str:
        cache.drop("journal/1/1")
        return written_groups(groups)

    monkeypatch.setattr(cache, "_written_groups", written)
    cache.write()
    assert [content(cache, f"journal/1/{number}", 1) for number in range(3)] == [None, None, b"2"]
    assert len([*(tmp_path / "cache").iterdir()]) == 1
    cache.drop("journal/1/2")
    assert [*(tmp_path / "cache").iterdir()] == []
    cache.add("journal/1/1", [b"data"], 4)
    cache.write()
    assert [*(tmp_path / "cache").iterdir()] == [], "all of it was dropped while it was written"
    assert (cache._held_bytes, cache._waiting_bytes) == (0, 0)


def test_a_start_begins_without_any(cache: PayloadCache, tmp_path: Path) -> None:
    put(cache, "journal/1/2", b"data")
    assert content(PayloadCache(tmp_path / "cache"), "journal/1/2") is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_file_that_was_not_used_for_longest_leaves(cache: PayloadCache, tmp_path: Path) -> None:
    for number in range(10):
        put(cache, f"journal/1/{number}", b"x" * 100)
    assert content(cache, "journal/1/0") is not None
    put(cache, "journal/1/10", b"x" * 200)
    kept = [number for number in range(11) if content(cache, f"journal/1/{number}") is not None]
    assert kept == [0, *range(3, 11)]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) == MOST_BYTES


def test_the_same_name_counts_once(cache: PayloadCache, tmp_path: Path) -> None:
    for _ in range(50):
        put(cache, "journal/1/1", b"x" * 100)
        cache.add("journal/1/3", [b"z" * 100], 100)
    put(cache, "journal/1/2", b"y" * 100)
    assert content(cache, "journal/1/1", 100) == b"x" * 100
    assert cache._held_bytes == 400, "a file that holds one of two still is as long as before"
    cache.drop("journal/1/1")
    cache.drop("journal/1/3")
    assert cache._held_bytes == sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 200
    assert cache._waiting_bytes == 0


def test_what_would_drive_out_everything_else_is_not_kept(cache: PayloadCache, tmp_path: Path) -> None:
    large = b"x" * (MOST_BYTES // KEPT_SHARE + 1)
    put(cache, "journal/1/1", large)
    (tmp_path / "file").write_bytes(large)
    cache.adopt("large/1", tmp_path / "file", 0, len(large))
    assert (tmp_path / "file").exists()
    descriptor = cache.keep_open("large/2", [large], len(large))
    assert os.pread(descriptor, 1000, 0) == large, "its reader has it all the same"
    os.close(descriptor)
    assert [content(cache, name) for name in ("journal/1/1", "large/1", "large/2")] == [None] * 3
    assert list((tmp_path / "cache").iterdir()) == []


def test_small_ones_are_bounded_in_their_number(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path / "cache", most_payloads=10)
    for number in range(25):
        put(cache, f"journal/1/{number}", b"%d" % number)
    kept = [number for number in range(25) if content(cache, f"journal/1/{number}", 2) == b"%d" % number]
    assert kept == [*range(15, 25)]
    assert len(list((tmp_path / "cache").iterdir())) == len(cache._files) == 10


def test_many_groups_without_a_byte_go_into_a_file_too(cache: PayloadCache) -> None:
    calls = [cache.add(f"journal/1/{number}", [], 0) for number in range(WAITING_GROUPS + 3)]
    assert [number for number, is_time in enumerate(calls, 1) if is_time] == [FILE_GROUPS]
    assert len(cache._waiting) == WAITING_GROUPS, "what comes while the disk does not write is left out"
    cache.write()
    assert cache._waiting == {}


def test_a_file_is_adopted_with_what_stands_before_the_payload(cache: PayloadCache, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"header" + b"payload")
    cache.adopt("large/1", tmp_path / "file", 6, 7)
    assert content(cache, "large/1", 7) == b"payload"
    assert not (tmp_path / "file").exists()


def test_an_error_of_the_disk_leaves_out_and_is_logged_once(cache: PayloadCache, tmp_path: Path) -> None:
    put(cache, "journal/1/1", b"data")
    (path,) = (tmp_path / "cache").iterdir()
    path.unlink()
    (tmp_path / "cache").rmdir()
    with capture_logs() as logs:
        put(cache, "journal/1/2", b"data")
        cache.adopt("large/1", tmp_path / "absent", 0, 4)
    assert [each["event"] for each in logs] == ["payload_not_cached"]
    assert [content(cache, name) for name in ("journal/1/1", "journal/1/2", "large/1")] == [None] * 3
    with pytest.raises(Temporary, match="takes no copy of it"):
        cache.keep_open("large/3", [b"data"], 4)


def test_chunks_that_fail_leave_nothing(cache: PayloadCache, tmp_path: Path) -> None:
    def failing() -> object:
        yield b"some"
        raise Temporary("the object store is gone")

    with contextlib.suppress(Temporary):
        cache.keep_open("large/1", failing(), 10)  # type: ignore[arg-type]
    assert content(cache, "large/1") is None
    assert list((tmp_path / "cache").iterdir()) == []
