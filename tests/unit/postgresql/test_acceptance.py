"""Texts that senders make up, and the order of arrival, on PostgreSQL."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.instance import Instance
from gateway.postgresql.store import PostgreSQLStore
from tests.support.identifiers import CT, attributes, entry, find
from tests.support.samples import FACTS, TO_PACS, TO_VNA, Clock, instance, settlement
from tests.support.store_rig import ANY, claim
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def indexed(number: int, **keywords: Any) -> Instance:
    known = {"PatientID": "P1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPClassUID": CT}
    known |= {"SOPInstanceUID": f"1.2.3.4.5.{number}"} | keywords
    return dataclasses.replace(
        instance(number), sop_instance_uid=known["SOPInstanceUID"], sop_class_uid=CT, index=entry(attributes(**known))
    )


def accept(store: PostgreSQLStore, clock: Clock, *instances: Instance) -> list[int]:
    with store.transaction():
        return [
            each.instance_id for each in store.deliveries.accept([(each, [TO_PACS]) for each in instances], clock())
        ]


LONG = "9" * 5000
"""Longer than a key of a B-tree may be."""
MADE_UP = {
    "a long UID": {"SOPInstanceUID": f"1.2.{LONG}"},
    "a long study": {"StudyInstanceUID": f"1.2.{LONG}"},
    "a long series": {"SeriesInstanceUID": f"1.2.{LONG}"},
    "a long patient ID": {"PatientID": LONG},
    "a long name": {"PatientName": "山" * 5000},
    "a long accession number": {"AccessionNumber": "ü" * 5000},
    "NUL": {"PatientID": "a\0b", "StudyDescription": "\0", "ReferringPhysicianName": "x\0^y"},
    "half a character": {"StudyDescription": "a\ud800b"},
    "what looks like an escape": {"StudyDescription": "\\u0000 \\\\u0000"},
}


@pytest.mark.parametrize("keywords", MADE_UP.values(), ids=MADE_UP)
def test_whatever_a_sender_writes_is_taken_and_found(
    open_store: OpenStore, clock: Clock, keywords: dict[str, Any]
) -> None:
    store = open_store(is_committing=True)
    given = indexed(1, **keywords)
    accept(store, clock, given, given)
    accept(store, clock, indexed(2, **{**keywords, "SOPInstanceUID": "1.2"}))
    study = keywords.get("StudyInstanceUID", "1.1")
    found = store.index.instances(store.index.find_instances(find("STUDY", StudyInstanceUID=study)))
    assert len(found) == 2
    assert found[0].sop_instance_uid == given.sop_instance_uid


def test_facts_with_nul_are_taken(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    accept(store, clock, instance(1, association=dataclasses.replace(FACTS, implementation_version_name="V\0")))
    (claimed,) = claim(store, clock)
    assert claimed.instance.association.implementation_version_name.startswith("V")


def test_identifiers_follow_arrival_and_are_never_used_again(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    first = accept(store, clock, *(instance(number) for number in (3, 1, 2)))
    assert first == sorted(first)

    def fail_midway() -> None:
        with store.transaction():
            store.deliveries.accept([(instance(4), [TO_PACS])], clock())
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError):
        fail_midway()
    (later,) = accept(store, clock, instance(5))
    assert later > first[-1]
    with store.transaction():
        store.administration.discard(ANY)
        store.deliveries.forget(clock.advance(1), 100)
    (last,) = accept(store, clock, instance(6))
    assert last > later


def test_a_clock_that_was_years_ahead_delays_nothing(open_store: OpenStore, clock: Clock) -> None:
    clock.advance(3 * 365 * 86400)
    store = open_store(is_committing=True)
    accept(store, clock, instance(1), instance(2))
    one, _ = claim(store, clock)
    with store.transaction():
        due_at = clock() + timedelta(days=1)
        store.deliveries.settle([settlement(one, DeliveryState.PENDING, due_at=due_at, reason="later")])
    clock.advance(-3 * 365 * 86400)
    accept(store, clock, instance(3))
    assert [each.instance.sop_instance_uid[-1] for each in claim(store, clock)] == ["1", "3"]
    assert {each.created_at <= clock() for each in store.administration.list(ANY, 10)} == {True}


def test_duplicates_within_a_call_join_the_first(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    arrivals = [(indexed(1), [TO_PACS]), (indexed(1), [TO_PACS]), (indexed(1), [TO_PACS, TO_VNA])]
    with store.transaction():
        first, same, more = store.deliveries.accept(arrivals, clock())
    assert (same.instance_id, same.deliveries, same.payload) == (first.instance_id, 0, indexed(1).payload)
    assert (more.deliveries, more.instance_id > first.instance_id) == (1, True)


def test_what_was_expected_is_known_for_these_arrivals_and_this_transaction(
    open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(is_committing=True)
    with store.transaction():
        store.expect([(indexed(1), [TO_PACS])])
    first, other = accept(store, clock, indexed(1), indexed(2))
    with store.transaction():
        store.expect([(indexed(1), [TO_PACS])])
        (third, again) = store.deliveries.accept([(indexed(3), [TO_PACS]), (indexed(1), [TO_PACS])], clock())
    assert len({first, other, third.instance_id}) == 3
    assert (third.deliveries, again.deliveries, again.instance_id) == (1, 0, first)
