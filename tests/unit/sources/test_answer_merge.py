"""Merging: which answers are one thing, what counts of each attribute, when a match is given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dataset.dictionary import tag_of
from gateway.model.query import Attributes, QueryLevel
from gateway.query.identifier import first_text
from gateway.sources.answer_merge import MOST_WAITING, MergedAnswer, Merger, best_availability, merged
from tests.support.identifiers import attributes
from tests.support.quick_run import QUICK_RUN

STUDY = {"StudyInstanceUID": "1.2"}

VALUES: dict[str, tuple[str, list[str], str]] = {
    "the first that has a value": ("StudyDescription", ["", "HEAD", "HEAD CT"], "HEAD"),
    "nobody has one": ("StudyDescription", ["", "", ""], ""),
    "the largest count": ("NumberOfStudyRelatedInstances", ["3", "20", "7"], "20"),
    "what is no count does not count": ("NumberOfStudyRelatedInstances", ["many", "2", ""], "2"),
    "no counts": ("NumberOfStudyRelatedInstances", ["", "?", ""], ""),
    "counts of patients": ("NumberOfPatientRelatedStudies", ["1", "2", "1"], "2"),
    "counts of series": ("NumberOfSeriesRelatedInstances", ["1", "", "4"], "4"),
    "every modality once": ("ModalitiesInStudy", ["CT\\SR", "SR\\PR", ""], "CT\\SR\\PR"),
    "every SOP class once": ("SOPClassesInStudy", ["1.2", "1.3\\1.2", "1.4"], "1.2\\1.3\\1.4"),
    "the best availability": ("InstanceAvailability", ["OFFLINE", "NEARLINE", "UNAVAILABLE"], "NEARLINE"),
    "online beats all": ("InstanceAvailability", ["", "OFFLINE", "ONLINE"], "ONLINE"),
    "unknown availability": ("InstanceAvailability", ["SOMEWHERE", "", "?"], ""),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    keyword, texts, expected = VALUES[name]
    parts = [attributes(**STUDY, **{keyword: text}) for text in texts]
    assert merged(parts) == attributes(**STUDY, **{keyword: expected})


def test_an_attribute_that_one_alone_has_is_kept() -> None:
    one, two = attributes(**STUDY, PatientName="Roe^Jane"), attributes(**STUDY, AccessionNumber="A1")
    assert merged([one, two]) == {**one, **two}


def test_sequences_are_not_mixed() -> None:
    codes: list[Any] = [{"CodeValue": "1"}, {"CodeValue": "2"}]
    parts = [attributes(**STUDY, ProcedureCodeSequence=each) for each in ([], [codes[0]], [codes[1]])]
    assert merged(parts) == parts[1]


def test_best_availability() -> None:
    assert best_availability([("OFFLINE",), ("ONLINE", "OFFLINE")]) == ("ONLINE",)
    assert best_availability([]) == ()


# --- when ---------------------------------------------------------------------------------------------------------


def study(uid: str, **keywords: str) -> Attributes:
    return attributes(StudyInstanceUID=uid, **keywords)


def merger(level: QueryLevel = QueryLevel.STUDY, ranks: int = 2, patience_s: float = 1.0) -> Merger:
    return Merger(level, range(ranks), patience_s)


def test_given_when_all_said_it() -> None:
    one = merger()
    assert one.add(0, study("1"), 0xFF00, 0.0) == []
    assert one.add(1, study("1"), 0xFF00, 0.1) == [MergedAnswer(study("1"), 0xFF00)]
    assert one.due_at_s is None


def test_given_when_the_others_ended() -> None:
    one = merger(ranks=3)
    one.add(0, study("1"), 0xFF00, 0.0)
    one.add(0, study("2"), 0xFF00, 0.0)
    one.add(1, study("2"), 0xFF00, 0.0)
    assert one.ended(2) == [MergedAnswer(study("2"), 0xFF00)]
    assert one.ended(1) == [MergedAnswer(study("1"), 0xFF00)]


def test_given_when_its_time_is_over_the_oldest_first() -> None:
    one = merger()
    one.add(0, study("1"), 0xFF00, 0.0)
    one.add(0, study("2"), 0xFF00, 0.5)
    assert one.due_at_s == 1.0
    assert one.due(0.9) == []
    assert one.due(1.2) == [MergedAnswer(study("1"), 0xFF00)]
    assert one.due_at_s == 1.5


def test_what_comes_too_late_is_not_given_again() -> None:
    one = merger()
    one.add(0, study("1"), 0xFF00, 0.0)
    one.due(5.0)
    assert one.add(1, study("1", StudyDescription="LATE"), 0xFF00, 6.0) == []
    assert one.ended(0) == one.ended(1) == []


def test_a_source_that_repeats_itself_counts_once() -> None:
    one = merger(ranks=1)
    assert len(one.add(0, study("1"), 0xFF00, 0.0)) == 1
    assert one.add(0, study("1"), 0xFF00, 0.0) == []


def test_the_order_of_sources_counts_not_that_of_answers() -> None:
    one = merger()
    one.add(1, study("1", StudyDescription="OF SECOND"), 0xFF00, 0.0)
    (given,) = one.add(0, study("1", StudyDescription="OF FIRST"), 0xFF00, 0.0)
    assert given.attributes == study("1", StudyDescription="OF FIRST")


def test_unsupported_keys_of_one_are_those_of_all() -> None:
    one = merger()
    one.add(0, study("1"), 0xFF01, 0.0)
    assert [each.status for each in one.add(1, study("1"), 0xFF00, 0.0)] == [0xFF01]


def test_what_waits_is_bounded() -> None:
    one = merger()
    given = [each for number in range(MOST_WAITING + 3) for each in one.add(0, study(str(number)), 0xFF00, 0.0)]
    assert [each.attributes for each in given] == [study("0"), study("1"), study("2")]


# --- patients ---------------------------------------------------------------------------------------------------------

PATIENTS: dict[str, tuple[list[dict[str, str]], int]] = {
    "the same ID": ([{"PatientID": "1"}, {"PatientID": "1"}], 1),
    "other IDs": ([{"PatientID": "1"}, {"PatientID": "2"}], 2),
    "the same issuer": ([{"PatientID": "1", "IssuerOfPatientID": "A"}] * 2, 1),
    "other issuers": ([{"PatientID": "1", "IssuerOfPatientID": "A"}, {"PatientID": "1", "IssuerOfPatientID": "B"}], 2),
    "one names none": ([{"PatientID": "1", "IssuerOfPatientID": "A"}, {"PatientID": "1"}], 1),
    "none, then one": ([{"PatientID": "1"}, {"PatientID": "1", "IssuerOfPatientID": "A"}], 1),
}


@pytest.mark.parametrize("name", PATIENTS)
def test_patients(name: str) -> None:
    answers, expected = PATIENTS[name]
    one = merger(QueryLevel.PATIENT)
    given = [
        each for rank, keywords in enumerate(answers) for each in one.add(rank, attributes(**keywords), 0xFF00, 0.0)
    ]
    given += [*one.ended(0), *one.ended(1)]
    assert len(given) == expected


def test_patients_without_an_identifier_stay_apart() -> None:
    one = merger(QueryLevel.PATIENT)
    names = ["Roe^Jane", "Doe^John", "Roe^Jane"]
    given = [one.add(rank, attributes(PatientID="", PatientName=name), 0xFF00, 0.0) for rank, name in enumerate(names)]
    assert [each.attributes for [each] in given] == [attributes(PatientID="", PatientName=name) for name in names]


# --- two patients under one unique key -------------------------------------------------------------------------------

ROE = {"PatientID": "P1", "PatientName": "Roe^Jane", "PatientBirthDate": "19600101"}
DOE = {"PatientID": "P2", "PatientName": "Doe^John", "PatientBirthDate": "19700202"}

SHARED: dict[str, tuple[list[tuple[int, dict[str, str]]], list[str], int]] = {
    "one source, two patients": ([(0, ROE), (0, DOE)], ["P1", "P2"], 0),
    "one source, one patient, two records": ([(0, ROE), (0, {**ROE, "StudyDate": "20240101"})], ["P1", "P1"], 0),
    "one source, the same twice": ([(0, ROE), (0, ROE)], ["P1"], 0),
    "one source, two issuers": (
        [(0, {**ROE, "IssuerOfPatientID": "A"}), (0, {**ROE, "IssuerOfPatientID": "B"})],
        ["P1", "P1"],
        0,
    ),
    "one source, nobody with a Patient ID": (
        [(0, {**ROE, "PatientID": ""}), (0, {**DOE, "PatientID": ""})],
        ["", ""],
        0,
    ),
    "another source has one of the two": ([(0, ROE), (0, DOE), (1, DOE)], ["P1", "P2"], 0),
    "another source has the other, and is faster": ([(1, DOE), (0, ROE), (0, DOE)], ["P1", "P2"], 0),
    "another source has a third": ([(0, ROE), (0, DOE), (1, {"PatientID": "P3"})], ["P1", "P2", "P3"], 1),
    "each source has another": ([(0, ROE), (1, DOE)], ["P1", "P2"], 1),
    "each source has another, the other way round": ([(1, DOE), (0, ROE)], ["P1", "P2"], 1),
    "one does not say": ([(0, ROE), (1, {})], ["P1"], 0),
    "another spelling": ([(0, ROE), (1, {**ROE, "PatientName": "ROE-MILLER^JANE"})], ["P1"], 0),
    "the same Patient ID of two people": ([(0, ROE), (1, {**DOE, "PatientID": "P1"})], ["P1", "P1"], 1),
}


@pytest.mark.parametrize("name", SHARED)
def test_one_study_of_two_patients(name: str) -> None:
    answers, expected, differing = SHARED[name]
    one = merger()
    given_ = [match for rank, said in answers for match in one.add(rank, study("1", **said), 0xFF00, 0.0)]
    given_ += [*one.ended(0), *one.ended(1)]
    assert sorted(first_text(match.attributes, tag_of("PatientID")) for match in given_) == expected
    assert sum(one.of_other_patients.values()) == differing


MIXED: dict[str, list[dict[str, str]]] = {
    "in the middle": [{"PatientID": "P1"}, {**DOE, "StudyDescription": "HEAD"}, {**ROE, "AccessionNumber": "A1"}],
    "the first does not say": [{"AccessionNumber": "A1"}, ROE, {**DOE, "StudyDescription": "HEAD"}],
}
COUNTED = ({"ModalitiesInStudy": "CT"}, {"ModalitiesInStudy": "MR"}, {"ModalitiesInStudy": "PT"})


@pytest.mark.parametrize("name", MIXED)
def test_two_patients_are_never_mixed(name: str) -> None:
    """Neither what is said of them, nor of their studies: no description, no number, no modality."""
    said = [each | more for each, more in zip(MIXED[name], COUNTED, strict=True)]
    one = merger(ranks=3)
    found = [match for rank, each in enumerate(said) for match in one.add(rank, study("1", **each), 0xFF00, 0.0)]
    found += [match for rank in range(3) for match in one.ended(rank)]
    other = next(each for each in said if each.get("PatientID") == "P2")
    modalities = [each["ModalitiesInStudy"] for each in said if each is not other]
    roe = study("1", **ROE, AccessionNumber="A1", ModalitiesInStudy="\\".join(modalities))
    assert [match.attributes for match in found] == [roe, study("1", **other)]
    assert one.of_other_patients == {said.index(other): 1}


def test_patients_of_one_source_are_two_when_they_are_named_differently() -> None:
    one = merger(QueryLevel.PATIENT, ranks=1)
    found = [
        *one.add(0, attributes(**ROE), 0xFF00, 0.0),
        *one.add(0, attributes(**DOE | {"PatientID": "P1"}), 0xFF00, 0.0),
    ]
    assert len(found) == 2


def test_one_patient_id_of_two_people_at_two_sources() -> None:
    one = merger(QueryLevel.PATIENT)
    one.add(0, attributes(**ROE), 0xFF00, 0.0)
    one.add(1, attributes(**DOE | {"PatientID": "P1"}), 0xFF00, 0.0)
    assert len([*one.ended(0), *one.ended(1)]) == 2


LATE: dict[str, tuple[dict[str, str], bool, int]] = {
    "the same": ({"PatientID": "P1"}, False, 0),
    "less": ({"NumberOfStudyRelatedInstances": "2"}, False, 0),
    "other words": ({"StudyDescription": "Other"}, False, 0),
    "more instances": ({"NumberOfStudyRelatedInstances": "20"}, False, 1),
    "more modalities": ({"ModalitiesInStudy": "CT\\SR"}, False, 1),
    "something that nobody said": ({"AccessionNumber": "A1"}, False, 1),
    "a better availability": ({"InstanceAvailability": "ONLINE"}, False, 1),
    "another patient": ({"PatientID": "P2"}, True, 0),
}


@pytest.mark.parametrize("name", LATE)
def test_late_words_are_counted_where_they_add_something(name: str) -> None:
    said, is_given, late = LATE[name]
    told = study(
        "1",
        PatientID="P1",
        StudyDescription="HEAD",
        NumberOfStudyRelatedInstances="10",
        ModalitiesInStudy="CT",
        AccessionNumber="",
        InstanceAvailability="NEARLINE",
    )
    one = merger()
    one.add(0, told, 0xFF00, 0.0)
    assert len(one.due(5.0)) == 1
    assert bool(one.add(1, study("1", **said), 0xFF00, 6.0)) is is_given
    assert sum(one.late.values()) == late


# --- whatever the order of answers ---------------------------------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[dict[str, Attributes]], list[int]]:
    """What each source has, by unique key, and in which order they speak; each one's last word is its end."""
    values = st.fixed_dictionaries(
        {
            "StudyDescription": st.sampled_from(["", "A", "B"]),
            "ModalitiesInStudy": st.sampled_from(["", "CT", "CT\\SR"]),
            "NumberOfStudyRelatedInstances": st.sampled_from(["", "1", "20"]),
        }
    )
    held = draw(st.lists(st.dictionaries(st.sampled_from("12345"), values, max_size=5), min_size=1, max_size=4))
    sources = [{uid: study(uid, **keywords) for uid, keywords in each.items()} for each in held]
    order = [rank for rank, each in enumerate(sources) for _ in range(len(each) + 1)]
    return sources, draw(st.permutations(order))


@given(conversations())
@settings(max_examples=QUICK_RUN.examples(200), deadline=None)
def test_the_order_of_answers_changes_nothing(conversation: tuple[list[dict[str, Attributes]], list[int]]) -> None:
    sources, order = conversation
    one = merger(ranks=len(sources))
    left = [list(each.values()) for each in sources]
    given_ = []
    for rank in order:
        given_ += one.add(rank, left[rank].pop(), 0xFF00, 0.0) if left[rank] else one.ended(rank)
    found = {str(match.attributes[0x0020000D]): match.attributes for match in given_}
    uids = dict.fromkeys(uid for each in sources for uid in each)
    assert found == {str((uid,)): merged([each[uid] for each in sources if uid in each]) for uid in uids}
    assert len(given_) == len(uids)
    assert one.due_at_s is None
