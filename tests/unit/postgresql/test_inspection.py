"""A look at a database that changes nothing."""

from __future__ import annotations

import threading

import psycopg
import pytest

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.connection import version_of
from gateway.postgresql.inspection import inspected
from gateway.postgresql.statements import SCHEMA_VERSION, SQL
from tests.support.processes import POLL_S
from tests.support.samples import TO_PACS, TO_VNA, Clock, instance
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def test_an_empty_database_stays_empty(url: str) -> None:
    with inspected(address(url)) as found:
        assert (found.identity(), found.waiting(), found.is_gateway_running()) == (("", False), {}, False)
    with psycopg.connect(url) as connection:
        assert version_of(connection) == 0


def test_spool_and_backlog_are_told(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    with store.transaction():
        store.spool.bind_spool("first")
    with inspected(address(url)) as found:
        assert found.identity() == ("first", False)
    with store.transaction():
        store.deliveries.accept([(instance(1), [TO_PACS, TO_VNA]), (instance(2), [TO_PACS])], clock())
    with inspected(address(url)) as found:
        assert found.identity() == ("first", True)
        assert found.waiting() == {"pacs": 2, "vna": 1}
        assert found.is_gateway_running()
    store.close()
    with inspected(address(url)) as found:
        while found.is_gateway_running():  # the server notices a moment later
            threading.Event().wait(POLL_S)


@pytest.mark.parametrize("version", [7, SCHEMA_VERSION])
def test_the_backlog_is_told_before_the_tables_are_brought_up_to_date(url: str, version: int) -> None:
    with psycopg.connect(url, autocommit=True) as old:
        for step in range(1, version + 1):
            old.execute(SQL[f"schema_{step}"].encode())
        old.execute(SQL["set_schema_version"].encode(), {"version": version})
        old.execute(
            "INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, "
            "created_at, due_at) "
            "SELECT n, n, 'pacs', 'all', '[]', 'pending', 0, n, n FROM generate_series(1, 3) AS n"
        )
        old.execute(
            "INSERT INTO due (delivery_id, destination, likeness, due_at, entered_at, lease) "
            "SELECT delivery_id, destination, likeness, due_at, due_at, 0 FROM delivery"
        )
    with inspected(address(url)) as found:
        assert found.waiting() == {"pacs": 3}


def test_a_server_that_may_lose_what_it_has_is_told(url: str) -> None:
    with inspected(address(url)) as found:
        assert [problem.partition(" is off")[0] for problem in found.problems()] == ["fsync"]


def test_a_newer_database_is_refused(url: str, open_store: OpenStore) -> None:
    open_store().close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE gateway_schema SET version = 99, oldest = 99")
    with pytest.raises(ConfigurationError, match="newer gateway"), inspected(address(url)):
        pass


def test_a_server_that_is_away_is_told() -> None:
    with pytest.raises(SpoolFull, match="cannot be reached"), inspected(address("postgresql:///x?host=/nonexistent")):
        pass
