"""Implementations by others, with their default settings, before and behind the gateway: a slice of the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.campaigns.interoperability import Row, destinations, native_objects, senders
from tests.support.foreign.programs import missing

SOME = 6


def installed(*names: str) -> list[str]:
    """Those of `names` that are there; the test is skipped where none is."""
    absent = missing()
    found = [name for name in names if name not in absent]
    if not found:
        pytest.skip("; ".join(f"no {name} ({advice})" for name, advice in absent.items()))
    return found


def lost(rows: list[Row]) -> dict[str, dict[str, str]]:
    return {row.name: row.lost for row in rows if row.lost}


async def test_native_objects_arrive_at_destinations_with_default_settings(tmp_path: Path) -> None:
    names = installed("storescp", "storescp +xi", "pynetdicom 3", "CTN", "odil")
    rows, refused = await destinations(tmp_path, native_objects()[:SOME], names)
    assert [row.name for row in rows] == [*names, "Orthanc"]
    assert lost(rows) == {}
    assert all(row.offered == SOME - len(refused) > 0 for row in rows)
    assert all(row.arrived > 0 for row in rows)


async def test_what_senders_send_with_default_settings_is_kept(tmp_path: Path) -> None:
    names = installed("storescu", "dcmsend", "pynetdicom 3", "CTN", "odil")
    rows = await senders(tmp_path, native_objects()[:SOME], names)
    assert [row.name for row in rows] == [*names, "Orthanc"]
    assert lost(rows) == {}
    assert all(row.arrived > 0 for row in rows)
