"""Times of day as text: ``18:00-06:00`` → minutes."""

from __future__ import annotations

import re

DAY_MINUTES = 1440


def minutes_of(text: str) -> tuple[int, int]:
    """``18:00-06:00`` → (1080, 360): minutes of a day, the second one past midnight when it is smaller.

    Raises:
        ValueError: it is none, or empty.
    """
    match = re.fullmatch(r"(\d\d):(\d\d) ?- ?(\d\d):(\d\d)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a window such as 18:00-06:00")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if start >= DAY_MINUTES or end > DAY_MINUTES or int(match[2]) > 59 or int(match[4]) > 59:
        raise ValueError(f"{text!r} holds no time of day: from 00:00 to 23:59, as an end also 24:00")
    if start == end:
        raise ValueError(f"{text!r} is empty; the whole day is 00:00-24:00")
    return start, end
