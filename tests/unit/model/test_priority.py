"""Words for priorities, and the places that a claim gives to each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.priority import EACH, SENDERS, Due, Priority, in_turn, lower_places, of_text

URGENT, NORMAL, LOW = Priority


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("urgent", URGENT),
        ("normal", NORMAL),
        ("low", LOW),
        ("STAT", URGENT),
        ("HIGH ", URGENT),
        ("ROUTINE", NORMAL),
        ("MEDIUM", NORMAL),
        ("LOW", LOW),
        ("", NORMAL),
        ("  ", NORMAL),
        ("0", None),
        ("very urgent", None),
        ("STAT\\LOW", None),
    ],
)
def test_a_word_of_ours_or_of_a_requested_procedure_is_a_priority(text: str, priority: Priority | None) -> None:
    assert of_text(text) is priority


def test_the_priority_of_a_request_is_as_the_standard_numbers_it() -> None:
    assert SENDERS == {0x0000: NORMAL, 0x0001: URGENT, 0x0002: LOW}


@pytest.mark.parametrize("sizes", [[1] * 64, [7, 1, 8, 48], [3] * 20 + [4], [512]])
def test_one_place_in_eight_is_for_lower_ones_however_claims_are_cut(sizes: list[int]) -> None:
    before = lower = 0
    for size in sizes:
        lower += lower_places(before, size)
        before += size
    assert lower == before // EACH


def rows(*due: int, first: int = 1) -> list[Due]:
    return [(first + number, at) for number, at in enumerate(due)]


@pytest.mark.parametrize(
    ("levels", "limit", "lower", "taken"),
    [
        ([rows(5, 6, 7), [], []], 2, 1, [1, 2]),
        ([rows(5, 6, 7), rows(1, 2, first=10), []], 3, 0, [1, 2, 3]),
        ([rows(5, 6, 7), rows(1, 2, first=10), []], 3, 1, [1, 2, 10]),
        ([rows(5), rows(2, 3, first=10), rows(1, first=20)], 3, 1, [1, 10, 20]),
        ([rows(5, 6), rows(2, 3, first=10), rows(1, first=20)], 3, 2, [1, 20, 10]),
        ([rows(5, 6), rows(1, 3, first=10), rows(1, first=20)], 2, 1, [1, 10]),
        ([[], rows(5, 6, first=10), rows(9, first=20)], 2, 1, [10, 20]),
        ([[], rows(5, 6, first=10), rows(9, first=20)], 9, 1, [10, 11, 20]),
        ([[], [], rows(9, first=20)], 1, 1, [20]),
        ([[], [], []], 4, 1, []),
        ([rows(1), rows(1, first=10), []], 1, 1, [10]),
    ],
)
def test_the_places_of_a_claim(levels: list[list[Due]], limit: int, lower: int, taken: list[int]) -> None:
    assert in_turn(levels, limit, lower) == taken


def claims(waiting: list[tuple[Priority, int, int]], size: int) -> list[int]:
    """All deliveries, (priority, when due, number), in the order in which claims of `size` take them."""
    order: list[int] = []
    left = sorted(waiting, key=lambda each: (each[1], each[2]))
    while left:
        levels: Sequence[Sequence[Due]] = [
            [(number, due) for priority, due, number in left if priority is level][:size] for level in Priority
        ]
        taken = in_turn(levels, size, lower_places(len(order), size))
        order += taken
        left = [each for each in left if each[2] not in taken]
    return order


@given(
    st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 5)), max_size=60),
    st.sampled_from([1, 3, 8, 20]),
)
def test_all_go_once_and_none_waits_for_more_than_eight_times_those_before_it(
    given_rows: list[tuple[Priority, int]], size: int
) -> None:
    waiting = [(priority, due, number) for number, (priority, due) in enumerate(given_rows)]
    order = claims(waiting, size)
    assert sorted(order) == [number for _, _, number in waiting]
    for _, due, number in waiting:
        before = sum((other, at) < (due, number) for _, other, at in waiting)
        # every eighth place goes to the one due longest below the first: none of those before it is passed for ever
        assert order.index(number) < EACH * (before + 1) + size
    for level in Priority:
        mine = [(due, number) for priority, due, number in waiting if priority is level]
        assert [number for number in order if number in {each for _, each in mine}] == [
            each for _, each in sorted(mine)
        ]
