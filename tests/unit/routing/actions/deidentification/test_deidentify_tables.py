"""The data files: complete, of a named edition, in agreement with another copy of the standard's table, and made again
by the tool out of DocBook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.sr._concepts_dict import concepts

from gateway.routing.actions.deidentification.marks import codes_of
from gateway.routing.actions.deidentification.rulings import Treatment, treatment_of
from gateway.routing.actions.deidentification.tables import (
    COLUMNS,
    CURVES,
    OVERLAY_COMMENTS,
    OVERLAY_DATA,
    PATTERNS,
    PRIVATE,
    ActionCode,
    edition,
    rows,
    safe_private,
    types_of,
)
from tools import confidentiality_tables

CT_IMAGE, ENHANCED_CT, ENCAPSULATED_PDF, RT_PLAN = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.104.1",
    "1.2.840.10008.5.1.4.1.1.481.5",
)

OTHER_COPY = {
    "D": dicomfields_2026c.D_TAGS,
    "Z": dicomfields_2026c.Z_TAGS,
    "X": dicomfields_2026c.X_TAGS,
    "U": dicomfields_2026c.U_TAGS,
    "Z/D": dicomfields_2026c.Z_D_TAGS,
    "X/Z": dicomfields_2026c.X_Z_TAGS,
    "X/D": dicomfields_2026c.X_D_TAGS,
    "X/Z/D": dicomfields_2026c.X_Z_D_TAGS,
    "X/Z/U*": dicomfields_2026c.X_Z_U_STAR_TAGS,
}
"""Tags by action code of the basic profile; repeating groups as (tag, tag, mask, mask)."""


def test_the_edition_stands_in_the_file() -> None:
    assert edition() == "PS3.15 2026c"


def test_every_row_is_there_once_with_codes_of_the_standard() -> None:
    tags = [row.tag for row in rows()]

    assert len(tags) == len(set(tags)) == 656
    assert set(tags) >= PATTERNS
    assert {row.basic for row in rows()} == {"D", "Z", "X", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}
    assert {code for row in rows() for code in row.options.values()} == {"K", "C"}
    assert {column for row in rows() for column in row.options} == set(COLUMNS)


def test_the_basic_profile_is_that_of_another_copy_of_the_same_edition() -> None:
    theirs = {
        f"({tag[0]:04X},{tag[1]:04X})": code for code, tags in OTHER_COPY.items() for tag in tags if len(tag) == 2
    }
    ours = {row.tag: row.basic for row in rows() if row.tag not in PATTERNS}

    assert ours == theirs
    assert {row.tag: row.basic for row in rows() if row.tag in PATTERNS} == {
        CURVES: "X",
        OVERLAY_DATA: "X",
        OVERLAY_COMMENTS: "X",
        PRIVATE: "X",
    }


def test_all_safe_private_attributes_are_there() -> None:
    assert len(safe_private()) == 479
    assert ("Philips PET Private Group", 0x7053, 0x09) in safe_private()
    assert ("SIEMENS MR HEADER", 0x0019, 0x0C) in safe_private()


def test_codes_are_those_of_cid_7050() -> None:
    of_dicom = cast(Mapping[str, Mapping[str, tuple[str, list[int]]]], concepts["DCM"])
    of_context_group = {
        value: meaning
        for by_value in of_dicom.values()
        for value, (meaning, context_groups) in by_value.items()
        if 7050 in context_groups
    }

    ours = codes_of([*COLUMNS, "clean-pixel-data", "clean-recognizable-visual"])

    assert {value: meaning for value, _scheme, meaning in ours} == of_context_group
    assert {scheme for _value, scheme, _meaning in ours} == {"DCM"}


@pytest.mark.parametrize(
    ("code", "attribute_type", "treatment"),
    [
        ("X", "1", Treatment.REMOVE),
        ("D", "3", Treatment.DUMMY),
        ("U", "", Treatment.UID),
        ("Z", "2", Treatment.EMPTY),
        ("Z", "3", Treatment.EMPTY),
        ("Z", "1", Treatment.DUMMY),
        ("Z", "", Treatment.EMPTY),
        ("Z/D", "2", Treatment.EMPTY),
        ("Z/D", "1C", Treatment.DUMMY),
        ("Z/D", "3", Treatment.EMPTY),
        ("Z/D", "", Treatment.DUMMY),
        ("X/Z", "3", Treatment.REMOVE),
        ("X/Z", "2C", Treatment.EMPTY),
        ("X/Z", "1", Treatment.EMPTY),
        ("X/Z", "", Treatment.EMPTY),
        ("X/D", "3", Treatment.REMOVE),
        ("X/D", "2", Treatment.DUMMY),
        ("X/D", "1", Treatment.DUMMY),
        ("X/D", "", Treatment.DUMMY),
        ("X/Z/D", "3", Treatment.REMOVE),
        ("X/Z/D", "2", Treatment.EMPTY),
        ("X/Z/D", "1", Treatment.DUMMY),
        ("X/Z/D", "", Treatment.DUMMY),
        ("X/Z/U*", "3", Treatment.REMOVE),
        ("X/Z/U*", "2", Treatment.EMPTY),
        ("X/Z/U*", "1C", Treatment.UID),
        ("X/Z/U*", "", Treatment.UID),
    ],
)
def test_the_type_decides_where_the_code_leaves_a_choice(
    code: ActionCode, attribute_type: str, treatment: Treatment
) -> None:
    assert treatment_of(code, attribute_type) is treatment


@pytest.mark.parametrize(
    ("sop_class_uid", "tag", "attribute_type"),
    [
        (CT_IMAGE, 0x00100010, "2"),  # Patient's Name
        (CT_IMAGE, 0x00181000, "3"),  # Device Serial Number of General Equipment
        (ENHANCED_CT, 0x00181000, "1"),  # Device Serial Number of Enhanced General Equipment
        (CT_IMAGE, 0x00080023, "2C"),  # Content Date of General Image
        (ENCAPSULATED_PDF, 0x00080023, "2"),
        (RT_PLAN, 0x300A0006, "2"),  # RT Plan Date
    ],
)
def test_types_are_those_of_the_iod(sop_class_uid: str, tag: int, attribute_type: str) -> None:
    assert types_of(sop_class_uid).get(tag) == attribute_type


def test_of_a_private_sop_class_no_type_is_known() -> None:
    assert types_of("1.2.3.4") == {}


# --- the tool ---------------------------------------------------------------------------------------------------


def docbook(profile: str, safe: str, subtitle: str = "DICOM PS3.15 2027a - Security and System Management") -> str:
    head = "".join(
        f"<th><para>{name}</para></th>"
        for name in ("Attribute Name", "Tag", "Retd.", "In Std.", "Basic Prof.", *COLUMNS)
    )
    return f"""<?xml version="1.0"?>
<book xmlns="http://docbook.org/ns/docbook" xmlns:xml="http://www.w3.org/XML/1998/namespace">
<subtitle>{subtitle}</subtitle>
<table xml:id="table_E.1-1"><thead><tr>{head}</tr></thead><tbody>{profile}</tbody></table>
<table xml:id="table_E.3.10-1"><thead><tr><th>Data Element</th><th>Private Creator</th></tr></thead>
<tbody>{safe}</tbody></table></book>"""


def row(*texts: str) -> str:
    return "<tr>" + "".join(f"<td><para>{text}</para></td>" for text in texts) + "</tr>"


PROFILE = (
    row("Private Attributes", "(gggg,eeee) where gggg is odd", "N", "N", "X", "C", *[""] * 9)
    + row("Patient's Name", "(0010,0010)", "N", "Y", "Z", *[""] * 10)
    + row("Curve Data", "(50xx,xxxx)", "Y", "N", "X", *[""] * 9, "C")
    + row("Icon Image Sequence (see Note 11)", "(0088,0200)", "N", "Y", "X / D", *[""] * 10)
)
SAFE = row("(7053,xx0a)", "A Creator", "DS", "1", "One") + row("(7053,xx09)", "A Creator", "DS", "1", "Other")


def test_the_tool_makes_the_files_from_docbook(tmp_path: Path) -> None:
    (tmp_path / "part15.xml").write_text(docbook(PROFILE, SAFE))

    assert confidentiality_tables.main(["profile", str(tmp_path / "part15.xml"), "--folder", str(tmp_path)]) == 0

    assert (tmp_path / "table_e1_1.csv").read_text().splitlines() == [
        "# DICOM PS3.15 2027a, Table E.1-1: Application Level Confidentiality Profile Attributes",
        f"tag,name,basic,{','.join(COLUMNS)}",
        '"(0010,0010)",Patient\'s Name,Z,,,,,,,,,,',
        '"(0088,0200)",Icon Image Sequence,X/D,,,,,,,,,,',
        '"(50xx,xxxx)",Curve Data,X,,,,,,,,,,C',
        '"(gggg,eeee) where gggg is odd",Private Attributes,X,C,,,,,,,,,',
    ]
    assert (tmp_path / "table_e3_10_1.csv").read_text().splitlines()[2:] == [
        'A Creator,"(7053,xx09)"',
        'A Creator,"(7053,xx0A)"',
    ]


def test_the_tool_says_when_a_file_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part15.xml").write_text(docbook(PROFILE, SAFE))
    arguments = ["profile", str(tmp_path / "part15.xml"), "--folder", str(tmp_path)]
    confidentiality_tables.main(arguments)

    assert confidentiality_tables.main([*arguments, "--check"]) == 0
    (tmp_path / "table_e1_1.csv").write_text("older")
    assert confidentiality_tables.main([*arguments, "--check"]) == 1
    assert "table_e1_1.csv differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (docbook(PROFILE, SAFE, "DICOM PS3.16 2027a - Content Mapping Resource"), "not PS3.15"),
        (docbook(row("New", "(68xx,0010)", "", "", "X", *[""] * 10), SAFE), "tag of a new form"),
        (docbook(PROFILE, SAFE).replace("Basic Prof.", "Basic"), "other columns"),
        (docbook(PROFILE, SAFE).replace("table_E.3.10-1", "table_E.3.10-2"), "no Table E.3.10-1"),
    ],
    ids=["another part", "an unknown pattern", "another column", "no table"],
)
def test_the_tool_refuses_what_it_does_not_know(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "part15.xml").write_text(content)

    with pytest.raises(SystemExit, match=message):
        confidentiality_tables.main(["profile", str(tmp_path / "part15.xml"), "--folder", str(tmp_path)])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["part15.xml"]
