"""Delivery windows over a year of changes of the clock, beside every single minute of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.common.week import spans_of
from gateway.model.delivery_window import WEEK_MINUTES, DeliveryWindow, merged

MINUTE = timedelta(minutes=1)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
YEAR_MINUTES = 365 * 1440
QUARTER = 15
"""No zone of these changes its clock within a quarter of an hour of UTC."""
ZONES = (
    "Europe/Berlin",
    "America/Santiago",  # south; the hour from midnight is left out
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",  # four changes in some years, by the moon
    "Asia/Tokyo",  # none
)
TEXTS = (
    ("Mo-Fr 18:00-06:00", "Sa,Su"),
    ("00:30-02:30",),
    ("Su 02:15-02:45",),
    ("Sa 23:00-24:00", "Su 00:00-01:00", "We"),
    ("Fr-Mo 22:00-00:00", "tu 03:00-02:00"),
)


def window(*texts: str, zone: str = "Europe/Berlin") -> DeliveryWindow:
    return DeliveryWindow(merged([span for text in texts for span in spans_of(text)]), ZoneInfo(zone))


def open_minutes(texts: tuple[str, ...]) -> bytearray:
    """For each minute of the week whether it is within the window: minute by minute."""
    found = bytearray(WEEK_MINUTES)
    for text in texts:
        for start, end in spans_of(text):
            for minute in range(start, end):
                found[minute % WEEK_MINUTES] = 1
    return found


def minutes_of_the_week(zone: str) -> list[int]:
    """For each minute of the year the minute of the week on the clock of `zone`."""
    found: list[int] = []
    for quarter in range(YEAR_MINUTES // QUARTER):
        at = YEAR + quarter * QUARTER * MINUTE
        local, last = at.astimezone(ZoneInfo(zone)), (at + 14 * MINUTE).astimezone(ZoneInfo(zone))
        assert local.utcoffset() == last.utcoffset()
        first = local.weekday() * 1440 + local.hour * 60 + local.minute
        found += [(first + minute) % WEEK_MINUTES for minute in range(QUARTER)]
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_it_opens_and_closes_in_each_minute_of_a_year_in_which_it_should(zone: str) -> None:
    week = minutes_of_the_week(zone)
    for texts in TEXTS:
        table, at, changes = open_minutes(texts), YEAR, []
        asked = window(*texts, zone=zone)
        is_open = [table[minute] for minute in week]
        assert asked.is_open(YEAR) == bool(is_open[0])
        while (change := asked.changes_at(at)) is not None and change < YEAR + YEAR_MINUTES * MINUTE:
            changes.append(change)
            at = change
        expected = [YEAR + n * MINUTE for n in range(1, YEAR_MINUTES) if is_open[n] != is_open[n - 1]]
        assert changes == expected, (zone, texts)


@pytest.mark.parametrize(
    ("texts", "moment", "change"),
    [
        (("Su 02:00-02:30",), "2026-10-25T00:10:00", "2026-10-25T00:30:00"),  # the hour exists twice: the first one
        (("Su 02:00-02:30",), "2026-10-25T00:30:00", "2026-10-25T01:00:00"),
        (("Su 02:00-02:30",), "2026-10-25T01:10:00", "2026-10-25T01:30:00"),  # the second one
        (("Su 02:15-02:45",), "2026-03-28T12:00:00", "2026-04-05T00:15:00"),  # it does not exist: a week later
        (("Su 02:30-04:00",), "2026-03-28T12:00:00", "2026-03-29T01:00:00"),  # open with the change, at 03:00
        (("Su 01:30-02:30",), "2026-03-29T00:40:00", "2026-03-29T01:00:00"),  # closed with it
        (("Mo-Fr 18:00-06:00", "Sa,Su"), "2026-03-27T17:00:00", "2026-03-29T22:00:00"),
        (("Mo 12:00-12:01",), "2026-01-05T11:00:30.5", "2026-01-05T11:01:00"),
    ],
)
def test_it_follows_the_clock_of_its_place(texts: tuple[str, ...], moment: str, change: str) -> None:
    at, then = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (moment, change))
    assert window(*texts).changes_at(at) == then


def test_one_that_is_always_open_never_changes() -> None:
    assert window("00:00-24:00").changes_at(YEAR) is None
    assert window("Mo-Su 06:00-06:01", "06:01-06:00").changes_at(YEAR) is None


def test_the_zone_of_the_machine_is_that_of_no_other() -> None:
    here = DeliveryWindow(merged(spans_of("12:00-13:00")))
    noon = datetime(2026, 6, 1, 12, 30).astimezone()
    assert here.is_open(noon)
    assert here.changes_at(noon) == noon + timedelta(minutes=30)


@given(
    spans=st.lists(
        st.tuples(st.integers(0, WEEK_MINUTES - 1), st.integers(1, 2000)).map(lambda each: (each[0], sum(each))),
        min_size=1,
        max_size=4,
    ),
    minute=st.integers(0, 3 * YEAR_MINUTES),
    zone=st.sampled_from(ZONES),
)
def test_it_stays_as_it_is_until_it_changes(spans: list[tuple[int, int]], minute: int, zone: str) -> None:
    asked, at = DeliveryWindow(merged(spans), ZoneInfo(zone)), YEAR + minute * MINUTE
    change = asked.changes_at(at)
    assert change is not None
    assert change > at
    assert asked.is_open(change) != asked.is_open(at)
    step = (change - at) / 200
    assert {asked.is_open(at + step * n) for n in range(200)} == {asked.is_open(at)}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("texts", TEXTS)
def test_time_that_it_was_open_is_counted_back(zone: str, texts: tuple[str, ...]) -> None:
    asked, now = window(*texts, zone=zone), datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    was_open = 70
    begun = asked.before(now, was_open * 60)
    minutes = int((now - begun) / MINUTE)
    assert sum(asked.is_open(begun + n * MINUTE) for n in range(minutes)) == was_open
    assert asked.is_open(begun)


def test_nobody_looks_back_for_ever() -> None:
    now = YEAR
    assert window("Mo 00:00-00:01").before(now, 365 * 86400) < now - timedelta(days=1000)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(60, 120), (120, 180), (0, 30)], ((0, 30), (60, 180))),
        ([(60, 240), (70, 80)], ((60, 240),)),
        ([(WEEK_MINUTES - 60, WEEK_MINUTES + 60)], ((0, 60), (WEEK_MINUTES - 60, WEEK_MINUTES))),
        ([(0, WEEK_MINUTES)], ((0, WEEK_MINUTES),)),
    ],
)
def test_spans_that_meet_are_one(spans: list[tuple[int, int]], expected: tuple[tuple[int, int], ...]) -> None:
    assert merged(spans) == expected
