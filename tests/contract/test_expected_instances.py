"""What every `ExpectedInstances` must do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest

from gateway.model.node import GatewayNode
from gateway.ports.expected_instances import ExpectedInstances, ExpectedView, Finished, HandoverAnswer
from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances
from gateway.postgresql.node_table import PostgreSQLNodeTable
from gateway.postgresql.store import PostgreSQLStore
from gateway.retrieve.look_record import GONE_S
from tests.support.expecting import HANDED, MOVE
from tests.support.fakes.memory_expected_instances import MemoryExpectedInstances
from tests.support.postgresql_server import shared_server
from tests.support.samples import NOON

NOTHING = ExpectedView(frozenset(), (), ())


@dataclasses.dataclass
class Shared:
    """Tables of three nodes: one connection for each, and what makes a node gone."""

    one: ExpectedInstances
    two: ExpectedInstances
    lose: Callable[[str], Any]


def _in_memory(stack: ExitStack) -> Shared:
    made = MemoryExpectedInstances()
    return Shared(made, made, made.gone.add)


def _in_postgresql(stack: ExitStack) -> Shared:
    url = shared_server().new_schema()
    PostgreSQLStore(url).close()  # makes the tables
    nodes = stack.enter_context(closing(PostgreSQLNodeTable(url)))
    for name in ("one", "two", "three"):
        nodes.beat(GatewayNode(name, name, "1", "host", 7, NOON), "running", "rules", [])

    def lose(node: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for table, column in (("node", "seen_at"), ("expecting_node", "joined_at"), ("expected_move", "made_at")):
                age = f"UPDATE {table} SET {column} = {column} - 60000000 WHERE instance = %s"
                connection.execute(age.encode(), (node,))

    one, two = (stack.enter_context(closing(PostgreSQLExpectedInstances(url))) for _ in range(2))
    return Shared(one, two, lose)


@pytest.fixture(params=[_in_memory, pytest.param(_in_postgresql, marks=pytest.mark.postgresql)])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    with ExitStack() as stack:
        yield request.param(stack)


def test_every_node_sees_a_move_with_all_its_facts_until_it_has_ended(shared: Shared) -> None:
    assert shared.two.look("two") == NOTHING
    shared.one.expect(MOVE)
    assert shared.two.look("two").moves == shared.one.look("one").moves == {MOVE.move_id}
    assert shared.two.read_moves([MOVE.move_id, "unknown"]) == [MOVE]
    shared.one.finish(Finished(moves=[MOVE.move_id, "unknown"]))
    assert shared.two.look("two") == NOTHING
    assert shared.two.read_moves([MOVE.move_id]) == []


def test_a_move_that_is_there_stays_as_it_is(shared: Shared) -> None:
    shared.one.expect(MOVE)
    shared.one.expect(MOVE)
    assert shared.two.read_moves([MOVE.move_id]) == [MOVE]


def test_nodes_that_receive_are_unaware_until_they_know(shared: Shared) -> None:
    shared.one.join("one")
    shared.one.expect(MOVE)
    assert shared.one.unaware(MOVE) == [], "nobody else receives"
    shared.two.join("two")
    assert [*shared.one.unaware(MOVE)] == ["two"]
    shared.two.know("two", ["another"])
    assert [*shared.one.unaware(MOVE)] == ["two"]
    shared.two.know("two", ["another", MOVE.move_id])
    assert shared.one.unaware(MOVE) == []
    shared.two.join("two")
    assert [*shared.one.unaware(MOVE)] == ["two"], "another start knows nothing"


def test_a_node_that_left_need_not_know_nor_one_that_is_gone_once_that_is_certain(shared: Shared) -> None:
    for node in ("two", "three", "just started"):
        shared.two.join(node)
    shared.one.expect(MOVE)
    shared.lose("two")
    shared.two.leave("three")
    assert sorted(shared.one.unaware(MOVE)) == ["just started", "two"], "its last look may still count"
    shared.one.tidy(GONE_S)
    assert [*shared.one.unaware(MOVE)] == ["just started"]


def test_a_node_whose_row_is_gone_is_not_waited_for_until_it_joins_again(shared: Shared) -> None:
    shared.two.join("two")
    assert shared.two.look("two").is_joined
    assert shared.two.look("two").is_joined, "and stays so within a second of the last look"
    shared.lose("two")
    shared.one.tidy(GONE_S)
    assert not shared.two.look("two").is_joined
    shared.two.know("two", ["another"])
    shared.one.expect(MOVE)
    assert shared.one.unaware(MOVE) == []
    shared.two.join("two")
    assert shared.two.look("two").is_joined
    assert [*shared.one.unaware(MOVE)] == ["two"]


def test_what_is_handed_over_is_seen_by_the_one_that_waits_and_its_answer_by_the_giver(shared: Shared) -> None:
    shared.one.expect(MOVE)
    payload = bytes(range(256)) * 100
    assert shared.two.hand_over("two", HANDED, payload)
    assert shared.two.look("two") == ExpectedView(frozenset({MOVE.move_id}), (), ())
    assert shared.one.look("one") == ExpectedView(frozenset({MOVE.move_id}), (HANDED,), ())
    assert shared.one.read(HANDED.handover_id) == payload
    answer = HandoverAnswer(HANDED.handover_id, 0xA700, "no room: ä\N{EM DASH}")
    shared.one.finish(Finished(answers=[answer, HandoverAnswer("unknown", 0, "")]))
    assert shared.one.look("one").handed == ()
    assert shared.two.look("two").answers == (answer,)
    shared.two.finish(Finished(handovers=[HANDED.handover_id]))
    assert shared.two.look("two").answers == ()
    assert shared.one.read(HANDED.handover_id) is None


def test_nothing_is_handed_over_for_a_move_that_has_ended(shared: Shared) -> None:
    assert not shared.two.hand_over("two", HANDED, b"data")
    shared.one.expect(MOVE)
    shared.two.hand_over("two", HANDED, b"data")
    shared.one.finish(Finished(moves=[MOVE.move_id]))
    assert shared.one.read(HANDED.handover_id) is None
    assert not shared.two.hand_over("two", dataclasses.replace(HANDED, handover_id="later"), b"data")


def test_nothing_is_left_of_a_node_that_left_or_is_gone(shared: Shared) -> None:
    of_three = dataclasses.replace(MOVE, move_id="m3", node="three")
    for move in (MOVE, of_three):
        shared.one.expect(move)
        shared.two.hand_over("two", dataclasses.replace(HANDED, handover_id=move.move_id, move_id=move.move_id), b"x")
    shared.two.tidy(GONE_S)
    assert shared.two.look("two").moves == {MOVE.move_id, "m3"}, "nobody is gone"
    shared.lose("one")
    shared.two.tidy(GONE_S)
    assert shared.two.look("two").moves == {"m3"}
    shared.one.leave("three")
    assert shared.two.look("two") == NOTHING
    assert shared.one.read(MOVE.move_id) is None
    assert shared.one.read("m3") is None
