"""What a migration refuses, how it goes on after it was cut off anywhere, and how its source is marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.migration.copying import CopiedPayloads
from gateway.migration.migrate import look, migrate, reopen
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, QueueBroken
from gateway.spool.replay import identify_nothing
from tests.support.migrating import content, filled, on_cluster, on_sqlite, opened_side

pytestmark = pytest.mark.postgresql


class CutOff(BaseException):
    """The end of a run, which nothing catches."""


def run(source: Settings, destination: Settings, steps: int = 1_000_000) -> int:
    """Migrate, but for what comes after so many steps; how many there were."""
    done = 0

    def count(table: str, rows: int) -> None:
        nonlocal done
        done += 1
        if done >= steps:
            raise CutOff

    migrate(source, destination, identify=identify_nothing, progress=count)
    return done


@pytest.mark.parametrize("is_back", [False, True], ids=["to a cluster", "from a cluster"])
def test_a_migration_that_is_cut_off_at_every_step_ends_the_same(
    tmp_path: Path, is_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.migration.copying.ROWS_AT_ONCE", 15)
    monkeypatch.setattr("gateway.migration.copying.INSTANCES_AT_ONCE", 5)
    first, second = filled(on_sqlite(tmp_path / "first"), steps=15), on_cluster(tmp_path / "second")
    before = content(first)
    if is_back:
        run(first, second)
        first, second = second, on_sqlite(tmp_path / "third")
    cuts = 0
    while cuts < 1000:
        try:
            run(first, second, steps=1 + cuts % 9)
            break
        except CutOff:
            cuts += 1
    assert cuts > 5
    assert content(second) == before
    assert run(first, second) == 0  # it is over


def test_neither_side_starts_meanwhile_and_the_source_not_afterwards(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "first"), steps=5), on_cluster(tmp_path / "second")
    with pytest.raises(CutOff):
        run(first, second, steps=3)
    assert "it is being migrated to" in refusal(first)
    assert "the beginning of a migration from" in refusal(second)
    run(first, second)
    assert "it was migrated to" in refusal(first)
    assert refusal(second) == ""


def refusal(settings: Settings) -> str:
    with opened_side(settings) as side:
        mark = side.store.spool.migration()
    assert mark is not None
    return mark.refusal


@pytest.mark.parametrize("is_last", [False, True], ids=["before the last mark", "behind the last mark"])
def test_no_message_offers_to_reopen_a_source_whose_destination_may_start(tmp_path: Path, is_last: bool) -> None:
    steps = run(filled(on_sqlite(tmp_path / "0"), steps=5), on_sqlite(tmp_path / "00"))
    first, second = filled(on_sqlite(tmp_path / "1"), steps=5), on_sqlite(tmp_path / "2")
    with pytest.raises(CutOff):
        run(first, second, steps=steps if is_last else steps - 1)
    assert "it was migrated to" in refusal(first)
    assert ("the beginning of a migration from" in refusal(second)) is not is_last
    run(first, second)
    assert refusal(second) == ""


def test_a_source_that_is_reopened_is_as_before_and_leaves_the_destination_to_be_emptied(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "first"), steps=5), on_cluster(tmp_path / "second")
    with pytest.raises(CutOff):
        run(first, second, steps=4)
    assert reopen(first, identify=identify_nothing).place.startswith("postgresql")
    with pytest.raises(ConfigurationError, match=r"a migration from .* which was given up with .*empty"):
        run(first, second)
    with pytest.raises(ConfigurationError, match="it was not migrated; there is nothing to reopen"):
        reopen(first, identify=identify_nothing)
    with pytest.raises(ConfigurationError, match="there is nothing to reopen"):
        reopen(second, identify=identify_nothing)
    run(first, on_cluster(tmp_path / "third"))


def test_a_source_that_was_migrated_is_not_migrated_elsewhere(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "first"), steps=5), on_cluster(tmp_path / "second")
    run(first, second)
    with pytest.raises(ConfigurationError, match="it was migrated to"):
        run(first, on_cluster(tmp_path / "third"))


def test_a_destination_that_holds_something_is_refused_and_nothing_is_marked(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "first"), 1, steps=5), on_cluster(tmp_path / "second")
    other = filled(on_sqlite(tmp_path / "other"), 2, steps=5)
    run(first, second)
    with pytest.raises(ConfigurationError, match=r"it holds something already \(.*instances"):
        run(other, second)
    (tmp_path / "third" / "spool" / "segments").mkdir(parents=True)
    (tmp_path / "third" / "spool" / "segments" / "00000001.seg").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"third/spool: .*payloads"):
        run(other, on_sqlite(tmp_path / "third"))
    with opened_side(other) as side:
        assert side.store.spool.migration() is None


def test_one_place_under_two_names_is_refused(tmp_path: Path) -> None:
    first = filled(on_sqlite(tmp_path / "first"), steps=5)
    with pytest.raises(ConfigurationError, match="both configurations name it"):
        run(first, first)


@pytest.mark.parametrize("which", [0, 1], ids=["source", "destination"])
def test_a_side_that_somebody_uses_is_refused(tmp_path: Path, which: int) -> None:
    sides = filled(on_sqlite(tmp_path / "first"), steps=5), on_cluster(tmp_path / "second")
    back = on_sqlite(tmp_path / "third")
    run(*sides)
    with opened_side(back), pytest.raises(ConfigurationError, match="a gateway uses it"):
        run(*((back, on_cluster(tmp_path / "fourth")) if which == 0 else (sides[1], back)))
    with opened_side(back), pytest.raises(ConfigurationError, match="a gateway uses it"):
        look(sides[1], back)


def test_sides_that_differ_at_the_end_are_no_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = filled(on_sqlite(tmp_path / "first"), steps=5), on_cluster(tmp_path / "second")
    monkeypatch.setattr("gateway.migration.copying.Copying._copy_instances", lambda self: None)
    with pytest.raises(QueueBroken, match=r"it has other numbers than .*instances: \d+ and 0"):
        run(first, second)
    assert "the beginning of a migration" in refusal(second)


def test_a_look_counts_and_changes_nothing(tmp_path: Path) -> None:
    first, second = filled(on_sqlite(tmp_path / "first")), on_cluster(tmp_path / "second")
    found = look(first, second)
    assert found.copied == CopiedPayloads()
    assert found.after == {}
    assert found.before == migrate(first, second, identify=identify_nothing).before
    assert look(second, first).after == {"instances": 1}
