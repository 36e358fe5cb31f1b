"""What odd identifiers are read as (PS3.4 §C.4.1.2.1, §C.4.2.2.1)."""

from typing import Any

import pytest

from gateway.model.query import QueryRoot
from gateway.query.compile import BadIdentifier, Options, compile_retrieve
from gateway.query.lenient import lenient_find, lenient_retrieve, names_by_accession_number
from tests.support.identifiers import attributes

LEVEL, ACCESSION_NUMBER, STUDY_UID = 0x00080052, 0x00080050, 0x0020000D


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("PATIENT", "PATIENT"),
        ("patient", "PATIENT"),
        ("PATIENTS", "PATIENT"),
        ("STUDIES", "STUDY"),
        ("Study", "STUDY"),
        ("SERIES", "SERIES"),
        ("INSTANCE", "IMAGE"),
        ("INSTANCES", "IMAGE"),
        ("IMAGES", "IMAGE"),
        ("image", "IMAGE"),
        ("FRAME", "FRAME"),
        ("X", "X"),
        ("", ""),
    ],
)
def test_levels(word: str, level: str) -> None:
    identifier, _, used = lenient_find(attributes(QueryRetrieveLevel=word, PatientID=""), "patient", Options(True))
    assert identifier[LEVEL] == ((level,) if level else ())
    assert used == (() if word == level else ("level_word",))


@pytest.mark.parametrize(
    ("root", "keywords", "is_lenient"),
    [
        ("study", {"QueryRetrieveLevel": "STUDY"}, False),
        ("study", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2"}, False),
        ("study", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": ""}, True),
        ("study", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2\\1.3"}, True),
        ("study", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.*"}, True),
        ("study", {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2"}, True),
        ("study", {"QueryRetrieveLevel": "STUDY", "SeriesInstanceUID": "1.2"}, True),
        ("study", {"QueryRetrieveLevel": "STUDY", "SeriesInstanceUID": ""}, False),
        ("patient", {"QueryRetrieveLevel": "STUDY"}, True),
        ("patient", {"QueryRetrieveLevel": "STUDY", "PatientID": "1"}, False),
        ("study", {"QueryRetrieveLevel": "PATIENT"}, False),  # no level of this model: refused as it is
    ],
)
def test_what_does_not_keep_to_the_hierarchy(root: QueryRoot, keywords: dict[str, Any], is_lenient: bool) -> None:
    _, options, used = lenient_find(attributes(**keywords), root, Options(is_timezone_adjusted=True))
    assert options == Options(is_relational=is_lenient, is_timezone_adjusted=True)
    assert used == (("keys_of_other_levels",) if is_lenient else ())


@pytest.mark.parametrize(
    ("root", "keywords", "level", "used"),
    [
        ("study", {"StudyInstanceUID": "1.2"}, "STUDY", ("retrieve_without_level",)),
        ("study", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}, "SERIES", ("retrieve_without_level",)),
        ("study", {"SOPInstanceUID": "1.4"}, "IMAGE", ("retrieve_without_level",)),
        ("patient", {"PatientID": "1"}, "PATIENT", ("retrieve_without_level",)),
        ("study", {"AccessionNumber": "A"}, "STUDY", ("retrieve_without_level", "retrieve_by_accession_number")),
        ("study", {"QueryRetrieveLevel": "STUDY", "AccessionNumber": "A"}, "STUDY", ("retrieve_by_accession_number",)),
        ("study", {"QueryRetrieveLevel": "IMAGES", "SOPInstanceUID": "1.4"}, "IMAGE", ("level_word",)),
        ("study", {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2", "AccessionNumber": "A"}, "STUDY", ()),
        ("study", {"PatientID": "1"}, "", ()),
    ],
)
def test_retrieves(root: QueryRoot, keywords: dict[str, Any], level: str, used: tuple[str, ...]) -> None:
    identifier, found = lenient_retrieve(attributes(**keywords), root)
    assert (identifier.get(LEVEL, ()), found) == ((level,) if level else (), used)


def test_an_accession_number_names_studies() -> None:
    identifier = attributes(QueryRetrieveLevel="STUDY", AccessionNumber="A-1\\A-2")
    assert names_by_accession_number(identifier)
    query = compile_retrieve(identifier, "study", is_by_accession_number=True)
    assert [key.tag for key in query.keys] == [ACCESSION_NUMBER]
    with pytest.raises(BadIdentifier) as refused:
        compile_retrieve(identifier, "study")
    assert refused.value.offending_elements == (STUDY_UID,)


def test_an_accession_number_with_wild_cards_names_nothing() -> None:
    identifier = attributes(QueryRetrieveLevel="STUDY", AccessionNumber="A*")
    with pytest.raises(BadIdentifier, match="wild cards"):
        compile_retrieve(identifier, "study", is_by_accession_number=True)
