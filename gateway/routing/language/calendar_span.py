"""Spans of time as rules write them: ``18 Y``, ``6 M``, ``2 W``, ``30 D``, ``12 h``, ``90 min``, ``10 s``."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_SPAN = re.compile(r"(\d{1,6}) ?(Y|y|M|W|w|D|d|h|min|s)", re.ASCII)
_SECONDS = {"D": 86400, "d": 86400, "W": 604800, "w": 604800, "h": 3600, "min": 60, "s": 1}
_MONTHS = {"Y": 12, "y": 12, "M": 1}


@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """A span by the calendar: `months`, then `seconds`."""

    months: int
    seconds: int
    text: str

    @property
    def is_in_days(self) -> bool:
        """True when it is made of whole days, so that dates can be compared by it."""
        return self.seconds % 86400 == 0

    def day_before(self, today: date) -> date:
        """The date this span before `today`; a day that its month does not have is the month's last. Never raises."""
        try:
            return _months_before(today, self.months) - timedelta(seconds=self.seconds)
        except (OverflowError, ValueError):
            return date.min

    def moment_before(self, now: datetime) -> datetime:
        """The aware time this span before `now`, by the calendar of its zone. Never raises."""
        try:
            day = _months_before(now.date(), self.months)
            return now.replace(year=day.year, month=day.month, day=day.day) - timedelta(seconds=self.seconds)
        except (OverflowError, ValueError):
            return datetime.min.replace(tzinfo=UTC)


def span(text: str) -> CalendarSpan:
    """The span that `text` says.

    Raises:
        ValueError: it says none.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        hint = "; M is months, min is minutes" if re.fullmatch(r"\d+ ?m", text.strip()) else ""
        raise ValueError(f"{text!r} is not a span such as 18 Y, 6 M, 2 W, 30 D, 12 h, 90 min or 10 s{hint}")
    count, unit = int(match[1]), match[2]
    return CalendarSpan(count * _MONTHS.get(unit, 0), count * _SECONDS.get(unit, 0), text.strip())


def _months_before(today: date, months: int) -> date:
    index = today.year * 12 + today.month - 1 - months
    year, month = index // 12, index % 12 + 1
    if year < 1:
        return date.min
    return date(year, month, min(today.day, calendar.monthrange(year, month)[1]))
