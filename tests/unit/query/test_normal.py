"""Normal forms of values and ends of ranges."""

from __future__ import annotations

import time

import pytest

from gateway.query.normal import bounds, folded_groups, in_utc, normal

FORMS = {
    "date": ("DA", "20240105", "20240105"),
    "old date": ("DA", "2024.01.05", "20240105"),
    "date that is none": ("DA", "2024-01-05", None),
    "time": ("TM", "101500", "101500.000000"),
    "old time": ("TM", "10:15:00", "101500.000000"),
    "hour": ("TM", "10", "100000.000000"),
    "fraction": ("TM", "101500.5", "101500.500000"),
    "half an hour's digit": ("TM", "101", None),
    "fraction without seconds": ("TM", "1015.5", None),
    "date-time in UTC": ("DT", "20240105101500.25+0100", "20240105091500.250000"),
    "date-time across midnight": ("DT", "20231231233000-0100", "20240101003000.000000"),
    "year": ("DT", "2024", "20240101000000.000000"),
    "leap second": ("DT", "20161231235960+0000", "20161231235960.000000"),
    "number": ("IS", "+007", "7"),
    "negative": ("IS", "-3", "-3"),
    "no number": ("IS", "seven", None),
    "decimal": ("DS", "7e1", "70.0"),
    "text": ("LO", "as it is", "as it is"),
    "name": ("PN", "Doe ^John^^^", "doe^john"),
}


@pytest.mark.parametrize("name", FORMS)
def test_normal_form(name: str) -> None:
    vr, value, form = FORMS[name]
    assert normal(value, vr) == form


NAMES = {
    "case": ("DOE^JOHN", ("doe^john",)),
    "diacritics": ("Müller^Jörg", ("muller^jorg",)),
    "sharp s": ("Groß", ("gross",)),
    "decomposed": ("Mu\u0308ller", ("muller",)),
    "groups": ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("yamada^tarou", "山田^太郎", "やまだ^たろう")),
    "only ideographic": ("=山田", ("", "山田")),
    "empty ends": ("Doe^^=  =", ("doe",)),
    "four groups": ("a=b=c=d", ("a", "b", "c")),
    "nothing": ("", ()),
}


@pytest.mark.parametrize("name", NAMES)
def test_folded_name(name: str) -> None:
    value, groups = NAMES[name]
    assert folded_groups(value) == groups


RANGES = {
    "dates": ("DA", "20240101-20240131", ("20240101", "20240131")),
    "from": ("DA", "20240101-", ("20240101", "")),
    "up to": ("DA", "-20240131", ("", "20240131")),
    "no end": ("DA", "-", None),
    "half a date": ("DA", "2024-", None),
    "times": ("TM", "10-1130", ("100000.000000", "113059.999999")),
    "date-times": ("DT", "2023-2024", ("20230101000000.000000", "20241231235959.999999")),
    "february": ("DT", "-202402", ("", "20240229235959.999999")),
    "offset in front": ("DT", "20240101-0500-20240102-0500", ("20240101050000.000000", "20240103045959.999999")),
    "date-time, from, with offset": ("DT", "20240101+0100-", ("20231231230000.000000", "")),
}


@pytest.mark.parametrize("name", RANGES)
def test_bounds(name: str) -> None:
    vr, value, ends = RANGES[name]
    assert bounds(value, vr) == ends


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("20240105101500.000000", "", "20240105101500.000000"),
        ("20240105101500.123456", "+0530", "20240105044500.123456"),
        ("20240105101500.000000", "nonsense", "20240105101500.000000"),
        ("00010101000000.000000", "+0100", None),
        ("20240231000000.000000", "+0100", None),
    ],
    ids=["no offset", "half hours", "no offset at all", "before all time", "no day"],
)
def test_in_utc(text: str, offset: str, expected: str | None) -> None:
    assert in_utc(text, offset) == expected


def test_many_marks_behind_a_letter_cost_linear_time() -> None:
    """Python's normalization sorts them in the square of their number: minutes for this text."""
    started = time.thread_time()
    assert folded_groups("Do\u0308e" + "\u0301\u0316" * 120_000 + "^J") == ("doe^j",)
    assert time.thread_time() - started < 5


def test_a_long_text_of_hyphens_is_no_range() -> None:
    started = time.thread_time()
    assert bounds("-" * 4_000_000, "DA") is None
    assert time.thread_time() - started < 1
