"""Queries as SQL: the indexes that serve them. `tests/unit/query/test_against_sql.py` holds what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sqlite.query_sql import SQLiteQueryBuilder
from gateway.sqlite.store import SQLiteStore
from tests.support.identifiers import find
from tests.support.index_searches import SERVED


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "queue.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SERVED)
def test_a_study_is_found_without_a_look_at_all_studies(store: SQLiteStore, name: str) -> None:
    keywords, index = SERVED[name]
    statement, values = SQLiteQueryBuilder.select(find("STUDY", **keywords), -1)
    plan = [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if re.match(r"SCAN (study|patient|series|instance)\b(?! USING)", step)], plan
