"""Two versions of the gateway on one database: a migration only adds, and an older version is still answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.postgresql.address import address
from gateway.postgresql.connection import connect, version_of
from gateway.postgresql.statements import SCHEMA_VERSION, SQL
from gateway.postgresql.store import PostgreSQLStore
from tests.support.parallel_writers import broken_invariants
from tests.support.samples import NOON, TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql

OLD_STATEMENTS = Path(__file__).with_name("statements_of_schema_3.sql")
ADDING = re.compile(
    r"CREATE (UNLOGGED )?TABLE|CREATE (UNIQUE )?INDEX|CREATE SEQUENCE|CREATE FUNCTION|CREATE TRIGGER|INSERT INTO|"
    r"ALTER TABLE \w+ ALTER \w+ SET STORAGE|ALTER TABLE \w+ ADD COLUMN .*(DEFAULT| NULL)"
)
OLD_INSTANCE = [
    "1.2",
    "1.2.3",
    "1.2.840.10008.1.2.1",
    "1.3",
    "1.4",
    1,
    "small",
    0,
    4096,
    "",
    0,
    None,
    None,
    "",
    0,
    "{}",
]
UNSETTLED = "an instance is settled that owes something, or the other way round"
TAKES_AWAY = re.compile(r"UPDATE gateway_schema SET oldest")


def statements(text: str) -> list[str]:
    bare = re.sub(r"\$\$.*?\$\$", "", re.sub(r"--.*", "", text), flags=re.DOTALL)
    return [" ".join(each.split()) for each in bare.split(";") if each.strip()]


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(connect(address(url), must_exist=False, is_read_only=False)) as connection:
        yield connection


@pytest.mark.parametrize("version", range(2, SCHEMA_VERSION + 1))
def test_each_step_only_adds(version: int) -> None:
    """One that does not names itself the oldest version: then the older ones are refused in order."""
    found = statements(SQL[f"schema_{version}"])
    assert found
    if not any(map(TAKES_AWAY.match, found)):
        assert [each for each in found if not ADDING.match(each)] == []


def old_statements() -> Iterator[tuple[str, str]]:
    for part in OLD_STATEMENTS.read_text("utf-8").split("\n-- name: ")[1:]:
        name, _, text = part.partition("\n")
        yield name, text.strip().rstrip(";")


def test_what_an_older_version_asks_is_understood(connection: psycopg.Connection[Any]) -> None:
    """The server parses each statement on the tables of today, as it does for a node that was not updated yet."""
    connection.execute(SQL["make_journal_of_hour"].replace("{hour}", "1").encode())
    refused = {}
    for name, text in old_statements():
        values: dict[str, str] = {}

        def numbered(found: re.Match[str], values: dict[str, str] = values) -> str:
            return values.setdefault(found[1], f"${len(values) + 1}")

        made = re.sub(r"%\((\w+)\)[sb]", numbered, text.replace("{hour}", "1")).replace("%%", "%")
        try:
            connection.execute(f"PREPARE old_{name} AS {made}".encode())
        except psycopg.Error as error:
            refused[name] = str(error)
    assert refused == {}


def test_an_older_version_goes_on_beside_a_newer_one(url: str, connection: psycopg.Connection[Any]) -> None:
    """One that the migration does not leave out opens the tables, and changes nothing of their version."""
    connection.execute("UPDATE gateway_schema SET version = 99")
    with closing(PostgreSQLStore(url, now=Clock())) as store:
        with store.transaction():
            store.deliveries.accept([(instance(1), [TO_PACS])], NOON)
            (claimed,) = store.deliveries.claim("pacs", 10, 60.0, NOON)
        assert claimed.destination == "pacs"
    assert version_of(connection) == 99


def test_what_is_kept_is_counted_by_the_step_and_by_what_an_older_version_sends(url: str) -> None:
    """The older one knows nothing of the counts."""
    sent = dict(old_statements())

    def accept(old: psycopg.Connection[Any], number: int, state: str) -> None:
        old.execute(sent["insert_instances"].encode(), {"instances": json.dumps([[number, *OLD_INSTANCE]])})
        row = [number, number, "pacs", "all", "[]", state, 0, 1_000_000 - number]
        old.execute(sent["insert_deliveries"].encode(), {"deliveries": json.dumps([row])})

    def kept(store: PostgreSQLStore) -> list[tuple[str, int, int]]:
        return [(each.state.value, each.count, each.size_bytes) for each in store.deliveries.depths()]

    with psycopg.connect(url, autocommit=True) as old:
        for step in range(1, 8):
            old.execute(SQL[f"schema_{step}"].encode())
        old.execute(SQL["set_schema_version"].encode(), {"version": 7})
        for number, state in enumerate(("pending", "held", "delivered"), 1):
            accept(old, number, state)
        with closing(PostgreSQLStore(url, now=Clock())) as store:
            assert kept(store) == [("held", 1, 4096), ("pending", 1, 4096)]
            for number, state in enumerate(("pending", "held", "delivered"), 4):
                accept(old, number, state)
            discarded = {"ids": "[2]", "present": 0}
            assert old.execute(sent["discard"].encode(), discarded).fetchall() == [(2, 2)]
            assert kept(store) == [("held", 1, 4096), ("pending", 2, 8192)]
        assert set(broken_invariants(old)) <= {"an instance names an association that is not there", UNSETTLED}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_database_of_each_version_is_brought_up_to_date(url: str, version: int) -> None:
    with psycopg.connect(url, autocommit=True) as old:
        for step in range(1, version + 1):
            old.execute(SQL[f"schema_{step}"].encode())
        old.execute(SQL["set_schema_version"].encode(), {"version": version})
    with closing(connect(address(url), must_exist=False, is_read_only=False)) as connection:
        assert version_of(connection) == SCHEMA_VERSION
