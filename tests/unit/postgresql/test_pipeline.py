"""Statements that are sent together: what is answered, what a failure leaves, and a connection that stays usable."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from gateway.postgresql.address import address
from gateway.postgresql.connection import Connection, open_connection
from gateway.postgresql.pipeline import Pipeline, Reply
from tests.support.processes import GUARD_S, POLL_S

pytestmark = pytest.mark.postgresql


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with open_connection(address(url)) as opened:
        yield opened


@pytest.fixture
def pipeline(connection: Connection) -> Pipeline:
    connection.execute("CREATE TEMPORARY TABLE word (number bigint PRIMARY KEY, text text)")
    return Pipeline(connection)


ADD = "INSERT INTO word VALUES (%(number)s, %(text)s) RETURNING number"


def words(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT text FROM word ORDER BY number").fetchall()


def test_answers_come_in_order_and_to_whom_they_belong(connection: Connection, pipeline: Pipeline) -> None:
    seen: list[Reply] = []
    first = pipeline.send(ADD, {"number": 1, "text": "one"}, name="add", then=seen.append)
    second = pipeline.send(ADD, {"number": 2, "text": None}, name="add")
    count = pipeline.send("SELECT count(*) FROM word WHERE number = ANY(%(wanted)s::bigint[])", {"wanted": [1, 2, 3]})
    assert (pipeline.is_empty, len(seen)) == (False, 0)
    pipeline.collect()
    assert (pipeline.is_empty, seen) == (True, [first])
    assert (first.rows(), second.rows(), count.rows(), first.changed) == ([(1,)], [(2,)], [(2,)], 1)
    assert words(connection) == [("one",), (None,)], "the driver uses the connection as before"


def test_nothing_behind_a_statement_that_fails_is_done(connection: Connection, pipeline: Pipeline) -> None:
    seen: list[Reply] = []
    pipeline.send("BEGIN", {})
    pipeline.send(ADD, {"number": 1, "text": "one"}, then=seen.append)
    pipeline.send(ADD, {"number": 1, "text": "again"})
    pipeline.send("COMMIT", {})
    with pytest.raises(errors.UniqueViolation):
        pipeline.collect()
    assert seen == []
    pipeline.send("ROLLBACK", {})
    pipeline.collect()
    assert words(connection) == []


def test_an_error_can_be_another_one(pipeline: Pipeline) -> None:
    pipeline.send("SELECT * FROM nowhere", {}, fault=lambda error: KeyError(type(error).__name__))
    with pytest.raises(KeyError, match="UndefinedTable"):
        pipeline.collect()


def test_a_statement_that_was_not_prepared_is_prepared_at_its_next_use(pipeline: Pipeline) -> None:
    for broken in ("SELECT * FROM nowhere", "SELECT 1/0"):
        pipeline.send("BEGIN", {})
        pipeline.send(broken, {}, name="later" if "nowhere" in broken else "")
        pipeline.send("SELECT 2", {}, name="after")
        with pytest.raises(psycopg.Error):
            pipeline.collect()
        pipeline.send("ROLLBACK", {})
        pipeline.collect()
    replies = [pipeline.send(f"SELECT {number}", {}, name=name) for number, name in ((1, "later"), (2, "after"))]
    pipeline.collect()
    assert [each.rows() for each in replies] == [[(1,)], [(2,)]]


def test_a_name_is_prepared_once(connection: Connection, pipeline: Pipeline) -> None:
    for number in range(3):
        pipeline.send(ADD, {"number": number, "text": ""}, name="add")
        pipeline.collect()
    assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == [("add",)]


def test_statements_that_were_deallocated_are_prepared_anew(connection: Connection, pipeline: Pipeline) -> None:
    pipeline.send(ADD, {"number": 1, "text": "one"}, name="add")
    pipeline.collect()
    connection.execute("DEALLOCATE ALL")
    pipeline.send(ADD, {"number": 2, "text": "two"}, name="add")
    with pytest.raises(errors.InvalidSqlStatementName):
        pipeline.collect()
    pipeline.send(ADD, {"number": 2, "text": "two"}, name="add")
    pipeline.collect()
    assert words(connection) == [("one",), ("two",)]


@pytest.mark.parametrize("length", [0, 1, 8191, 65_537, 3_000_000])
def test_long_values_go_both_ways_while_others_wait(pipeline: Pipeline, length: int) -> None:
    there = "SELECT repeat('x', 400000)"
    before = [pipeline.send(there, {}) for _ in range(5)]
    data = pipeline.send("SELECT %(data)b::bytea", {"data": bytes(range(256)) * (length // 256 + 1)})
    after = [pipeline.send(there, {}) for _ in range(5)]
    pipeline.collect()
    assert {len(each.rows()[0][0]) for each in (*before, *after)} == {400_000}
    assert data.rows() == [(bytes(range(256)) * (length // 256 + 1),)]


def test_a_lost_connection_is_closed(url: str, connection: Connection, pipeline: Pipeline) -> None:
    pipeline.send("SELECT pg_terminate_backend(pg_backend_pid())", {})
    pipeline.send("SELECT 1", {})
    with pytest.raises(psycopg.OperationalError):
        pipeline.collect()
    assert connection.closed
    assert pipeline.is_empty
    with pytest.raises(psycopg.OperationalError):
        pipeline.send("SELECT 1", {})


def test_notices_reach_their_handler(connection: Connection, pipeline: Pipeline) -> None:
    heard: list[str] = []
    connection.add_notify_handler(lambda notification: heard.append(notification.payload))
    connection.execute("LISTEN here")
    pipeline.send("SELECT pg_notify('here', 'one'), pg_notify('here', 'two')", {})
    pipeline.collect()
    pipeline.send("SELECT 1", {})
    pipeline.collect()
    assert heard == ["one", "two"]


def test_a_text_with_nul_is_refused_before_it_is_sent(connection: Connection, pipeline: Pipeline) -> None:
    with pytest.raises(psycopg.DataError):
        pipeline.send(ADD, {"number": 1, "text": "a\0b"}, name="add")
    pipeline.collect()
    assert words(connection) == []


def test_the_last_word_of_the_server_says_why_a_session_ended(
    url: str, connection: Connection, pipeline: Pipeline
) -> None:
    connection.execute("SET idle_in_transaction_session_timeout TO '50ms'")
    pipeline.send("BEGIN", {})
    pid = pipeline.send("SELECT pg_backend_pid()", {})
    pipeline.collect()
    deadline = time.monotonic() + GUARD_S
    with psycopg.connect(url, autocommit=True) as other:
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid.rows()[0]).fetchone():
            assert time.monotonic() < deadline
            time.sleep(POLL_S)
    pipeline.send("SELECT 2", {}, name="more")
    pipeline.send("COMMIT", {})
    with pytest.raises(errors.IdleInTransactionSessionTimeout):
        pipeline.collect()
    assert connection.closed


def test_nobody_is_told_of_what_is_undone(pipeline: Pipeline) -> None:
    seen: list[Reply] = []
    pipeline.send("BEGIN", {})
    pipeline.send(ADD, {"number": 1, "text": "one"}, then=seen.append)
    pipeline.drop_callbacks()
    undone = pipeline.send("ROLLBACK", {})
    pipeline.collect()
    assert (seen, undone.tag) == ([], b"ROLLBACK")
