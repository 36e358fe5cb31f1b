"""What the store has of a study or an object."""

from __future__ import annotations

from dataclasses import replace

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations.store_on_file import StoreOnFile
from gateway.operations.tracing import trace
from gateway.ports.delivery_administration import DeliveryFilter
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import TO_PACS, TO_VNA, Clock, instance, settlement
from tests.support.store_rig import accept, claim

STUDY = DeliveryFilter(study_instance_uid="1.1")


async def test_what_a_study_has_at_each_destination_and_when_it_came_there() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    for number in (1, 2):
        accept(store, (instance(number, study_instance_uid="1.1"), [TO_PACS, TO_VNA]), clock=clock)
    first, second = claim(store, clock)
    with store.transaction():
        store.deliveries.settle([settlement(first), replace(settlement(second), state=DeliveryState.PENDING)])
    found = await trace(StoreOnFile(store), [STUDY], 10, places={TO_PACS.rule: "rules.yaml:4"}, with_values=False)
    assert [(row["destination"], row["delivered"], row["expected"]) for row in found.studies] == [
        ("pacs", 1, 2),
        ("vna", 0, 2),
    ]
    assert [row["delivered_at"] is not None for row in found.deliveries] == [True, False, False, False]
    assert {row["rule_place"] for row in found.deliveries} == {"rules.yaml:4"}
    assert [len(row["attempts"]) for row in found.deliveries] == [1, 0, 1, 0]


async def test_a_rule_that_is_gone_has_no_place_and_a_limit_is_one_for_all() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    for number, study in ((1, "1.1"), (2, "1.1"), (3, "1.2")):
        accept(store, (instance(number, study_instance_uid=study), [Dispatch("gone", "pacs")]), clock=clock)
    wanted = [STUDY, DeliveryFilter(study_instance_uid="1.2")]
    found = await trace(StoreOnFile(store), wanted, 2, places={}, with_values=False)
    assert [row["id"] for row in found.deliveries] == [1, 2]
    assert [row["rule_place"] for row in found.deliveries] == [None, None]
    assert [row["study_instance_uid"] for row in found.studies] == ["1.1", "1.2"]
