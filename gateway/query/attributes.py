"""The attributes that queries know, level by level (PS3.4 §C.6.1.1, §C.6.2.1), as tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.dataset.dictionary import tag_of, vr_of
from gateway.model.attribute_path import AttributePath
from gateway.model.query import QueryLevel

LEVELS = tuple(QueryLevel)
"""The levels from the top."""

QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = 0x00080056
SPECIFIC_CHARACTER_SET = 0x00080005
TIMEZONE_OFFSET_FROM_UTC = 0x00080201

PATIENT_ID = 0x00100020
ISSUER_OF_PATIENT_ID = 0x00100021
PATIENT_NAME = 0x00100010
PATIENT_BIRTH_DATE = 0x00100030
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018
SOP_CLASS_UID = 0x00080016
STUDY_DATE = 0x00080020
ACCESSION_NUMBER = 0x00080050
MODALITY = 0x00080060
MODALITIES_IN_STUDY = 0x00080061
SOP_CLASSES_IN_STUDY = 0x00080062

UNIQUE: Mapping[QueryLevel, int] = MappingProxyType(
    {
        QueryLevel.PATIENT: PATIENT_ID,
        QueryLevel.STUDY: STUDY_INSTANCE_UID,
        QueryLevel.SERIES: SERIES_INSTANCE_UID,
        QueryLevel.IMAGE: SOP_INSTANCE_UID,
    }
)
"""The unique key of each level."""

_CODE = "CodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning"
_ISSUER = "LocalNamespaceEntityID UniversalEntityID UniversalEntityIDType"

_PATIENT = """
    PatientName PatientID IssuerOfPatientID TypeOfPatientID PatientBirthDate PatientBirthTime PatientSex
    OtherPatientIDs OtherPatientNames PatientMotherBirthName PatientSpeciesDescription PatientBreedDescription
    ResponsiblePerson EthnicGroup PatientComments
    """
_STUDY = """
    StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
    PhysiciansOfRecord NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge PatientSize PatientWeight
    Occupation AdditionalPatientHistory PatientState RequestingPhysician RequestingService InstitutionName
    InstitutionalDepartmentName TimezoneOffsetFromUTC
    """
_SERIES = """
    SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined Laterality
    PatientPosition ProtocolName StationName OperatorsName PerformingPhysicianName Manufacturer ManufacturerModelName
    SoftwareVersions DeviceSerialNumber FrameOfReferenceUID PerformedProcedureStepID
    PerformedProcedureStepDescription PerformedProcedureStepStartDate PerformedProcedureStepStartTime
    PresentationIntentType
    """
_IMAGE = """
    SOPInstanceUID SOPClassUID InstanceNumber ImageType AcquisitionNumber AcquisitionDate AcquisitionTime
    AcquisitionDateTime ContentDate ContentTime InstanceCreationDate InstanceCreationTime NumberOfFrames Rows Columns
    BitsAllocated PhotometricInterpretation ContentLabel ContentDescription ContentCreatorName CompletionFlag
    VerificationFlag PresentationCreationDate PresentationCreationTime
    """
_SEQUENCES = {
    QueryLevel.PATIENT: {"OtherPatientIDsSequence": "PatientID IssuerOfPatientID TypeOfPatientID"},
    QueryLevel.STUDY: {
        "IssuerOfAccessionNumberSequence": _ISSUER,
        "ProcedureCodeSequence": _CODE,
        "ReferencedStudySequence": "ReferencedSOPClassUID ReferencedSOPInstanceUID",
    },
    QueryLevel.SERIES: {
        "RequestAttributesSequence": "RequestedProcedureID ScheduledProcedureStepID AccessionNumber StudyInstanceUID "
        "RequestedProcedureDescription ScheduledProcedureStepDescription",
        "AnatomicRegionSequence": _CODE,
    },
    QueryLevel.IMAGE: {"ConceptNameCodeSequence": _CODE},
}


def _tags(words: str) -> tuple[int, ...]:
    return tuple(sorted(tag_of(word) for word in words.split()))


INDEXED: Mapping[QueryLevel, tuple[int, ...]] = MappingProxyType(
    {
        QueryLevel.PATIENT: _tags(_PATIENT),
        QueryLevel.STUDY: _tags(_STUDY),
        QueryLevel.SERIES: _tags(_SERIES),
        QueryLevel.IMAGE: _tags(_IMAGE),
    }
)
"""Attributes that the index keeps of each level, in order of tags; sequences aside."""

INDEXED_SEQUENCES: Mapping[QueryLevel, Mapping[int, tuple[int, ...]]] = MappingProxyType(
    {
        level: MappingProxyType({tag_of(name): _tags(inner) for name, inner in sequences.items()})
        for level, sequences in _SEQUENCES.items()
    }
)
"""Sequences, with what is kept of each item."""

COMPUTED: Mapping[int, QueryLevel] = MappingProxyType(
    {
        tag_of("NumberOfPatientRelatedStudies"): QueryLevel.PATIENT,
        tag_of("NumberOfPatientRelatedSeries"): QueryLevel.PATIENT,
        tag_of("NumberOfPatientRelatedInstances"): QueryLevel.PATIENT,
        MODALITIES_IN_STUDY: QueryLevel.STUDY,
        SOP_CLASSES_IN_STUDY: QueryLevel.STUDY,
        tag_of("NumberOfStudyRelatedSeries"): QueryLevel.STUDY,
        tag_of("NumberOfStudyRelatedInstances"): QueryLevel.STUDY,
        tag_of("NumberOfSeriesRelatedInstances"): QueryLevel.SERIES,
    }
)
"""The attributes that are counted or gathered from lower levels (PS3.4 §C.3.4), and the level that each describes."""

LEVEL_OF: Mapping[int, QueryLevel] = MappingProxyType(
    {tag: level for level in LEVELS for tag in (*INDEXED[level], *INDEXED_SEQUENCES[level])} | dict(COMPUTED)
)
"""The level that an attribute belongs to."""


def is_of_study(path: AttributePath) -> bool:
    """True for what is known of a study, or of its patient: at most an attribute in one of their sequences."""
    if path.creator or len(path.steps) > 1:
        return False
    top = path.steps[0][0] if path.steps else path.tag
    level = LEVEL_OF.get(top)
    if level not in (QueryLevel.PATIENT, QueryLevel.STUDY) or COMPUTED.get(top) is QueryLevel.PATIENT:
        return False
    return path.tag in INDEXED_SEQUENCES[level][top] if path.steps else top not in INDEXED_SEQUENCES[level]


NEVER_MATCHED = frozenset(
    {QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY, SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET_FROM_UTC}
)
"""Elements of an identifier that are not keys: they say how to understand it, or what the answer is about."""

DATE_TIME_PAIRS = tuple(
    (tag_of(date), tag_of(time))
    for date, time in (
        ("StudyDate", "StudyTime"),
        ("SeriesDate", "SeriesTime"),
        ("PatientBirthDate", "PatientBirthTime"),
        ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
        ("AcquisitionDate", "AcquisitionTime"),
        ("ContentDate", "ContentTime"),
        ("InstanceCreationDate", "InstanceCreationTime"),
        ("PresentationCreationDate", "PresentationCreationTime"),
    )
)
"""Dates and times that combined date-time matching takes together (PS3.4 §C.2.2.2.5)."""


def indexed_paths() -> tuple[AttributePath, ...]:
    """The paths that the scan must read for the index."""
    plain = (AttributePath(tag) for level in LEVELS for tag in INDEXED[level])
    below = (
        AttributePath(inner, ((sequence, None),))
        for level in LEVELS
        for sequence, tags in INDEXED_SEQUENCES[level].items()
        for inner in tags
    )
    return (*plain, *below)


def hexadecimal(tag: int) -> str:
    """The tag as the index writes it: ``00100010``."""
    return f"{tag:08X}"


def vr_for(tag: int) -> str:
    """The dictionary's VR, the first of several; ``UN`` for unknown and private tags."""
    vr = vr_of(tag)
    return vr.split(" or ")[0] if vr else "UN"
