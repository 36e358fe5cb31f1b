"""The looks of a node at what all nodes share: whether the last one still counts, and whether it may judge others."""

from __future__ import annotations

from collections.abc import Callable

FRESH_S = 3.0
"""A look counts for so long."""
GONE_S = 10.0
"""A node that was not seen for so long waits for nothing any more: its leases are over too."""
STEADY_S = GONE_S + 5.0
"""A node judges others once its own looks have succeeded for so long without a gap of `FRESH_S`: whoever was cut off
with it was seen since."""


class LookRecord:
    """Looks that succeeded, by the time at which each began, and those that failed.

    Args:
        clock_s: see `gateway.cluster.destination_leases.awake_clock_s`.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._looked_at_s = self._steady_since_s = float("-inf")
        self.failures = 0
        self.failure = ""
        """The text of the last one."""

    def succeeded(self, began_at_s: float) -> None:
        if began_at_s - self._looked_at_s >= FRESH_S:
            self._steady_since_s = began_at_s
        self._looked_at_s = began_at_s

    def failed(self, reason: str) -> None:
        self.failures += 1
        self.failure = reason

    def forget(self) -> None:
        """Earlier looks count no more."""
        self._looked_at_s = min(self._looked_at_s, self._clock_s() - FRESH_S)

    @property
    def age_s(self) -> float:
        """The time since the last one that succeeded."""
        return self._clock_s() - self._looked_at_s

    @property
    def is_fresh(self) -> bool:
        return self.age_s < FRESH_S

    @property
    def is_steady(self) -> bool:
        return self.is_fresh and self._clock_s() - self._steady_since_s >= STEADY_S
