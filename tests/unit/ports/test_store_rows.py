"""A migration knows every table and every column of both schemas: one that is added fails here until it is carried, or
stays behind for a reason."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from gateway.ports.store_rows import IDENTIFIED, KEY_COLUMNS, TABLES
from gateway.postgresql.store import PostgreSQLStore
from gateway.sqlite.store import SQLiteStore
from tests.support.postgresql_server import shared_server

CARRIED_OTHERWISE = {
    "spool": "the destination has an identity of its own",
    "known": "the position in the segments of the source's spool; the destination writes its own",
    "clock": "`StoreRows.clock`",
    "migration": "the mark itself",
    "operation_change": "what an undo needs for a minute, in which no gateway and no verb runs",
}
OF_ENDED_LEASES = {("delivery", "ready_at"), ("delivery", "leased_until")}
"""NULL: the recovery of the source ended all leases."""
POSTGRESQL_ALONE = {
    "gateway_schema": "the version of the tables",
    "due": "what claims change of the pending ones: read and added with `delivery`",
    "queue_change": "what is kept, counted of `delivery` as its rows are added",
    "node": "runs of nodes, which all ended",
    "destination_lease": "leases of nodes, which all ended",
    **dict.fromkeys(
        ("expected_move", "expected_instance", "expecting_node", "handed_instance"),
        "a C-MOVE that a node waits for, which all ended: nobody was promised anything",
    ),
    "unsealed": "what the journal holds, as the node that seals counted it",
    "circuit": "the standing of a destination, which the new side finds out by itself",
    "journal": "payloads, which are read by their names; the tables of the hours are like it",
    "sealed_group": "where payloads lie; the destination writes its own",
    "segment_object": "the same",
}
MADE_OF_OTHERS = {("patient", "identity"), ("study", "identity"), ("series", "identity")}
"""Computed of the attributes where rows are added."""

Columns = set[tuple[str, str]]

CARRIED = {(table, column) for table, columns in TABLES.items() for column in columns}


def of_sqlite(path: Path) -> Columns:
    """Table and column of all that is stored: generated columns are not."""
    store = SQLiteStore(path)
    rows = store.connection.execute(
        "SELECT m.name, x.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS x "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND x.hidden = 0"
    )
    found = {(table, column) for table, column in rows}
    store.close()
    return found


def of_postgresql() -> Columns:
    url = shared_server().new_schema()
    PostgreSQLStore(url).close()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = ''"
        ).fetchall()
    return {(table, column) for table, column in rows}


def test_every_column_of_sqlite_is_carried(tmp_path: Path) -> None:
    found = of_sqlite(tmp_path / "queue.db")
    assert {each for each in found if each[0] not in CARRIED_OTHERWISE} - OF_ENDED_LEASES == CARRIED
    assert {table for table, _ in found} == TABLES.keys() | CARRIED_OTHERWISE.keys()


@pytest.mark.postgresql
def test_every_column_of_postgresql_is_carried() -> None:
    found = of_postgresql()
    left = {each for each in found if each[0] not in CARRIED_OTHERWISE.keys() | POSTGRESQL_ALONE.keys()}
    assert left - MADE_OF_OTHERS == CARRIED
    assert {table for table, _ in found} <= TABLES.keys() | CARRIED_OTHERWISE.keys() | POSTGRESQL_ALONE.keys()


@pytest.mark.postgresql
def test_keys_and_identifiers_are_those_of_the_schema() -> None:
    url = shared_server().new_schema()
    PostgreSQLStore(url).close()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT conrelid::regclass::text, array_length(conkey, 1) FROM pg_constraint "
            "WHERE contype = 'p' AND connamespace = current_schema()::regnamespace"
        ).fetchall()
    assert {table: columns for table, columns in rows if table in TABLES} == dict(KEY_COLUMNS)
    assert set(IDENTIFIED) == TABLES.keys() - {"attempt", "kept_copy", "collection_instance", "waiting_delivery"}
