"""Bytes that were kept and are lost: what arrives again must not rest on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.spool.test_journal import LARGE_BYTES, Site, commit


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


def change(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(200)
        file.write(b"?")


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
        assert again == kept  # a duplicate once more
        with contextlib.closing(journal.open(kept.payload)) as body:
            assert bytes(body.view()) == data
