"""The table of SOP classes of queries and retrieves, against the dictionaries of pydicom and pynetdicom."""

import re
from collections import Counter

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom.sop_class import (
    _BASIC_WORKLIST_CLASSES,
    _COLOR_PALETTE_CLASSES,
    _DEFINED_PROCEDURE_CLASSES,
    _HANGING_PROTOCOL_CLASSES,
    _IMPLANT_TEMPLATE_CLASSES,
    _INVENTORY_CLASSES,
    _PROTOCOL_APPROVAL_CLASSES,
    _QR_CLASSES,
    _RELEVANT_PATIENT_QUERY_CLASSES,
    _SUBSTANCE_ADMINISTRATION_CLASSES,
    _UNIFIED_PROCEDURE_STEP_CLASSES,
)

from gateway.model.query import QueryLevel
from gateway.query.sop_classes import (
    CLASSES,
    COMPOSITE_INSTANCE_ROOT,
    FIND_OF_ROOT,
    LEVELS_OF_ROOT,
    RELEVANT_PATIENT_INFORMATION,
    WITHOUT_BULK_DATA,
    QueryRetrieveClass,
    uid_of,
)

OF_THE_STANDARD = {
    uid: re.sub(r"\W", "", name).lower() for uid, (name, kind, *_) in UID_dictionary.items() if kind == "SOP Class"
}
"""SOP Class UID → name, in small letters and digits alone."""
GENERAL_PURPOSE_WORKLIST = "1.2.840.10008.5.1.4.32.1"
"""Retired with its service, which the gateway does not offer."""
WITHOUT_FIND = {"Push", "Event"}
"""Of Unified Procedure Step: no C-FIND (PS3.4 Table CC.2-1)."""


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: f"{row.model}-{row.operation}")
def test_each_is_in_the_dictionary(row: QueryRetrieveClass) -> None:
    name = OF_THE_STANDARD[row.uid]
    root = {"study": ["studyroot"], "patient": ["patientroot"], "patient_study": ["patientstudyonly"]}
    words = root.get(row.model, row.model.split("_"))
    assert all(word in name for word in words)
    verbs = {verb for verb in ("find", "move", "get") if name.endswith(verb)}
    assert verbs == {row.operation} or (not verbs and row.operation == "find")


def test_the_table_is_whole() -> None:
    tables = [
        _BASIC_WORKLIST_CLASSES,
        _COLOR_PALETTE_CLASSES,
        _DEFINED_PROCEDURE_CLASSES,
        _HANGING_PROTOCOL_CLASSES,
        _IMPLANT_TEMPLATE_CLASSES,
        _INVENTORY_CLASSES,
        _PROTOCOL_APPROVAL_CLASSES,
        _QR_CLASSES,
        _RELEVANT_PATIENT_QUERY_CLASSES,
        _SUBSTANCE_ADMINISTRATION_CLASSES,
        _UNIFIED_PROCEDURE_STEP_CLASSES,
    ]
    known = {uid for table in tables for keyword, uid in table.items() if not keyword.endswith(tuple(WITHOUT_FIND))}
    by_name = {uid for uid, name in OF_THE_STANDARD.items() if re.search(r"(find|move|get)$", name)}
    assert {row.uid for row in CLASSES} == (known | by_name) - {GENERAL_PURPOSE_WORKLIST}
    assert len({row.uid for row in CLASSES}) == len(CLASSES) == 46


def test_a_model_has_an_operation_once() -> None:
    assert set(Counter((row.model, row.operation) for row in CLASSES).values()) == {1}


def test_levels() -> None:
    assert {row.root for row in CLASSES} == {None, *LEVELS_OF_ROOT}
    assert LEVELS_OF_ROOT == {
        "patient": (QueryLevel.PATIENT, QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE),
        "study": (QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE),
        "patient_study": (QueryLevel.PATIENT, QueryLevel.STUDY),
    }


def test_selections() -> None:
    assert FIND_OF_ROOT["study"] == "1.2.840.10008.5.1.4.1.2.2.1"
    assert frozenset({"1.2.840.10008.5.1.4.1.2.4.2", "1.2.840.10008.5.1.4.1.2.4.3"}) == COMPOSITE_INSTANCE_ROOT
    assert WITHOUT_BULK_DATA == "1.2.840.10008.5.1.4.1.2.5.3"
    assert {f"1.2.840.10008.5.1.4.37.{kind}" for kind in (1, 2, 3)} == RELEVANT_PATIENT_INFORMATION
    with pytest.raises(KeyError):
        uid_of("worklist", "move")
