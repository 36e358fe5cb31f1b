"""Queries as SQL: the indexes that serve them. `tests/unit/query/test_against_sql.py` holds what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sqlite.query_sql import select
from gateway.sqlite.store import SQLiteStore
from tests.support.identifiers import find

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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "queue.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SERVED)
def test_a_study_is_found_without_a_look_at_all_studies(store: SQLiteStore, name: str) -> None:
    keywords, index = SERVED[name]
    statement, values = select(find("STUDY", **keywords), -1)
    plan = [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if re.match(r"SCAN (study|patient|series|instance)\b(?! USING)", step)], plan
