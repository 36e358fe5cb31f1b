"""The quick run takes what it says, the same each time; without its option everything runs."""

from __future__ import annotations

import pytest

from tests.support.quick_run import FEWEST_EXAMPLES, MOST_ROWS, QuickRun

TABLE = list(range(1000))


def run_of(*, is_quick: bool) -> QuickRun:
    made = QuickRun()
    made.is_on = is_quick
    return made


def test_the_full_run_takes_everything() -> None:
    full = run_of(is_quick=False)
    assert full.takes({"peers", "campaign", "process"})
    assert full.rows("test", TABLE) is TABLE
    assert full.examples(300) == 300


@pytest.mark.parametrize(
    ("markers", "is_taken"),
    [
        (set(), True),
        ({"loopback"}, True),
        ({"loopback", "campaign"}, False),
        ({"campaign"}, False),
        ({"peers"}, False),
        ({"peers", "quick"}, False),
        ({"process"}, False),
        ({"process", "quick"}, True),
        ({"process", "quick", "campaign"}, False),
    ],
)
def test_what_the_quick_run_takes(markers: set[str], is_taken: bool) -> None:
    assert run_of(is_quick=True).takes(markers) is is_taken


def test_of_a_large_table_it_takes_some_rows_in_order_and_the_same_each_time() -> None:
    quick = run_of(is_quick=True)
    rows = quick.rows("test_one", TABLE)
    assert len(rows) == MOST_ROWS
    assert list(rows) == sorted(set(rows)), "in order, each once"
    assert rows == quick.rows("test_one", TABLE), "workers of one run must collect the same tests"
    assert rows != quick.rows("test_two", TABLE), "each test has rows of its own"
    assert quick.rows("test", TABLE[:MOST_ROWS]) == TABLE[:MOST_ROWS]


@pytest.mark.parametrize(("number", "expected"), [(300, 30), (40, FEWEST_EXAMPLES)])
def test_it_takes_a_tenth_of_the_examples(number: int, expected: int) -> None:
    assert run_of(is_quick=True).examples(number) == expected
