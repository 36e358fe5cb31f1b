"""Delivery windows: the times of the week in which a destination is sent to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

WEEK_MINUTES = 7 * 1440
WEEK_S = WEEK_MINUTES * 60.0
STEP = timedelta(days=1)
"""Clocks are changed at most once in this time."""
MOST_STEPS = 22
"""Three weeks: a window of an hour that a change of the clock leaves out does not open in that week."""
MOST_WEEKS = 156
"""The times at which it was open are looked for in so many weeks before."""


@dataclass(frozen=True, slots=True)
class DeliveryWindow:
    """Open in some minutes of the week, by the clock of a place.

    It follows that clock: an hour that exists twice is within the window twice or not at all, and one that does not
    exist is left out.
    """

    spans: tuple[tuple[int, int], ...]
    """Minutes of the week from Monday 00:00, from the first one to before the second one; see `merged`."""
    time_zone: ZoneInfo | None = None
    """None: the zone of this machine."""

    def is_open(self, moment: datetime) -> bool:
        """True when `moment` is within the window."""
        minute = self._second_of_week(moment) / 60
        return any(start <= minute < end for start, end in self.spans)

    def changes_at(self, moment: datetime) -> datetime | None:
        """The first moment after `moment` at which it opens or closes; None where it never does."""
        was_open, at = self.is_open(moment), moment
        edges = self._edges()
        for _ in range(MOST_STEPS if edges else 0):
            edge = at + timedelta(seconds=self._until_edge_s(at, edges))
            limit = min(edge, at + STEP)
            if self._offset(limit) != self._offset(at):
                at = self._clock_change(at, limit)
                if self.is_open(at) != was_open:
                    return at
            elif limit == edge:
                return edge
            else:
                at = limit
        return None

    def before(self, moment: datetime, open_s: float) -> datetime:
        """The latest moment since which it was open for `open_s` seconds until `moment`."""
        end, left_s = moment, open_s
        for _ in range(MOST_WEEKS):
            start = end - timedelta(seconds=WEEK_S)
            for opened, closed in reversed(list(self._open_between(start, end))):
                if (length_s := (closed - opened).total_seconds()) >= left_s:
                    return closed - timedelta(seconds=left_s)
                left_s -= length_s
            end = start
        return end

    def local(self, moment: datetime) -> datetime:
        """`moment` on the clock of the place."""
        return moment.astimezone(self.time_zone)

    def _open_between(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        at = start
        while at < end:
            change = min(self.changes_at(at) or end, end)
            if self.is_open(at):
                yield at, change
            at = change

    def _edges(self) -> list[int]:
        """Minutes of the week at which it opens or closes; midnight before Monday is one alone where it is so."""
        edges = [minute for span in self.spans for minute in span]
        if {0, WEEK_MINUTES} <= set(edges):
            edges = [minute for minute in edges if 0 < minute < WEEK_MINUTES]
        return edges

    def _until_edge_s(self, at: datetime, edges: list[int]) -> float:
        """Seconds until the next edge, if the clock is not changed before."""
        second = self._second_of_week(at)
        return min((minute * 60 - second) % WEEK_S or WEEK_S for minute in edges)

    def _second_of_week(self, moment: datetime) -> float:
        local = self.local(moment)
        of_day_s = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
        return local.weekday() * 86400 + of_day_s

    def _offset(self, moment: datetime) -> timedelta | None:
        return self.local(moment).utcoffset()

    def _clock_change(self, before: datetime, after: datetime) -> datetime:
        """The first whole second with another offset than `before` has."""
        offset, early = self._offset(before), before.replace(microsecond=0)
        late = after if after.microsecond == 0 else after.replace(microsecond=0) + timedelta(seconds=1)
        while late - early > timedelta(seconds=1):
            middle = (early + (late - early) / 2).replace(microsecond=0)
            if self._offset(middle) == offset:
                early = middle
            else:
                late = middle
        return late


def merged(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans of the week in order, those that meet made one. One that is longer than the week ends goes on at its
    begin."""
    within: list[tuple[int, int]] = []
    for start, end in spans:
        within.append((start, min(end, WEEK_MINUTES)))
        if end > WEEK_MINUTES:
            within.append((0, end - WEEK_MINUTES))
    found: list[tuple[int, int]] = []
    for start, end in sorted(within):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)
