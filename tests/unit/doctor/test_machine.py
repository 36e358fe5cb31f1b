"""Clock and limits: a table of states and the finding that each gives."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.doctor import machine
from tests.unit.doctor.rig import codes, on, site_in

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW, ["clock"]),
        (datetime(1970, 1, 1, 0, 3, tzinfo=UTC), ["clock-implausible"]),
        (datetime(2155, 1, 1, tzinfo=UTC), ["clock-implausible"]),
    ],
)
def test_the_year(tmp_path: Path, now: datetime, expected: list[str]) -> None:
    assert codes(machine.clock(on(site_in(tmp_path), now=lambda: now))) == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("", ["clock"]),
        ("Europe/Berlin", ["clock"]),
        (":Europe/Berlin", ["clock"]),
        ("UTC", ["clock"]),
        ("CET-1CEST,M3.5.0,M10.5.0/3", ["clock"]),
        ("Europe/Berln", ["time-zone-unknown"]),
        ("/usr/share/zoneinfo/Nowhere", ["time-zone-unknown"]),
    ],
)
def test_the_time_zone(tmp_path: Path, zone: str, expected: list[str]) -> None:
    environ = {"TZ": zone} if zone else {}
    assert codes(machine.clock(on(site_in(tmp_path), now=lambda: NOW, environ=environ))) == expected


def test_no_time_zone_at_all(tmp_path: Path) -> None:
    site = on(site_in(tmp_path), now=lambda: NOW, local_time=tmp_path / "none")
    assert codes(machine.clock(site)) == ["time-zone-unset"]


@pytest.mark.parametrize(("seconds", "expected"), [(-3600, ["clock"]), (5, ["clock"]), (300, ["clock-behind-files"])])
def test_files_from_the_future(tmp_path: Path, seconds: float, expected: list[str]) -> None:
    site = on(site_in(tmp_path), now=lambda: NOW)
    database = tmp_path / "var" / "gateway.db"
    database.parent.mkdir()
    database.touch()
    stamp = (NOW + timedelta(seconds=seconds)).timestamp()
    os.utime(database, (stamp, stamp))
    assert codes(machine.clock(site)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, []), (20, []), (-90, ["clock-differs"]), (90, ["clock-differs"])]
)
def test_the_clock_of_the_gateway_that_answers(seconds: float, expected: list[str]) -> None:
    found = list(machine.difference(NOW, NOW + timedelta(seconds=seconds), "127.0.0.1:8080"))
    assert codes(found) == expected
    if expected:
        assert ("ahead of" if seconds > 0 else "behind") in found[0].what


@pytest.mark.parametrize(
    ("available", "expected"),
    [(100_000, ["descriptors"]), (1_024, ["descriptors-short"]), (100, ["descriptors-too-few"])],
)
def test_descriptors(tmp_path: Path, available: int, expected: list[str]) -> None:
    assert codes(machine.limits(site_in(tmp_path), [], available)) == expected
