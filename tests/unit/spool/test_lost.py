"""Bytes that were kept and are lost: what arrives again must not rest on them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.model.settings import Spool
from gateway.ports.errors import PayloadLost, Temporary
from gateway.spool.record import HEADER_BYTES
from gateway.spool.store import SpoolStore
from tests.unit.spool.test_journal import LARGE_BYTES, Site, commit


def cut(path: Path) -> None:
    """In the middle of its first payload."""
    with path.open("r+b") as file:
        file.truncate(HEADER_BYTES + 500)


def change(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(200)
        file.write(b"?")


@pytest.mark.parametrize("at", [128, 128 + LARGE_BYTES, 128 + 2 * LARGE_BYTES - 1], ids=["first", "middle", "last"])
async def test_a_large_object_that_has_changed_on_disk_is_never_complete(tmp_path: Path, at: int) -> None:
    site, data = Site(tmp_path), b"x" * 2 * LARGE_BYTES
    async with site.journal() as journal:
        kept = await commit(journal, data)
        with contextlib.closing(journal.open(kept.payload)) as body:
            assert b"".join(body.chunks(65_536)) == data
        with (tmp_path / "spool" / kept.payload.name).open("r+b") as file:
            file.seek(at)
            file.write(b"?")
        with contextlib.closing(journal.open(kept.payload)) as body:
            seen: list[bytes | memoryview] = []
            with pytest.raises(PayloadLost, match="changed"):
                seen.extend(body.chunks(65_536))
        assert sum(map(len, seen)) < len(data)


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Whatever number a descriptor that another thread closes meanwhile had, nobody gets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("length_bytes", [1000, LARGE_BYTES + 1], ids=["small", "large"])
async def test_bytes_that_cannot_be_read_for_want_of_descriptors_are_not_lost(
    tmp_path: Path, length_bytes: int
) -> None:
    site = Site(tmp_path)
    async with site.journal() as journal:
        kept = await commit(journal, b"x" * length_bytes)
    spool = Spool(str(tmp_path / "spool"), 0, large_object_bytes=LARGE_BYTES)
    with concurrent.futures.ThreadPoolExecutor(1) as workers:  # no journal: its threads open and close files
        store = SpoolStore(spool, disk=site.disk, monotonic=lambda: 0.0, workers=workers)
        with contextlib.closing(store):
            with no_descriptor_left(), pytest.raises(Temporary, match="now"):
                store.open(kept.payload)
            with contextlib.closing(store.open(kept.payload)) as body:
                if length_bytes > LARGE_BYTES:
                    with no_descriptor_left(), pytest.raises(Temporary, match="now"):
                        body.view()
                assert body.view() == b"x" * length_bytes


@pytest.mark.parametrize(
    ("length_bytes", "damage"),
    [(1000, Path.unlink), (1000, cut), (1000, change), (LARGE_BYTES + 1, Path.unlink), (LARGE_BYTES + 1, cut)],
    ids=["small, gone", "small, cut", "small, changed", "large, gone", "large, cut"],
)
async def test_an_object_that_is_sent_again_replaces_lost_bytes(
    tmp_path: Path, length_bytes: int, damage: Callable[[Path], None]
) -> None:
    site, data = Site(tmp_path), b"x" * length_bytes
    async with site.journal() as journal:
        lost = await commit(journal, data)
    damage(tmp_path / "spool" / lost.payload.name)
    async with site.journal() as journal:
        kept = await commit(journal, data)
        again = await commit(journal, data)
        claimed = await journal.claim("pacs", 10, 60.0)
        assert [delivery.instance.payload for delivery in claimed] == [lost.payload, kept.payload]
        assert again.payload.digest == kept.payload.digest  # a duplicate once more
        with contextlib.closing(journal.open(kept.payload)) as body:
            assert bytes(body.view()) == data
