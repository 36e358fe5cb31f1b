"""One byte changed at random places: only objects whose own bytes were hit are lost, and each is named.

GATEWAY_DAMAGED_PLACES=200 makes it the full campaign: so many places, with the database current and 1, 10 and 100
groups behind, and as many of the spool once more with the database gone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from gateway.sqlite.store import SQLiteStore
from tests.unit.repair.site import BEHIND, GROUPS, Made, Outcome, dispatches_of, owed_at_the_end, started

PLACES = int(os.environ.get("GATEWAY_DAMAGED_PLACES", "12"))
KINDS = ("spool/segments/*.seg", "spool/large/*.obj", "gateway.db", "gateway.db-wal")


def some_place(chance: Random, number: int, folder: Path) -> tuple[str, int, int]:
    """A file, each kind as often as the others, a place in it, and how its byte changes."""
    if KINDS[number % len(KINDS)] == "gateway.db":  # all that the log holds goes into the database
        SQLiteStore(folder / "gateway.db").close()
    files = sorted(each for each in folder.glob(KINDS[number % len(KINDS)]) if each.stat().st_size)
    if not files:
        files = sorted(folder.glob(KINDS[0]))
    file = chance.choice(files)
    return str(file.relative_to(folder)), chance.randrange(file.stat().st_size), chance.randrange(1, 256)


def complaints(made: Made, outcome: Outcome, name: str, at_bytes: int, expected: set[int]) -> list[str]:
    """What is not as it should be."""
    hit = made.hit(name, at_bytes)
    lost = expected - outcome.owed.keys()
    said = outcome.named | outcome.unreadable
    found = []
    if lost - hit:
        found.append(f"lost though not hit: {sorted(lost - hit)}")
    if lost - said:
        found.append(f"lost in silence: {sorted(lost - said)}")
    if outcome.changed:
        found.append(f"changed: {sorted(outcome.changed)}")
    if outcome.refusal and "gateway rebuild" not in outcome.refusal:
        found.append(f"the refusal does not name the remedy: {outcome.refusal}")
    return found


@pytest.mark.campaign
@pytest.mark.timeout(60 + 4 * PLACES)
@pytest.mark.parametrize("groups_behind", BEHIND)
def test_only_what_is_hit_is_lost(made: Made, tmp_path: Path, groups_behind: int) -> None:
    chance = Random(20261129 + groups_behind)
    counts: Counter[str] = Counter()
    wrong = []
    for number in range(PLACES):
        folder = tmp_path / str(number)
        folder.mkdir()
        site = made.copy(folder, groups_behind)
        name, at_bytes, change = some_place(chance, number, folder)
        site.flip(name, at_bytes, change)
        outcome = asyncio.run(started(site))
        counts += Counter(
            places=1,
            refused=bool(outcome.refusal),
            held=sum(any(state == "held" for _, state in each) for each in outcome.owed.values()),
            lost=len(owed_at_the_end() - outcome.owed.keys()),
            told=bool(outcome.errors or outcome.unreadable),
        )
        wrong += [
            f"place {number}, {name} at {at_bytes} by {change:#x}: {each}"
            for each in complaints(made, outcome, name, at_bytes, owed_at_the_end())
        ]
        shutil.rmtree(folder)
    print(f"{groups_behind} groups behind: {dict(counts)}, wrong {len(wrong)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(60 + 4 * PLACES)
def test_a_rebuild_without_a_database_brings_back_everything_else(made: Made, tmp_path: Path) -> None:
    chance = Random(20261130)
    counts: Counter[str] = Counter()
    wrong = []
    for number in range(PLACES):
        folder = tmp_path / str(number)
        folder.mkdir()
        site = made.copy(folder, 0)
        site.remove_database()
        name, at_bytes, change = some_place(chance, number % 2, folder)
        site.flip(name, at_bytes, change)
        outcome = asyncio.run(started(site))
        assert outcome.rebuilt is not None
        assert "gateway rebuild" in outcome.refusal
        expected = set(range(1, GROUPS + 1))
        counts += Counter(places=1, lost=len(expected - outcome.owed.keys()), held=len(outcome.rebuilt.replayed.held))
        wrong += [
            f"place {number}, {name} at {at_bytes} by {change:#x}: {each}"
            for each in complaints(made, outcome, name, at_bytes, expected)
        ]
        for each, deliveries in outcome.owed.items():
            if f"1.2.3.4.5.{each}" not in outcome.rebuilt.replayed.held:
                assert {to for to, _ in deliveries} == {dispatch.destination for dispatch in dispatches_of(each)}
        shutil.rmtree(folder)
    print(f"without a database: {dict(counts)}, wrong {len(wrong)}")
    assert not wrong, "\n".join(wrong)
