"""Text without what identifies (PS3.15 §E.3.5), by a conservative method: what may identify goes, the rest stays.

Out of a text go
- every word that stands in an attribute of the object that identifies (`IDENTIFYING`: names, identifiers, places);
- e-mail addresses and URLs, dates, times of day, phone numbers, and every run of five or more digits;
- words with a title before them (``Dr Who``), and names in DICOM's form (``Doe^John``).

Nothing is put in their place. No dictionary of names is used: a name that stands nowhere else in the object stays.
Where that is not enough, the attribute is one to `remove`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.routing.language.attribute_path import parse
from gateway.routing.language.text_folding import without_diacritics

IDENTIFYING: Final = tuple(
    parse(keyword)
    for keyword in (
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "OtherPatientIDs",
        "OtherPatientIDsSequence[*].PatientID",
        "OtherPatientNames",
        "PatientBirthName",
        "PatientMotherBirthName",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "MedicalRecordLocator",
        "MilitaryRank",
        "ResponsiblePerson",
        "ResponsibleOrganization",
        "AccessionNumber",
        "StudyID",
        "AdmissionID",
        "ServiceEpisodeID",
        "InstitutionName",
        "InstitutionAddress",
        "InstitutionalDepartmentName",
        "StationName",
        "DeviceSerialNumber",
        "ReferringPhysicianName",
        "ReferringPhysicianAddress",
        "ReferringPhysicianTelephoneNumbers",
        "ConsultingPhysicianName",
        "PhysiciansOfRecord",
        "PerformingPhysicianName",
        "NameOfPhysiciansReadingStudy",
        "OperatorsName",
        "RequestingPhysician",
        "ScheduledPerformingPhysicianName",
        "CurrentPatientLocation",
        "PatientInstitutionResidence",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "PerformedProcedureStepID",
        "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest",
        "ContentCreatorName",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSiteName",
        "RequestAttributesSequence[*].AccessionNumber",
        "RequestAttributesSequence[*].RequestedProcedureID",
    )
)
"""The attributes whose words identify an object's patient."""

MAX_TEXT_CHARACTERS: Final = 64 * 1024
"""Longer texts are not cleaned."""

_WORD: Final = re.compile(r"(?:[^\W_]|[\u0300-\u036F])+")  # a decomposed letter is one letter with its marks
_MONTHS: Final = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zéûä]{0,7}"
_SUSPECT: Final = re.compile(
    rf"""
      [^\s@]{{1,64}}@[^\s@]{{1,255}}                                             # e-mail
    | (?:https?|ftp|file|urn|www)[:.][^\s]{{1,2000}}                           # URL
    | [^\W\d_]{{1,64}}\^[^\s\\]{{0,64}}                                           # Doe^John
    | \b(?:dr|prof|mr|mrs|ms|miss|sir|dame|herr|frau|mme|mlle|pr|phys)\b\.?,?(?:\s[^\W\d_][\w'-]{{0,63}}){{1,2}}
    | \b\d{{1,4}}(?P<sign>[./-])\d{{1,2}}(?P=sign)\d{{1,4}}\b                       # 12.03.2020, 2020-03-12
    | \b\d{{1,2}}\.?\s{{0,2}}{_MONTHS}\.?,?\s{{0,2}}(?:\d{{4}}|\d{{2}})?\b                # 12 March 2020
    | \b{_MONTHS}\.?\s{{0,2}}\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s{{0,2}}\d{{4}}\b)?     # March 12, 2020
    | \b(?:19|20)\d\d\b                                                      # a year
    | \b\d{{1,2}}:\d\d(?::\d\d(?:\.\d{{1,6}})?)?\b                                # 12:30:15
    | \+?\(?\d[\d\s()/.-]{{6,24}}\d                                            # phone
    | [A-Za-z]{{0,8}}\d{{5,}}[A-Za-z]{{0,8}}                                        # identifiers
    """,
    re.VERBOSE | re.IGNORECASE,
)
_GAPS: Final = re.compile(r"[ \t]{2,}")
_EMPTIED: Final = " \t\r\n,;:.-_/()[]{}'\"*^="


def words_of(values: Iterable[str]) -> frozenset[str]:
    """The words of identifying values without case and diacritics: letters and digits that stand together, two or more,
    or one that is no Latin letter or digit."""
    found = {_folded(word.group()) for value in values for word in _WORD.finditer(value)}
    return frozenset(word for word in found if len(word) > 1 or not word.isascii())


def cleaned(text: str, identifying: frozenset[str]) -> str:
    """`text` without what identifies; empty when nothing is left that says anything, or it is too long to judge."""
    if len(text) > MAX_TEXT_CHARACTERS:
        return ""
    without = _SUSPECT.sub("", text)
    without = _WORD.sub(lambda word: "" if _folded(word.group()) in identifying else word.group(), without)
    if without == text:
        return text
    without = _GAPS.sub(" ", without).strip()
    return without if without.strip(_EMPTIED) else ""


def _folded(word: str) -> str:
    """The word without case and diacritics: ``Muller`` in a description means the patient ``Müller``."""
    return without_diacritics(word).casefold()
