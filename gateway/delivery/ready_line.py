"""The deliveries that a courier has claimed and not begun, in the order in which they go."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from gateway.model.delivery import Delivery
from gateway.model.priority import EACH, Priority


class ClaimedDelivery(NamedTuple):
    """A delivery in hand."""

    at_s: float
    """The monotonic time of its claim."""
    delivery: Delivery
    is_alone: bool = False
    """It is sent while no other object waits for its outcome: an association was lost over this one and others."""


class ReadyLine:
    """Urgent ones first, then normal, then low ones, each in the order of their claims; each eighth place goes to the
    one that has been due longest below the first priority."""

    def __init__(self) -> None:
        self._next: deque[ClaimedDelivery] = deque()
        """Begun before: these go first."""
        self._levels: tuple[deque[ClaimedDelivery], ...] = tuple(deque() for _ in Priority)
        self._taken = 0

    def __len__(self) -> int:
        return len(self._next) + sum(map(len, self._levels))

    def __iter__(self) -> Iterator[ClaimedDelivery]:
        yield from self._next
        for level in self._levels:
            yield from level

    @property
    def has_lower(self) -> bool:
        """True when an urgent one would pass another one."""
        return len(self) > len(self._next) + len(self._levels[Priority.URGENT])

    def append(self, claim: ClaimedDelivery) -> None:
        """It goes after those of its priority."""
        self._levels[claim.delivery.priority].append(claim)

    def put_first(self, claim: ClaimedDelivery) -> None:
        """It goes before all others."""
        self._next.appendleft(claim)

    def first(self) -> ClaimedDelivery:
        """The one that `take` takes. To be asked of a line that is not empty."""
        return self._line()[0]

    def take(self) -> ClaimedDelivery:
        """The next one, of a line that is not empty."""
        claim = self._line().popleft()
        self._taken += 1
        return claim

    def remove(self, *, are_passing_kept: bool) -> list[ClaimedDelivery]:
        """All of them, or but for those that a closed window does not hold up."""
        gone = [claim for claim in self if not (are_passing_kept and claim.delivery.is_passing)]
        for line in (self._next, *self._levels):
            kept = [claim for claim in line if are_passing_kept and claim.delivery.is_passing]
            line.clear()
            line.extend(kept)
        return gone

    def _line(self) -> deque[ClaimedDelivery]:
        if self._next:
            return self._next
        lines = [level for level in self._levels if level]
        if len(lines) > 1 and (self._taken + 1) % EACH == 0:
            return min(lines[1:], key=_due)
        return lines[0]


def _due(line: deque[ClaimedDelivery]) -> tuple[object, int]:
    delivery = line[0].delivery
    return delivery.due_at, delivery.delivery_id
