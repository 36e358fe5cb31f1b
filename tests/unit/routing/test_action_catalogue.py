"""Every action on real bytes, in every encoding: what it changes, what pydicom reads, and what keeps its bytes.

A row names all that changes: every other top-level element must be the same bytes as before.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pydicom
import pytest
from pydicom.filereader import read_dataset

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports import kinds as port_kinds
from gateway.ports.errors import Refusal
from gateway.ports.kinds import Action
from gateway.routing.facts import ObjectFacts, read_by
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.pseudonym import hashed_text, hashed_uid, patient_of, shift_days, shifted
from gateway.routing.language.resources import FileResources
from gateway.routing.table import apply_actions, attributes_of
from tests.support.data_set_writer import BIG, DEFLATED, ENCODINGS, EXPLICIT, IMPLICIT, Write, packed, unpacked
from tests.support.effort import processor_time_below
from tests.support.elements import elements

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
KEY = b"a key of the tests"
GENIE = "GEMS_GENIE_1"
RAS = "RequestAttributesSequence"
STEP = "ScheduledProcedureStepID"

Values = tuple[str, ...] | None
Expected = Mapping[str, Values]

SYNTAXES = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big-endian": BIG, "deflated": DEFLATED}


def sample(syntax: str) -> bytes:
    """An object with several values, empty ones, items and private blocks at two levels."""
    write = Write(ENCODINGS[syntax])
    element, sequence, item = write.element, write.sequence, write.item
    image = element("ReferencedSOPClassUID", "UI", MR_IMAGE) + element("ReferencedSOPInstanceUID", "UI", "1.2.3")
    first = element(0x00090010, "LO", "OTHER") + element(0x00090011, "LO", GENIE)
    first += (
        element(0x00091110, "LO", "inner")
        + element(0x0009111E, "UI", "1.2.3.7")
        + element(0x00091142, "DA", "20200101")
    )
    first += element("StudyInstanceUID", "UI", "1.2.4") + element(STEP, "SH", "s-1")
    second = element("StudyDate", "DA", "20191231") + element(STEP, "SH", "")
    return packed(
        b"".join(
            (
                element("SpecificCharacterSet", "CS", "ISO_IR 100"),
                element("ImageType", "CS", "DERIVED\\SECONDARY"),
                element("SOPClassUID", "UI", MR_IMAGE),
                element("SOPInstanceUID", "UI", "1.2.3"),
                element("StudyDate", "DA", "20200229"),
                element("AcquisitionDateTime", "DT", "20200229120000.5+0100"),
                element("StudyTime", "TM", "120000"),
                element("AccessionNumber", "SH", ""),
                element("Modality", "CS", "MR"),
                element("StudyDescription", "LO", "mri  Sch\xe4del"),
                sequence("ReferencedImageSequence", item(image)),
                element(0x00090010, "LO", "ACME CORP"),
                element(0x00090011, "LO", GENIE),
                element(0x00091010, "LO", "of ACME"),
                element(0x00091110, "LO", "of GE"),
                element(0x0009111E, "UI", "1.2.3"),
                element(0x00091142, "DA", "20200228"),
                element("PatientName", "PN", "Doe^Jane"),
                element("PatientID", "LO", "42"),
                element("IssuerOfPatientID", "LO", "HOSPITAL"),
                element("PatientBirthDate", "DA", ""),
                element("OtherPatientIDs", "LO", "A1\\B2\\C3"),
                element("BodyPartExamined", "CS", "BRAIN"),
                element("StudyInstanceUID", "UI", "1.2.4"),
                element("SeriesInstanceUID", "UI", "1.2.5"),
                write.number("Rows", "US", "H", 512),
                write.number("SmallestImagePixelValue", "US", "H", 1),
                sequence(RAS, item(first, is_defined=False), item(second), item(b""), is_defined=False),
                element("PixelData", "OW", bytes(16)),
            )
        ),
        syntax,
    )  # fmt: skip


def days_of(patient: str = "42", issuer: str = "HOSPITAL") -> int:
    return shift_days(KEY, patient_of(patient, issuer, "1.2.4"), (-365, -1))


def moved(text: str, vr: str = "DA") -> tuple[str, ...]:
    return (shifted(text, vr, days_of()),)


def new(uid: str) -> tuple[str, ...]:
    return (hashed_uid(KEY, uid),)


def hashed(*texts: str, length: int = 16) -> tuple[str, ...]:
    return tuple(hashed_text(KEY, text, length) for text in texts)


BY_GENIE = f"(0009,[{GENIE}],10)"
NO_GENIE: Expected = {"00090011": None, "00091110": None, "0009111E": None, "00091142": None}
NO_ACME: Expected = {"00090010": None, "00091010": None}
NO_PRIVATE_INSIDE: Expected = {
    f"{RAS}[0].00090010": None,
    f"{RAS}[0].00090011": None,
    f"{RAS}[0].00091110": None,
    f"{RAS}[0].0009111E": None,
    f"{RAS}[0].00091142": None,
    f"{RAS}[*].{STEP}": ("s-1",),
}
_ALL = """
    ImageType StudyDate AcquisitionDateTime StudyTime AccessionNumber StudyDescription ReferencedImageSequence
    PatientName IssuerOfPatientID PatientBirthDate OtherPatientIDs BodyPartExamined 00090010 00090011 00091010 00091110
    0009111E 00091142 RequestAttributesSequence Modality PatientID
"""
KEPT_ONLY: Expected = dict.fromkeys(_ALL.split())
KEPT_TOO = ("Modality", "PatientID", "AccessionNumber", "OtherPatientIDs")

ROWS: dict[str, tuple[object, Expected]] = {
    # --- set ---
    "set-present": ({"set": {"Modality": "CT"}}, {"Modality": ("CT",)}),
    "set-absent": ({"set": {"StationName": "S1"}}, {"StationName": ("S1",)}),
    "set-empty": ({"set": {"AccessionNumber": "A"}}, {"AccessionNumber": ("A",)}),
    "set-to-empty": ({"set": {"Modality": ""}}, {"Modality": ()}),
    "set-several": ({"set": {"OtherPatientIDs": ["X", "Y"]}}, {"OtherPatientIDs": ("X", "Y")}),
    "set-number": ({"set": {"Rows": 256}}, {"Rows": ("256",)}),
    "set-in-every-item": ({"set": {f"{RAS}[*].{STEP}": "n"}}, {f"{RAS}[*].{STEP}": ("n", "n", "n")}),
    "set-in-one-item": ({"set": {f"{RAS}[1].{STEP}": "n"}}, {f"{RAS}[*].{STEP}": ("s-1", "n")}),
    "set-in-a-new-item": ({"set": {f"{RAS}[3].{STEP}": "n"}}, {f"{RAS}[*].{STEP}": ("s-1", "n")}),
    "set-in-a-new-sequence": (
        {"set": {"ReferencedStudySequence[0].ReferencedSOPInstanceUID": "1.9"}},
        {"ReferencedStudySequence[*].ReferencedSOPInstanceUID": ("1.9",)},
    ),
    "set-private": ({"set": {BY_GENIE: "new"}}, {"00091110": ("new",)}),
    "set-private-inside": ({"set": {f"{RAS}[0].{BY_GENIE}": "new"}}, {f"{RAS}[0].00091110": ("new",)}),
    "set-private-of-a-new-creator": (
        {"set": {"(0019,[SIEMENS MR HEADER],08)": "IMAGE NUM 4"}},
        {"00190010": ("SIEMENS MR HEADER",), "00191008": ("IMAGE NUM 4",)},
    ),
    "set-in-the-character-set": ({"set": {"PatientName": "M\xfcller"}}, {"PatientName": ("M\xfcller",)}),
    # --- set_if_missing ---
    "if-missing-present": ({"set_if_missing": {"Modality": "CT"}}, {}),
    "if-missing-absent": ({"set_if_missing": {"StationName": "S1"}}, {"StationName": ("S1",)}),
    "if-missing-empty": ({"set_if_missing": {"AccessionNumber": "A"}}, {"AccessionNumber": ("A",)}),
    "if-missing-several": ({"set_if_missing": {"OtherPatientIDs": "X"}}, {}),
    "if-missing-in-every-item": (
        {"set_if_missing": {f"{RAS}[*].{STEP}": "n"}},
        {f"{RAS}[*].{STEP}": ("s-1", "n", "n")},
    ),
    "if-missing-private": ({"set_if_missing": {BY_GENIE: "new"}}, {}),
    "if-missing-private-absent": ({"set_if_missing": {f"(0009,[{GENIE}],20)": "new"}}, {"00091120": ("new",)}),
    # --- append ---
    "append-to-several-present": (
        {"append": {"ImageType": "RESEARCH"}},
        {"ImageType": ("DERIVED", "SECONDARY", "RESEARCH")},
    ),
    "append-list": ({"append": {"OtherPatientIDs": ["D", "E"]}}, {"OtherPatientIDs": ("A1", "B2", "C3", "D", "E")}),
    "append-absent": ({"append": {"OtherPatientNames": "A^B"}}, {"OtherPatientNames": ("A^B",)}),
    "append-template": ({"append": {"ImageType": "{{ Modality }}"}}, {"ImageType": ("DERIVED", "SECONDARY", "MR")}),
    "append-nothing": ({"append": {"ImageType": "{{ AccessionNumber }}"}}, {}),
    "append-empty": (
        [{"empty": "OtherPatientIDs"}, {"append": {"OtherPatientIDs": "D"}}],
        {"OtherPatientIDs": ("D",)},
    ),
    "append-in-every-item": (
        {"append": {f"{RAS}[*].OtherPatientIDs": "D"}},
        {f"{RAS}[*].OtherPatientIDs": ("D", "D", "D")},
    ),
    "append-in-items-that-have-some": (
        [{"set": {f"{RAS}[1].OtherPatientIDs": "C"}}, {"append": {f"{RAS}[*].OtherPatientIDs": "D"}}],
        {
            f"{RAS}[0].OtherPatientIDs": ("D",),
            f"{RAS}[1].OtherPatientIDs": ("C", "D"),
            f"{RAS}[2].OtherPatientIDs": ("D",),
        },
    ),
    "append-private": (
        {"append": {"(0021,[GEMS_XR3DCAL_01],0C)": "a"}},
        {"00210010": ("GEMS_XR3DCAL_01",), "0021100C": ("a",)},
    ),
    # --- remove, empty ---
    "remove-present": ({"remove": "Modality"}, {"Modality": None}),
    "remove-absent": ({"remove": "StationName"}, {}),
    "remove-empty": ({"remove": "AccessionNumber"}, {"AccessionNumber": None}),
    "remove-several": ({"remove": "OtherPatientIDs"}, {"OtherPatientIDs": None}),
    "remove-sequence": ({"remove": RAS}, {RAS: None}),
    "remove-in-every-item": ({"remove": f"{RAS}[*].{STEP}"}, {f"{RAS}[*].{STEP}": None}),
    "remove-private": ({"remove": BY_GENIE}, {"00091110": None}),
    "remove-private-inside": ({"remove": f"{RAS}[*].{BY_GENIE}"}, {f"{RAS}[0].00091110": None}),
    "remove-private-of-nobody": ({"remove": "(0009,[NOBODY],10)"}, {}),
    "empty-present": ({"empty": "Modality"}, {"Modality": ()}),
    "empty-absent": ({"empty": "StationName"}, {}),
    "empty-several": ({"empty": "OtherPatientIDs"}, {"OtherPatientIDs": ()}),
    "empty-in-every-item": ({"empty": f"{RAS}[*].{STEP}"}, {f"{RAS}[*].{STEP}": ()}),
    "empty-private": ({"empty": BY_GENIE}, {"00091110": ()}),
    # --- copy, move ---
    "copy-present": ({"copy": {"from": "PatientID", "to": "StationName"}}, {"StationName": ("42",)}),
    "copy-absent": ({"copy": {"from": "StationName", "to": "PatientID"}}, {}),
    "copy-empty": ({"copy": {"from": "AccessionNumber", "to": "PatientID"}}, {"PatientID": ()}),
    "copy-several": (
        {"copy": {"from": "OtherPatientIDs", "to": "OtherPatientNames"}},
        {"OtherPatientNames": ("A1", "B2", "C3")},
    ),
    "copy-number-to-text": ({"copy": {"from": "Rows", "to": "StationName"}}, {"StationName": ("512",)}),
    "copy-item-by-item": (
        {"copy": {"from": f"{RAS}[*].{STEP}", "to": f"{RAS}[*].RequestedProcedureID"}},
        {
            f"{RAS}[0].RequestedProcedureID": ("s-1",),
            f"{RAS}[1].RequestedProcedureID": (),
            f"{RAS}[2].RequestedProcedureID": None,
        },
    ),
    "copy-to-every-item": (
        {"copy": {"from": "PatientID", "to": f"{RAS}[*].{STEP}"}},
        {f"{RAS}[*].{STEP}": ("42", "42", "42")},
    ),
    "copy-out-of-items": ({"copy": {"from": f"{RAS}[*].{STEP}", "to": "StationName"}}, {"StationName": ("s-1",)}),
    "copy-private": ({"copy": {"from": BY_GENIE, "to": "StationName"}}, {"StationName": ("of GE",)}),
    "copy-to-private": ({"copy": {"from": "PatientID", "to": BY_GENIE}}, {"00091110": ("42",)}),
    "move-present": ({"move": {"from": "PatientID", "to": "StationName"}}, {"StationName": ("42",), "PatientID": None}),
    "move-absent": ({"move": {"from": "StationName", "to": "PatientID"}}, {}),
    "move-empty": (
        {"move": {"from": "AccessionNumber", "to": "StationName"}},
        {"StationName": (), "AccessionNumber": None},
    ),
    "move-several": (
        {"move": {"from": "OtherPatientIDs", "to": "OtherPatientNames"}},
        {"OtherPatientIDs": None, "OtherPatientNames": ("A1", "B2", "C3")},
    ),
    "move-item-by-item": (
        {"move": {"from": f"{RAS}[*].{STEP}", "to": f"{RAS}[*].RequestedProcedureID"}},
        {f"{RAS}[0].RequestedProcedureID": ("s-1",), f"{RAS}[1].RequestedProcedureID": (), f"{RAS}[*].{STEP}": None},
    ),
    "move-out-of-an-item": (
        {"move": {"from": f"{RAS}[0].{STEP}", "to": "StationName"}},
        {f"{RAS}[0].{STEP}": None, "StationName": ("s-1",)},
    ),
    "move-private": ({"move": {"from": BY_GENIE, "to": "StationName"}}, {"StationName": ("of GE",), "00091110": None}),
    # --- replace ---
    "replace-present": (
        {"replace": {"attributes": "StudyDescription", "pattern": r"(?i)^mri?\s+(\w+)", "with": r"MR \1"}},
        {"StudyDescription": ("MR Sch\xe4del",)},
    ),
    "replace-nothing-found": ({"replace": {"attributes": "Modality", "pattern": "^X", "with": ""}}, {}),
    "replace-absent": ({"replace": {"attributes": "StationName", "pattern": "", "with": "x"}}, {}),
    "replace-empty": ({"replace": {"attributes": "AccessionNumber", "pattern": "", "with": "x"}}, {}),
    "replace-several": (
        {"replace": {"attributes": ["OtherPatientIDs", "PatientID"], "pattern": "^([AB4])", "with": r"<\1>"}},
        {"OtherPatientIDs": ("<A>1", "<B>2", "C3"), "PatientID": ("<4>2",)},
    ),
    "replace-to-nothing": ({"replace": {"attributes": "PatientID", "pattern": ".*", "with": ""}}, {"PatientID": ()}),
    "replace-number": ({"replace": {"attributes": "Rows", "pattern": "12", "with": "00"}}, {"Rows": ("500",)}),
    "replace-in-every-item": (
        {"replace": {"attributes": f"{RAS}[*].{STEP}", "pattern": "^s-", "with": "S"}},
        {f"{RAS}[*].{STEP}": ("S1",)},
    ),
    "replace-private": ({"replace": {"attributes": BY_GENIE, "pattern": "of ", "with": ""}}, {"00091110": ("GE",)}),
    # --- case ---
    "case-present-upper": (
        {"case": {"attributes": "StudyDescription", "to": "upper"}},
        {"StudyDescription": ("MRI  SCH\xc4DEL",)},
    ),
    "case-lower": ({"case": {"attributes": "PatientName", "to": "lower"}}, {"PatientName": ("doe^jane",)}),
    "case-title": (
        [{"set": {"PatientName": "VAN DOE^JANE-ANN"}}, {"case": {"attributes": "PatientName", "to": "title"}}],
        {"PatientName": ("Van Doe^Jane-Ann",)},
    ),
    "case-title-of-apostrophes": (
        [
            {"set": {"StudyDescription": "PATIENT'S HEAD, DR. O'NEIL"}},
            {"case": {"attributes": "StudyDescription", "to": "title"}},
        ],
        {"StudyDescription": ("Patient's Head, Dr. O'Neil",)},
    ),
    "case-absent": ({"case": {"attributes": "StationName", "to": "upper"}}, {}),
    "case-empty": ({"case": {"attributes": "AccessionNumber", "to": "upper"}}, {}),
    "case-several": (
        {"case": {"attributes": "OtherPatientIDs", "to": "lower"}},
        {"OtherPatientIDs": ("a1", "b2", "c3")},
    ),
    "case-in-every-item": ({"case": {"attributes": f"{RAS}[*].{STEP}", "to": "upper"}}, {f"{RAS}[*].{STEP}": ("S-1",)}),
    "case-private": ({"case": {"attributes": BY_GENIE, "to": "upper"}}, {"00091110": ("OF GE",)}),
    # --- truncate, pad ---
    "truncate-present": ({"truncate": {"attributes": "StudyDescription", "to": 5}}, {"StudyDescription": ("mri",)}),
    "truncate-shorter": ({"truncate": {"attributes": "PatientID", "to": 5}}, {}),
    "truncate-absent": ({"truncate": {"attributes": "StationName", "to": 5}}, {}),
    "truncate-empty": ({"truncate": {"attributes": "AccessionNumber", "to": 5}}, {}),
    "truncate-several": (
        {"truncate": {"attributes": "OtherPatientIDs", "to": 1}},
        {"OtherPatientIDs": ("A", "B", "C")},
    ),
    "truncate-in-every-item": ({"truncate": {"attributes": f"{RAS}[*].{STEP}", "to": 1}}, {f"{RAS}[*].{STEP}": ("s",)}),
    "truncate-private": ({"truncate": {"attributes": BY_GENIE, "to": 2}}, {"00091110": ("of",)}),
    "pad-present": ({"pad": {"attributes": "PatientID", "to": 6}}, {"PatientID": ("000042",)}),
    "pad-right": (
        {"pad": {"attributes": "PatientID", "to": 4, "with": "x", "side": "right"}},
        {"PatientID": ("42xx",)},
    ),
    "pad-longer": ({"pad": {"attributes": "PatientName", "to": 4}}, {}),
    "pad-absent": ({"pad": {"attributes": "StationName", "to": 4}}, {}),
    "pad-empty": ({"pad": {"attributes": "AccessionNumber", "to": 4}}, {}),
    "pad-several": ({"pad": {"attributes": "OtherPatientIDs", "to": 3}}, {"OtherPatientIDs": ("0A1", "0B2", "0C3")}),
    "pad-in-every-item": ({"pad": {"attributes": f"{RAS}[*].{STEP}", "to": 5}}, {f"{RAS}[*].{STEP}": ("00s-1",)}),
    "pad-private": ({"pad": {"attributes": BY_GENIE, "to": 6}}, {"00091110": ("0of GE",)}),
    # --- map ---
    "map-present": (
        {"map": {"attributes": "BodyPartExamined", "values": {"BRAIN": "HEAD"}}},
        {"BodyPartExamined": ("HEAD",)},
    ),
    "map-file": ({"map": {"attributes": "BodyPartExamined", "table": "parts.csv"}}, {"BodyPartExamined": ("SKULL",)}),
    "map-absent": ({"map": {"attributes": "StationName", "values": {"a": "b"}, "default": "x"}}, {}),
    "map-empty": ({"map": {"attributes": "AccessionNumber", "values": {"a": "b"}, "default": "x"}}, {}),
    "map-missing-stays": ({"map": {"attributes": "PatientID", "values": {"a": "b"}}}, {}),
    "map-missing-kept": ({"map": {"attributes": "PatientID", "values": {"a": "b"}, "on_missing": "keep"}}, {}),
    "map-missing-emptied": (
        {"map": {"attributes": "PatientID", "values": {"a": "b"}, "on_missing": "empty"}},
        {"PatientID": ()},
    ),
    "map-default": ({"map": {"attributes": "PatientID", "values": {"a": "b"}, "default": "x"}}, {"PatientID": ("x",)}),
    "map-default-template": (
        {
            "map": {
                "attributes": "PatientID",
                "values": {"a": "b"},
                "default": "{{ IssuerOfPatientID }}-{{ PatientID }}",
            }
        },
        {"PatientID": ("HOSPITAL-42",)},
    ),
    "map-several": (
        {"map": {"attributes": "OtherPatientIDs", "values": {"A1": "one", "C3": ""}, "on_missing": "keep"}},
        {"OtherPatientIDs": ("one", "B2", "")},
    ),
    "map-one-to-several": ({"map": {"attributes": "PatientID", "values": {"42": "a"}}}, {"PatientID": ("a",)}),
    "map-in-every-item": (
        {"map": {"attributes": f"{RAS}[*].{STEP}", "values": {"s-1": "one"}, "on_missing": "reject"}},
        {f"{RAS}[*].{STEP}": ("one",)},
    ),
    "map-private": ({"map": {"attributes": BY_GENIE, "values": {"of GE": "GE"}}}, {"00091110": ("GE",)}),
    "map-number": ({"map": {"attributes": "Rows", "values": {512: 256}}}, {"Rows": ("256",)}),
    # --- hash ---
    "hash-present": ({"hash": {"attributes": "PatientID", "key": "research"}}, {"PatientID": hashed("42")}),
    "hash-length": (
        {"hash": {"attributes": "PatientName", "key": "research", "length": 10}},
        {"PatientName": hashed("Doe^Jane", length=10)},
    ),
    "hash-absent": ({"hash": {"attributes": "StationName", "key": "research"}}, {}),
    "hash-empty": ({"hash": {"attributes": "AccessionNumber", "key": "research"}}, {}),
    "hash-several": (
        {"hash": {"attributes": "OtherPatientIDs", "key": "research"}},
        {"OtherPatientIDs": hashed("A1", "B2", "C3")},
    ),
    "hash-in-every-item": (
        {"hash": {"attributes": f"{RAS}[*].{STEP}", "key": "research"}},
        {f"{RAS}[0].{STEP}": hashed("s-1"), f"{RAS}[1].{STEP}": ()},
    ),
    "hash-private": ({"hash": {"attributes": BY_GENIE, "key": "research"}}, {"00091110": hashed("of GE")}),
    # --- hash_uid ---
    "hash-uid-present-everywhere": (
        {"hash_uid": {"key": "research"}},
        {
            "SOPInstanceUID": new("1.2.3"),
            "StudyInstanceUID": new("1.2.4"),
            "SeriesInstanceUID": new("1.2.5"),
            "ReferencedImageSequence[0].ReferencedSOPInstanceUID": new("1.2.3"),
            "ReferencedImageSequence[0].ReferencedSOPClassUID": (MR_IMAGE,),
            f"{RAS}[0].StudyInstanceUID": new("1.2.4"),
            f"{RAS}[0].0009111E": new("1.2.3.7"),
            f"{RAS}[0].{STEP}": ("s-1",),
            "0009111E": new("1.2.3"),
        },
    ),
    "hash-uid-of-one-attribute-at-every-level": (
        {"hash_uid": {"key": "research", "attributes": "StudyInstanceUID"}},
        {
            "StudyInstanceUID": new("1.2.4"),
            f"{RAS}[0].StudyInstanceUID": new("1.2.4"),
            f"{RAS}[0].0009111E": ("1.2.3.7",),
        },
    ),
    "hash-uid-of-one-place": (
        {"hash_uid": {"key": "research", "attributes": f"{RAS}[*].StudyInstanceUID"}},
        {f"{RAS}[0].StudyInstanceUID": new("1.2.4")},
    ),
    "hash-uid-of-another-item": ({"hash_uid": {"key": "research", "attributes": f"{RAS}[1].StudyInstanceUID"}}, {}),
    "hash-uid-private": (
        {"hash_uid": {"key": "research", "attributes": f"(0009,[{GENIE}],1E)"}},
        {"0009111E": new("1.2.3"), f"{RAS}[0].0009111E": new("1.2.3.7")},
    ),
    "hash-uid-absent": ({"hash_uid": {"key": "research", "attributes": "FrameOfReferenceUID"}}, {}),
    "hash-uid-empty": (
        [{"set": {"FrameOfReferenceUID": ""}}, {"hash_uid": {"key": "research", "attributes": "FrameOfReferenceUID"}}],
        {"FrameOfReferenceUID": ()},
    ),
    "hash-uid-several": (
        [
            {"set": {"IrradiationEventUID": ["1.5", "1.2.840.10008.1.1"]}},
            {"hash_uid": {"key": "research", "attributes": "IrradiationEventUID"}},
        ],
        {"IrradiationEventUID": (*new("1.5"), "1.2.840.10008.1.1")},
    ),
    # --- shift_date ---
    "shift-present-in-items-too": (
        {"shift_date": {"key": "research", "days": [-365, -1]}},
        {
            "StudyDate": moved("20200229"),
            "AcquisitionDateTime": moved("20200229120000.5+0100", "DT"),
            "00091142": moved("20200228"),
            f"{RAS}[0].00091142": moved("20200101"),
            f"{RAS}[1].StudyDate": moved("20191231"),
        },
    ),
    "shift-one-attribute-at-every-level": (
        {"shift_date": {"key": "research", "days": [-365, -1], "attributes": ["StudyDate", "PatientBirthDate"]}},
        {"StudyDate": moved("20200229"), f"{RAS}[1].StudyDate": moved("20191231")},
    ),
    "shift-one-place": (
        {"shift_date": {"key": "research", "days": [-365, -1], "attributes": f"{RAS}[*].StudyDate"}},
        {f"{RAS}[1].StudyDate": moved("20191231")},
    ),
    "shift-private": (
        {"shift_date": {"key": "research", "days": [-365, -1], "attributes": f"(0009,[{GENIE}],42)"}},
        {"00091142": moved("20200228"), f"{RAS}[0].00091142": moved("20200101")},
    ),
    "shift-absent": ({"shift_date": {"key": "research", "days": [-365, -1], "attributes": "ContentDate"}}, {}),
    "shift-empty": ({"shift_date": {"key": "research", "days": [-365, -1], "attributes": "PatientBirthDate"}}, {}),
    "shift-several": (
        [
            {"set": {"DateOfLastCalibration": ["20200101", "20200229"]}},
            {"shift_date": {"key": "research", "days": [-365, -1], "attributes": "DateOfLastCalibration"}},
        ],
        {"DateOfLastCalibration": (*moved("20200101"), *moved("20200229"))},
    ),
    "shift-is-by-patient": (
        [
            {"set": {"PatientID": "43"}},
            {"shift_date": {"key": "research", "days": [-365, -1], "attributes": "AcquisitionDateTime"}},
        ],
        {"PatientID": ("43",), "AcquisitionDateTime": (shifted("20200229120000.5+0100", "DT", days_of("43")),)},
    ),
    # --- keep_only ---
    "keep-only-present": (
        {"keep_only": {"attributes": ["Modality", "PatientID"]}},
        {**KEPT_ONLY, "Modality": ("MR",), "PatientID": ("42",)},
    ),
    "keep-only-absent-empty-and-several": (
        {"keep_only": {"attributes": ["Modality", "PatientID", "StationName", "AccessionNumber", "OtherPatientIDs"]}},
        {key: value for key, value in KEPT_ONLY.items() if key not in KEPT_TOO} | {"StationName": None},
    ),
    "keep-only-groups": (
        {"keep_only": {"attributes": "Modality", "groups": "0010"}},
        {
            **{
                key: value
                for key, value in KEPT_ONLY.items()
                if key not in ("PatientName", "IssuerOfPatientID", "PatientBirthDate", "OtherPatientIDs", "PatientID")
            },
            "Modality": ("MR",),
        },
    ),
    "keep-only-a-sequence": (
        {"keep_only": {"attributes": ["Modality", "PatientID", RAS]}},
        {key: value for key, value in KEPT_ONLY.items() if key not in ("Modality", "PatientID", RAS)},
    ),
    "keep-only-in-items": (
        {"keep_only": {"attributes": ["Modality", "PatientID", f"{RAS}[*].{STEP}"]}},
        {
            **{key: value for key, value in KEPT_ONLY.items() if key not in ("Modality", "PatientID", RAS)},
            f"{RAS}[*].{STEP}": ("s-1",),
            f"{RAS}[0].StudyInstanceUID": None,
            f"{RAS}[1].StudyDate": None,
            f"{RAS}[0].00090011": None,
        },
    ),
    "keep-only-private": (
        {"keep_only": {"attributes": ["Modality", "PatientID", BY_GENIE]}},
        {
            key: value
            for key, value in KEPT_ONLY.items()
            if key not in ("Modality", "PatientID", "00090011", "00091110")
        },
    ),
    "keep-only-private-in-items": (
        {"keep_only": {"attributes": ["Modality", "PatientID", f"{RAS}[*].{BY_GENIE}"]}},
        {
            **{key: value for key, value in KEPT_ONLY.items() if key not in ("Modality", "PatientID", RAS)},
            f"{RAS}[0].00090011": (GENIE,),
            f"{RAS}[0].00091110": ("inner",),
            f"{RAS}[0].00090010": None,
            f"{RAS}[0].0009111E": None,
            f"{RAS}[*].{STEP}": None,
        },
    ),
    "keep-only-private-by-tag": (
        {"keep_only": {"attributes": ["Modality", "PatientID", "00091010"]}},
        {
            key: value
            for key, value in KEPT_ONLY.items()
            if key not in ("Modality", "PatientID", "00090010", "00091010")
        },
    ),
    # --- remove_private ---
    "remove-private-present-in-items-too": ({"remove_private": {}}, {**NO_ACME, **NO_GENIE, **NO_PRIVATE_INSIDE}),
    "remove-private-but-a-creator": (
        {"remove_private": {"keep": "ACME CORP"}},
        {**NO_GENIE, **NO_PRIVATE_INSIDE},
    ),
    "remove-private-but-some-elements": (
        {"remove_private": {"keep": [{"creator": GENIE, "elements": ["1e", "42"]}]}},
        {
            **NO_ACME,
            "00091110": None,
            f"{RAS}[0].00091110": None,
            f"{RAS}[0].00090010": None,
            f"{RAS}[0].0009111E": ("1.2.3.7",),
            f"{RAS}[0].00090011": (GENIE,),
        },
    ),
    "remove-private-that-is-empty-or-has-several-values": (
        [{"empty": "00091010"}, {"set": {BY_GENIE: ["a", "b"]}}, {"remove_private": {}}],
        {**NO_ACME, **NO_GENIE, **NO_PRIVATE_INSIDE},
    ),
    "remove-private-where-all-is-absent": (
        [{"remove_private": {}}, {"remove_private": {}}],
        {**NO_ACME, **NO_GENIE, **NO_PRIVATE_INSIDE},
    ),
    "remove-private-but-another-group": (
        {"remove_private": {"keep": [{"creator": GENIE, "group": "0011"}]}},
        {**NO_ACME, **NO_GENIE, **NO_PRIVATE_INSIDE},
    ),
    "remove-private-but-the-standards": (
        [{"set": {"(0019,[SIEMENS MR HEADER],0C)": "1000"}}, {"remove_private": {"keep_safe": True}}],
        {**NO_ACME, **NO_GENIE, **NO_PRIVATE_INSIDE, "00190010": ("SIEMENS MR HEADER",), "0019100C": ("1000",)},
    ),
}


STEMS = {"if-missing": "set_if_missing", "hash-uid": "hash_uid", "shift": "shift_date", "keep-only": "keep_only"}
SITUATIONS = ("present", "absent", "empty", "several", "item", "private")
BY_ATTRIBUTE = sorted(
    set(port_kinds.action.kinds)
    - {"drop", "reject", "hold", "transcode"}  # about the object as a whole
    - {"charset", "record_original", "deidentify"}  # see test_recode, test_original, deidentification/
)


@pytest.mark.parametrize("kind", BY_ATTRIBUTE)
def test_every_action_has_a_row_for_every_situation(kind: str) -> None:
    (stem,) = [stem for stem, name in STEMS.items() if name == kind] or [kind.replace("_", "-")]
    rows = [name for name in ROWS if name == stem or name.startswith(f"{stem}-")]
    assert [situation for situation in SITUATIONS if not any(situation in name for name in rows)] == []
    assert any(name == stem or name.startswith(f"{stem}-") for name in WRONG_VRS)


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> FileResources:
    """A key and a table."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "parts.csv").write_text("BRAIN,SKULL\nHAND,ARM\n")
    return FileResources({"research": KEY}, [folder])


def built(config: object, resources: FileResources) -> tuple[Action, ...]:
    def fail(path: tuple[str | int, ...], code: str, message: str) -> None:
        raise AssertionError(f"{path}: {code}: {message}")

    return build_actions(config if isinstance(config, list) else [config], fail, resources)


def edited(data: bytes, actions: tuple[Action, ...]) -> bytes:
    """An explicit VR little endian data set after `actions`."""
    edits = apply_actions(actions, facts_of(data, EXPLICIT, attributes_of(actions)))
    return b"".join(splice(memoryview(data), EXPLICIT, edits))


def facts_of(data: bytes, syntax: str, paths: Iterable[AttributePath]) -> ObjectFacts:
    needed = [*paths, *map(parse, ("SOPInstanceUID", "SOPClassUID"))]
    level = scan(memoryview(data), syntax, WantedElements(needed)).level
    return ObjectFacts(
        AssociationFacts("MR1", "GATEWAY", "10.1.2.3"),
        MR_IMAGE, "1.2.3", syntax, len(data), datetime(2026, 1, 2, tzinfo=UTC), level,
    )  # fmt: skip


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize(("config", "expected"), ROWS.values(), ids=ROWS)
def test_actions_on_bytes(config: object, expected: Expected, syntax: str, resources: FileResources) -> None:
    actions = built(config, resources)
    before = sample(syntax)
    paths = list(map(parse, expected))
    facts = facts_of(before, syntax, attributes_of(actions))
    edits = apply_actions(actions, facts)

    after = b"".join(splice(memoryview(before), syntax, edits))

    assert values_of(after, syntax, paths) == expected
    facts_after = facts_of(before, syntax, {*paths, *read_by(edits), *attributes_of(actions)}).edited(edits)
    assert {path.text: facts_after.values(path) for path in paths} == expected
    assert facts_after.sop_instance_uid == read(after, syntax).SOPInstanceUID
    assert untouched(after, syntax, paths) == untouched(before, syntax, paths)
    data_set = read(after, syntax)
    for path in paths:
        assert read_values(data_set, path) == expected[path.text], path.text


def values_of(data: bytes, syntax: str, paths: list[AttributePath]) -> dict[str, Values]:
    scanned = scan(memoryview(data), syntax, WantedElements(paths))
    return {path.text: scanned.values(path) for path in paths}


def untouched(data: bytes, syntax: str, paths: list[AttributePath]) -> list[tuple[int, bytes]]:
    touched = {path.steps[0][0] if path.steps else path.tag for path in paths}
    return [(tag, raw) for tag, raw in elements(data, syntax) if tag not in touched]


def read(data: bytes, syntax: str) -> pydicom.Dataset:
    encoding = ENCODINGS[syntax]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(io.BytesIO(unpacked(data, syntax)), encoding.is_implicit, not encoding.is_big_endian)


def read_values(data_set: pydicom.Dataset, path: AttributePath) -> Values:
    """As `Facts.values` has them, read by pydicom."""
    levels = [data_set]
    for tag, index in path.steps:
        below = [list(level[tag].value) for level in levels if tag in level]
        levels = [item for items in below for item in (items if index is None else items[index : index + 1])]
    found = [level[path.tag] for level in levels if path.tag in level]
    if not found:
        return None
    return tuple(text for element in found for text in read_texts(element))


def read_texts(element: pydicom.DataElement) -> list[str]:
    if element.VR == "SQ" or element.VM == 0:
        return []
    values = element.value if element.VM > 1 else [element.value]
    texts = [value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else str(value) for value in values]
    return [] if texts == [""] else texts


# --- refusals -------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[object, str]] = {
    "set-too-long": (
        {"set": {"StationName": "{{ PatientName | pad(17) }}"}},
        "StationName cannot be set: VR SH takes at most 16",
    ),
    "set-wrong-value": ({"set": {"StudyDate": "{{ PatientName }}"}}, "StudyDate cannot be set: not a value of VR DA"),
    "set-out-of-range": ({"set": {"Rows": "{{ 99999 }}"}}, "Rows cannot be set: not a value of VR US"),
    "set-not-in-the-character-set": ({"set": {"PatientName": "山"}}, "character set"),
    "set-wrong-count": (
        {"set": {"PixelSpacing": "{{ Rows }}"}},
        "PixelSpacing cannot be set: it takes 2 values, not 1",
    ),
    "set-item-too-far": ({"set": {f"{RAS}[7].{STEP}": "x"}}, "the sequence has 3 items"),
    "set-identity-to-nothing": (
        {"set": {"StudyInstanceUID": "{{ AccessionNumber }}"}},
        "StudyInstanceUID cannot be empty",
    ),
    "append-too-many": (
        [{"append": {"PixelAspectRatio": ["1", "2"]}}, {"append": {"PixelAspectRatio": "{{ 3 }}"}}],
        "takes 2 values, not 3",
    ),
    "copy-wrong-vr": ({"copy": {"from": "PatientName", "to": "Rows"}}, "Rows cannot be set: not a value of VR US"),
    "move-identity": (
        {"move": {"from": "AccessionNumber", "to": "SeriesInstanceUID"}},
        "SeriesInstanceUID cannot be empty",
    ),
    "replace-wrong-vr": (
        {"replace": {"attributes": "StudyDate", "pattern": "2020", "with": "x"}},
        "StudyDate cannot be set",
    ),
    "replace-grows": (
        {"replace": {"attributes": "PatientID", "pattern": "", "with": "x" * 400_000}},
        "more than 1048576 characters",
    ),
    "replace-backslash": (
        {"replace": {"attributes": "PatientID", "pattern": "2", "with": r"\\"}},
        "PatientID cannot be set",
    ),
    "replace-identity-to-nothing": (
        {"replace": {"attributes": "SOPInstanceUID", "pattern": ".", "with": ""}},
        "SOPInstanceUID cannot be empty",
    ),
    "truncate-a-date": ({"truncate": {"attributes": "StudyDate", "to": 6}}, "StudyDate cannot be set"),
    "pad-too-long": ({"pad": {"attributes": f"{RAS}[*].{STEP}", "to": 20}}, "VR SH takes at most 16 characters"),
    "map-missing": (
        {"map": {"attributes": "PatientID", "values": {"a": "b"}, "on_missing": "reject"}},
        "value of PatientID is not in the map",
    ),
    "map-default-too-long": (
        {"map": {"attributes": "BodyPartExamined", "values": {"a": "B"}, "default": "{{ PatientName }}"}},
        "BodyPartExamined cannot be set",
    ),
    "shift-unparsable": (
        {"shift_date": {"key": "research", "days": [-1, -1], "attributes": "00091010"}},
        "the date in .0009,1010. cannot be moved",
    ),
    "shift-out-of-the-calendar": (
        [{"set": {"StudyDate": "00010101"}}, {"shift_date": {"key": "research", "days": [-1, -1]}}],
        "StudyDate cannot be moved",
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_invalid_is_refused_with_a_reason(config: object, message: str, resources: FileResources) -> None:
    actions = built(config, resources)
    data = sample(EXPLICIT)
    with pytest.raises(Refusal, match=message) as refusal:
        edited(data, actions)
    assert "Jane" not in str(refusal.value)


# --- elements whose VR is not the dictionary's ------------------------------------------------------------------


def sample_of_wrong_vrs() -> bytes:
    write = Write(ENCODINGS[EXPLICIT])
    element = write.element
    return b"".join(
        (
            element("SOPInstanceUID", "UI", "1.2.3"),
            element("StudyDate", "LO", "20200229"),
            element(0x00090010, "OB", b"ACME"),
            element(0x00091010, "SL", b"\1\2\3\4"),
            write.sequence("AccessionNumber", write.item(b"")),
            element("StationName", "UN", "ST-1"),
            element("PatientName", "OB", b"\x01\x02"),
            element("PatientID", "UN", "42"),
            element("StudyInstanceUID", "UI", "1.2.4"),
            element("FrameOfReferenceUID", "LO", "1.2.8"),
            element("Rows", "IS", "512"),
        )
    )


WRONG_VRS: dict[str, tuple[object, Expected]] = {
    "set": ({"set": {"PatientName": "A"}}, {"PatientName": ("A",)}),
    "set-of-unknown": ({"set": {"StationName": "A"}}, {"StationName": ("A",)}),
    "if-missing": ({"set_if_missing": {"StationName": "A"}}, {}),
    "append": ({"append": {"OperatorsName": "A"}}, {"OperatorsName": ("A",)}),
    "remove": ({"remove": ["PatientName", "AccessionNumber"]}, {"PatientName": None, "AccessionNumber": None}),
    "empty": ({"empty": ["PatientName", "AccessionNumber"]}, {"PatientName": (), "AccessionNumber": ()}),
    "copy": ({"copy": {"from": "StationName", "to": "StudyID"}}, {"StudyID": ("ST-1",)}),
    "move": ({"move": {"from": "Rows", "to": "StudyID"}}, {"StudyID": ("512",), "Rows": None}),
    "replace": ({"replace": {"attributes": "StationName", "pattern": "-", "with": "+"}}, {"StationName": ("ST+1",)}),
    "replace-of-binary": ({"replace": {"attributes": "PatientName", "pattern": ".*", "with": "x"}}, {}),
    "case": ({"case": {"attributes": "StationName", "to": "lower"}}, {"StationName": ("st-1",)}),
    "truncate": ({"truncate": {"attributes": "StationName", "to": 2}}, {"StationName": ("ST",)}),
    "pad": ({"pad": {"attributes": "PatientID", "to": 4}}, {"PatientID": ("0042",)}),
    "map": ({"map": {"attributes": "Rows", "values": {"512": "256"}}}, {"Rows": ("256",)}),
    "hash": ({"hash": {"attributes": "PatientID", "key": "research"}}, {"PatientID": hashed("42")}),
    "hash-of-binary-empties": ({"hash": {"attributes": "PatientName", "key": "research"}}, {"PatientName": ()}),
    "hash-of-a-sequence-empties": (
        {"hash": {"attributes": "AccessionNumber", "key": "research"}},
        {"AccessionNumber": ()},
    ),
    "hash-uid": (
        {"hash_uid": {"key": "research"}},
        {"SOPInstanceUID": new("1.2.3"), "StudyInstanceUID": new("1.2.4"), "FrameOfReferenceUID": new("1.2.8")},
    ),
    "shift-date": (
        {"shift_date": {"key": "research", "days": [-1, -1]}},
        {"StudyDate": ("20200228",)},
    ),
    "remove-private": ({"remove_private": {}}, {"00090010": None, "00091010": None}),
    "keep-only": (
        {"keep_only": {"attributes": ["AccessionNumber", "PatientName"]}},
        {**dict.fromkeys(("StudyDate", "StationName", "PatientID", "FrameOfReferenceUID", "00090010", "00091010"))},
    ),
}


@pytest.mark.parametrize(("config", "expected"), WRONG_VRS.values(), ids=WRONG_VRS)
def test_actions_on_elements_of_another_vr(config: object, expected: Expected, resources: FileResources) -> None:
    actions = built(config, resources)
    before = sample_of_wrong_vrs()
    paths = list(map(parse, expected))
    facts = facts_of(before, EXPLICIT, [*paths, *attributes_of(actions)])
    edits = apply_actions(actions, facts)

    after = b"".join(splice(memoryview(before), EXPLICIT, edits))

    assert values_of(after, EXPLICIT, paths) == expected
    assert {path.text: facts.edited(edits).values(path) for path in paths} == expected
    assert untouched(after, EXPLICIT, paths) == untouched(before, EXPLICIT, paths)
    assert read(after, EXPLICIT).to_json()


WRONG_VRS_REFUSED = {
    "uid-in-binary": ("FrameOfReferenceUID", {"hash_uid": {"key": "research"}}, "it holds no UID"),
    "date-in-binary": ("StudyDate", {"shift_date": {"key": "research", "days": [-1, -1]}}, "StudyDate cannot be moved"),
}


@pytest.mark.parametrize(("keyword", "config", "message"), WRONG_VRS_REFUSED.values(), ids=WRONG_VRS_REFUSED)
def test_what_cannot_be_read_does_not_get_through(
    keyword: str, config: object, message: str, resources: FileResources
) -> None:
    data = Write(ENCODINGS[EXPLICIT]).element(keyword, "OB", b"\x01\x02")
    with pytest.raises(Refusal, match=message):
        edited(data, built(config, resources))


def test_text_in_place_of_items_is_refused(resources: FileResources) -> None:
    with pytest.raises(Refusal, match="AccessionNumber cannot be set"):
        edited(sample_of_wrong_vrs(), built({"set": {"AccessionNumber": "A"}}, resources))


LONG: dict[str, object] = {
    "copy": {"copy": {"from": "TextValue", "to": "ImageComments"}},
    "move": {"move": {"from": "TextValue", "to": "ImageComments"}},
    "case": {"case": {"attributes": "TextValue", "to": "upper"}},
    "replace": {"replace": {"attributes": "TextValue", "pattern": "a", "with": "b"}},
    "truncate": {"truncate": {"attributes": "TextValue", "to": 5}},
    "hash": {"hash": {"attributes": "TextValue", "key": "research"}},
}


@pytest.mark.parametrize("config", LONG.values(), ids=LONG)
def test_texts_that_are_not_read_to_their_end_are_not_cut(config: object, resources: FileResources) -> None:
    data = Write(ENCODINGS[EXPLICIT]).element("TextValue", "UT", "a" * (1 << 21))
    with pytest.raises(Refusal, match="TextValue cannot be edited: it has more than 262144 characters"):
        edited(data, built(config, resources))


def test_many_uids_are_not_cut(resources: FileResources) -> None:
    data = Write(ENCODINGS[EXPLICIT]).element("IrradiationEventUID", "UN", "1.2.3\\" * 200_000 + "1.2")
    with pytest.raises(Refusal, match="IrradiationEventUID cannot be replaced"):
        edited(data, built({"hash_uid": {"key": "research"}}, resources))


UNPARSABLE = {
    "word": ("DA", "yesterday", None),
    "year": ("DA", "2020", None),
    "one-of-several": ("DA", "20200102\\x", ("20200101", "")),
    "range": ("DA", "20200101-20200102", None),
    "binary": ("OB", "\x01\x02", None),
}


@pytest.mark.parametrize(("vr", "text", "expected"), UNPARSABLE.values(), ids=UNPARSABLE)
def test_dates_that_are_none_are_emptied_on_request(
    vr: str, text: str, expected: Values, resources: FileResources
) -> None:
    data = Write(ENCODINGS[EXPLICIT]).element("DateOfLastCalibration", vr, text)
    config = {"shift_date": {"key": "research", "days": [-1, -1]}}
    with pytest.raises(Refusal, match="cannot be moved"):
        _shift(data, config, resources)
    config["shift_date"]["on_unparsable"] = "empty"
    after = _shift(data, config, resources)
    path = parse("DateOfLastCalibration")
    assert values_of(after, EXPLICIT, [path])[path.text] == (expected or ())


def _shift(data: bytes, config: object, resources: FileResources) -> bytes:
    return edited(data, built(config, resources))


# --- across objects ---------------------------------------------------------------------------------------------


def test_a_series_and_what_refers_to_it_still_meet() -> None:
    """Image, presentation state and structured report of one study, through separately built actions."""
    write = Write(ENCODINGS[EXPLICIT])
    image = write.element("SOPInstanceUID", "UI", "1.2.3.1") + write.element("SeriesInstanceUID", "UI", "1.2.3")
    reference = write.item(write.element("ReferencedSOPInstanceUID", "UI", "1.2.3.1"))
    series = write.item(
        write.sequence("ReferencedSOPSequence", reference) + write.element("SeriesInstanceUID", "UI", "1.2.3")
    )
    report = write.element("SOPInstanceUID", "UI", "1.2.9.1") + write.sequence("ReferencedSeriesSequence", series)
    config = {"hash_uid": {"key": "research"}}
    leaving = [edited(data, built(config, FileResources({"research": KEY}))) for data in (image, report)]
    paths = list(map(parse, ("SOPInstanceUID", "SeriesInstanceUID")))
    inside = ("ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID",)
    inner = list(map(parse, (*inside, "ReferencedSeriesSequence[0].SeriesInstanceUID")))
    assert list(values_of(leaving[0], EXPLICIT, paths).values()) == list(
        values_of(leaving[1], EXPLICIT, inner).values()
    )


def test_intervals_between_studies_of_a_patient_stay(resources: FileResources) -> None:
    write = Write(ENCODINGS[EXPLICIT])
    config = {"shift_date": {"key": "research", "days": [-3650, -365]}}
    dates = []
    for day in ("20200101", "20200131"):
        data = write.element("StudyDate", "DA", day) + write.element("PatientID", "LO", "42")
        path = parse("StudyDate")
        ((text,),) = (values_of(_shift(data, config, resources), EXPLICIT, [path])[path.text] or (),)
        dates.append(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC))
    assert (dates[1] - dates[0]).days == 30
    assert dates[0].year in range(2009, 2020)


def test_many_items_are_edited_in_time(resources: FileResources) -> None:
    """5000 items, each with a value of its own."""
    write = Write(ENCODINGS[EXPLICIT])
    items = [write.item(write.element("ScheduledProcedureStepID", "SH", f"s-{number}")) for number in range(5000)]
    data = write.sequence(RAS, *items)
    with processor_time_below(10):
        after = edited(data, built({"hash": {"attributes": f"{RAS}[*].{STEP}", "key": "research"}}, resources))
    path = parse(f"{RAS}[*].{STEP}")
    assert values_of(after, EXPLICIT, [path])[path.text] == hashed(*(f"s-{number}" for number in range(5000)))
