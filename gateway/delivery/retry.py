"""The times at which a deferred delivery is tried again and given up. Pure."""

from __future__ import annotations

from datetime import datetime
from random import Random

from gateway.model.peer import Retry

MAX_DOUBLINGS = 1000
"""Bounds the exponent: past it every finite delay has long reached its maximum, and floats would overflow."""


def delay_s(retry: Retry, failures: int, random: Random) -> float:
    """Seconds to wait after the `failures`-th failure (from 1): grows by `factor` up to `max_delay_s`, then spread."""
    try:
        grown = retry.first_delay_s * retry.factor ** min(max(failures, 1) - 1, MAX_DOUBLINGS)
    except OverflowError:
        grown = retry.max_delay_s
    spread = 1 + retry.jitter * (2 * random.random() - 1)
    return min(grown, retry.max_delay_s) * spread


def is_given_up(retry: Retry, counted_from: datetime, now: datetime) -> bool:
    """True when a delivery whose age counts from then is too old to be tried again."""
    return (now - counted_from).total_seconds() >= retry.give_up_after_s
