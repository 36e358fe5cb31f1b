"""`check` finds what is wrong with spool and database, names what is lost by it, and changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.repair.check import check
from gateway.repair.report import RepairFinding
from gateway.spool.lock import SpoolLock
from gateway.spool.record import HEADER_BYTES, REDO, seed_of
from gateway.spool.walk import FoundRecord, walk
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import instance
from tests.unit.repair.site import GROUPS, Made, Site, started


@pytest.fixture(scope="module")
def stopped(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = made.copy(tmp_path_factory.mktemp("stopped"), 0)
    assert asyncio.run(started(site)).errors == 0
    return site


@pytest.fixture
def site(stopped: Site, tmp_path: Path) -> Site:
    """Stopped in order, with a database that knows everything."""
    shutil.copytree(stopped.folder, tmp_path, dirs_exist_ok=True)
    return Site(tmp_path)


def contents(folder: Path) -> Mapping[str, str]:
    """Every file and its digest, but for what SQLite shares between processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def uid(number: int) -> str:
    return instance(number).sop_instance_uid


def only(site: Site) -> RepairFinding:
    (found,) = check(site.settings()).errors
    return found


async def test_a_whole_site_has_no_problems(site: Site) -> None:
    before = contents(site.folder)
    report = check(site.settings())
    assert report.findings == []
    assert (report.instances, report.is_running) == (GROUPS, False)
    assert report.records == 2 * GROUPS
    assert contents(site.folder) == before


@pytest.mark.parametrize("groups_behind", [0, 10])
async def test_a_check_after_a_crash_changes_nothing(made: Made, tmp_path: Path, groups_behind: int) -> None:
    site = made.copy(tmp_path, groups_behind)
    before = contents(site.folder)
    report = check(site.settings())
    assert report.errors == []
    notes = {each.code for each in report.findings}
    assert ("database-behind" in notes) == (groups_behind > 0)
    assert contents(site.folder) == before
    outcome = await started(site)
    assert outcome.errors == 0


@pytest.mark.parametrize("number", [30, 40], ids=["small", "large"])
async def test_a_damaged_payload_is_named(made: Made, site: Site, number: int) -> None:
    payload = made.places[number].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 150)
    found = only(site)
    assert (found.file, list(found.lost), found.owed) == (payload.name, [uid(number)], 2)
    assert found.start_bytes is not None
    assert found.start_bytes <= payload.offset_bytes + 150
    assert "sender" in found.remedy


async def test_what_was_delivered_owes_nothing(made: Made, site: Site) -> None:
    payload = made.places[1].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 10)
    assert only(site).owed == 0


@pytest.mark.parametrize("number", [30, 40], ids=["small", "large"])
async def test_a_damaged_header_loses_nothing(made: Made, site: Site, number: int) -> None:
    payload = made.places[number].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes - HEADER_BYTES + 40)
    found = only(site)
    assert (found.code, found.file, list(found.lost)) == ("header-damaged", payload.name, [])


async def test_a_damaged_note_is_reported(made: Made, site: Site) -> None:
    name = made.places[30].payload.name
    seed = seed_of((site.spool_folder / "spool.id").read_text().strip())
    notes = [each for each in walk(site.spool_folder / name, seed) if isinstance(each, FoundRecord)]
    note = next(each.record for each in notes if each.record.kind == REDO)
    site.flip(f"spool/{name}", note.offset_bytes + 20)
    found = only(site)
    assert (found.code, list(found.lost)) == ("note-damaged", [])


async def test_a_missing_file_names_what_is_lost(made: Made, site: Site) -> None:
    name = made.places[40].payload.name
    (site.spool_folder / name).unlink()
    found = only(site)
    assert (found.code, found.file, list(found.lost), found.owed) == ("file-missing", name, [uid(40)], 2)


async def test_a_file_that_is_cut_names_what_is_lost(made: Made, site: Site) -> None:
    payload = made.places[30].payload
    os.truncate(site.spool_folder / payload.name, payload.offset_bytes + 20)
    lost = {each for found in check(site.settings()).errors for each in found.lost}
    behind = {
        uid(number)
        for number, each in made.places.items()
        if each.payload.name == payload.name and each.payload.offset_bytes >= payload.offset_bytes
    }
    assert lost == behind


def tear_index(site: Site) -> None:
    with contextlib.closing(SQLiteStore(site.database)) as queue:
        queue.connection.execute("DELETE FROM series")


def orphan(site: Site) -> None:
    with contextlib.closing(SQLiteStore(site.database)) as queue:
        queue.connection.execute("DELETE FROM association")


def damage_pages(site: Site) -> None:
    for page in range(4, 12):
        site.flip("gateway.db", page * 4096 + 3)


def cut_database(site: Site) -> None:
    os.truncate(site.database, 5 * 4096)


def no_database(site: Site) -> None:
    site.remove_database()


def other_header(site: Site) -> None:
    site.flip("gateway.db", 3)


@pytest.mark.parametrize(
    "damage",
    [tear_index, orphan, damage_pages, cut_database, no_database, other_header],
    ids=lambda damage: damage.__name__,
)
async def test_a_damaged_database_names_the_remedy(site: Site, damage: Callable[[Site], None]) -> None:
    damage(site)
    found = check(site.settings()).errors
    assert found
    assert all("gateway rebuild" in each.remedy for each in found)


async def test_a_row_that_contradicts_the_spool_is_reported(site: Site) -> None:
    with contextlib.closing(SQLiteStore(site.database)) as queue:
        queue.connection.execute("UPDATE instance SET payload_offset = payload_offset + 8 WHERE instance_id = 30")
    found = only(site)
    assert (found.code, list(found.lost)) == ("payload-lost", [uid(30)])
    assert "gateway rebuild" in found.remedy


async def test_a_database_of_another_spool(site: Site) -> None:
    (site.spool_folder / "spool.id").write_text("another\n")
    codes = {each.code for each in check(site.settings()).errors}
    assert "identity-differs" in codes


async def test_no_spool(site: Site) -> None:
    shutil.rmtree(site.spool_folder)
    assert "spool-missing" in {each.code for each in check(site.settings()).errors}


async def test_what_was_set_aside_is_listed(site: Site) -> None:
    folder = site.spool_folder / "quarantine"
    folder.mkdir(exist_ok=True)
    (folder / "00000001.seg.0-100.20260301T120000Z").write_bytes(bytes(100))
    report = check(site.settings())
    assert report.errors == []
    (note,) = report.findings
    assert (note.code, note.file) == ("quarantined", "quarantine/00000001.seg.0-100.20260301T120000Z")


async def test_beside_a_running_gateway(site: Site) -> None:
    """Objects that come in meanwhile are no problems, nor is the end of the segment that is written."""
    journal = site.journal()
    await journal.start()
    try:
        report = await asyncio.to_thread(check, site.settings())
        assert (report.errors, report.is_running) == ([], True)
    finally:
        await journal.close()


async def test_asking_does_not_keep_a_gateway_out(site: Site) -> None:
    lock = SpoolLock(site.spool_folder)
    try:
        assert check(site.settings()).is_running
    finally:
        lock.release()
    assert not check(site.settings()).is_running
    SpoolLock(site.spool_folder).release()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
async def test_what_is_no_file_is_a_problem(made: Made, site: Site, kind: str) -> None:
    """A start reads nothing of it, and says so."""
    name = made.places[30].payload.name
    path = site.spool_folder / name
    path.rename(site.folder / "aside")
    if kind == "link":
        path.symlink_to(site.folder / "aside")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    found = only(site)
    assert (found.code, found.file) == ("file-missing", name)
    assert uid(30) in found.lost
    with capture_logs() as logs:
        journal = site.journal()
        await journal.start()
        await journal.close()
    (told,) = [each for each in logs if each["event"] == "irregular_file_found"]
    assert (told["file"], told["log_level"]) == (name, "error")
