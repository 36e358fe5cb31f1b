"""Each database has the statements that the shared parts run by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.postgresql.statements import SQL as POSTGRESQL
from gateway.relational import index_tables
from gateway.sqlite.statements import SQL as SQLITE
from tests.support.source_trees import nodes_of

SHARED = Path(index_tables.__file__).parent
DATABASES: dict[str, Mapping[str, str]] = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
MADE_OF_PARTS = {
    *index_tables.READ.values(),
    *index_tables.COUNTS.values(),
    *(f"upsert_{table}" for table in ("patient", "study", "series")),
    *(f"forget_{table}" for table in ("patients", "studies", "series")),
    *("find_forgettable", "find_forgettable_indexed", "forget_attempts", "forget_deliveries", "forget_instances"),
    "page",
    "count",
}


def named() -> Iterator[str]:
    """The names that are written where a statement is run."""
    for path in SHARED.glob("*.py"):
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            name = node.args[0]
            if node.func.attr in {"do", "post", "rows", "json", "single", "_json"} and isinstance(name, ast.Constant):
                yield str(name.value)


@pytest.mark.parametrize("database", DATABASES)
def test_each_database_has_what_the_shared_parts_run(database: str) -> None:
    wanted = {*named(), *MADE_OF_PARTS}
    assert {"retry", "settle", "read_deliveries", "supersede", "sop_classes_in_studies"} <= wanted
    assert wanted - DATABASES[database].keys() == set()
