"""A spool that is not mounted, a database or an identity that is gone: start, `check` and `rebuild` say the same, and
none of them makes anything that hides it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ports.errors import ConfigurationError
from gateway.repair.check import check
from gateway.repair.pairing import check_before_spool, why_no_database
from gateway.repair.report import RepairFinding
from gateway.spool.lock import QueueLock
from gateway.sqlite.store import SQLiteStore
from tests.unit.repair.site import GROUPS, Made, Site
from tests.unit.repair.test_check import contents, damage_pages
from tests.unit.repair.test_rebuild import states


@pytest.fixture
def site(made: Made, tmp_path: Path) -> Site:
    """Stopped, with a database that has no log."""
    site = made.copy(tmp_path, 0)
    SQLiteStore(site.database).close()
    return site


def paths(site: Site) -> set[Path]:
    """All but what SQLite shares between processes."""
    return {path for path in site.folder.rglob("*") if not path.name.endswith("-shm")}


def errors(site: Site) -> dict[str, RepairFinding]:
    return {each.code: each for each in check(site.settings()).errors}


def notes(site: Site) -> set[str]:
    return {each.code for each in check(site.settings()).findings if each.severity == "note"}


# --- a spool that is not mounted --------------------------------------------------------------------------------


def gone(site: Site) -> None:
    site.spool_folder.rename(site.folder / "aside")


def empty(site: Site) -> None:
    gone(site)
    site.spool_folder.mkdir()


def left_by_a_start(site: Site) -> None:
    """What a start that failed made in the mount point."""
    empty(site)
    for name in ("segments", "large"):
        (site.spool_folder / name).mkdir()
    (site.spool_folder / "gateway.lock").touch()


NOT_MOUNTED = pytest.mark.parametrize("happen", [gone, empty, left_by_a_start], ids=lambda each: each.__name__)


@NOT_MOUNTED
def test_a_start_makes_nothing_where_the_spool_is_not_mounted(site: Site, happen: Callable[[Site], None]) -> None:
    happen(site)
    before = contents(site.folder), paths(site)
    with pytest.raises(ConfigurationError, match=r"there is no spool in this folder.*mount or restore"):
        check_before_spool(site.settings())
    assert (contents(site.folder), paths(site)) == before


@NOT_MOUNTED
@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_a_check_never_advises_a_rebuild_there(site: Site, happen: Callable[[Site], None], is_damaged: bool) -> None:
    happen(site)
    if is_damaged:
        damage_pages(site)
    found = errors(site)
    assert found.keys() == {"spool-missing"} | ({"database-damaged"} if is_damaged else set())
    assert "mount or restore" in found["spool-missing"].remedy
    assert all(each.remedy.find("mount or restore") in range(10) for each in found.values())


@NOT_MOUNTED
@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_a_rebuild_refuses_there(site: Site, happen: Callable[[Site], None], is_damaged: bool) -> None:
    happen(site)
    if is_damaged:
        os.truncate(site.database, 100)
    before = contents(site.folder), paths(site)
    with pytest.raises(ConfigurationError, match="mount or restore"):
        site.rebuild()
    assert (contents(site.folder), paths(site)) == before


def test_a_rebuild_refuses_when_not_one_payload_is_there(site: Site) -> None:
    for path in (site.spool_folder / "segments", site.spool_folder / "large"):
        shutil.rmtree(path)
        path.mkdir()
    before = site.database.read_bytes()
    with pytest.raises(ConfigurationError, match=r"not one payload.*--all-lost"):
        site.rebuild()
    assert site.database.read_bytes() == before
    assert not list(site.folder.glob("*.rebuilding*"))
    assert len(site.rebuild(is_all_lost=True).lost) == GROUPS


def test_a_fresh_folder_never_gets_the_old_identity(site: Site) -> None:
    old = (site.spool_folder / "spool.id").read_text()
    left_by_a_start(site)
    site.rebuild(is_all_lost=True)
    assert (site.spool_folder / "spool.id").read_text() not in ("", old)


def test_files_that_hold_other_payloads_do_not_get_the_old_identity(site: Site) -> None:
    for path in site.spool_folder.glob("*/0*"):
        path.write_bytes(b"another's" * 1000)
    (site.spool_folder / "spool.id").unlink()
    with pytest.raises(ConfigurationError, match="not one payload"):
        site.rebuild()
    assert not (site.spool_folder / "spool.id").exists()


def test_a_first_start_has_nothing_to_pair(tmp_path: Path) -> None:
    site = Site(tmp_path)
    check_before_spool(site.settings())
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match="nothing to rebuild from"):
        site.rebuild()


# --- a database that is gone ------------------------------------------------------------------------------------


def no_database(site: Site) -> None:
    site.remove_database()


def no_bytes(site: Site) -> None:
    site.remove_database()
    site.database.touch()


def filled_in(site: Site) -> None:
    """What a start that failed made in its place."""
    site.remove_database()
    SQLiteStore(site.database).close()


@pytest.mark.parametrize(
    ("happen", "code"),
    [(no_database, "database-missing"), (no_bytes, "database-empty"), (filled_in, "database-empty")],
    ids=["gone", "no bytes", "filled in"],
)
def test_a_lost_database(site: Site, happen: Callable[[Site], None], code: str) -> None:
    happen(site)
    before = contents(site.folder)
    with pytest.raises(ConfigurationError, match=r"the queue does not know them.*gateway rebuild"):
        check_before_spool(site.settings())
    assert contents(site.folder) == before
    found = errors(site)
    assert found.keys() == {code}
    assert "gateway rebuild" in found[code].remedy
    assert "stop the gateway" not in found[code].remedy
    assert "database-behind" not in notes(site)
    assert site.rebuild().owed_again == GROUPS
    check_before_spool(site.settings())
    assert errors(site) == {}


def test_a_damaged_database_is_reported_once(site: Site) -> None:
    damage_pages(site)
    report = check(site.settings())
    assert [each.code for each in report.findings] == ["database-damaged"]
    assert "stop the gateway" not in report.findings[0].what + report.findings[0].remedy


# --- an identity that is gone -----------------------------------------------------------------------------------


def test_an_identity_that_is_gone_comes_back(site: Site) -> None:
    identity = site.spool_folder / "spool.id"
    old, before = identity.read_text(), states(site)
    identity.unlink()
    with pytest.raises(ConfigurationError, match=r"identity-missing.*gateway rebuild"):
        check_before_spool(site.settings())
    found = check(site.settings())
    assert [each.code for each in found.findings] == ["identity-missing"], "nothing of each header"
    assert "gateway rebuild" in found.findings[0].remedy
    site.rebuild()
    assert (identity.read_text(), states(site)) == (old, before)
    check_before_spool(site.settings())


def test_identity_and_database_that_are_gone(site: Site) -> None:
    (site.spool_folder / "spool.id").unlink()
    site.remove_database()
    found = check(site.settings())
    assert [each.code for each in found.findings] == ["database-missing", "identity-missing"]
    assert site.rebuild().owed_again == GROUPS


def test_without_rows_to_prove_it_nothing_counts_as_settled(site: Site) -> None:
    """The database may be another spool's: what it does not know is owed again, not forgotten."""
    (site.spool_folder / "spool.id").unlink()
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        for table in ("attempt", "delivery", "instance"):
            queue.connection.execute(f"DELETE FROM {table}")
    rebuilt = site.rebuild()
    assert (rebuilt.owed_again, rebuilt.settled_before) == (GROUPS, 0)


# --- beside a gateway -------------------------------------------------------------------------------------------


def test_a_gateway_whose_spool_was_replaced_still_holds_the_database(site: Site) -> None:
    lock = QueueLock(site.database)
    try:
        empty(site)
        report = check(site.settings())
        assert report.is_running
        site.database.unlink()
        assert "put it back" in why_no_database(site.settings())
        assert "start the gateway" not in why_no_database(site.settings())
    finally:
        lock.release()
    assert "start the gateway once" in why_no_database(site.settings())


def test_a_database_that_is_gone_while_none_runs(site: Site) -> None:
    site.remove_database()
    assert "gateway rebuild" in why_no_database(site.settings())
