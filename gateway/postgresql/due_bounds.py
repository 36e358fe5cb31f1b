"""The place from which claims look for deliveries that are due.

While any transaction is held open, the server keeps every entry of an index that claims and settlements left behind,
and each search walks over them. A claim remembers when the first delivery that it saw was due: the next one begins
there.
"""

from __future__ import annotations

from dataclasses import dataclass

SECOND_US = 1_000_000
LATE_US, LATE_EACH_US = 30 * SECOND_US, 2 * SECOND_US
"""Another process adds a delivery that is due at the time at which it began to add it. Every `LATE_EACH_US` a claim
looks for those that came up to `LATE_US` late."""
PROMPT_US = 2 * SECOND_US
"""Every claim looks for those that came up to this late."""
ALL_EACH_US = 60 * SECOND_US
"""A claim looks through all that a destination has this often, whatever is remembered."""
ByPriority = tuple[int, int, int]
"""A time for the urgent ones, for the normal ones, for the low ones."""
FROM_THE_BEGINNING: ByPriority = (0, 0, 0)


@dataclass(slots=True)
class _Destination:
    """The memory of one destination."""

    token: int | None
    first_us: ByPriority
    """By priority: no delivery that was pending when a claim looked last was due before."""
    late_at_us: int
    all_at_us: int

    def lower(self, due_at_us: int) -> None:
        urgent_us, normal_us, low_us = self.first_us
        self.first_us = (min(urgent_us, due_at_us), min(normal_us, due_at_us), min(low_us, due_at_us))


@dataclass(frozen=True, slots=True)
class DueSearch:
    """One claim's look. `late_us`: from this time before the present on it looks in any case."""

    destination: str
    token: int | None
    now_us: int
    from_us: ByPriority
    late_us: int


class DueBounds:
    """Belongs to one connection. A bound is what its claims saw: the first pending delivery, also one that another
    transaction has locked. It is lowered by what this process gives back or adds, and forgotten with a transaction that
    is rolled back, with another token of the destination, and when another process says that it changed the queue."""

    def __init__(self) -> None:
        self._of: dict[str, _Destination] = {}

    def look(self, destination: str, token: int | None, now_us: int) -> DueSearch:
        """The place from which a claim looks now."""
        known = self._of.get(destination)
        if known is None or known.token != token or not 0 <= now_us - known.all_at_us < ALL_EACH_US:
            return DueSearch(destination, token, now_us, FROM_THE_BEGINNING, LATE_US)
        is_late_due = not 0 <= now_us - known.late_at_us < LATE_EACH_US
        late_us = LATE_US if is_late_due else PROMPT_US
        urgent_us, normal_us, low_us = known.first_us
        latest_us = now_us - late_us
        places = (min(urgent_us, latest_us), min(normal_us, latest_us), min(low_us, latest_us))
        return DueSearch(destination, token, now_us, places, late_us)

    def looked(self, look: DueSearch, first_us: tuple[int | None, int | None, int | None]) -> None:
        """By priority, the first one that the look saw was due at this time; None: there was none."""
        known = self._of.get(look.destination)
        all_at_us = known.all_at_us if known is not None and any(look.from_us) else look.now_us
        late_at_us = known.late_at_us if known is not None and look.late_us < LATE_US else look.now_us
        urgent_us, normal_us, low_us = (look.now_us if each is None else min(each, look.now_us) for each in first_us)
        places = (urgent_us, normal_us, low_us)
        self._of[look.destination] = _Destination(look.token, places, late_at_us, all_at_us)

    def lower(self, destination: str, due_at_us: int) -> None:
        """A delivery is due at this time again."""
        if known := self._of.get(destination):
            known.lower(due_at_us)

    def lower_all(self, due_at_us: int) -> None:
        """The same for any destination."""
        for known in self._of.values():
            known.lower(due_at_us)

    def forget(self) -> None:
        """Every claim looks from the beginning."""
        self._of.clear()
