"""Queries as SQL for PostgreSQL: the indexes that serve them; `tests/unit/query/test_against_sql.py` holds the rest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import psycopg
import pytest

from gateway.dataset.dictionary import tag_of
from gateway.postgresql.query_sql import PostgreSQLQueryBuilder
from gateway.postgresql.store import PostgreSQLStore
from tests.support.identifiers import CT, attributes, entry, find
from tests.support.index_searches import SERVED
from tests.support.postgresql_server import shared_server
from tests.support.samples import NOON, TO_PACS, instance
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


FILL = """
INSERT INTO patient (attributes, identity)
SELECT jsonb_build_object('00100020', 'P' || n,
                          '00100010=', jsonb_build_array(jsonb_build_array('n' || n, 'i' || n, 'p' || n))),
       sha256(n::text::bytea) FROM generate_series(1, 3000) AS n;
INSERT INTO study (patient_key, attributes, identity)
SELECT patient_key, jsonb_build_object('0020000D', '1.' || n, '00080050', 'A' || n, '00080020',
       to_char(date '2000-01-01' + n::integer, 'YYYYMMDD')), sha256(n::text::bytea)
FROM patient CROSS JOIN LATERAL (SELECT patient_key AS n) AS numbered;
INSERT INTO series (study_key, attributes, identity)
SELECT study_key, jsonb_build_object('0020000E', '1.' || study_key || '.1'), sha256(study_key::text::bytea) FROM study;
INSERT INTO instance
SELECT series_key, '1.2', '1.2.' || series_key, '1.2', '1.2', '1.2', 1, 'segments/1', series_key, 1, '\\x00', 1, NULL,
       series_key, '{}', 1, '' FROM series;
ANALYZE patient; ANALYZE study; ANALYZE series; ANALYZE instance;
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[psycopg.Connection[tuple[str]]]:
    """An index of 3000 studies."""
    url = shared_server().new_schema()
    PostgreSQLStore(url).close()
    with psycopg.connect(url) as connection:
        for statement in FILL.split(";"):
            connection.execute(statement.encode())
        yield connection


@pytest.mark.parametrize("name", SERVED)
def test_a_study_is_found_without_a_look_at_all_studies(filled: psycopg.Connection[tuple[str]], name: str) -> None:
    keywords, index = SERVED[name]
    statement, values = PostgreSQLQueryBuilder.select(find("STUDY", **keywords), -1)
    plan = "\n".join(row[0] for row in filled.execute(f"EXPLAIN {statement}".encode(), values))
    assert index in plan, plan
    assert not re.search(r"Seq Scan on (study|patient|series|instance)\b", plan), plan


NUMBERS = {
    "a number": ("70", ["70"]),
    "the same number": ("7e1", ["70"]),
    "beyond what the server computes": ("1e400", []),
    "no number": ("x", []),
}


@pytest.mark.parametrize(("stored", "found"), NUMBERS.values(), ids=NUMBERS)
def test_whatever_is_stored_as_a_number_breaks_no_query(open_store: OpenStore, stored: str, found: list[str]) -> None:
    store = open_store()
    made = attributes(
        PatientID="P1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID="1.2", SOPClassUID=CT
    )
    made[tag_of("PatientWeight")] = (stored,)
    with store.transaction():
        store.deliveries.accept([(dataclasses.replace(instance(1), index=entry(made)), [TO_PACS])], NOON)
    query = find("STUDY", StudyInstanceUID="", PatientWeight="70")
    assert len(store.index.find(query)) == len(found)
