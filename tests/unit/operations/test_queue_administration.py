"""Bulk verbs: bounded transactions, turns for others between them, exact counts, interruption in the middle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations import queue_administration
from gateway.operations.queue_administration import (
    DISCARD,
    HOLD,
    LARGEST_BATCH,
    RELEASE,
    RETRY,
    Operator,
    Progress,
    carry_out,
)
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import Temporary
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance

NUMBER = 3 * LARGEST_BATCH + 7
HELD = Dispatch("rule", "pacs", "", DeliveryState.HELD)
HOMELESS = Dispatch("unmatched", "", "", DeliveryState.HELD)
ALL = DeliveryFilter()
STATE_AFTER = {"retry": "pending", "hold": "held", "release": "pending", "discard": None}
BY: Any = {"by": Operator("anna", "a trial"), "meant": NUMBER}
VERBS = {verb.name: verb for verb in (RETRY, HOLD, RELEASE, DISCARD)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[SQLiteStore]:
    found = SQLiteStore(path, busy_timeout_s=0.0)
    yield found
    found.close()


def fill(queue: SQLiteStore, number: int, dispatch: Dispatch = TO_PACS) -> None:
    with queue.transaction():
        queue.deliveries.accept([(instance(each), [dispatch]) for each in range(1, number + 1)], NOON)


async def at_once(seconds: float) -> None:
    """No pause."""


def states(queue: SQLiteStore) -> dict[tuple[str, str], int]:
    return {(row.destination, row.state.value): row.count for row in queue.deliveries.depths()}


def recorded(queue: SQLiteStore) -> list[tuple[str, int, int]]:
    """State, done and stayed of each operation, the newest first."""
    return [(each.state.value, each.done, each.stayed) for each in queue.operations.last_operations(10)]


async def test_the_record_says_who_meant_what(queue: SQLiteStore) -> None:
    fill(queue, 3, HELD)
    clock, progress = Clock(), Progress()
    which = DeliveryFilter(destination="pacs", state=DeliveryState.HELD, created_before=NOON + timedelta(days=1))
    by = Operator("anna", "the archive is down")
    to: Any = {"destination": "vna", "wall": lambda: clock.advance(1), "pause": at_once}
    await carry_out(StoreOnFile(queue), RELEASE, which, progress, by=by, meant=3, **to)
    (kept,) = queue.operations.last_operations(10)
    assert (kept.operation_id, kept.verb, kept.operator, kept.why) == (progress.operation_id, "release", *astuple(by))
    assert (kept.target, kept.meant, kept.done) == ("vna", 3, 3)
    assert json.loads(kept.filter_json) == {
        "destination": "pacs",
        "state": "held",
        "created_before": "2026-03-02T12:00:00+00:00",
    }
    assert NOON < kept.began_at < kept.changed_at


class Transactions:
    """Counts the rows that every transaction changes, and lets another process write between two of them."""

    def __init__(self, queue: SQLiteStore) -> None:
        self.rows: list[int] = []
        self.pauses: list[float] = []
        self._queue = queue
        self._other = SQLiteStore(queue.path, busy_timeout_s=0.0)
        self._arrived = 10_000_000
        self._before = queue._connection.total_changes()

    async def pause(self, seconds: float) -> None:
        now = self._queue._connection.total_changes()
        self.rows.append(now - self._before)
        self._before = now
        self.pauses.append(seconds)
        self._arrived += 1
        with self._other.transaction():  # raises Temporary while a transaction is open: there is no time-out
            self._other.deliveries.accept([(instance(self._arrived), [TO_PACS])], NOON)

    def close(self) -> None:
        self._other.close()


@pytest.mark.parametrize("name", VERBS)
async def test_transactions_are_small_and_others_have_turns_between_them(queue: SQLiteStore, name: str) -> None:
    fill(queue, NUMBER, HELD if name == "release" else TO_PACS)
    seen, progress = Transactions(queue), Progress()
    await carry_out(StoreOnFile(queue), VERBS[name], ALL, progress, **BY, pause=seen.pause, elapsed_s=lambda: 0.0)
    seen.close()
    assert (progress.done, progress.busy, progress.without_destination, progress.is_complete) == (NUMBER, 0, 0, True)
    rows_each = 3 if name == "discard" else 2  # the delivery, its row before, and its instance
    noted = 1 + len(seen.rows)  # when it began, and in each transaction
    assert max(seen.rows) <= rows_each * LARGEST_BATCH + 2
    assert sum(seen.rows) == rows_each * NUMBER + noted
    assert len(seen.rows) >= NUMBER // LARGEST_BATCH
    assert min(seen.pauses) >= queue_administration.SHORTEST_PAUSE_S
    arrived = len(seen.rows)
    expected = {("pacs", "pending"): arrived}
    if state := STATE_AFTER[name]:
        expected["pacs", state] = expected.get(("pacs", state), 0) + NUMBER
    assert states(queue) == expected, "what arrived meanwhile is left alone"


async def test_slow_transactions_get_smaller_and_pauses_as_long(queue: SQLiteStore) -> None:
    """Processor and disk time as a table: each transaction lasts a millisecond a row."""
    fill(queue, 2000)
    sizes: list[int] = []
    pauses: list[float] = []
    clock = iter(_seconds(sizes, queue))

    async def paused(seconds: float) -> None:
        pauses.append(seconds)

    await carry_out(StoreOnFile(queue), HOLD, ALL, Progress(), **BY, pause=paused, elapsed_s=lambda: next(clock))
    assert sum(sizes) == 2 * 2000 + len(sizes), "each transaction keeps the rows before, and notes what it did"
    assert max(sizes) <= 100
    assert pauses == [max(2 * (size / 1000), queue_administration.SHORTEST_PAUSE_S) for size in sizes]


def _seconds(sizes: list[int], queue: SQLiteStore) -> Iterator[float]:
    while True:
        before = queue._connection.total_changes()
        yield 0.0
        sizes.append(queue._connection.total_changes() - before)
        yield sizes[-1] / 1000


@pytest.mark.parametrize("name", VERBS)
async def test_interrupted_and_done_again(queue: SQLiteStore, name: str) -> None:
    fill(queue, NUMBER, HELD if name == "release" else TO_PACS)
    verb, first, second = VERBS[name], Progress(), Progress()
    await carry_out(StoreOnFile(queue), verb, ALL, first, **BY, is_stopped=_after(3), pause=at_once)
    assert 0 < first.done < NUMBER
    assert not first.is_complete
    assert recorded(queue) == [("interrupted", first.done, 0)]
    if name != "retry":  # what was tried again can be tried again
        assert queue.administration.count(ALL, verb.states) == NUMBER - first.done
    await carry_out(StoreOnFile(queue), verb, ALL, second, **BY, pause=at_once)
    assert second.is_complete
    assert recorded(queue) == [("complete", second.done, 0), ("interrupted", first.done, 0)]
    assert second.done == (NUMBER if name == "retry" else NUMBER - first.done)
    after = STATE_AFTER[name]
    assert states(queue) == ({("pacs", after): NUMBER} if after else {})


def _after(times: int) -> Callable[[], bool]:
    asked = iter(range(times))
    return lambda: next(asked, None) is None


async def test_what_was_done_before_a_failure_is_counted_and_stays(queue: SQLiteStore, path: Path) -> None:
    fill(queue, NUMBER)
    other, progress = SQLiteStore(path), Progress()

    async def pause(_: float) -> None:
        if progress.done > 100:
            other._connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(Temporary):
        await carry_out(StoreOnFile(queue), DISCARD, ALL, progress, **BY, pause=pause)
    other._connection.execute("ROLLBACK")
    other.close()
    assert 100 < progress.done < NUMBER
    assert not progress.is_complete
    assert recorded(queue) == [("running", progress.done, 0)], "as long as nobody else can tell"
    assert states(queue) == {("pacs", "pending"): NUMBER - progress.done}


async def test_what_is_being_sent_stays_and_is_counted(queue: SQLiteStore) -> None:
    fill(queue, 30)
    with queue.transaction():
        queue.deliveries.claim("pacs", 10, 60.0, NOON)
    progress = Progress()
    await carry_out(StoreOnFile(queue), DISCARD, ALL, progress, **BY, pause=at_once)
    assert (progress.done, progress.busy) == (20, 10)
    assert recorded(queue) == [("complete", 20, 10)]


RELEASES: dict[str, tuple[str | None, dict[tuple[str, str], int], tuple[int, int], dict[str, int]]] = {
    # to, what the queue holds then, (released, stayed without a destination), what they were held for
    "to their own": (None, {("pacs", "pending"): 2, ("", "held"): 3}, (2, 3), {"pacs": 2}),
    "to another": ("vna", {("vna", "pending"): 5}, (5, 0), {"pacs": 2, "": 3}),
}


@pytest.mark.parametrize("name", RELEASES)
async def test_release_says_what_went_where(queue: SQLiteStore, name: str) -> None:
    to, after, counts, held_for = RELEASES[name]
    with queue.transaction():
        queue.deliveries.accept(
            [(instance(number), [HELD if number < 3 else HOMELESS]) for number in range(1, 6)], NOON
        )
    progress = Progress()
    await carry_out(StoreOnFile(queue), RELEASE, ALL, progress, **BY, destination=to, pause=at_once)
    assert states(queue) == after
    assert (progress.done, progress.without_destination) == counts
    assert progress.held_for == held_for


def test_memory_holds_a_page(queue: SQLiteStore) -> None:
    fill(queue, NUMBER)
    found: list[int] = []
    while page := queue.administration.page(
        ALL, DISCARD.states, after=found[-1] if found else 0, last=NUMBER, limit=100
    ):
        assert len(page) <= 100
        found += page
    assert found == list(range(1, NUMBER + 1))
    assert queue.administration.count(ALL, DISCARD.states) == NUMBER


async def test_the_clock_is_asked_for_every_transaction(path: Path) -> None:
    clock = Clock()

    def now() -> datetime:
        return clock.advance(1)

    queue = SQLiteStore(path, now=now)
    fill(queue, 100)

    await carry_out(StoreOnFile(queue), RETRY, ALL, Progress(), **BY, pause=at_once)
    assert len({row.due_at for row in queue.administration.list(ALL, 1000)}) > 1
    queue.close()
