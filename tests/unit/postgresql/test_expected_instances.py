"""Expected instances in a database: who is told, and what nodes leave that were never seen. What they must do:
`tests/contract/test_expected_instances.py`."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from gateway.ports.expected_instances import Finished, HandoverAnswer
from gateway.postgresql.due_notices import DueListener
from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances
from gateway.postgresql.store import PostgreSQLStore
from tests.support.expecting import HANDED, MOVE
from tests.support.processes import GUARD_S

pytestmark = pytest.mark.postgresql


@pytest.fixture
def tables(url: str) -> Iterator[PostgreSQLExpectedInstances]:
    PostgreSQLStore(url).close()  # makes the tables
    with closing(PostgreSQLExpectedInstances(url)) as opened:
        yield opened


@pytest.fixture
def told(url: str, tables: PostgreSQLExpectedInstances) -> Iterator[Callable[[], str]]:
    with ExitStack() as stack:
        notices: queue.Queue[str] = queue.Queue()
        stack.enter_context(closing(DueListener(url, "one", lambda destinations: None, notices.put)))
        assert notices.get(timeout=GUARD_S) == "", "it looks at everything first"
        yield lambda: notices.get(timeout=GUARD_S)


def test_all_nodes_are_told_of_moves_and_one_of_what_concerns_it(
    tables: PostgreSQLExpectedInstances, told: Callable[[], str]
) -> None:
    tables.expect(MOVE)
    assert told() == ""
    tables.hand_over("two", HANDED, b"data")
    assert told() == "one"
    tables.finish(Finished(answers=[HandoverAnswer("h1", 0, "")]))
    assert told() == "two"
    tables.finish(Finished(handovers=["h1"]))
    tables.finish(Finished(moves=["m1"]))
    assert told() == "", "what needs no answer any more concerns nobody"


def test_a_node_that_was_never_seen_has_some_seconds_to_begin(url: str, tables: PostgreSQLExpectedInstances) -> None:
    tables.join("one")
    tables.expect(MOVE)
    tables.tidy()
    assert tables.look("two").moves == {"m1"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE expected_move SET made_at = made_at - 60000000")
        connection.execute("UPDATE expecting_node SET joined_at = joined_at - 60000000")
        tables.tidy()
        assert tables.look("two").moves == frozenset()
        assert connection.execute("SELECT count(*) FROM expecting_node").fetchone() == (0,)


def test_texts_that_no_database_holds_are_replaced(tables: PostgreSQLExpectedInstances) -> None:
    tables.expect(MOVE)
    tables.hand_over("two", HANDED, b"\0data")
    tables.finish(Finished(answers=[HandoverAnswer("h1", 0xA700, "a\0b")]))
    (answer,) = tables.look("two").answers
    assert answer.comment == "a\N{REPLACEMENT CHARACTER}b"
    assert tables.read("h1") == b"\0data"
