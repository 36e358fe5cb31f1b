"""Queries with real objects: what dcmqrscp finds, and where the standard says otherwise.

`ROWS` is asked of the index directly and of anything that answers C-FIND; `OBJECTS` is what both hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.model.query import QueryRoot, Value
from gateway.query.identifier import IdentifierEncoder
from tests.support.identifiers import CT, EXPLICIT, attributes

MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.22"

UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def _instance(study: Mapping[str, Any], series: int, number: int, **more: Any) -> dict[str, Any]:
    uid = study["StudyInstanceUID"]
    return {
        "SOPClassUID": CT,
        "Modality": "CT",
        **study,
        "SeriesInstanceUID": f"{uid}.{series}",
        "SOPInstanceUID": f"{uid}.{series}.{number}",
        "SeriesNumber": str(series),
        "InstanceNumber": str(number),
        **more,
    }


ROE = {
    "PatientName": "Roe^Jane",
    "PatientID": "P-001",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "StudyInstanceUID": "1.2.826.0.1.1",
    "StudyDate": "20240105",
    "StudyTime": "083000",
    "AccessionNumber": "A-1001",
    "StudyID": "1",
    "StudyDescription": "CT HEAD",
    "ReferringPhysicianName": "House^Gregory",
}
ROE_AGAIN = ROE | {
    "StudyInstanceUID": "1.2.826.0.1.2",
    "StudyDate": "20240220",
    "StudyTime": "1415",
    "AccessionNumber": "A-1002",
    "StudyID": "2",
    "StudyDescription": "MR KNEE left",
    "ReferringPhysicianName": "Grey^Meredith",
}
DOE = {
    "PatientName": "DOE^JOHN^Q^Dr",
    "PatientID": "P-002",
    "PatientBirthDate": "19551231",
    "PatientSex": "M",
    "StudyInstanceUID": "1.2.826.0.2.1",
    "StudyDate": "20231231",
    "StudyTime": "235959.5",
    "AccessionNumber": "B-2001",
    "StudyID": "77",
    "StudyDescription": "ct head",
    "ReferringPhysicianName": "",
}
MUELLER = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Müller^Jörg",
    "PatientID": "P-003",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyInstanceUID": "1.2.826.0.3.1",
    "StudyDate": "20240105",
    "StudyTime": "120000",
    "AccessionNumber": "",
    "StudyID": "",
    "StudyDescription": "Schädel",
}
YAMADA = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientID": "P-004",
    "PatientBirthDate": "20000229",
    "PatientSex": "O",
    "StudyInstanceUID": "1.2.826.0.4.1",
    "StudyDate": "20240301",
    "StudyTime": "000000",
    "AccessionNumber": "C*1",
    "StudyID": "9",
    "StudyDescription": "[CT] 100%",
}

OBJECTS: tuple[dict[str, Any], ...] = (
    _instance(ROE, 1, 1, ImageType="ORIGINAL\\PRIMARY", BodyPartExamined="HEAD", SeriesDescription="axial"),
    _instance(ROE, 1, 2, ImageType="ORIGINAL\\PRIMARY", BodyPartExamined="HEAD", SeriesDescription="axial"),
    _instance(ROE, 2, 1, ImageType="DERIVED\\SECONDARY", SeriesDescription="coronal", ContentTime="0900"),
    _instance(ROE_AGAIN, 1, 1, SOPClassUID=MR, Modality="MR", BodyPartExamined="KNEE", SeriesDescription="T1"),
    _instance(ROE_AGAIN, 2, 1, SOPClassUID=MR, Modality="MR", BodyPartExamined="KNEE", SeriesDescription="T2"),
    _instance(ROE_AGAIN, 3, 1, SOPClassUID=SR, Modality="SR"),
    _instance(DOE, 1, 1, SeriesDescription="axial", SeriesDate="20231231", SeriesTime="235958"),
    _instance(DOE, 1, 10, SeriesDescription="axial", SeriesDate="20231231", SeriesTime="235958"),
    _instance(MUELLER, 1, 1),
    _instance(YAMADA, 1, 1, SOPClassUID=MR, Modality="MR", SeriesNumber="007"),
)
"""What the archive and the index hold."""


def write_objects(folder: Path) -> list[Path]:
    """`OBJECTS` as DICOM files (PS3.10 §7.1)."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_object(folder / f"{number}.dcm", each) for number, each in enumerate(OBJECTS)]


def write_object(path: Path, keywords: Mapping[str, Any]) -> Path:
    """One object of these attributes as a DICOM file."""
    names: tuple[str, ...] = tuple(filter(None, (keywords.get("SpecificCharacterSet", ""),)))
    encode = IdentifierEncoder(EXPLICIT, names)
    meta: dict[int, Value] = {
        0x00020002: (keywords["SOPClassUID"],),
        0x00020003: (keywords["SOPInstanceUID"],),
        0x00020010: (EXPLICIT,),
    }
    path.write_bytes(bytes(128) + b"DICM" + encode(meta) + encode(attributes(**keywords)))
    return path


@dataclass(frozen=True)
class Row:
    """One identifier. `found` are the unique keys that the standard wants where dcmqrscp finds others, for `reason`."""

    name: str
    root: QueryRoot
    level: str
    keys: Mapping[str, str] = field(default_factory=dict)
    found: tuple[str, ...] | None = None
    reason: str = ""
    is_relational: bool = False

    @property
    def unique(self) -> str:
        return UNIQUE[self.level]

    @property
    def identifier(self) -> dict[int, Value]:
        """All keys, with the unique one of the level."""
        return attributes(QueryRetrieveLevel=self.level, **{self.unique: "", **self.keys})

    @property
    def words(self) -> list[str]:
        """For findscu."""
        charset = [] if all(value.isascii() for value in self.keys.values()) else ["SpecificCharacterSet=ISO_IR 192"]
        keys = {"QueryRetrieveLevel": self.level, self.unique: "", **self.keys}
        return charset + [f"{keyword}={value}" for keyword, value in keys.items()]


def _studies(prefix: str, *rows: tuple[str, Mapping[str, str]]) -> list[Row]:
    return [Row(f"{prefix}: {name}", "study", "STUDY", keys) for name, keys in rows]


NOT_KEPT = "dcmqrscp does not keep this optional key, and matches all (PS3.4 C.2.2.1.3)"

ALL_STUDIES = tuple(each["StudyInstanceUID"] for each in (ROE, ROE_AGAIN, DOE, MUELLER, YAMADA))
R1, R2, D1, M1, Y1 = ALL_STUDIES

ROWS: tuple[Row, ...] = (
    Row("all patients", "patient", "PATIENT"),
    Row("all studies", "study", "STUDY"),
    *_studies(
        "single value",
        ("patient ID", {"PatientID": "P-001"}),
        ("patient ID, other case", {"PatientID": "p-001"}),
        ("patient ID, none such", {"PatientID": "P-00"}),
        ("accession number", {"AccessionNumber": "A-1002"}),
        ("study ID", {"StudyID": "77"}),
        ("study description", {"StudyDescription": "CT HEAD"}),
        ("study description, other case", {"StudyDescription": "Ct Head"}),
        ("study date", {"StudyDate": "20240105"}),
        ("study time", {"StudyTime": "083000"}),
        ("study time with fraction", {"StudyTime": "235959.5"}),
        ("sex", {"PatientSex": "M"}),
        ("birth date", {"PatientBirthDate": "20000229"}),
        ("study UID", {"StudyInstanceUID": R2}),
        ("study UID, unknown", {"StudyInstanceUID": "1.2.3"}),
        ("study UID, its beginning", {"StudyInstanceUID": "1.2.826.0.1"}),
        ("two keys", {"PatientID": "P-001", "StudyDate": "20240105"}),
        ("two keys that exclude each other", {"PatientID": "P-002", "StudyDate": "20240105"}),
        ("referring physician", {"ReferringPhysicianName": "House^Gregory"}),
        ("brackets are no wild cards", {"StudyDescription": "[CT] 100%"}),
    ),
    *_studies(
        "list of UID",
        ("two", {"StudyInstanceUID": f"{R1}\\{Y1}"}),
        ("one of them unknown", {"StudyInstanceUID": f"1.2.3\\{D1}"}),
        ("the same twice", {"StudyInstanceUID": f"{D1}\\{D1}"}),
    ),
    *_studies(
        "universal",
        ("empty patient ID", {"PatientID": ""}),
        ("star", {"PatientID": "*"}),
        ("star of a description that is missing somewhere", {"StudyDescription": "*"}),
        ("star of an empty accession number", {"AccessionNumber": "*"}),
        ("several empty keys", {"StudyDate": "", "StudyTime": "", "AccessionNumber": "", "PatientName": ""}),
    ),
    *_studies(
        "wild card",
        ("at the end", {"AccessionNumber": "A-*"}),
        ("at the beginning", {"AccessionNumber": "*1"}),
        ("in the middle", {"AccessionNumber": "A*2"}),
        ("both ends", {"StudyDescription": "*KNEE*"}),
        ("case matters", {"StudyDescription": "*HEAD*"}),
        ("question mark", {"AccessionNumber": "?-?001"}),
        ("question marks for the length", {"PatientID": "?????"}),
        ("question marks, one too many", {"PatientID": "??????"}),
        ("question mark and star", {"PatientID": "P?0*3"}),
        ("two stars", {"StudyDescription": "*R*l*t"}),
        ("stars in a row", {"AccessionNumber": "A-**2"}),
        ("star matches nothing too", {"PatientID": "P-001*"}),
        ("percent and underscore are text", {"StudyDescription": "*100%"}),
        ("bracket and star", {"StudyDescription": "[CT]*"}),
        ("bracket as a set would match", {"StudyDescription": "[C]T*"}),
        ("a value with a star in it", {"AccessionNumber": "C*1"}),
        ("study ID", {"StudyID": "7?"}),
    ),
    *_studies(
        "name",
        ("whole", {"PatientName": "Roe^Jane"}),
        ("star", {"PatientName": "Roe*"}),
        ("given name", {"PatientName": "*^Jane"}),
        ("question mark", {"PatientName": "R?e^Jane"}),
        ("four components", {"PatientName": "DOE^JOHN^Q^Dr"}),
        ("first components only", {"PatientName": "DOE^JOHN"}),
        ("none such", {"PatientName": "Nobody*"}),
        ("referring physician", {"ReferringPhysicianName": "*eredith"}),
    ),
    *_studies(
        "range",
        ("dates", {"StudyDate": "20240101-20240131"}),
        ("dates, both ends are in", {"StudyDate": "20231231-20240105"}),
        ("dates, from", {"StudyDate": "20240220-"}),
        ("dates, up to", {"StudyDate": "-20231231"}),
        ("dates, one day", {"StudyDate": "20240105-20240105"}),
        ("dates, backwards", {"StudyDate": "20240131-20240101"}),
        ("dates, nothing there", {"StudyDate": "20240401-20240430"}),
        ("birth dates", {"PatientBirthDate": "19600101-20051231"}),
        ("birth dates leave out who has none", {"PatientBirthDate": "-20991231"}),
        ("times", {"StudyTime": "080000-120000"}),
        ("times, from", {"StudyTime": "120000-"}),
        ("times, up to", {"StudyTime": "-083000"}),
        ("times with fractions", {"StudyTime": "235959.000000-235959.999999"}),
        ("date and time each for itself", {"StudyDate": "20240101-20240301", "StudyTime": "080000-130000"}),
    ),
    Row("modalities: one", "study", "STUDY", {"ModalitiesInStudy": "CT"}, (R1, D1, M1), NOT_KEPT),
    Row("modalities: of a mixed study", "study", "STUDY", {"ModalitiesInStudy": "SR"}, (R2,), NOT_KEPT),
    Row("modalities: two", "study", "STUDY", {"ModalitiesInStudy": "SR\\CT"}, (R1, R2, D1, M1), NOT_KEPT),
    Row("modalities: none such", "study", "STUDY", {"ModalitiesInStudy": "US"}, (), NOT_KEPT),
    Row("modalities: wild card", "study", "STUDY", {"ModalitiesInStudy": "?R"}, (R2, Y1), NOT_KEPT),
    Row("patient root: a patient", "patient", "PATIENT", {"PatientID": "P-003"}),
    Row("patient root: by name", "patient", "PATIENT", {"PatientName": "roe*"}, ("P-001",), "names match without case"),
    Row("patient root: by sex", "patient", "PATIENT", {"PatientSex": "O"}),
    Row("patient root: by birth date, no range", "patient", "PATIENT", {"PatientBirthDate": "1955-"}),
    Row("patient root: studies", "patient", "STUDY", {"PatientID": "P-001"}),
    Row("patient root: studies with a key", "patient", "STUDY", {"PatientID": "P-001", "StudyDescription": "MR*"}),
    Row("patient root: series", "patient", "SERIES", {"PatientID": "P-001", "StudyInstanceUID": R2}),
    Row("patient root: series of another patient", "patient", "SERIES", {"PatientID": "P-002", "StudyInstanceUID": R2}),
    Row(
        "patient root: images",
        "patient",
        "IMAGE",
        {"PatientID": "P-001", "StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1"},
    ),
    Row("patient/study only: patients", "patient_study", "PATIENT"),
    Row("patient/study only: studies", "patient_study", "STUDY", {"PatientID": "P-001"}),
    Row("series: all of a study", "study", "SERIES", {"StudyInstanceUID": R2}),
    Row("series: by modality", "study", "SERIES", {"StudyInstanceUID": R2, "Modality": "MR"}),
    Row("series: by modality, wild card", "study", "SERIES", {"StudyInstanceUID": R2, "Modality": "S*"}),
    Row("series: by number", "study", "SERIES", {"StudyInstanceUID": R2, "SeriesNumber": "2"}),
    Row(
        "series: by description",
        "study",
        "SERIES",
        {"StudyInstanceUID": R2, "SeriesDescription": "T?"},
        (f"{R2}.1", f"{R2}.2"),
        NOT_KEPT,
    ),
    Row(
        "series: by body part",
        "study",
        "SERIES",
        {"StudyInstanceUID": R1, "BodyPartExamined": "HEAD"},
        (f"{R1}.1",),
        NOT_KEPT,
    ),
    Row("series: by UID", "study", "SERIES", {"StudyInstanceUID": R2, "SeriesInstanceUID": f"{R2}.1\\{R2}.3"}),
    Row("series: by date and time", "study", "SERIES", {"StudyInstanceUID": D1, "SeriesTime": "235950-"}),
    Row("images: all of a series", "study", "IMAGE", {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1"}),
    Row(
        "images: by number",
        "study",
        "IMAGE",
        {"StudyInstanceUID": D1, "SeriesInstanceUID": f"{D1}.1", "InstanceNumber": "10"},
    ),
    Row(
        "images: by UID",
        "study",
        "IMAGE",
        {"StudyInstanceUID": D1, "SeriesInstanceUID": f"{D1}.1", "SOPInstanceUID": f"{D1}.1.1\\1.2.3"},
    ),
    Row(
        "images: by class",
        "study",
        "IMAGE",
        {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1", "SOPClassUID": CT},
    ),
    Row(
        "images: of a series of another study",
        "study",
        "IMAGE",
        {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{D1}.1"},
    ),
    *_studies(
        "character set",
        ("name in UTF-8", {"PatientName": "Yamada*"}),
        ("Latin-1 name asked in UTF-8", {"PatientName": "Müller^Jörg"}),
        ("description beyond ASCII", {"StudyDescription": "Schädel"}),
    ),
    Row(
        "character set: name without its diacritics",
        "study",
        "STUDY",
        {"PatientName": "muller^jorg"},
        (M1,),
        "names match without diacritics (PS3.4 C.2.2.2.1 leaves it open)",
    ),
    Row(
        "character set: ideographic group",
        "study",
        "STUDY",
        {"PatientName": "山田*"},
        (Y1,),
        "one component group matches any group of a name (PS3.4 C.2.2.2.1, PS3.5 6.2.1)",
    ),
    Row(
        "character set: one character, several bytes",
        "study",
        "STUDY",
        {"StudyDescription": "Sch?del"},
        (M1,),
        "`?` is one character (PS3.4 C.2.2.2.4), not one byte",
    ),
)
