"""An object that makes its destination hang up, or fall silent: it is set aside, and the destination stays up."""

from __future__ import annotations

import itertools

import pytest
from structlog.testing import capture_logs

from gateway.delivery.suspects import MOST_KEPT, MOST_TRIES, Suspects
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome
from gateway.ports.destination import Outbound
from tests.support.fakes.delivery import QUICK, peer
from tests.support.fakes.memory_journal import MemoryJournal
from tests.unit.delivery.conftest import Bench

DEAD, DELIVERED, PENDING = DeliveryState.DEAD, DeliveryState.DELIVERED, DeliveryState.PENDING


def deliveries(count: int) -> MemoryJournal:
    journal = MemoryJournal()
    journal.add_many(count)
    return journal


def test_tries_count_when_something_was_taken_between_them() -> None:
    bad, good = deliveries(2).rows.values()
    suspects = Suspects()
    assert not suspects.is_known(bad)
    assert [suspects.ended(bad) for _ in range(5)] == [1] * 5
    assert suspects.is_known(bad)
    for tries in (2, 3, 4):
        suspects.taken(good)
        assert suspects.ended(bad) == tries
    suspects.taken(bad)
    assert suspects.ended(bad) == 1


def test_what_is_remembered_is_bounded() -> None:
    rows = list(deliveries(MOST_KEPT + 1).rows.values())
    suspects = Suspects()
    for row in rows:
        suspects.ended(row)
    assert not suspects.is_known(rows[0])
    assert all(map(suspects.is_known, rows[1:]))


@pytest.mark.parametrize("is_silent", [False, True], ids=["hangs up", "is silent"])
async def test_it_is_set_aside_and_the_destination_stays_up(bench: Bench, *, is_silent: bool) -> None:
    tries = itertools.count(1)

    async def hangs_up(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid == "1.2.3.1":
            if next(tries) < MOST_TRIES:
                bench.journal.add()  # due before the next try, and taken
            return Deferred("the peer aborted", is_destination_down=is_silent, is_over_object=True)
        return Delivered()

    bench.to().behave = hangs_up
    bench.journal.add_many(3)
    with capture_logs() as logs:
        await bench.start(peer(retry=QUICK))
        await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states() == [DEAD, *[DELIVERED] * (2 + MOST_TRIES - 1)]
    assert bench.journal.rows[1].reason.startswith(f"set aside after {MOST_TRIES} tries")
    assert "the peer aborted" in bench.journal.rows[1].reason
    (status,) = bench.service.status()
    assert status.is_up
    downs = [line for line in logs if line["event"] == "destination_failed"]
    assert len(downs) <= is_silent  # the first silence may be the destination's


async def test_alone_it_is_tried_again_and_the_destination_stays_up(bench: Bench) -> None:
    """Nothing shows yet who is to blame: it is not set aside."""

    async def hangs_up(outbound: Outbound) -> Outcome:
        return Deferred("the peer aborted", is_over_object=True)

    bench.to().behave = hangs_up
    bench.journal.add()
    with capture_logs() as logs:
        await bench.start(peer(retry=QUICK))
        await bench.journal.until(lambda: bench.journal.rows[1].attempts > 3 * MOST_TRIES)
    assert bench.journal.states() == [PENDING]
    assert "destination_failed" not in [line["event"] for line in logs]


async def test_one_that_hangs_up_over_every_object_is_down_and_kills_nothing(bench: Bench) -> None:
    async def hangs_up(outbound: Outbound) -> Outcome:
        return Deferred("the peer aborted", is_over_object=True)

    bench.to().behave = hangs_up
    bench.journal.add_many(6)
    await bench.start(peer(retry=QUICK))
    await bench.journal.until(lambda: all(row.attempts > 2 for row in bench.journal.rows.values()))
    assert bench.journal.states() == [PENDING] * 6
    (status,) = bench.service.status()
    assert status.is_up is False
