"""The statements that settlements and searches run; `tests/contract/test_delivery_queue.py` holds what they do."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any, cast

import pytest

from gateway.model.delivery import Delivery, DeliveryState, Settlement
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder
from gateway.relational.delivery_queue import ATTEMPTS_KEPT, InstanceAcceptor, RelationalDeliveryQueue
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import RowReader
from gateway.relational.statements import Statements
from tests.support.samples import NOON


class RecordedStatements:
    """Gives prepared answers, and keeps each name with its values."""

    def __init__(self, **answers: Any) -> None:
        self.clock = self
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers

    def now_us(self) -> int:
        return 7

    def do(self, name: str, **values: Any) -> int:
        self.ran.append((name, values))
        return 1

    def post(self, name: str, **values: Any) -> None:
        self.ran.append((name, values))

    def json(self, name: str, **values: Any) -> Any:
        self.ran.append((name, values))
        return self._answers[name]

    def single(self, name: str, **values: Any) -> Any:
        self.ran.append((name, values))
        return self._answers[name][values["start"]]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.ran]


class ApartQueue(RelationalDeliveryQueue):
    """Claims nothing; keeps what a search with `apart` found."""

    found = ""

    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        assert apart is not None
        self.found = self._apart("search", {"destination": destination}, apart)
        return []

    def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime) -> list[Delivery]:
        raise AssertionError("no test claims a bundle here")


def queue_on(statements: RecordedStatements) -> ApartQueue:
    """The index, the reader and the acceptor are not asked."""
    return ApartQueue(
        cast(Statements, statements), cast(IndexTables, None), cast(RowReader, None), cast(InstanceAcceptor, None)
    )


def settled(delivery_id: int, state: DeliveryState = DeliveryState.DELIVERED, **more: Any) -> Settlement:
    made = Settlement(delivery_id=delivery_id, lease=1, state=state, due_at=NOON, started_at=NOON)
    return dataclasses.replace(made, **more)


def test_no_settlements_run_no_statement() -> None:
    statements = RecordedStatements()
    assert queue_on(statements).settle([]) == []
    assert statements.ran == []


def test_settlements_without_their_lease_write_nothing() -> None:
    statements = RecordedStatements(find_leased=[], find_settled=[])
    assert queue_on(statements).settle([settled(1), settled(2)]) == [False, False]
    assert statements.names == ["find_leased", "find_settled"]


def test_settlements_that_were_written_before_hold_and_write_nothing() -> None:
    statements = RecordedStatements(find_leased=[[1, 0]], find_settled=[1])
    back = settled(4, DeliveryState.PENDING, is_attempt=False)
    assert queue_on(statements).settle([settled(1), settled(2), settled(3), back]) == [False, True, True, False]
    written = dict(statements.ran)
    assert [row[0] for row in json.loads(written["find_settled"]["settlements"])] == [1, 3]
    assert [row[0] for row in json.loads(written["insert_attempts"]["attempts"])] == [2]


def test_of_one_delivery_the_first_settlement_counts_in_whatever_order_the_rows_come() -> None:
    statements = RecordedStatements(find_leased=[[2, 0], [1, 4], [0, 4]])
    late = settled(1, DeliveryState.DEAD)
    assert queue_on(statements).settle([settled(1), late, settled(2)]) == [True, False, True]
    written = dict(statements.ran)
    assert [row[:2] for row in json.loads(written["insert_attempts"]["attempts"])] == [[1, 5], [2, 1]]
    assert [row[2] for row in json.loads(written["settle"]["settlements"])] == ["delivered", "delivered"]
    assert json.loads(written["mark_settled"]["ids"]) == [1, 2]
    assert written["settle"]["now"] == written["mark_settled"]["now"] == 7


SETTLED = ("mark_settled", "begin_keeping_delivered")
STEPS = {
    "delivered": ({}, 0, ["find_leased", "insert_attempts", "settle", *SETTLED]),
    "delivered, and kept": (
        {"kept_until": NOON},
        0,
        ["find_leased", "insert_attempts", "settle", "keep_copies", *SETTLED],
    ),
    "not delivered": (
        {"state": DeliveryState.DEAD, "kept_until": NOON},
        0,
        ["find_leased", "insert_attempts", "settle"],
    ),
    "to be tried again": ({"state": DeliveryState.PENDING}, 0, ["find_leased", "insert_attempts", "settle"]),
    "given back": ({"state": DeliveryState.PENDING, "is_attempt": False}, 0, ["find_leased", "settle"]),
    "the last attempt that is kept": (
        {"state": DeliveryState.DEAD},
        ATTEMPTS_KEPT - 1,
        ["find_leased", "insert_attempts", "settle"],
    ),
    "one more than are kept": (
        {"state": DeliveryState.DEAD},
        ATTEMPTS_KEPT,
        ["find_leased", "insert_attempts", "drop_old_attempts", "settle"],
    ),
}


@pytest.mark.parametrize(("more", "attempts", "names"), STEPS.values(), ids=STEPS)
def test_a_settlement_runs_the_statements_that_it_needs(more: dict[str, Any], attempts: int, names: list[str]) -> None:
    statements = RecordedStatements(find_leased=[[0, attempts]])
    assert queue_on(statements).settle([settled(1, **more)]) == [True]
    assert statements.names == names


SEARCHES = {
    "found behind the start": (5, {5: "[1]"}, "[1]", [5]),
    "found from the first on": (5, {5: "[]", 0: "[2]"}, "[2]", [5, 0]),
    "nothing": (5, {5: "[]", 0: "[]"}, "[]", [5, 0]),
    "nothing, and the start is the first": (0, {0: "[]"}, "[]", [0]),
}


@pytest.mark.parametrize(("start", "answers", "found", "starts"), SEARCHES.values(), ids=SEARCHES)
def test_likenesses_are_searched_in_a_circle(
    start: int, answers: dict[int, str], found: str, starts: list[int]
) -> None:
    statements = RecordedStatements(search=answers)
    queue = queue_on(statements)
    queue.claim("pacs", 1, 60, NOON, ExcludedLikenesses(start=start, ranges=((1, 2),)))
    assert queue.found == found
    assert [values["start"] for _, values in statements.ran] == starts
    assert {values["apart"] for _, values in statements.ran} == {"[[1, 2]]"}
