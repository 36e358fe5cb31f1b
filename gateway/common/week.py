"""Times of the week as text: ``Mo-Fr 18:00-06:00`` → minutes of the week."""

from __future__ import annotations

from gateway.common.setting_faults import quoted
from gateway.common.time_of_day import DAY_MINUTES, minutes_of

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def spans_of(text: str) -> list[tuple[int, int]]:
    """Minutes from Monday 00:00, one span for each day; a span past midnight ends on the day after it, of Sunday after
    the end of the week.

    Raises:
        ValueError: it names no day or no time.
    """
    words = text.strip()
    days, times = ("", words) if words[:1].isdigit() else (words, "")
    if days and days[-1:].isdigit():
        days, _, times = words.rpartition(" ")
    start, end = minutes_of(times) if times else (0, DAY_MINUTES)
    length = (end - start) % DAY_MINUTES or DAY_MINUTES
    return [(day * DAY_MINUTES + start, day * DAY_MINUTES + start + length) for day in sorted(_days(days))]


def _days(text: str) -> set[int]:
    """``Mo-We,Sa`` → 0, 1, 2 and 5; every day without a text."""
    if not text:
        return set(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        start, end = _day(first), _day(last if dash else first)
        found.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return found


def _day(text: str) -> int:
    word = text.strip().casefold()
    for number, name in enumerate(DAY_NAMES):
        if len(word) >= 2 and name.startswith(word):
            return number
    raise ValueError(f"{quoted(text)} is no day of the week; write Mo, Tu, We, Th, Fr, Sa or Su")
