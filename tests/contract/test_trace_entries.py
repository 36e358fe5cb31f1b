"""What every `TraceEntries` must do; run against each implementation."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store import Store
from gateway.ports.trace_entries import TraceEntry
from tests.support.samples import NOON, TO_PACS, TO_VNA, Clock, instance
from tests.support.store_rig import ANY, accept, claim, settle_all

CT = AssociationFacts("CT1", "GATEWAY", "10.0.0.7")
MR = AssociationFacts("MR1", "GATEWAY", "10.0.0.8")
DELIVERED = DeliveryState.DELIVERED
LATER = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def arrive(
    store: Store, clock: Clock, number: int, *to: Dispatch, study: str = "1.1", sender: AssociationFacts = CT
) -> None:
    """An object of 10 bytes and `number` more, `number` minutes after noon."""
    arriving = instance(number, study_instance_uid=study, association=sender)
    payload = replace(arriving.payload, length_bytes=10 + number)
    accept(store, (replace(arriving, payload=payload, received_at=NOON + number * MINUTE), [*to]), clock=clock)


def forget(store: Store, clock: Clock, limit: int = 100) -> int:
    with store.transaction():
        return store.deliveries.forget(clock() + LATER, limit)


def test_what_is_there_has_no_entry_and_its_senders_are_known(queue: Store, clock: Clock) -> None:
    for number, sender in ((1, CT), (2, MR), (3, CT)):
        arrive(queue, clock, number, TO_PACS, sender=sender)
    arrive(queue, clock, 4, TO_PACS, study="1.2")
    assert queue.traces.entries(["1.1", "1.2"]) == []
    assert queue.traces.senders(["1.1"]) == [
        TraceEntry("1.1", "sender", "CT1", 2, 0, 24, 0, NOON + MINUTE, NOON + 3 * MINUTE),
        TraceEntry("1.1", "sender", "MR1", 1, 0, 12, 0, NOON + 2 * MINUTE, NOON + 2 * MINUTE),
    ]
    assert [each.study_instance_uid for each in queue.traces.senders(["1.2", "1.1", "1.9"])] == ["1.1", "1.1", "1.2"]


def test_what_is_forgotten_is_known_by_sender_and_destination(queue: Store, clock: Clock) -> None:
    arrive(queue, clock, 1, TO_PACS, TO_VNA)
    arrive(queue, clock, 2, TO_PACS, sender=MR)
    for destination in ("pacs", "vna"):
        settle_all(queue, claim(queue, clock, destination), DELIVERED)
    assert forget(queue, clock) == 2
    at = NOON + timedelta(seconds=0.25)  # as long as an attempt takes
    assert queue.traces.entries(["1.1"]) == [
        TraceEntry("1.1", "sender", "CT1", 1, 0, 11, 0, NOON + MINUTE, NOON + MINUTE),
        TraceEntry("1.1", "sender", "MR1", 1, 0, 12, 0, NOON + 2 * MINUTE, NOON + 2 * MINUTE),
        TraceEntry("1.1", "destination", "pacs", 2, 2, 23, 1, NOON + MINUTE, NOON + 2 * MINUTE, at),
        TraceEntry("1.1", "destination", "vna", 1, 1, 11, 1, NOON + MINUTE, NOON + MINUTE, at),
    ]
    assert queue.traces.senders(["1.1"]) == []


def test_each_object_is_counted_once_however_its_study_goes(queue: Store, clock: Clock) -> None:
    for number in range(1, 6):
        arrive(queue, clock, number, TO_PACS)
    settle_all(queue, claim(queue, clock, "pacs"), DELIVERED)
    there = []
    for _ in range(6):
        forget(queue, clock, limit=1)
        (gone,) = [each for each in queue.traces.entries(["1.1"]) if each.role == "sender"]
        there.append((gone.instances, sum(each.instances for each in queue.traces.senders(["1.1"]))))
    assert there == [(1, 4), (2, 3), (3, 2), (4, 1), (5, 0), (5, 0)]
    (sent,) = [each for each in queue.traces.entries(["1.1"]) if each.role == "destination"]
    assert (sent.instances, sent.delivered, sent.size_bytes) == (5, 5, 65)
    assert (sent.first_received_at, sent.last_received_at) == (NOON + MINUTE, NOON + 5 * MINUTE)


def test_what_an_operator_discards_is_counted_of_its_sender_alone(queue: Store, clock: Clock) -> None:
    arrive(queue, clock, 1, TO_PACS, TO_VNA)
    settle_all(queue, claim(queue, clock, "vna"), DELIVERED)
    with queue.transaction():
        assert queue.administration.discard(DeliveryFilter(destination="pacs")) == 1
    assert queue.traces.entries(["1.1"]) == []
    forget(queue, clock)
    assert [(each.name, each.instances) for each in queue.traces.entries(["1.1"])] == [("CT1", 1), ("vna", 1)]


def test_what_nothing_was_owed_of_came_from_its_sender(queue: Store, clock: Clock) -> None:
    arrive(queue, clock, 1)
    forget(queue, clock)
    assert [(each.role, each.name) for each in queue.traces.entries(["1.1"])] == [("sender", "CT1")]


@pytest.mark.parametrize(
    "study", ["", "9" * 129, "".join(hashlib.sha256(b"%d" % each).hexdigest() for each in range(90))]
)
def test_without_a_study_instance_uid_that_is_one_there_is_no_entry(queue: Store, clock: Clock, study: str) -> None:
    arrive(queue, clock, 1, study=study)
    arrive(queue, clock, 2, TO_PACS, study=study)
    with queue.transaction():
        queue.administration.discard(ANY)
    assert forget(queue, clock) == 2
    assert queue.traces.entries([study]) == []


def test_the_longest_study_instance_uid_that_is_known(queue: Store, clock: Clock) -> None:
    arrive(queue, clock, 1, study="\u1234" * 128)
    forget(queue, clock)
    assert [each.instances for each in queue.traces.entries(["\u1234" * 128])] == [1]


def test_what_is_rolled_back_is_not_counted(queue: Store, clock: Clock) -> None:
    arrive(queue, clock, 1)
    with pytest.raises(ZeroDivisionError):
        forget_in_vain(queue, clock)
    if queue.traces.senders(["1.1"]):  # the store in memory rolls nothing back
        assert queue.traces.entries(["1.1"]) == []


def forget_in_vain(store: Store, clock: Clock) -> None:
    with store.transaction():
        store.deliveries.forget(clock() + LATER, 1)
        raise ZeroDivisionError


def test_entries_go_when_nothing_came_to_them_for_long(queue: Store, clock: Clock) -> None:
    for number, study in ((1, "1.1"), (2, "1.2"), (3, "1.3")):
        arrive(queue, clock, number, study=study)
        forget(queue, clock)
        clock.advance(60)
    start = clock() - timedelta(seconds=180)

    def left_after(before: datetime, limit: int) -> list[str]:
        with queue.transaction():
            queue.traces.forget_entries(before, limit)
        return [each.study_instance_uid for each in queue.traces.entries(["1.1", "1.2", "1.3"])]

    assert left_after(start, 9) == ["1.1", "1.2", "1.3"]
    assert left_after(start + timedelta(seconds=150), 1) == ["1.2", "1.3"]
    assert left_after(start + timedelta(seconds=90), 9) == ["1.3"]
    arrive(queue, clock, 4, study="1.3")
    forget(queue, clock)
    assert left_after(start + timedelta(seconds=150), 9) == ["1.3"], "something came to it since"
