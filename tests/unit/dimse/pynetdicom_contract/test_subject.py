"""What the log says a retrieve is about."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from gateway.dimse.protocol.identifiers import encode_data_set
from gateway.dimse.pynetdicom_contract.subject import MOST_SHOWN, Subject, subject_of

IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))


def identifier(syntax: str, **values: Any) -> memoryview:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return memoryview(encode_data_set(dataset, syntax))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize(
    ("values", "level", "studies"),
    [
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"}, "STUDY", ["1.2.3"]),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ["1.2", "1.3", "1.2"]}, "STUDY", ["1.2", "1.3"]),
        ({"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": "1.5"}, "IMAGE", []),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": "P-001"}, "PATIENT", []),
        ({"QueryRetrieveLevel": "DOE", "PatientID": "P-001"}, "", []),
        ({"PatientID": "P-001"}, "", []),
    ],
)
def test_what_an_identifier_names(syntax: str, values: dict[str, Any], level: str, studies: list[str]) -> None:
    subject = subject_of(identifier(syntax, **values), syntax)
    assert subject.fields() == {"query_retrieve_level": level, "study_instance_uids": studies}


@pytest.mark.parametrize("syntax", [IMPLICIT, DEFLATED])
def test_what_cannot_be_read_names_nothing(syntax: str) -> None:
    assert subject_of(memoryview(b"\x08\x00\x52"), syntax) == Subject()


def test_handlers_add_what_they_found_and_the_line_stays_short() -> None:
    subject = subject_of(identifier(IMPLICIT, QueryRetrieveLevel="PATIENT", StudyInstanceUID="1.1"), IMPLICIT)
    for number in (1, 2, 2, 3):
        subject.add(f"1.{number}")
    subject.add("")
    assert subject.fields() == {"query_retrieve_level": "PATIENT", "study_instance_uids": ["1.1", "1.2", "1.3"]}
    for number in range(1, 3 * MOST_SHOWN + 1):
        subject.add(f"1.{number}")
    shown = [f"1.{number}" for number in range(1, MOST_SHOWN + 1)]
    assert subject.fields() == {
        "query_retrieve_level": "PATIENT",
        "study_instance_uids": shown,
        "more_studies": 2 * MOST_SHOWN,
    }


def test_nothing_is_shown_of_nothing() -> None:
    assert Subject().fields() == {"query_retrieve_level": "", "study_instance_uids": []}
