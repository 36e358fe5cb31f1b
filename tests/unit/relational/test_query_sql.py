"""What the statements of both databases have in common; `tests/unit/query/test_against_sql.py` holds what they find."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.postgresql.query_sql import PostgreSQLQueryBuilder
from gateway.query.compile import Options
from gateway.relational.query_sql import QueryBuilder
from gateway.sqlite.query_sql import SQLiteQueryBuilder
from tests.support.identifiers import find

BUILDERS: dict[str, type[QueryBuilder]] = {"sqlite": SQLiteQueryBuilder, "postgresql": PostgreSQLQueryBuilder}

EXISTS_BELOW = (
    "EXISTS (SELECT 1 FROM series JOIN instance ON instance.series_key = series.series_key "
    "WHERE series.study_key = study.study_key AND instance.is_current = 1)"
)
FULFILLED_BELOW = (
    "study.study_key IN (SELECT series.study_key FROM series JOIN instance ON instance.series_key = series.series_key "
    "WHERE instance.is_current = 1 AND series.modality "
)


@pytest.fixture(params=BUILDERS)
def builder(request: pytest.FixtureRequest) -> type[QueryBuilder]:
    return BUILDERS[request.param]


RELATIONAL = Options(is_relational=True)
MARK = "zq7"
ASKED: dict[str, dict[str, Any]] = {
    "column": {"PatientID": MARK},
    "several values": {"AccessionNumber": f"{MARK}\\{MARK}2"},
    "wild card": {"PatientID": f"{MARK}*"},
    "patient's name": {"PatientName": f"{MARK}^?"},
    "groups of the patient's name": {"PatientName": f"{MARK}={MARK}*"},
    "name in JSON": {"ReferringPhysicianName": f"{MARK}*"},
    "text in JSON": {"StudyDescription": MARK},
    "gathered": {"ModalitiesInStudy": MARK},
    "sequence item": {"RequestAttributesSequence": [{"RequestedProcedureID": MARK}]},
}


@pytest.mark.parametrize("keywords", ASKED.values(), ids=ASKED)
def test_text_of_a_request_is_bound_and_never_part_of_a_statement(
    builder: type[QueryBuilder], keywords: dict[str, Any]
) -> None:
    statement, values = builder.select(find("STUDY", options=RELATIONAL, **keywords), 7)
    assert MARK not in statement.casefold()
    assert MARK in str(values).casefold()
    assert all(builder.placeholder.format(name) in statement for name in values)


def test_whatever_is_found_has_a_current_instance(builder: type[QueryBuilder]) -> None:
    statement, values = builder.select(find("STUDY", StudyDescription=""), 7)
    assert f"WHERE true AND {EXISTS_BELOW}" in statement
    assert values == {"limit": 7}


def test_keys_of_lower_levels_are_fulfilled_by_one_instance_below(builder: type[QueryBuilder]) -> None:
    statement, _ = builder.select(find("STUDY", options=RELATIONAL, Modality="CT"), 7)
    assert f"WHERE true AND {FULFILLED_BELOW}" in statement


def test_instances_below_are_searched_at_their_own_level(builder: type[QueryBuilder]) -> None:
    query = find("STUDY", options=RELATIONAL, Modality="CT")
    statement, _ = builder.select_instances(query, 7)
    assert "series.modality " in statement
    assert FULFILLED_BELOW not in statement


NO_LIMIT = {"sqlite": -1, "postgresql": None}


@pytest.mark.parametrize("database", BUILDERS)
def test_a_search_without_a_limit_has_none_in_the_words_of_the_database(database: str) -> None:
    _, values = BUILDERS[database].select(find("STUDY", PatientID="P1"), -1)
    assert values["limit"] == NO_LIMIT[database]


COMBINED = Options(is_relational=True, is_date_time_combined=True)


def test_a_date_and_a_time_together_are_one_moment_and_days_where_no_time_is(builder: type[QueryBuilder]) -> None:
    query = find("STUDY", options=COMBINED, StudyDate="20260105-20260107", StudyTime="10-11")
    statement, values = builder.select(query, 7)
    assert statement.count("CASE WHEN (CASE WHEN") == 1
    assert list(values.values())[:4] == ["20260105100000.000000", "20260107115959.999999", "20260105", "20260107"]
