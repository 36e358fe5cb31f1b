"""Data sets through the action `deidentify`, and objects that hold every attribute of PS3.15 Table E.1-1."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from gateway import routing
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.dataset.splice import splice
from gateway.model.association import AssociationFacts
from gateway.ports.kinds import Action
from gateway.routing.facts import ObjectFacts, needed
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import FileResources
from gateway.routing.table import apply_actions, attributes_of

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
KEY = b"a key for the tests, 32 bytes long"
UNKNOWN_CLASS = "1.2.3.4.5.6.7"
"""A private SOP class: no attribute's Type is known."""

TABLE = Path(routing.__file__).parent / "actions" / "deidentification" / "table_e1_1.csv"


def table() -> list[dict[str, str]]:
    """The rows of the data file, read by nothing of the gateway."""
    return list(csv.DictReader(line for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")))


def action(**settings: Any) -> Action:
    """`deidentify` with these settings; raises AssertionError for one that is refused."""

    def fail(*problem: object) -> None:
        raise AssertionError(problem)

    config = [{"deidentify": {"key": "test", **{name.rstrip("_"): value for name, value in settings.items()}}}]
    (built,) = build_actions(config, fail, FileResources({"test": KEY}))
    return built


def facts_of(
    data_set: bytes, action: Action, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
) -> ObjectFacts:
    """What `action` reads of a data set."""
    read = wanted(needed(attributes_of([action])))
    return ObjectFacts(
        association=AssociationFacts("MR1", "GATEWAY", "10.1.2.3"),
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        length_bytes=len(data_set),
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        level=scan(memoryview(data_set), transfer_syntax_uid, read).level,
    )


def deidentified(
    data_set: bytes,
    action: Action,
    *,
    sop_class_uid: str = UNKNOWN_CLASS,
    sop_instance_uid: str = "1.2.3",
    transfer_syntax_uid: str = EXPLICIT,
) -> bytes:
    """The data set after `action`."""
    facts = facts_of(data_set, action, sop_class_uid, sop_instance_uid, transfer_syntax_uid)
    return b"".join(splice(memoryview(data_set), transfer_syntax_uid, apply_actions([action], facts)))


def encode(data_set: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """As pydicom writes it."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, transfer_syntax_uid == IMPLICIT
    write_dataset(out, data_set)
    return bytes(out.getvalue())


def decode(data_set: bytes, transfer_syntax_uid: str = EXPLICIT) -> Dataset:
    """As pydicom reads it."""
    return read_dataset(io.BytesIO(data_set), transfer_syntax_uid == IMPLICIT, True)


# --- objects made of the table ----------------------------------------------------------------------------------

WORDS = "Plain words"
"""The words of attributes that some option cleans, which stay."""
OTHER_WORDS = "Other terms"
"""The words of all other attributes, which may be those that cleaning takes its words from."""
_VALUES: dict[str, Any] = {
    **dict.fromkeys(("LO", "LT", "SH", "ST", "UC", "UT"), WORDS),
    **dict.fromkeys(("AE", "CS"), "CODED"),
    **dict.fromkeys(("DS", "IS", "SL", "SS", "UL", "US", "FL", "FD"), 7),
    **dict.fromkeys(("OB", "OW", "UN"), b"\1\2"),
    "AS": "044Y",
    "DA": "20200102",
    "DT": "20200102030405",
    "PN": "Doe^Jane",
    "TM": "030405",
    "UR": "http://plain.example",
}


def tag_of(row: dict[str, str]) -> int | None:
    """The tag of a row with one tag; None for a pattern."""
    digits = row["tag"].strip("()").replace(",", "")
    try:
        return int(digits, 16)
    except ValueError:
        return None


ENCODABLE = [(row, tag) for row in table() if (tag := tag_of(row)) is not None and tag >> 16 > 0x0004]
"""Rows whose tag may stand in a data set; command, file meta and directory elements may not."""


def vr_of(tag: int) -> str:
    """The dictionary's; of attributes that are younger than the installed dictionary as their name says."""
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        name = next(row["name"] for row, found in ENCODABLE if found == tag)
    endings = {"Sequence": "SQ", "DateTime": "DT", "Date": "DA", "Time": "TM", "UID": "UI", "URI": "UR"}
    return next((vr for ending, vr in endings.items() if name.endswith(ending)), "LO")


def value_of(tag: int, vr: str) -> Any:
    """Something that is no dummy, and that nothing in the object calls identifying."""
    if vr == "UI":
        return f"1.2.826.{tag}"
    if vr == "SQ":
        item = Dataset()
        item.CodeMeaning = WORDS
        item.BodyPartExamined = "HEAD"
        return [item]
    value = _VALUES[vr]
    is_cleaned = any("C" in row.values() for row, found in ENCODABLE if found == tag)
    return OTHER_WORDS if value == WORDS and not is_cleaned else value


def every_attribute(*, is_empty: bool = False) -> Dataset:
    """An object with every attribute of the table."""
    data_set = Dataset()
    for _row, tag in ENCODABLE:
        vr = vr_of(tag)
        data_set.add_new(tag, vr, ([] if vr == "SQ" else None) if is_empty else value_of(tag, vr))
    return data_set


def in_sequence(data_set: Dataset) -> Dataset:
    """An object whose only attribute is a sequence that the table does not name, with `data_set` as second item."""
    outer = Dataset()
    outer.SharedFunctionalGroupsSequence = [Dataset(), data_set]
    return outer
