"""The cache of payloads: bounded, emptied by a start, and of no consequence when its disk fails."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.cluster.payload_cache import KEPT_SHARE, PayloadCache
from gateway.ports.errors import Temporary

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


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"one", bytearray(b" two"), memoryview(b" three")]], ids=len)
def test_what_is_put_comes_back(cache: PayloadCache, chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    cache.put("journal/1/2", chunks, len(data))
    assert content(cache, "journal/1/2") == data
    assert content(cache, "journal/1/3") is None


def test_a_start_begins_without_any(cache: PayloadCache, tmp_path: Path) -> None:
    cache.put("journal/1/2", [b"data"], 4)
    assert content(PayloadCache(tmp_path / "cache"), "journal/1/2") is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_one_that_was_not_used_for_longest_leaves(cache: PayloadCache, tmp_path: Path) -> None:
    for number in range(10):
        cache.put(f"journal/1/{number}", [b"x" * 100], 100)
    assert content(cache, "journal/1/0") is not None
    cache.put("journal/1/10", [b"x" * 200], 200)
    kept = [number for number in range(11) if content(cache, f"journal/1/{number}") is not None]
    assert kept == [0, *range(3, 11)]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) == MOST_BYTES


def test_the_same_name_counts_once(cache: PayloadCache) -> None:
    for _ in range(50):
        cache.put("journal/1/1", [b"x" * 100], 100)
    cache.put("journal/1/2", [b"y" * 100], 100)
    assert content(cache, "journal/1/1") == b"x" * 100
    cache.drop("journal/1/1")
    assert cache._held_bytes == 100


def test_what_would_drive_out_everything_else_is_not_kept(cache: PayloadCache, tmp_path: Path) -> None:
    large = b"x" * (MOST_BYTES // KEPT_SHARE + 1)
    cache.put("journal/1/1", [large], len(large))
    (tmp_path / "file").write_bytes(large)
    cache.adopt("large/1", tmp_path / "file", 0, len(large))
    assert (tmp_path / "file").exists()
    descriptor = cache.keep_open("large/2", [large], len(large))
    assert os.pread(descriptor, 1000, 0) == large, "its reader has it all the same"
    os.close(descriptor)
    assert [content(cache, name) for name in ("journal/1/1", "large/1", "large/2")] == [None] * 3
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_is_adopted_with_what_stands_before_the_payload(cache: PayloadCache, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"header" + b"payload")
    cache.adopt("large/1", tmp_path / "file", 6, 7)
    assert content(cache, "large/1", 7) == b"payload"
    assert not (tmp_path / "file").exists()


def test_an_error_of_the_disk_leaves_out_and_is_logged_once(cache: PayloadCache, tmp_path: Path) -> None:
    cache.put("journal/1/1", [b"data"], 4)
    (tmp_path / "cache" / "journal_1_1").unlink()
    (tmp_path / "cache").rmdir()
    with capture_logs() as logs:
        cache.put("journal/1/2", [b"data"], 4)
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
