"""Expected instances in a database: who is told, and what nodes leave that were never seen. What they must do:
`tests/contract/test_expected_instances.py`."""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from gateway.model.node import GatewayNode
from gateway.ports.expected_instances import Finished, HandoverAnswer
from gateway.postgresql.due_notices import DueListener
from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances
from gateway.postgresql.node_table import PostgreSQLNodeTable
from gateway.postgresql.store import PostgreSQLStore
from gateway.retrieve.look_record import GONE_S
from tests.support.expecting import HANDED, MOVE
from tests.support.processes import GUARD_S
from tests.support.samples import NOON

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
    tables.tidy(GONE_S)
    assert tables.look("two").moves == {"m1"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE expected_move SET made_at = made_at - 60000000")
        connection.execute("UPDATE expecting_node SET joined_at = joined_at - 60000000")
        tables.tidy(GONE_S)
        assert tables.look("two").moves == frozenset()
        assert connection.execute("SELECT count(*) FROM expecting_node").fetchone() == (0,)


def test_a_node_that_looks_or_beats_is_there_after_all_were_cut_off(
    url: str, tables: PostgreSQLExpectedInstances
) -> None:
    """After an outage one has looked, one of a version that writes no looks has beaten, one did neither."""
    with closing(PostgreSQLNodeTable(url)) as nodes, psycopg.connect(url, autocommit=True) as connection:
        for name in ("looks", "beats", "gone"):
            nodes.beat(GatewayNode(name, name, "1", "host", 7, NOON), "running", "rules", [])
            tables.join(name)
            tables.expect(dataclasses.replace(MOVE, move_id=name, node=name))
        connection.execute("UPDATE node SET seen_at = seen_at - 60000000")
        connection.execute("UPDATE expecting_node SET joined_at = joined_at - 60000000")
        connection.execute("UPDATE expected_move SET made_at = made_at - 60000000")
        assert tables.look("looks").is_joined
        nodes.beat(GatewayNode("beats", "beats", "1", "host", 7, NOON), "running", "rules", [])
        tables.tidy(GONE_S)
        assert connection.execute("SELECT instance FROM expecting_node ORDER BY 1").fetchall() == [
            ("beats",),
            ("looks",),
        ]
        assert tables.look("looks").moves == {"beats", "looks"}


def test_a_look_is_written_whichever_way_the_clock_of_the_server_was_set(
    url: str, tables: PostgreSQLExpectedInstances
) -> None:
    tables.join("one")
    with psycopg.connect(url, autocommit=True) as connection:

        def after(moved_by_s: int) -> tuple[int, int]:
            """The time of the last look before and after another one, when the server's clock was moved meanwhile."""
            before = connection.execute(
                "UPDATE expecting_node SET joined_at = joined_at - %s RETURNING joined_at", (moved_by_s * 1_000_000,)
            ).fetchone()
            assert tables.look("one").is_joined
            now = connection.execute("SELECT joined_at FROM expecting_node").fetchone()
            assert before is not None
            assert now is not None
            return before[0], now[0]

        before, now = after(60)
        assert now > before + 59_000_000
        before, now = after(-60)
        assert now < before - 1_000_000, "the server's clock was set back"


def test_texts_that_no_database_holds_are_replaced(tables: PostgreSQLExpectedInstances) -> None:
    tables.expect(MOVE)
    tables.hand_over("two", HANDED, b"\0data")
    tables.finish(Finished(answers=[HandoverAnswer("h1", 0xA700, "a\0b")]))
    (answer,) = tables.look("two").answers
    assert answer.comment == "a\N{REPLACEMENT CHARACTER}b"
    assert tables.read("h1") == b"\0data"
