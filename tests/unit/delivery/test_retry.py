"""Backoff and giving up."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from gateway.delivery.retry import delay_s, is_given_up
from gateway.model.peer import Retry

PLAIN = Retry(first_delay_s=10, factor=2, max_delay_s=600, jitter=0.0)
NOW = datetime(2026, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failures", "expected_s"),
    [(0, 10), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (8, 600), (10**9, 600)],
)
def test_delay_grows_to_its_maximum(failures: int, expected_s: float) -> None:
    assert delay_s(PLAIN, failures, Random(1)) == expected_s


def test_a_factor_of_one_never_grows() -> None:
    assert delay_s(Retry(first_delay_s=5, factor=1, jitter=0.0), 10**6, Random(1)) == 5


def test_an_overflowing_factor_is_the_maximum() -> None:
    assert delay_s(Retry(first_delay_s=5, factor=1e300, max_delay_s=60, jitter=0.0), 500, Random(1)) == 60


def test_jitter_spreads_both_ways_and_no_further() -> None:
    retry, random = Retry(first_delay_s=100, jitter=0.1), Random(7)
    delays = [delay_s(retry, 1, random) for _ in range(500)]
    assert all(90 <= delay <= 110 for delay in delays)
    assert min(delays) < 93
    assert max(delays) > 107


@pytest.mark.parametrize(
    ("age", "is_over"),
    [
        pytest.param(timedelta(0), False, id="new"),
        pytest.param(timedelta(days=7) - timedelta(seconds=1), False, id="a second before"),
        pytest.param(timedelta(days=7), True, id="on the dot"),
        pytest.param(timedelta(days=30), True, id="long past"),
        pytest.param(timedelta(seconds=-5), False, id="the clock was set back"),
    ],
)
def test_giving_up_goes_by_age(age: timedelta, is_over: bool) -> None:
    assert is_given_up(PLAIN, NOW - age, NOW) is is_over
