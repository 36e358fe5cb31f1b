"""The consequences of an attempt for the delivery and for the destination."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.delivery.circuit import DOUBTS
from gateway.delivery.ready_line import ClaimedDelivery
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.model.peer import Retry
from gateway.ports.errors import DestinationDown, DestinationRefuses
from tests.unit.delivery.parts import Parts

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
RETRY = Retry(first_delay_s=60.0, factor=1.0, max_delay_s=60.0, jitter=0.0, give_up_after_s=3600.0)


@pytest.mark.parametrize(
    ("outcome", "state", "wait_s", "is_open"),
    [
        (Delivered(), DELIVERED, 0.0, True),
        (Delivered(0xB000), DELIVERED, 0.0, True),
        (Refused("0x0124 Not Authorized", dimse_status=0x0124), DEAD, 0.0, True),
        (Refused("cannot be edited", kind="action"), DEAD, 0.0, True),
        (Deferred("out of resources"), PENDING, 60.0, False),
        (Deferred("try in 5 s", retry_after_s=5.0), PENDING, 5.0, False),
    ],
    ids=["success", "warning", "failure", "not made", "deferred", "deferred for a time"],
)
async def test_a_delivery_after_an_attempt(
    outcome: Outcome, state: DeliveryState, wait_s: float, is_open: bool
) -> None:
    parts, worker = Parts({"retry": RETRY}), Worker()
    worker.is_open = True
    delivery = await parts.claimed()
    parts.outcomes.finish(worker, delivery, outcome, 0.5)
    await parts.settle()
    [settled] = parts.journal.settlements
    assert (settled.state, settled.is_attempt, settled.duration_s) == (state, True, 0.5)
    assert settled.due_at == parts.clock() + timedelta(seconds=wait_s)
    assert worker.is_open is is_open
    assert not parts.state.ledger


async def test_an_old_delivery_is_given_up_instead_of_deferred() -> None:
    parts = Parts({"retry": RETRY})
    delivery = await parts.claimed()
    parts.clock.advance(3601.0)
    parts.outcomes.set_back(delivery, Deferred("out of resources"), 0.5)
    await parts.settle()
    [settled] = parts.journal.settlements
    assert settled.state is DEAD
    assert "given up after 3601 s: out of resources" in settled.reason
    assert not parts.feeder.is_sweep_due, "the destination is not known to be down"


async def test_many_deferrals_in_a_row_close_the_way_and_give_back_what_is_ready() -> None:
    parts = Parts({"retry": RETRY})
    waiting = await parts.claimed()
    parts.feeder.ready.append(ClaimedDelivery(0.0, waiting))
    for number in range(DOUBTS):
        assert parts.state.standing.is_closed, number
        parts.outcomes.finish(Worker(), await parts.claimed(), Deferred("out of resources"), 0.0)
    assert not parts.state.standing.is_closed
    assert not parts.feeder.ready
    await parts.settle()
    given_back = [each.delivery_id for each in parts.journal.settlements if not each.is_attempt]
    assert given_back == [waiting.delivery_id]
    assert len(parts.journal.settlements) == DOUBTS + 1


@pytest.mark.parametrize(
    ("error", "level"), [(DestinationDown("connection refused"), "warning"), (DestinationRefuses("no"), "error")]
)
async def test_without_an_association_the_object_keeps_its_place(error: Exception, level: str) -> None:
    parts = Parts({"retry": RETRY})
    delivery = await parts.claimed()
    with capture_logs() as logs:
        parts.outcomes.unreachable(delivery, error, 0.1)
    assert [line["log_level"] for line in logs] == [level]
    assert parts.state.standing.reason == str(error)
    await parts.settle()
    [settled] = parts.journal.settlements
    assert (settled.state, settled.due_at, settled.reason) == (PENDING, delivery.due_at, str(error))


async def test_what_is_too_old_when_the_destination_is_down_makes_a_sweep_due() -> None:
    parts = Parts({"retry": RETRY})
    delivery = await parts.claimed()
    parts.clock.advance(3601.0)
    parts.outcomes.unreachable(delivery, DestinationDown("connection refused"), 0.1)
    assert parts.feeder.is_sweep_due
    await parts.settle()
    assert [each.state for each in parts.journal.settlements] == [DEAD]


async def test_refusals_in_a_row_are_held_against_the_destination() -> None:
    parts = Parts({"retry": RETRY, "most_refusals": 3})
    refused = Refused("0xC000 Cannot Understand", dimse_status=0xC000, log_reason="0xC000")
    for _ in range(4):
        parts.outcomes.finish(Worker(), await parts.claimed(), refused, 0.0)
    await parts.settle()
    assert [each.state for each in parts.journal.settlements] == [DEAD, DEAD, PENDING, PENDING]
    assert parts.state.refusals.is_held
    parts.outcomes.finish(Worker(), await parts.claimed(study_instance_uid="1.9"), Delivered(), 0.0)
    assert parts.state.standing.is_closed
    assert parts.meter.values["gateway_destination_left_out", "pacs"] == parts.state.refusals.number_left_out > 0
