"""Correct and release: the edits are tried first; what is refused changes nothing; the record says who and why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.delivery.transform import NO_CONVERTER
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations.correction import (
    RehearsedCorrection,
    correct,
    deliveries_to_correct,
    edits_of,
    rehearse,
)
from gateway.operations.queue_administration import Operator
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, PayloadLost
from gateway.rehearsal.rule_tests.compose import compose
from gateway.routing.language.resources import NO_RESOURCES
from gateway.spool.body import InMemoryDataSet
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import HELD, NOON, Clock, instance
from tests.support.store_rig import ANY

EXPLICIT = "1.2.840.10008.1.2.1"
DATA = bytes(compose({"PatientID": "1", "PatientName": "A^B", "PatientBirthDate": "20010203"}, EXPLICIT))
RULE = '[{"remove":["PatientName"]}]'
HELD_AT_PACS = Dispatch("rule", "pacs", RULE, DeliveryState.HELD)
BY = Operator("anna", "the wrong patient")
SET_ID = edits_of([{"set": {"PatientID": "4711"}}], NO_RESOURCES)


def access_of(*dispatches: Dispatch) -> StoreOnFile:
    store = MemoryStore(Clock())
    with store.transaction():
        for number, dispatch in enumerate(dispatches, 1):
            store.deliveries.accept([(instance(number, body=DATA), [dispatch])], NOON)
    return StoreOnFile(store)


async def rehearsed(access: StoreOnFile, edits: str, *ids: int, **how: Any) -> list[RehearsedCorrection]:
    found = await deliveries_to_correct(access, ids)
    opened = how.pop("opened", lambda ref: InMemoryDataSet([DATA]))
    return [await rehearse(each, edits, opened, NO_RESOURCES, NO_CONVERTER, **how) for each in found]


async def test_what_changes_is_known_before_and_the_edits_come_first() -> None:
    access = access_of(HELD_AT_PACS)
    (found,) = await rehearsed(access, SET_ID, 1)
    assert [(each.path, each.before, each.after) for each in found.changes] == [("PatientID", ("1",), ("4711",))]
    assert json.loads(found.actions_json) == [{"set": {"PatientID": "4711"}}, {"remove": ["PatientName"]}]
    assert await correct(access, [found], BY, NOON) == [1]
    (after,) = access.store.administration.list(ANY, 10)
    assert (after.state, after.actions_json) == (DeliveryState.PENDING, found.actions_json)
    (noted,) = access.store.operations.last_operations(5)
    assert after.corrected_by == noted.operation_id
    assert (noted.verb, noted.operator, noted.why, noted.meant, noted.done) == ("correct", "anna", BY.why, 1, 1)
    assert json.loads(noted.filter_json) == {"ids": [1], "changes": ["PatientID"]}, "no value of the object"


async def test_what_changed_meanwhile_is_told() -> None:
    access = access_of(HELD_AT_PACS, HELD_AT_PACS)
    found = await rehearsed(access, SET_ID, 1, 2)
    with access.store.transaction():
        access.store.administration.release(DeliveryFilter(ids=(2,)), NOON)
    assert await correct(access, found, BY, NOON) == [1]
    (noted,) = access.store.operations.last_operations(5)
    assert (noted.meant, noted.done, noted.stayed, noted.state.value) == (2, 1, 1, "complete")


BAD_EDITS: dict[str, tuple[Any, str]] = {
    "nothing": ([], "there is no action"),
    "none": (None, "there is no action"),
    "no list": ({"set": {"PatientID": "1"}}, "a list of actions"),
    "no such action": ([{"sett": {}}], "did you mean `set`?"),
    "no such attribute": ([{"set": {"PatientIdd": "1"}}], "PatientID"),
    "a date that is none": ([{"set": {"PatientBirthDate": "yesterday"}}], "PatientBirthDate"),
    "a decision": (["hold"], "`hold` is no edit of an object"),
    "a conversion": ([{"transcode": {"to": ["explicit_vr_little_endian"]}}], "transcode"),
    "two mistakes": ([{"set": {"PatientIdd": "1"}}, "drop"], "`drop` is no edit"),
}


@pytest.mark.parametrize("name", BAD_EDITS)
def test_edits_that_are_none_are_refused_with_the_reason(name: str) -> None:
    config, said = BAD_EDITS[name]
    with pytest.raises(ConfigurationError) as caught:
        edits_of(config, NO_RESOURCES)
    assert said in str(caught.value)


async def test_an_edit_that_cannot_be_made_on_the_object_is_refused() -> None:
    access = access_of(HELD_AT_PACS)
    template = edits_of([{"set": {"PatientBirthDate": "{{ PatientName }}"}}], NO_RESOURCES)
    (found,) = await rehearsed(access, template, 1)
    assert found.refusal.startswith("PatientBirthDate cannot be set: not a value of VR DA")
    assert found.refusal_for_log == "", "the text of an action may quote the object"


async def test_edits_after_which_the_rule_cannot_do_its_part_are_refused() -> None:
    dispatch = replace(HELD_AT_PACS, actions_json='[{"set":{"PatientBirthDate":"{{ PatientID }}"}}]')
    (found,) = await rehearsed(access_of(dispatch), edits_of([{"set": {"PatientID": "no date"}}], NO_RESOURCES), 1)
    assert found.refusal


async def test_edits_that_change_nothing_are_refused() -> None:
    (found,) = await rehearsed(access_of(HELD_AT_PACS), edits_of([{"set": {"PatientID": "1"}}], NO_RESOURCES), 1)
    assert found.refusal == "the edits change nothing of its object"


async def test_bytes_that_are_lost_are_told() -> None:
    def lost(ref: object) -> InMemoryDataSet:
        raise PayloadLost("segment 1 is changed")

    (found,) = await rehearsed(access_of(HELD_AT_PACS), SET_ID, 1, opened=lost)
    assert found.refusal == found.refusal_for_log == "segment 1 is changed"


async def test_a_correction_that_an_earlier_one_would_undo_is_refused() -> None:
    """Else the difference that is shown would not be what is sent: the wrong patient's number."""
    access = access_of(HELD_AT_PACS)
    assert await correct(access, await rehearsed(access, SET_ID, 1), BY, NOON) == [1]
    with access.store.transaction():
        access.store.administration.hold(DeliveryFilter(ids=(1,)))
    (again,) = await rehearsed(access, edits_of([{"set": {"PatientID": "4712"}}], NO_RESOURCES), 1)
    assert "before those of operation 1, by which PatientID would be sent as without them" in again.refusal
    assert again.refusal_for_log == again.refusal
    (other,) = await rehearsed(access, edits_of([{"set": {"PatientBirthDate": "20010204"}}], NO_RESOURCES), 1)
    assert not other.refusal
    assert [each.path for each in other.changes] == ["PatientBirthDate"]


UNFIT = {
    "pending": (Dispatch("rule", "pacs"), "it is pending"),
    "without a destination": (HELD, "it is held without a destination"),
}


@pytest.mark.parametrize("name", UNFIT)
async def test_what_is_not_for_it_is_refused(name: str) -> None:
    dispatch, said = UNFIT[name]
    (found,) = await rehearsed(access_of(dispatch), SET_ID, 1)
    assert found.refusal.startswith(said)


async def test_what_its_destination_may_have_is_corrected_on_demand() -> None:
    access = access_of(HELD_AT_PACS)
    access.store.rows[1].change(is_doubtful=True)  # type: ignore[attr-defined]
    assert "--even-if-doubtful" in (await rehearsed(access, SET_ID, 1))[0].refusal
    found = await rehearsed(access, SET_ID, 1, even_if_doubtful=True)
    assert not found[0].refusal
    assert await correct(access, found, BY, NOON) == []
    assert await correct(access, found, BY, NOON, even_if_doubtful=True) == [1]
