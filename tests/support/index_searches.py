"""Queries at STUDY level that an index of the database has to serve."""

from __future__ import annotations

from typing import Any

SERVED: dict[str, tuple[dict[str, Any], str]] = {
    "patient ID": ({"PatientID": "P1"}, "patient_by_patient_id"),
    "accession number": ({"AccessionNumber": "A1"}, "study_by_accession_number"),
    "accession number, several": ({"AccessionNumber": "A1\\A2"}, "study_by_accession_number"),
    "accession number, wild card": ({"AccessionNumber": "A1*"}, "study_by_accession_number"),
    "study UID": ({"StudyInstanceUID": "1.2"}, "study_by_study_instance_uid"),
    "study UIDs": ({"StudyInstanceUID": "1.2\\1.3"}, "study_by_study_instance_uid"),
    "day": ({"StudyDate": "20260105"}, "study_by_study_date"),
    "days": ({"StudyDate": "20260105-20260107"}, "study_by_study_date"),
    "name": ({"PatientName": "Roe^Jane"}, "patient_by_alphabetic_name"),
    "name, wild card": ({"PatientName": "roe*"}, "patient_by_alphabetic_name"),
    "phonetic name": ({"PatientName": "==yamada"}, "patient_by_phonetic_name"),
    "ideographic name": ({"PatientName": "=山田*"}, "patient_by_ideographic_name"),
}
"""Keys of the query, and the index."""
