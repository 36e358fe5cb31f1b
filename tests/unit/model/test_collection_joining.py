"""Arriving objects join their collections. The store's side: `tests/contract/test_collections.py`."""

from __future__ import annotations

import dataclasses

from gateway.model.collection import Collection, CollectionState, CollectionTerms, Membership
from gateway.model.collection_joining import Joining, generations_of, members_of
from gateway.model.delivery import DeliveryState, Dispatch
from tests.support.samples import NOON, instance

TERMS = CollectionTerms("chest")
MEMBER = Membership(TERMS, "1.2.3", patient="p", matches="1")
TO_PACS = Dispatch("r", "pacs", collection=MEMBER)
TO_VNA = Dispatch("r", "vna", collection=MEMBER)
DIRECT = Dispatch("direct", "pacs")


def begin(member: Membership, generation: int, flag: str) -> Collection:
    return Collection(
        *(40 + generation, member.terms, member.study_instance_uid, "", member.patient, generation),
        *(CollectionState.OPEN, NOON, NOON, NOON, NOON, NOON),
        flag=flag,
    )


def test_what_is_held_is_of_no_collection() -> None:
    held = dataclasses.replace(TO_PACS, state=DeliveryState.HELD)
    assert list(members_of([held, DIRECT, TO_VNA])) == [MEMBER]
    joining = Joining(generations_of([MEMBER], []), {}, begin, NOON)
    assert joining.dispatches(0, instance(), [held])[0].collection is None


def test_an_object_joins_once_for_all_destinations_of_a_definition() -> None:
    joining = Joining(generations_of([MEMBER], []), {}, begin, NOON)
    first, second, direct = joining.dispatches(3, instance(), [TO_PACS, TO_VNA, DIRECT])
    assert [each.collection for each in (first, second)] == [MEMBER.joined(41, is_waiting=True)] * 2
    assert (first.destination, second.destination, direct) == ("pacs", "vna", DIRECT)
    (joined,) = joining.joined
    assert (joined.arrival, joined.collection_id, joined.matches) == (3, 41, "1")


def test_later_arrivals_see_what_the_former_ones_did() -> None:
    found = generations_of([MEMBER], [])
    joining = Joining(found, {}, begin, NOON)
    for number in (1, 2):
        (made,) = joining.dispatches(number, instance(number), [TO_PACS])
        assert made.collection == MEMBER.joined(41, is_waiting=True)
    other = dataclasses.replace(instance(2), sop_instance_uid=instance(1).sop_instance_uid)
    joining.dispatches(3, other, [TO_PACS])
    (generations,) = found.values()
    assert dict(generations.counts) == {"replaced": 1}
    assert generations.is_changed


def test_patients_are_told_apart_and_flagged() -> None:
    other = dataclasses.replace(MEMBER, patient="q")
    there = begin(other, 1, "")
    found = generations_of([MEMBER], [(MEMBER.collected_key, there)])
    assert {key[1]: each.flag for key, each in found.items()} == {"p": "patients", "q": "patients"}
    assert found[MEMBER.collected_key, "q"].is_changed, "that it has a flag now is written"
