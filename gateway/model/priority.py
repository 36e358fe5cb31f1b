"""The priority of a delivery: which of those that wait for a destination goes first."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType


class Priority(enum.IntEnum):
    """The lower number goes first."""

    URGENT = 0
    NORMAL = 1
    LOW = 2

    @property
    def word(self) -> str:
        """As in rules and on the command line."""
        return self.name.lower()


WORDS = tuple(each.word for each in Priority)

SENDERS: Mapping[int, Priority] = MappingProxyType({0: Priority.NORMAL, 1: Priority.URGENT, 2: Priority.LOW})
"""Priority (0000,0700) of a C-STORE request: MEDIUM, HIGH, LOW (PS3.7 §9.3.1.1, §E.1)."""
MEDIUM = 0

_REQUESTED = {
    **{each.word: each for each in Priority},
    **{"stat": Priority.URGENT, "high": Priority.URGENT},
    **{"routine": Priority.NORMAL, "medium": Priority.NORMAL, "": Priority.NORMAL},
}
"""With the values of Requested Procedure Priority (0040,1003), PS3.3 §C.4.11."""


def of_text(text: str) -> Priority | None:
    """The priority that a word means: one of ours, or a value of Requested Procedure Priority; empty is normal. None:
    none of these."""
    return _REQUESTED.get(text.strip(" ").lower())


EACH = 8
"""Every place with this number goes to a lower priority than the first, where such a delivery is due."""


def lower_places(before: int, number: int) -> int:
    """How many of the next `number` places, after `before`, go to lower priorities."""
    return (before + number) // EACH - before // EACH


Due = tuple[int, int]
"""A delivery, and when it is due."""


def in_turn(levels: Sequence[Sequence[Due]], limit: int, lower: int) -> list[int]:
    """The deliveries that a claim of `limit` takes, in the order in which they go.

    Args:
        levels: what is due by priority, the first one first; each in its order, up to `limit`.
        limit: the number of places.
        lower: so many of the last places go to what has been due longest below the first priority that has any.
    """
    waiting = [deque(level) for level in levels if level]
    taken: list[int] = []
    while waiting and len(taken) < limit:
        from_ = waiting[0]
        if len(taken) >= limit - lower and len(waiting) > 1:
            from_ = min(waiting[1:], key=lambda level: (level[0][1], level[0][0]))
        taken.append(from_.popleft()[0])
        if not from_:
            waiting.remove(from_)
    return taken
