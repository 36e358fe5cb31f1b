"""What goes back to the queue takes its place there, also when the clock was set back meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.delivery.ledger import Ledger
from gateway.model.delivery import Settlement
from gateway.sqlite.store import SQLiteStore
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import NOON, TO_PACS, Clock, instance


class Settlements(MemoryJournal):
    """Keeps what it is told to settle."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        self.settled = list(settlements)
        return [True] * len(settlements)


@pytest.mark.parametrize(
    ("due_at", "comes_back_at"),
    [(NOON - timedelta(hours=1), NOON - timedelta(hours=1)), (NOON + timedelta(days=5000), NOON)],
    ids=["as it was claimed", "the clock was set back"],
)
async def test_what_goes_back_waits_for_no_time_that_the_clock_showed_before(
    tmp_path: Path, due_at: datetime, comes_back_at: datetime
) -> None:
    clock = Clock()
    queue = SQLiteStore(tmp_path / "queue.db", now=clock)
    with queue.transaction():
        queue.deliveries.accept([(instance(1), [TO_PACS])], clock())
        (claimed,) = queue.deliveries.claim("pacs", 1, 60.0, clock())
    queue.close()
    journal = Settlements(clock)
    ledger = Ledger(journal, "pacs", MemoryMeter(), clock)
    delivery = replace(claimed, due_at=due_at)
    assert ledger.claimed(delivery)
    ledger.returned(delivery)
    await ledger.return_all()
    assert [each.due_at for each in journal.settled] == [comes_back_at]


async def test_a_doubt_is_settled_with_the_delivery() -> None:
    journal = MemoryJournal()
    ledger = Ledger(journal, "pacs", MemoryMeter(), journal.now)
    journal.add_many(4)
    sent, untried, delivered, in_hand = await journal.claim("pacs", 4, 60.0)
    for delivery in (sent, untried, delivered, in_hand):
        assert ledger.claimed(delivery)
    for delivery in (sent, delivered):
        ledger.doubt(delivery)
    ledger.deferred(sent, "the association was lost", journal.now(), 0.1)
    ledger.returned(untried)
    ledger.delivered(delivered, 0, 0.1)
    await ledger.return_all()
    rows = {number: row.is_doubtful for number, row in journal.rows.items()}
    assert [rows[each.delivery_id] for each in (sent, untried, delivered, in_hand)] == [True, False, False, True]
