"""The order in which a courier begins what it has claimed."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from gateway.delivery.ready_line import ClaimedDelivery, ReadyLine
from gateway.model.delivery import Delivery, DeliveryState
from gateway.model.priority import Priority
from tests.support.samples import NOON, instance

URGENT, NORMAL, LOW = Priority


def claimed(number: int, priority: Priority = NORMAL, due_s: float = 0.0, *, passes: bool = False) -> ClaimedDelivery:
    due_at = NOON + timedelta(seconds=due_s)
    row = Delivery(number, instance(number), "pacs", "all", "", DeliveryState.PENDING, 0, NOON, due_at)
    return ClaimedDelivery(0.0, dataclasses.replace(row, priority=priority, passes_window=passes))


def line_of(*claims: ClaimedDelivery) -> ReadyLine:
    line = ReadyLine()
    for claim in claims:
        line.append(claim)
    return line


def taken(line: ReadyLine) -> list[int]:
    numbers = []
    while line:
        first = line.first()
        assert line.take() is first
        numbers.append(first.delivery.delivery_id)
    return numbers


def test_urgent_ones_go_before_what_is_in_hand() -> None:
    line = line_of(claimed(1, LOW), claimed(2), claimed(3))
    assert line.take().delivery.delivery_id == 2
    line.append(claimed(4, URGENT))
    line.append(claimed(5, URGENT))
    assert [claim.delivery.delivery_id for claim in line] == [4, 5, 3, 1]
    assert taken(line) == [4, 5, 3, 1]


def test_each_eighth_place_goes_to_the_lower_one_that_is_due_longest() -> None:
    urgent = [claimed(number, URGENT) for number in range(1, 20)]
    line = line_of(*urgent, claimed(20, due_s=5), claimed(21, due_s=6), claimed(22, LOW, due_s=4))
    assert taken(line) == [*range(1, 8), 22, *range(8, 15), 20, *range(15, 20), 21]


def test_what_was_begun_before_goes_first() -> None:
    line = line_of(claimed(1, URGENT))
    line.put_first(claimed(2, LOW))
    assert taken(line) == [2, 1]


@pytest.mark.parametrize(
    ("claims", "has_lower"),
    [([], False), ([claimed(1, URGENT)], False), ([claimed(1)], True), ([claimed(1, URGENT), claimed(2, LOW)], True)],
)
def test_it_knows_whether_an_urgent_one_would_pass_another(claims: list[ClaimedDelivery], has_lower: bool) -> None:
    assert line_of(*claims).has_lower is has_lower


def test_what_was_begun_before_is_passed_by_nothing() -> None:
    line = ReadyLine()
    line.put_first(claimed(1))
    assert not line.has_lower


@pytest.mark.parametrize(("are_passing_kept", "gone"), [(True, [4, 3, 2, 1]), (False, [4, 5, 3, 2, 1])])
def test_a_closed_window_keeps_what_passes_it(are_passing_kept: bool, gone: list[int]) -> None:
    line = line_of(claimed(1, LOW, passes=True), claimed(2, passes=True), claimed(3, URGENT))
    line.put_first(claimed(5, URGENT, passes=True))
    line.put_first(claimed(4, URGENT))
    kept = {1, 2, 3, 4, 5} - set(gone)
    assert [claim.delivery.delivery_id for claim in line.remove(are_passing_kept=are_passing_kept)] == gone
    assert set(taken(line)) == kept
