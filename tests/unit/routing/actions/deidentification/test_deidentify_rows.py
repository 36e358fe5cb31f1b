"""Every row of PS3.15 Table E.1-1 with the basic profile and with each option: in an object that has the attribute, has
it empty, or has it inside a sequence; in explicit and implicit VR.

What must happen follows from the action codes as the standard words them (Table E.1-1a), read here anew.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag

from tests.support.deidentify import (
    ENCODABLE,
    EXPLICIT,
    IMPLICIT,
    WORDS,
    action,
    decode,
    deidentified,
    encode,
    every_attribute,
    in_sequence,
    value_of,
    vr_of,
)

COLUMNS = (
    "retain-uids",
    "retain-device",
    "retain-institution",
    "retain-patient-characteristics",
    "retain-longitudinal-full",
    "retain-longitudinal-modified",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
)
OPTIONS = ("", *COLUMNS)
LAST_CHOICE = {"X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D", "X/Z/U*": "U"}
"""Nobody knows the attribute's Type in a private SOP class, so that the object must stay valid whatever it is."""
SET_BY_THE_ACTION = {0x00120062, 0x00120063, 0x00120064, 0x00280303}


def code_of(row: dict[str, str], option: str) -> str:
    """ "A requirement for an Option, when implemented, overrides any requirement for the underlying Profile"."""
    code = row[option] if option and row[option] else row["basic"]
    return LAST_CHOICE.get(code, code)


def outcome(tag: int, vr: str, after: Dataset) -> str:
    """What became of an attribute that had `value_of`."""
    if tag not in after:
        return "gone"
    value = after[tag].value
    if vr == "SQ":
        if not value:
            return "empty"
        assert value[0].BodyPartExamined == "HEAD"
        return "same" if value[0].CodeMeaning == WORDS else "changed"
    if value in (None, "", b""):
        return "empty"
    return "same" if value == value_of(tag, vr) else "changed"


def expected(code: str, basic: str, option: str, vr: str) -> str:
    """By the words of Table E.1-1a."""
    if code == "C":
        if vr in ("OB", "OW", "UN"):
            return expected(basic, basic, "", vr)  # nobody can clean bytes
        if option != "retain-longitudinal-modified":
            return "same"  # there is nothing to clean away
        return {"DA": "changed", "DT": "changed", "TM": "same"}.get(vr) or expected(basic, basic, "", vr)
    if code == "U" and vr == "SQ":
        return "same"  # the UIDs in it have rows of their own
    return {"X": "gone", "Z": "empty", "D": "changed", "U": "changed", "K": "same"}[code]


def expected_of_empty(code: str, vr: str) -> str:
    """A dummy is made of nothing too; of nothing else is there anything to make."""
    if code == "X":
        return "gone"
    return "changed" if code == "D" and vr != "SQ" else "empty"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option or "basic")
@pytest.mark.parametrize("place", ["top", "sequence"])
def test_attributes_with_a_value(option: str, place: str, syntax: str) -> None:
    is_nested = place == "sequence"
    before = encode(in_sequence(every_attribute()) if is_nested else every_attribute(), syntax)
    deidentify = action(options=[option]) if option else action()

    read = decode(deidentified(before, deidentify, transfer_syntax_uid=syntax), syntax)
    after = read.SharedFunctionalGroupsSequence[1] if is_nested else read

    wrong = {}
    for row, tag in ENCODABLE:
        if (tag in SET_BY_THE_ACTION and not is_nested) or (syntax == IMPLICIT and not dictionary_has_tag(tag)):
            continue
        vr = vr_of(tag)
        basic = LAST_CHOICE.get(row["basic"], row["basic"])
        wanted = expected(code_of(row, option), basic, option, vr)
        found = outcome(tag, vr, after)
        if found != wanted:
            wrong[f"{row['tag']} {row['name']} {vr}"] = (found, wanted)
    assert wrong == {}
    assert len(after) > 100


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option or "basic")
@pytest.mark.parametrize("place", ["top", "sequence"])
def test_attributes_without_a_value(option: str, place: str, syntax: str) -> None:
    is_nested = place == "sequence"
    empty = every_attribute(is_empty=True)
    before = encode(in_sequence(empty) if is_nested else empty, syntax)
    deidentify = action(options=[option]) if option else action()

    read = decode(deidentified(before, deidentify, transfer_syntax_uid=syntax), syntax)
    after = read.SharedFunctionalGroupsSequence[1] if is_nested else read

    wrong = {}
    for row, tag in ENCODABLE:
        if (tag in SET_BY_THE_ACTION and not is_nested) or (syntax == IMPLICIT and not dictionary_has_tag(tag)):
            continue
        vr = vr_of(tag)
        code = code_of(row, option)
        if code == "C" and option == "retain-longitudinal-modified" and vr not in ("DA", "DT", "TM"):
            code = LAST_CHOICE.get(row["basic"], row["basic"])
        wanted = expected_of_empty(code, vr)
        found = outcome(tag, vr, after)
        if found != wanted:
            wrong[f"{row['tag']} {row['name']} {vr}"] = (found, wanted)
    assert wrong == {}


def dates(data_set: Dataset, vr: str) -> set[Any]:
    return {element.value for element in data_set if vr == element.VR}


def test_shifted_dates_move_by_one_number_of_days() -> None:
    after = decode(deidentified(encode(every_attribute()), action(options=["retain-longitudinal-modified"])))
    shifted = {tag: after[tag].value for row, tag in ENCODABLE if row["retain-longitudinal-modified"] and tag in after}

    days = {
        (date(int(value[:4]), int(value[4:6]), int(value[6:8])) - date(2020, 1, 2)).days
        for tag, value in shifted.items()
        if vr_of(tag) in ("DA", "DT")
    }
    times = {value for tag, value in shifted.items() if vr_of(tag) == "TM"}

    assert len(days) == 1
    assert -3650 <= days.pop() <= -1
    assert times == {"030405"}
    assert {value[8:] for tag, value in shifted.items() if vr_of(tag) == "DT"} == {"030405"}


def test_dummies_are_valid_values_of_their_vr() -> None:
    after = decode(deidentified(encode(every_attribute()), action()))
    again = {"DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "LO": "ANONYMIZED", "SQ": None}

    for row, tag in ENCODABLE:
        if code_of(row, "") != "D" or vr_of(tag) not in again or vr_of(tag) == "SQ":
            continue
        assert after[tag].value == again[vr_of(tag)], row


def test_uids_are_new_everywhere_and_the_same_for_the_same() -> None:
    before = every_attribute()
    before.ReferencedSeriesSequence = [Dataset()]
    before.ReferencedSeriesSequence[0].SeriesInstanceUID = before.SOPInstanceUID

    after = decode(deidentified(encode(before), action()))
    other = decode(deidentified(encode(before), action(options=["clean-graphics"])))

    assert after.SOPInstanceUID.startswith("2.25.")
    assert after.ReferencedSeriesSequence[0].SeriesInstanceUID == after.SOPInstanceUID
    assert other.SOPInstanceUID == after.SOPInstanceUID
    new = [after[tag].value for row, tag in ENCODABLE if row["basic"] == "U"]
    assert len(set(new)) == len(new)
