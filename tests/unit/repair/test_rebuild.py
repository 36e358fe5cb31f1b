"""`rebuild` makes the database anew: from the spool alone, or with what the old database still knows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.migration import MigrationMark
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, PayloadLost, PayloadMissing, SpoolFull
from gateway.relational.spool_ledger import RelationalSpoolLedger
from gateway.repair.check import check
from gateway.repair.rebuild import rebuild
from gateway.spool.journal import GroupCommitJournal
from gateway.spool.lock import QueueLock, SpoolLock
from gateway.spool.record import HEADER_BYTES, REDO, seed_of
from gateway.spool.walk import FoundRecord, walk
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, instance
from tests.unit.repair import site as sites
from tests.unit.repair.site import (
    DELIVERED,
    DISCARDED,
    GROUPS,
    HELD,
    Made,
    Site,
    dispatches_of,
    owed_at_the_end,
    started,
)
from tests.unit.repair.test_check import contents, cut_database, damage_pages, other_header


@pytest.fixture
def site(made: Made, tmp_path: Path) -> Site:
    return made.copy(tmp_path, 0)


def states(site: Site) -> dict[tuple[int, str], str]:
    """(Object, destination) → state."""
    with contextlib.closing(SQLiteStore(site.database, must_exist=True)) as queue:
        return {
            (sites.number_of(each.instance.sop_instance_uid), each.destination): each.state.value
            for each in queue.administration.list(DeliveryFilter(), -1)
        }


async def test_without_a_database_everything_is_owed_again(site: Site) -> None:
    site.remove_database()
    rebuilt = site.rebuild()
    assert (rebuilt.old_database, rebuilt.owed_again, list(rebuilt.lost)) == ("", GROUPS, [])
    found = states(site)
    assert found == {
        (number, dispatch.destination): "pending"
        for number in range(1, GROUPS + 1)
        for dispatch in dispatches_of(number)
    }
    assert (await started(site)).errors == 0
    assert check(site.settings()).errors == []


async def test_what_is_known_by_the_spool_alone_can_be_held(site: Site) -> None:
    site.remove_database()
    site.rebuild(is_held=True)
    assert set(states(site).values()) == {"held"}
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        assert queue.administration.release(DeliveryFilter(destination="pacs"), NOON) == GROUPS
    assert {state for (_, to), state in states(site).items() if to == "pacs"} == {"pending"}


async def test_a_whole_database_comes_back_as_it_was(site: Site) -> None:
    before = states(site)
    rebuilt = site.rebuild()
    assert rebuilt.salvaged.is_complete
    assert (states(site), rebuilt.owed_again, rebuilt.salvaged.left_out) == (before, 0, {})
    assert [before[number, "pacs"] for number in DELIVERED] == ["delivered"] * len(DELIVERED)
    assert not any((number, "pacs") in before for number in DISCARDED)
    assert [before[number, "pacs"] for number in HELD] == ["held"] * len(HELD)


@pytest.mark.parametrize("groups_behind", [1, 10, 100])
async def test_what_stands_behind_it_is_reported(made: Made, tmp_path: Path, groups_behind: int) -> None:
    site = made.copy(tmp_path, groups_behind)
    rebuilt = site.rebuild()
    assert rebuilt.owed_again == groups_behind
    found = states(site)
    assert {number for number, _ in found} == set(range(1, GROUPS + 1)) - {13, 14}
    assert [found[number, "pacs"] for number in HELD] == ["held"] * len(HELD)


async def test_what_was_settled_and_forgotten_is_not_owed_again(site: Site) -> None:
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        queue.connection.execute("DELETE FROM delivery WHERE instance_id <= 10")
        queue.connection.execute("DELETE FROM instance WHERE instance_id <= 10")
    rebuilt = site.rebuild()
    assert (rebuilt.settled_before, rebuilt.owed_again) == (10, 0)
    assert {number for number, _ in states(site)} == set(range(11, GROUPS + 1)) - {13, 14}


@pytest.mark.parametrize("damage", [damage_pages, cut_database, other_header], ids=lambda damage: damage.__name__)
async def test_a_damaged_database_gives_what_it_can(site: Site, damage: Callable[[Site], None]) -> None:
    before = states(site)
    damage(site)
    rebuilt = site.rebuild()
    assert not rebuilt.salvaged.is_complete
    found = states(site)
    assert before.keys() <= found.keys(), "nothing that was owed is missing"
    outcome = await started(site)
    assert outcome.owed.keys() >= owed_at_the_end()
    assert (outcome.unreadable, outcome.errors) == (set(), 0)
    if damage is damage_pages:
        kept = sum(before[key] == found[key] for key in before)
        assert kept > len(before) // 2, "most rows were read"


async def test_a_database_that_was_migrated_to_another_one_is_refused(site: Site) -> None:
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        queue.spool.set_migration(MigrationMark("1", "source", "the cluster", is_complete=True))
    with pytest.raises(ConfigurationError, match="it was migrated to the cluster"):
        site.rebuild()
    with contextlib.closing(SQLiteStore(site.database)) as queue, queue.transaction():
        queue.spool.set_migration(None)
    assert site.rebuild().owed_again == 0


async def test_the_old_database_is_kept(site: Site) -> None:
    before = contents(site.folder)
    rebuilt = site.rebuild()
    name = os.path.basename(rebuilt.old_database)
    after = contents(site.folder)
    assert after[name] == before["gateway.db"]
    assert after[f"{name}-wal"] == before["gateway.db-wal"], "with its log, so that it can be read again"
    assert not list(site.folder.glob("*.rebuilding*"))


async def test_another_old_database_can_be_read(site: Site) -> None:
    before = states(site)
    kept = site.rebuild().old_database
    site.database.unlink()
    rebuilt = site.rebuild(source=Path(kept))
    assert states(site) == before
    assert rebuilt.owed_again == 0


async def test_a_second_rebuild_changes_nothing(site: Site) -> None:
    site.rebuild()
    before = states(site)
    site.rebuild()
    assert states(site) == before


@pytest.mark.parametrize("which", ["spool", "database"])
async def test_it_refuses_while_a_gateway_runs(site: Site, which: str) -> None:
    before = contents(site.folder)
    lock = SpoolLock(site.spool_folder) if which == "spool" else QueueLock(site.database)
    try:
        with pytest.raises(ConfigurationError, match=r"a gateway uses it.*stop it, and run `gateway rebuild` again"):
            site.rebuild()
    finally:
        lock.release()
    assert {name: digest for name, digest in contents(site.folder).items() if not name.endswith(".lock")} == {
        name: digest for name, digest in before.items() if not name.endswith(".lock")
    }


async def test_a_rebuild_that_fails_leaves_the_old_database(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = states(site)

    def full(*arguments: object) -> None:
        raise SpoolFull("no room")

    monkeypatch.setattr(RelationalSpoolLedger, "set_replayed_position", full)
    site.flip("gateway.db", 8 * 4096 + 3)
    with pytest.raises(SpoolFull):
        site.rebuild()
    monkeypatch.undo()
    site.flip("gateway.db", 8 * 4096 + 3)
    assert states(site) == before
    site.rebuild()
    assert states(site) == before


async def test_a_database_of_another_spool_is_refused(made: Made, site: Site) -> None:
    (site.spool_folder / "spool.id").write_text("another\n")
    with pytest.raises(ConfigurationError, match="another spool"):
        site.rebuild()


async def test_no_spool_is_refused(site: Site) -> None:
    settings = replace(site.settings(), spool=replace(site.settings().spool, path=str(site.folder / "elsewhere")))
    with pytest.raises(ConfigurationError, match="nothing to rebuild from"):
        rebuild(settings, identify=sites.identify)
    assert not (site.folder / "elsewhere").exists()


async def test_a_spool_without_an_identity_gets_its_own_back(site: Site) -> None:
    before = (site.spool_folder / "spool.id").read_text()
    (site.spool_folder / "spool.id").unlink()
    site.rebuild()
    assert (site.spool_folder / "spool.id").read_text() == before
    assert (await started(site)).errors == 0


async def test_neither_identity_nor_database(site: Site) -> None:
    """The headers were sealed with another identity: the digests prove the records all the same."""
    (site.spool_folder / "spool.id").unlink()
    site.remove_database()
    site.rebuild()
    assert {number for number, _ in states(site)} == set(range(1, GROUPS + 1))
    assert (await started(site)).owed.keys() == set(range(1, GROUPS + 1))


async def test_an_object_without_a_note_is_held(made: Made, site: Site) -> None:
    payload = made.places[30].payload
    seed = seed_of((site.spool_folder / "spool.id").read_text().strip())
    records = [each.record for each in walk(site.spool_folder / payload.name, seed) if isinstance(each, FoundRecord)]
    note = next(each for each in records if each.kind == REDO and each.offset_bytes > payload.offset_bytes)
    site.flip(f"spool/{payload.name}", note.offset_bytes + 30)
    site.remove_database()
    rebuilt = site.rebuild()
    assert rebuilt.replayed.held == [instance(30).sop_instance_uid]
    assert states(site)[30, ""] == DeliveryState.HELD.value
    assert rebuilt.replayed.kept_as
    assert all((site.spool_folder / name).is_file() for name in rebuilt.replayed.kept_as)


@pytest.mark.parametrize("number", [30, 40], ids=["small", "large"])
async def test_what_is_lost_is_named(made: Made, site: Site, number: int) -> None:
    payload = made.places[number].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 150)
    site.remove_database()
    rebuilt = site.rebuild()
    assert list(rebuilt.lost) == [instance(number).sop_instance_uid]


def change(made: Made, site: Site, number: int) -> None:
    """One byte of the payload."""
    payload = made.places[number].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 150)


def blank(made: Made, site: Site, number: int) -> None:
    """Header and payload."""
    payload = made.places[number].payload
    with (site.spool_folder / payload.name).open("r+b") as file:
        file.seek(payload.offset_bytes - HEADER_BYTES)
        file.write(bytes(HEADER_BYTES + payload.length_bytes))


def unlink(made: Made, site: Site, number: int) -> None:
    """The whole file."""
    (site.spool_folder / made.places[number].payload.name).unlink()


def whole(site: Site) -> None:
    pass


SMALL, LARGE = 31, 40
LOSSES = {
    **{
        f"{what} {kind}, {database}": (harm, number, happens)
        for what, harm in (("changed", change), ("blanked", blank))
        for kind, number in (("small", SMALL), ("large", LARGE))
        for database, happens in (("whole", whole), ("damaged", cut_database), ("gone", Site.remove_database))
    },
    "large file gone, whole": (unlink, LARGE, whole),
    "large file gone, damaged": (unlink, LARGE, cut_database),
    "segment gone, whole": (unlink, SMALL, whole),
}


@pytest.mark.parametrize(("harm", "number", "happens"), LOSSES.values(), ids=LOSSES)
async def test_what_is_lost_stays_in_the_queue_and_is_named_by_every_rebuild(
    made: Made,
    site: Site,
    harm: Callable[[Made, Site, int], None],
    number: int,
    happens: Callable[[Site], None],
) -> None:
    """What was acknowledged and cannot be delivered is for an operator to see, not to vanish."""
    harm(made, site, number)
    happens(site)
    first = site.rebuild()
    assert instance(number).sop_instance_uid in first.lost
    assert states(site)[number, "pacs"] == DeliveryState.PENDING.value
    again = site.rebuild()
    assert (again.lost, again.missing) == (first.lost, first.missing)
    assert states(site)[number, "pacs"] == DeliveryState.PENDING.value
    async with journal_of(site) as journal:
        claimed = {each.instance.sop_instance_uid: each for each in await journal.claim("pacs", 1000, 60.0)}
        with pytest.raises((PayloadLost, PayloadMissing)):  # its delivery is a dead letter, at once or for its age
            list(journal.open(claimed[instance(number).sop_instance_uid].instance.payload).chunks(65_536))


@contextlib.asynccontextmanager
async def journal_of(site: Site) -> AsyncIterator[GroupCommitJournal]:
    journal = site.journal()
    await journal.start()
    try:
        yield journal
    finally:
        await journal.close()


async def test_what_is_given_up_is_not_owed(made: Made, site: Site) -> None:
    blank(made, site, SMALL)
    rebuilt = site.rebuild(is_all_lost=True)
    assert list(rebuilt.lost) == [instance(SMALL).sop_instance_uid]
    assert (SMALL, "pacs") not in states(site)
    assert list(site.rebuild().lost) == []


async def test_what_a_backup_names_and_is_gone_is_not_owed(made: Made, site: Site, tmp_path: Path) -> None:
    """It was delivered since."""
    backup = tmp_path / "backup.db"
    for suffix in ("", "-wal"):
        site.database.with_name(f"{site.database.name}{suffix}").rename(f"{backup}{suffix}")
    unlink(made, site, LARGE)
    rebuilt = site.rebuild(source=backup)
    assert list(rebuilt.lost) == [instance(LARGE).sop_instance_uid]
    assert (LARGE, "pacs") not in states(site)


@pytest.mark.parametrize("has_database", [True, False])
async def test_what_is_set_aside_is_not_old_at_once_when_the_clock_stands_in_the_past(
    made: Made, site: Site, monkeypatch: pytest.MonkeyPatch, has_database: bool
) -> None:
    """The next start would delete it, since the retention is measured in the queue's time."""
    if not has_database:
        site.remove_database()
    payload = made.places[30].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 100)
    monkeypatch.setattr("gateway.repair.rebuild.utc_now", lambda: datetime(2001, 1, 1, tzinfo=UTC))
    (kept_as,) = site.rebuild().replayed.kept_as
    assert abs(datetime.strptime(f"{kept_as[-16:]}+0000", "%Y%m%dT%H%M%SZ%z") - made_at(made)) < timedelta(days=1)


def made_at(made: Made) -> datetime:
    return datetime.fromtimestamp((made.folder / "spool" / "spool.id").stat().st_mtime, UTC)
