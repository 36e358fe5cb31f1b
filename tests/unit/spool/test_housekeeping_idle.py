"""What housekeeping does only while nobody sends: small steps, each of which lets others go first."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import structlog

from gateway.ports.meter import NoMeter
from gateway.ports.store import Store
from gateway.spool import housekeeping
from gateway.spool.free_space import UnboundedFreeSpace
from gateway.spool.housekeeping import BLOCKS_A_STEP, Housekeeping
from gateway.spool.store import SpoolStore
from gateway.spool.writing import Writing
from tests.support.samples import NOON


class Database:
    """With pages to give back; `None`: it cannot."""

    def __init__(self, surplus: int | None) -> None:
        self.surplus = surplus
        self.steps: list[int] = []
        self.checkpoints = 0

    def surplus_blocks(self) -> int | None:
        return self.surplus

    def release_blocks(self, most_blocks: int) -> None:
        assert self.surplus is not None
        self.steps.append(most_blocks)
        self.surplus = max(self.surplus - most_blocks, 0)

    def consolidate(self) -> None:
        self.checkpoints += 1


def keeper(database: Database, is_idle: Callable[[], bool]) -> Housekeeping:
    async def ask(function: Callable[[Store], Any]) -> Any:
        return function(cast(Store, database))

    return Housekeeping(
        payloads=cast(SpoolStore, None),
        call=ask,
        read=ask,
        changed=lambda destinations: None,
        retention_s=timedelta(hours=1).total_seconds(),
        keep_trace_s=timedelta(days=30).total_seconds(),
        keep_s=lambda: 0.0,
        now=lambda: NOON,
        monotonic=time.monotonic,
        meter=NoMeter(),
        writing=Writing(NoMeter(), time.monotonic),
        queue_room=UnboundedFreeSpace(),
        is_idle=is_idle,
    )


async def test_what_is_free_is_given_back_step_by_step_and_then_leaves_the_file() -> None:
    database = Database(3 * BLOCKS_A_STEP - 10)
    await keeper(database, lambda: True).release_surplus()
    assert (database.steps, database.surplus, database.checkpoints) == ([BLOCKS_A_STEP] * 3, 0, 1)


async def test_nothing_is_done_while_objects_arrive() -> None:
    database = Database(10_000)
    await keeper(database, lambda: False).release_surplus()
    assert (database.steps, database.checkpoints) == ([], 0)


async def test_an_arrival_ends_it_after_the_step_that_is_being_done() -> None:
    database = Database(100 * BLOCKS_A_STEP)
    await keeper(database, lambda: len(database.steps) < 4).release_surplus()
    assert len(database.steps) == 4


async def test_one_round_ends_so_that_all_else_has_its_turn() -> None:
    database = Database(1_000_000)
    await keeper(database, lambda: True).release_surplus()
    assert len(database.steps) == housekeeping.MOST_STEPS


async def test_a_file_that_cannot_shrink_is_named_once() -> None:
    kept = keeper(Database(None), lambda: True)
    with structlog.testing.capture_logs() as logs:
        await kept.release_surplus()
        await kept.release_surplus()
    (event,) = logs
    assert event["event"] == "database_not_shrunk"
    assert "gateway rebuild" in event["hint"]
