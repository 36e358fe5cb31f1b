"""Every action that edits attributes, on every real object, against the same done with pydicom: read, set, read back.

What the action does not name keeps its bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable

import pytest
from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.filereader import read_dataset
from pydicom.valuerep import validate_value

from gateway.ports import kinds as port_kinds
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.pseudonym import hashed_text
from tests.support.corpus import Part10
from tests.support.data_set_writer import unpacked
from tests.unit.routing.test_action_catalogue import KEY
from tests.unit.routing.test_action_corpus import LENGTH_TO_END, OBJECTS, edited, encoding_of, level_of, texts

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, about what real objects hold

Values = list[str] | None
"""None: absent; []: empty."""
New = Callable[[str], str]

IN_CORPUS_TESTS_OF_THEIR_OWN = {
    "hash_uid": "test_action_corpus",
    "shift_date": "test_action_corpus",
    "remove_private": "test_action_corpus",
    "keep_only": "test_action_corpus",
    "charset": "test_recode",
    "record_original": "test_original",
    "deidentify": "test_deidentify_corpus",
    "transcode": "test_transcode",
}
ABOUT_THE_OBJECT = {"drop", "reject", "hold"}
"""They edit nothing."""


def read(part: Part10, data: bytes) -> Dataset:
    """Elements are decoded when they are looked at."""
    encoding = encoding_of(part)
    plain = io.BytesIO(unpacked(data, part.transfer_syntax_uid))
    return read_dataset(plain, encoding.is_implicit, not encoding.is_big_endian)


def values(data_set: Dataset, keyword: str) -> Values:
    """As text, padding gone."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    if tag not in data_set:
        return None
    element = data_set[tag]
    if element.VR == "SQ":
        return ["items"] if len(element.value) else []
    found = [text.strip(" \0") for text in texts(element)]
    return found if any(found) else []


def each(*keywords: str, new: New) -> Callable[[Dataset], dict[str, Values]]:
    """Every value becomes another one; empty ones stay."""

    def expected(data_set: Dataset) -> dict[str, Values]:
        return {
            keyword: before and [value and new(value) for value in before]
            for keyword in keywords
            if (before := values(data_set, keyword)) is not None
        }

    return expected


def always(**after: Values) -> Callable[[Dataset], dict[str, Values]]:
    return lambda _data_set: dict(after)


def if_present(after: Values, *keywords: str) -> Callable[[Dataset], dict[str, Values]]:
    return lambda data_set: {keyword: after for keyword in keywords if values(data_set, keyword) is not None}


def carried(source: str, target: str, *, moves: bool) -> Callable[[Dataset], dict[str, Values]]:
    def expected(data_set: Dataset) -> dict[str, Values]:
        found = values(data_set, source)
        if found is None:
            return {}
        return {target: found, source: None} if moves else {target: found}

    return expected


def appended(keyword: str, more: str) -> Callable[[Dataset], dict[str, Values]]:
    return lambda data_set: {keyword: [*(values(data_set, keyword) or []), more]}


def missing(keyword: str, text: str) -> Callable[[Dataset], dict[str, Values]]:
    return lambda data_set: {} if values(data_set, keyword) else {keyword: [text]}


def of_modality(data_set: Dataset) -> dict[str, Values]:
    modality = "\\".join(values(data_set, "Modality") or [])
    return {"InstitutionName": [f"North {modality}".strip()]}


Expected = Callable[[Dataset], dict[str, Values]]

ACTIONS: dict[str, tuple[object, Expected]] = {
    "set": ({"PatientID": "NEW", "ClinicalTrialSiteID": "S-1"}, always(PatientID=["NEW"], ClinicalTrialSiteID=["S-1"])),
    "set number": ({"Rows": 77, "PixelSpacing": ["0.5", "0.25"]}, always(Rows=["77"], PixelSpacing=["0.5", "0.25"])),
    "set template": ({"InstitutionName": "North {{ Modality }}"}, of_modality),
    "set_if_missing": ({"AccessionNumber": "A-1"}, missing("AccessionNumber", "A-1")),
    "append": ({"OtherPatientIDs": "MORE"}, appended("OtherPatientIDs", "MORE")),
    "remove": (["PatientName", "ReferencedStudySequence"], if_present(None, "PatientName", "ReferencedStudySequence")),
    "empty": (["StudyID", "RequestAttributesSequence"], if_present([], "StudyID", "RequestAttributesSequence")),
    "copy": ({"from": "StudyID", "to": "AccessionNumber"}, carried("StudyID", "AccessionNumber", moves=False)),
    "move": (
        {"from": "SeriesDescription", "to": "StudyDescription"},
        carried("SeriesDescription", "StudyDescription", moves=True),
    ),
    "replace": (
        {"attributes": ["PatientName", "StudyDescription", "Manufacturer"], "pattern": "[aeiou ]+(.)", "with": r"\1-"},
        each(
            *("PatientName", "StudyDescription", "Manufacturer"), new=lambda text: re.sub("[aeiou ]+(.)", r"\1-", text)
        ),
    ),
    "case": (
        {"attributes": ["PatientName", "Manufacturer"], "to": "upper"},
        each("PatientName", "Manufacturer", new=str.upper),
    ),
    "truncate": (
        {"attributes": ["StudyDescription", "ImageType", "PatientName"], "to": 4},
        each("StudyDescription", "ImageType", "PatientName", new=lambda text: text[:4].rstrip()),
    ),
    "pad": (
        {"attributes": ["StudyID", "PatientID"], "to": 12},
        each("StudyID", "PatientID", new=lambda text: text.rjust(12, "0")),
    ),
    "map": (
        {"attributes": "Modality", "values": {"CT": "MR", "MR": "CT"}, "default": "OT"},
        each("Modality", new=lambda text: {"CT": "MR", "MR": "CT"}.get(text, "OT")),
    ),
    "hash": (
        {"attributes": ["PatientID", "StudyID"], "key": "research"},
        each("PatientID", "StudyID", new=lambda text: hashed_text(KEY, text, 16)),
    ),
}


def test_no_action_is_left_out() -> None:
    here = {name.split()[0] for name in ACTIONS}
    assert here | set(IN_CORPUS_TESTS_OF_THEIR_OWN) | ABOUT_THE_OBJECT == set(port_kinds.action.kinds)


@pytest.mark.parametrize(("name", "settings", "expected"), [(n, *row) for n, row in ACTIONS.items()], ids=ACTIONS)
@OBJECTS
def test_the_same_as_with_pydicom(part: Part10, name: str, settings: object, expected: Expected) -> None:
    before = read(part, part.data_set)
    wanted = expected(before)
    try:
        after_bytes = edited(part, {name.split()[0]: settings})
    except Refusal:
        assert any(is_invalid(keyword, text) for keyword, new in wanted.items() for text in new or ())
        return
    after = read(part, after_bytes)
    assert {keyword: values(after, keyword) for keyword in wanted} == wanted
    touched = {parse(keyword).tag for keyword in wanted}
    assert untouched(part, after_bytes, touched) == untouched(part, part.data_set, touched)


def is_invalid(keyword: str, text: str) -> bool:
    """In pydicom's eyes."""
    try:
        validate_value(dictionary_VR(keyword), text, RAISE)
    except ValueError:
        return True
    return False


def untouched(part: Part10, data: bytes, touched: Iterable[int]) -> list[tuple[int, bytes]]:
    lengths = {tag & 0xFFFF0000 for tag in touched} | {LENGTH_TO_END}
    return [(tag, raw) for tag, raw in level_of(part, data) if tag not in lengths and tag not in set(touched)]
