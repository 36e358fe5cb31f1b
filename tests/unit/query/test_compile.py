"""From an identifier to a query, or to what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dataset.dictionary import tag_of
from gateway.model.query import (
    AnyValue,
    DateTimeRange,
    EmptyValue,
    KeyCondition,
    QueryKey,
    QueryRoot,
    SequenceItem,
    ValueRange,
    WildCard,
)
from gateway.query.compile import BadIdentifier, Options, compile_find, compile_retrieve
from tests.support.identifiers import attributes, find

RELATIONAL = Options(is_relational=True)

CONDITIONS: dict[str, tuple[str, str, tuple[KeyCondition, ...]]] = {
    "single value": ("PatientID", "P1", (AnyValue(("P1",)),)),
    "several values": ("Modality", "CT\\MR", (AnyValue(("CT", "MR")),)),
    "value and wild card": ("Modality", "CT\\M*", (AnyValue(("CT",)), WildCard("M*"))),
    "universal": ("PatientID", "", ()),
    "star": ("PatientID", "*", ()),
    "stars": ("PatientID", "**", ()),
    "star of a UID": ("StudyInstanceUID", "*", ()),
    "star of a date": ("StudyDate", "*", ()),
    "wild card": ("StudyDescription", "?EAD*", (WildCard("?EAD*"),)),
    "no wild card in a UID": ("StudyInstanceUID", "1.2.*", (AnyValue(("1.2.*",)),)),
    "date": ("StudyDate", "2024.01.05", (AnyValue(("20240105",)),)),
    "range": ("StudyDate", "20240101-", (ValueRange("20240101", ""),)),
    "time": ("StudyTime", "10", (AnyValue(("100000.000000",)),)),
    "name": ("PatientName", "Müller^*", (WildCard("muller^*"),)),
    "name of carets": ("PatientName", "^^", ()),
    "empty value": ("AccessionNumber", '""', (EmptyValue(),)),
    "number": ("NumberOfStudyRelatedInstances", "007", (AnyValue(("7",)),)),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(name: str) -> None:
    keyword, value, conditions = CONDITIONS[name]
    keywords: dict[str, Any] = {keyword: value}
    query = find("STUDY", options=RELATIONAL, **keywords)
    (key,) = query.keys
    assert (key.tag, key.conditions) == (tag_of(keyword), conditions)


def test_a_sequence_matches_item_by_item() -> None:
    item = {"RequestedProcedureID": "7", "ScheduledProcedureStepID": ""}
    query = find("SERIES", StudyInstanceUID="1.2", RequestAttributesSequence=[item])
    wanted = QueryKey(tag_of("RequestedProcedureID"), "SH", (AnyValue(("7",)),))
    key = query.keys[-1]
    assert key.conditions == (SequenceItem((wanted,)),)
    assert [inner.tag for inner in key.inner] == [tag_of("ScheduledProcedureStepID"), tag_of("RequestedProcedureID")]


def test_date_and_time_combined() -> None:
    options = Options(is_date_time_combined=True)
    query = find("STUDY", options=options, StudyDate="20240101-20240103", StudyTime="1000-")
    assert query.spans == (
        DateTimeRange(
            tag_of("StudyDate"), tag_of("StudyTime"), ValueRange("20240101100000.000000", "20240103235959.999999")
        ),
    )
    assert [key.conditions for key in query.keys] == [(), ()]


def test_dates_of_another_time_zone() -> None:
    options = Options(is_timezone_adjusted=True)
    query = find("STUDY", options=options, StudyDate="20240101", TimezoneOffsetFromUTC="+0200")
    assert query.spans[0].between == ValueRange("20231231220000.000000", "20240101215959.999999")


def test_unknown_and_private_keys_are_named_and_left_out() -> None:
    query = compile_find(
        attributes(QueryRetrieveLevel="STUDY", StudyInstanceUID="", PixelSpacing="") | {0x00091001: ("x",)}, "study"
    )
    assert query.unsupported == (0x00091001, tag_of("PixelSpacing"))


ITEMS: dict[str, tuple[dict[str, Any], tuple[str, ...] | None]] = {
    "all known": ({"RequestedProcedureID": "", "AccessionNumber": ""}, ("AccessionNumber", "RequestedProcedureID")),
    "one unknown, only to be returned": ({"RequestedProcedureID": "", "PixelSpacing": ""}, ("RequestedProcedureID",)),
    "one unknown that decides": ({"RequestedProcedureID": "", "ReasonForTheRequestedProcedure": "x"}, None),
    "all unknown": ({"PixelSpacing": ""}, None),
}


@pytest.mark.parametrize("name", ITEMS)
def test_what_the_index_does_not_keep_of_items(name: str) -> None:
    item, kept = ITEMS[name]
    query = find("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[item])
    keys = [key for key in query.keys if key.inner]
    assert query.unsupported == (() if name == "all known" else (tag_of("RequestAttributesSequence"),))
    found = [tuple(inner.tag for inner in key.inner) for key in keys]
    assert found == ([] if kept is None else [tuple(tag_of(keyword) for keyword in kept)])


def test_keys_below_the_level_are_left_out_unless_relational() -> None:
    assert find("STUDY", Modality="CT").unsupported == (tag_of("Modality"),)
    (key,) = find("STUDY", options=RELATIONAL, Modality="CT").keys
    assert key.conditions == (AnyValue(("CT",)),)


BAD: dict[str, tuple[QueryRoot, dict[str, Any], int, tuple[str, ...]]] = {
    "no level": ("study", {"PatientID": "1"}, 0xA900, ("QueryRetrieveLevel",)),
    "unknown level": ("study", {"QueryRetrieveLevel": "FRAME"}, 0xA900, ("QueryRetrieveLevel",)),
    "level in small letters": ("study", {"QueryRetrieveLevel": "study"}, 0xA900, ("QueryRetrieveLevel",)),
    "patient level in study root": ("study", {"QueryRetrieveLevel": "PATIENT"}, 0xA900, ("QueryRetrieveLevel",)),
    "series of patient/study only": (
        "patient_study",
        {"QueryRetrieveLevel": "SERIES"},
        0xA900,
        ("QueryRetrieveLevel",),
    ),
    "no study of a series": ("study", {"QueryRetrieveLevel": "SERIES"}, 0xA900, ("StudyInstanceUID",)),
    "several studies of a series": (
        "study",
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1\\2"},
        0xA900,
        ("StudyInstanceUID",),
    ),
    "all that is missing": (
        "patient",
        {"QueryRetrieveLevel": "IMAGE", "PatientID": "P*"},
        0xA900,
        ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    ),
    "a unique key below": (
        "study",
        {"QueryRetrieveLevel": "STUDY", "SeriesInstanceUID": "1.2"},
        0xA900,
        ("SeriesInstanceUID",),
    ),
    "no date": ("study", {"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}, 0xC000, ("StudyDate",)),
    "two values that are none": (
        "study",
        {"QueryRetrieveLevel": "STUDY", "StudyDate": "2024", "StudyTime": "noon"},
        0xC000,
        ("StudyDate", "StudyTime"),
    ),
    "a pattern without end": (
        "study",
        {"QueryRetrieveLevel": "STUDY", "StudyDescription": "*a" * 1000},
        0xC000,
        ("StudyDescription",),
    ),
    "two items": (
        "study",
        {
            "QueryRetrieveLevel": "SERIES",
            "StudyInstanceUID": "1",
            "RequestAttributesSequence": [{"RequestedProcedureID": "1"}, {"RequestedProcedureID": "2"}],
        },
        0xA900,
        ("RequestAttributesSequence",),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_asked(name: str) -> None:
    root, keywords, status, offending = BAD[name]
    with pytest.raises(BadIdentifier) as caught:
        compile_find(attributes(**keywords), root)
    assert caught.value.dimse_status == status
    assert caught.value.offending_elements == tuple(tag_of(keyword) for keyword in offending)
    assert 0 < len(str(caught.value)) <= 64


RETRIEVES: dict[str, tuple[QueryRoot, dict[str, Any], dict[str, str]]] = {
    "studies": ("study", {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1\\2"}, {"StudyInstanceUID": "1\\2"}),
    "patient": ("patient", {"QueryRetrieveLevel": "PATIENT", "PatientID": "P"}, {"PatientID": "P"}),
    "images without what is above": (
        "patient",
        {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": "1.1"},
        {"SOPInstanceUID": "1.1"},
    ),
    "other keys mean nothing": (
        "study",
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1", "SeriesInstanceUID": "1.1", "Modality": "CT"},
        {"StudyInstanceUID": "1", "SeriesInstanceUID": "1.1"},
    ),
}


@pytest.mark.parametrize("name", RETRIEVES)
def test_a_retrieve_names_unique_keys(name: str) -> None:
    root, keywords, kept = RETRIEVES[name]
    query = compile_retrieve(attributes(**keywords), root)
    level = keywords["QueryRetrieveLevel"]
    pairs = [(key.tag, condition) for key in query.keys for condition in key.conditions]
    values = {tag: condition.values for tag, condition in pairs if isinstance(condition, AnyValue)}
    assert (query.level.value, values) == (level, attributes(**kept))


@pytest.mark.parametrize(
    "keywords",
    [{}, {"QueryRetrieveLevel": "STUDY"}, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.*"}],
    ids=["no level", "no key", "wild card"],
)
def test_a_retrieve_that_names_nothing(keywords: dict[str, str]) -> None:
    with pytest.raises(BadIdentifier) as caught:
        compile_retrieve(attributes(**keywords), "study")
    assert caught.value.dimse_status == 0xA900


def test_extended_negotiation() -> None:
    assert Options.agree(b"\1\1\1\1\1\1\1") == b"\1\1\0\1\0\1\1"
    assert Options.agree(b"\0\1") == b"\0\1"
    assert Options.agree(b"\1", is_retrieve=True) == b"\1"
    assert Options.of(b"\1\1\0\1") == Options(True, True, True)
    assert Options.of(b"") == Options()
