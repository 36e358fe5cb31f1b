"""Two versions of the gateway on one database: a migration only adds, and an older version is still answered."""

from __future__ import annotations

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
from tests.support.samples import NOON, TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql

OLD_STATEMENTS = Path(__file__).with_name("statements_of_schema_3.sql")
ADDING = re.compile(
    r"CREATE (UNLOGGED )?TABLE|CREATE (UNIQUE )?INDEX|CREATE SEQUENCE|INSERT INTO|"
    r"ALTER TABLE \w+ ALTER \w+ SET STORAGE|ALTER TABLE \w+ ADD COLUMN .*(DEFAULT| NULL)"
)
TAKES_AWAY = re.compile(r"UPDATE gateway_schema SET oldest")


def statements(text: str) -> list[str]:
    bare = re.sub(r"--.*", "", text)
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


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_database_of_each_version_is_brought_up_to_date(url: str, version: int) -> None:
    with psycopg.connect(url, autocommit=True) as old:
        for step in range(1, version + 1):
            old.execute(SQL[f"schema_{step}"].encode())
        old.execute(SQL["set_schema_version"].encode(), {"version": version})
    with closing(connect(address(url), must_exist=False, is_read_only=False)) as connection:
        assert version_of(connection) == SCHEMA_VERSION
