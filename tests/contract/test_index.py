"""What every `Store` must find in its index; SQL and the pure function of matching must agree."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.dataset.dictionary import tag_of
from gateway.model.delivery import DeliveryState
from gateway.model.instance import Instance
from gateway.model.query import Query, Value
from gateway.ports.store import Store
from gateway.query.compile import Options, compile_retrieve
from tests.support.identifiers import CT, attributes, entry, find
from tests.support.samples import NOON, TO_PACS, TO_VNA, Clock, instance, settlement

RELATIONAL = Options(is_relational=True)


def held(number: int, *, body: bytes | None = None, **keywords: Any) -> Instance:
    """Instance `number` with an index entry: study 1.1, series 1.1.1, patient P1 unless told otherwise."""
    known = {"PatientID": "P1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "Modality": "CT"}
    known |= {"SOPInstanceUID": f"1.2.3.4.5.{number}", "SOPClassUID": CT} | keywords
    return dataclasses.replace(
        instance(number, body=body),
        sop_instance_uid=known["SOPInstanceUID"],
        sop_class_uid=known["SOPClassUID"],
        index=entry(attributes(**known)),
    )


def accept(queue: Store, *instances: Instance, destination: Any = TO_PACS) -> None:
    with queue.transaction():
        queue.deliveries.accept([(each, [destination]) for each in instances], NOON)


def settle(queue: Store, clock: Clock, destination: str = "pacs") -> None:
    with queue.transaction():
        queue.deliveries.settle([settlement(each) for each in queue.deliveries.claim(destination, 100, 60.0, clock())])


def answers(queue: Store, query: Query, *keywords: str) -> list[tuple[Value, ...]]:
    found = queue.index.matches(query, queue.index.find(query))
    return [tuple(match[tag_of(keyword)] for keyword in keywords) for match in found]


def uids(queue: Store, query: Query) -> list[str]:
    return [each.sop_instance_uid for each in queue.index.instances(queue.index.find_instances(query))]


def _empty(keywords: tuple[str, ...]) -> dict[str, Any]:
    return dict.fromkeys(keywords, "")


ALL = find("IMAGE", options=RELATIONAL, SOPInstanceUID="")
STUDIES = find("STUDY", StudyInstanceUID="", StudyDescription="", NumberOfStudyRelatedInstances="")


# --- from acceptance until it is forgotten ----------------------------------------------------------------------


def test_an_instance_is_found_from_acceptance_until_it_is_forgotten(queue: Store, clock: Clock) -> None:
    accept(queue, held(1, StudyDescription="BRAIN"))
    assert answers(queue, STUDIES, "StudyInstanceUID", "StudyDescription") == [(("1.1",), ("BRAIN",))]
    settle(queue, clock)
    assert uids(queue, ALL) == ["1.2.3.4.5.1"]
    later = clock.advance(10)
    with queue.transaction():
        assert queue.deliveries.forget(later, 10) == 1
    assert answers(queue, STUDIES, "StudyInstanceUID") == []
    assert uids(queue, ALL) == []


def test_an_instance_without_an_entry_is_not_in_the_index(queue: Store) -> None:
    accept(queue, instance(1), held(2))
    assert uids(queue, ALL) == ["1.2.3.4.5.2"]


def test_what_is_rolled_back_is_not_in_the_index(queue: Store) -> None:
    def fail_midway() -> None:
        with queue.transaction():
            queue.deliveries.accept([(held(1), [TO_PACS])], NOON)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert answers(queue, STUDIES, "StudyInstanceUID") == []
    accept(queue, held(2))
    assert answers(queue, STUDIES, "StudyInstanceUID", "NumberOfStudyRelatedInstances") == [(("1.1",), ("1",))]


def test_a_study_stays_while_one_of_its_instances_does(queue: Store, clock: Clock) -> None:
    accept(queue, held(1, SeriesInstanceUID="1.1.1"))
    accept(queue, held(2, SeriesInstanceUID="1.1.2", Modality="MR"), destination=TO_VNA)
    settle(queue, clock)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(10), 10) == 1
    query = find("STUDY", StudyInstanceUID="", ModalitiesInStudy="", NumberOfStudyRelatedSeries="")
    assert answers(queue, query, "ModalitiesInStudy", "NumberOfStudyRelatedSeries") == [(("MR",), ("1",))]


def test_what_is_indexed_may_be_kept_longer(queue: Store, clock: Clock) -> None:
    accept(queue, instance(1), held(2))
    settle(queue, clock)
    now = clock.advance(100)
    with queue.transaction():
        assert queue.deliveries.forget(now, 10, now - timedelta(seconds=1000)) == 1
    assert uids(queue, ALL) == ["1.2.3.4.5.2"]
    with queue.transaction():
        assert queue.deliveries.forget(now, 10, now) == 1
    assert uids(queue, ALL) == []


def test_what_was_accepted_before_there_was_an_index_joins_it_when_it_comes_again(queue: Store) -> None:
    new = held(1)
    accept(queue, dataclasses.replace(new, index=None))
    assert uids(queue, ALL) == []
    accept(queue, new)
    assert uids(queue, ALL) == ["1.2.3.4.5.1"]


# --- one SOP Instance UID several times -------------------------------------------------------------------------


def test_the_newest_of_one_sop_instance_uid_counts(queue: Store) -> None:
    accept(queue, held(1, body=b"old", StudyInstanceUID="1.1"), held(2))
    accept(queue, held(1, body=b"new!", StudyInstanceUID="1.7", SeriesInstanceUID="1.7.1"))
    query = find("STUDY", StudyInstanceUID="", NumberOfStudyRelatedInstances="")
    found = answers(queue, query, "StudyInstanceUID", "NumberOfStudyRelatedInstances")
    assert found == [(("1.1",), ("1",)), (("1.7",), ("1",))]
    (only,) = queue.index.instances(queue.index.find_instances(find("STUDY", StudyInstanceUID="1.7")))
    assert only.payload.length_bytes == 4


def test_a_study_whose_instances_all_came_again_elsewhere_is_not_answered(queue: Store) -> None:
    accept(queue, held(1, body=b"old"))
    accept(queue, held(1, body=b"new!", PatientID="P2", StudyInstanceUID="1.7", SeriesInstanceUID="1.7.1"))
    query = find("PATIENT", "patient", PatientID="")
    assert answers(queue, query, "PatientID") == [(("P2",),)]


def test_when_the_newest_goes_the_one_before_is_found_again(queue: Store, clock: Clock) -> None:
    accept(queue, held(1, body=b"old"), destination=TO_VNA)
    accept(queue, held(1, body=b"new!"))
    settle(queue, clock)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(10), 10) == 1
    (only,) = queue.index.instances(queue.index.find_instances(ALL))
    assert only.payload.length_bytes == 3


def test_one_sop_instance_uid_twice_in_a_group(queue: Store) -> None:
    accept(queue, held(1, body=b"old"), held(1, body=b"new!"))
    (only,) = queue.index.instances(queue.index.find_instances(ALL))
    assert only.payload.length_bytes == 4


# --- attributes of levels ---------------------------------------------------------------------------------------


def test_the_newest_attributes_of_a_study_count_and_what_it_lacks_stays(queue: Store) -> None:
    accept(queue, held(1, StudyDescription="BRAIN", StudyID="7"))
    accept(queue, held(2, StudyDescription="HEAD"))
    query = find("STUDY", StudyInstanceUID="", StudyDescription="", StudyID="")
    assert answers(queue, query, "StudyDescription", "StudyID") == [(("HEAD",), ("7",))]
    accept(queue, held(3, StudyDescription="BRAIN", StudyID="7"))
    assert answers(queue, query, "StudyDescription", "StudyID") == [(("BRAIN",), ("7",))]


def test_two_people_with_one_patient_id_keep_their_names(queue: Store) -> None:
    accept(queue, held(1, PatientName="Roe^Jane"), held(2, PatientName="Doe^John", StudyInstanceUID="1.2"))
    query = find("STUDY", StudyInstanceUID="", PatientName="", PatientID="P1")
    assert sorted(answers(queue, query, "StudyInstanceUID", "PatientName")) == [
        (("1.1",), ("Roe^Jane",)),
        (("1.2",), ("Doe^John",)),
    ]


def test_objects_without_a_patient_id_are_not_one_patient(queue: Store) -> None:
    accept(queue, held(1, PatientID="", PatientSex="F"), held(2, PatientID="", StudyInstanceUID="1.2"))
    query = find("STUDY", StudyInstanceUID="", PatientSex="")
    assert answers(queue, query, "StudyInstanceUID", "PatientSex") == [(("1.1",), ("F",)), (("1.2",), ())]


def test_a_series_of_two_patients_under_one_uid(queue: Store) -> None:
    accept(queue, held(1), held(2, PatientID="P2"))
    assert answers(queue, find("STUDY", StudyInstanceUID="", PatientID=""), "PatientID") == [(("P1",),), (("P2",),)]
    assert len(uids(queue, find("STUDY", StudyInstanceUID="1.1"))) == 2


def test_computed_attributes(queue: Store) -> None:
    accept(
        queue,
        held(1),
        held(2),
        held(3, SeriesInstanceUID="1.1.2", Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22"),
        held(4, StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1"),
        held(5, PatientID="P2", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1"),
    )
    patient = ("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    study = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "SOPClassesInStudy")
    query = find("PATIENT", "patient", PatientID="", **_empty(patient))
    assert answers(queue, query, "PatientID", *patient) == [
        (("P1",), ("2",), ("3",), ("4",)),
        (("P2",), ("1",), ("1",), ("1",)),
    ]
    query = find("STUDY", StudyInstanceUID="1.1", **_empty(study))
    sr = "1.2.840.10008.5.1.4.1.1.88.22"
    assert answers(queue, query, *study) == [(("2",), ("3",), ("CT", "SR"), (CT, sr))]
    query = find("SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    assert answers(queue, query, "SeriesInstanceUID", "NumberOfSeriesRelatedInstances") == [
        (("1.1.1",), ("2",)),
        (("1.1.2",), ("1",)),
    ]


# --- retrieving -------------------------------------------------------------------------------------------------


def test_instances_come_study_by_study_series_by_series_as_they_arrived(queue: Store) -> None:
    accept(queue, held(1), held(2, StudyInstanceUID="1.2"), held(3, SeriesInstanceUID="1.1.2"), held(4))
    query = compile_retrieve(attributes(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2\\1.1"), "study")
    assert [uid[-1] for uid in uids(queue, query)] == ["1", "4", "3", "2"]


def test_instances_that_were_forgotten_meanwhile_are_left_out(queue: Store, clock: Clock) -> None:
    accept(queue, held(1), held(2))
    found = queue.index.find_instances(ALL)
    settle(queue, clock)
    accept(queue, held(3))
    with queue.transaction():
        queue.deliveries.forget(clock.advance(10), 10)
    assert queue.index.instances(found) == []
    assert len(found) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_limit_bounds_what_is_found(queue: Store, count: int) -> None:
    accept(queue, *(held(number, StudyInstanceUID=f"1.{number}") for number in range(1, 6)))
    assert len(queue.index.find(STUDIES, count)) == count


def test_what_is_found_carries_the_association_and_the_payload(queue: Store) -> None:
    given = held(1)
    accept(queue, given)
    (found,) = queue.index.instances(queue.index.find_instances(ALL))
    assert found == dataclasses.replace(given, instance_id=found.instance_id)


def test_deliveries_do_not_change_with_an_index(queue: Store, clock: Clock) -> None:
    accept(queue, held(1), held(1))
    with queue.transaction():
        claimed = queue.deliveries.claim("pacs", 10, 60.0, clock())
        assert [each.state for each in claimed] == [DeliveryState.PENDING]
