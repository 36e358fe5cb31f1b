"""A new table counts for what is delivered from then on: how long its copy is kept, among others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta

from gateway.model.delivery import DeliveryState
from tests.support.fakes.delivery import peer, reload, table
from tests.unit.delivery.conftest import Bench


@dataclass(frozen=True)
class Route:
    """That of the deliveries of `MemoryJournal`."""

    name: str
    keep_s: float


async def test_a_reload_with_another_keep_counts_from_then_on(bench: Bench) -> None:
    bench.journal.add("pacs")
    await bench.start(peer(keep_s=86400.0))
    await bench.journal.until_all(DeliveryState.DELIVERED, "pacs")
    kept = dataclasses.replace(table(peer()), routes=(Route("rule", 7 * 86400.0),))
    prepared = bench.service.prepare(kept)
    assert (prepared.keeps, [*prepared.opened]) == ({"rule": 7 * 86400.0}, ["pacs"])
    await reload(bench.service, kept)
    bench.journal.add("pacs")
    await bench.journal.until(lambda: len(bench.journal.settlements) == 2)
    times = [each.kept_until - each.due_at for each in bench.journal.settlements if each.kept_until is not None]
    assert [round(time / timedelta(hours=1)) for time in times] == [24, 7 * 24]
