"""Keyed replacements: valid, stable, and without a way back by chance."""

from __future__ import annotations

import datetime
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset.encode import problem_with
from gateway.routing.language.pseudonym import (
    hashed_text,
    hashed_uid,
    is_well_known,
    keyed,
    patient_of,
    shift_days,
    shifted,
)

KEY = b"a key of the tests"


def test_replacements_never_change_between_versions() -> None:
    """What was sent yesterday must meet what is sent after an update."""
    assert hashed_uid(KEY, "1.2.3") == "2.25.253428239109604134661510367707451075070"
    assert shift_days(KEY, patient_of("0042", "HOSPITAL"), (-365, -1)) == -163
    assert hashed_text(KEY, "0042", 16) == "TFGT76WA5NWQTZKM"


@given(st.from_regex(r"\A[0-2](\.(0|[1-9][0-9]{0,9})){1,5}\Z"))
def test_hashed_uids_are_valid_and_stable(uid: str) -> None:
    hashed = hashed_uid(KEY, uid)
    assert problem_with((hashed,), "UI") is None
    assert hashed == hashed_uid(KEY, uid + "\0") == hashed_uid(KEY, f" {uid} ")
    assert hashed != hashed_uid(KEY + b"!", uid)
    number = uuid.UUID(int=int(hashed.removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


def test_hashed_uids_do_not_meet() -> None:
    assert len({hashed_uid(KEY, f"1.2.{number}") for number in range(5000)}) == 5000


WELL_KNOWN = {
    "ct-image": ("1.2.840.10008.5.1.4.1.1.2", True),
    "explicit": ("1.2.840.10008.1.2.1", True),
    "palette": ("1.2.840.10008.1.5.1", True),
    "newer-than-the-dictionary": ("1.2.840.10008.5.1.4.1.1.9999", True),
    "instance": ("1.2.840.113619.2.5.1762583153.215519.978957063.78", False),
    "nearly-the-root": ("1.2.840.100081.1", False),
    "uuid": ("2.25.1", False),
}


@pytest.mark.parametrize(("uid", "expected"), WELL_KNOWN.values(), ids=WELL_KNOWN)
def test_well_known_uids(uid: str, expected: bool) -> None:
    assert is_well_known(uid) is expected


def test_texts_are_kept_apart() -> None:
    assert keyed(KEY, "x", "a", "bc") != keyed(KEY, "x", "ab", "c")
    assert keyed(KEY, "xa", "b") != keyed(KEY, "x", "ab")
    assert patient_of("1", "2") != patient_of("12") != patient_of("", "", "12")


@given(st.text(), st.integers(-500, 500), st.integers(0, 500))
def test_days_are_within_the_range_and_not_nothing(patient: str, least: int, size: int) -> None:
    days = shift_days(KEY, patient, (least, least + size))
    assert least <= days <= least + size
    assert days == shift_days(KEY, patient, (least, least + size))
    assert days != 0 or (least, size) == (0, 0)


def test_every_day_of_the_range_is_used() -> None:
    assert {shift_days(KEY, str(patient), (-3, 3)) for patient in range(300)} == {-3, -2, -1, 1, 2, 3}


def test_an_empty_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="is empty"):
        shift_days(KEY, "", (1, 0))


MOVED = {
    "date": ("20200228", "DA", 2, "20200301"),
    "back": ("20200101", "DA", -1, "20191231"),
    "padded": ("20200101 ", "DA", 1, "20200102"),
    "empty": ("", "DA", 5, ""),
    "old-form": ("2020.02.28", "DA", 1, "20200229"),
    "year": ("2020", "DA", 5, "2020"),
    "year-that-changes": ("2020", "DT", 184, "2021"),
    "month": ("202001", "DT", 17, "202002"),
    "range": ("20200101-20200131", "DA", 1, "20200102-20200201"),
    "from": ("20200101-", "DA", 1, "20200102-"),
    "until": ("-20200131", "DA", 1, "-20200201"),
    "first-year": ("00010101", "DA", 1, "00010102"),
    "time": ("20200229235959.123456", "DT", 366, "20210301235959.123456"),
    "hours": ("2020022923", "DT", 1, "2020030123"),
    "zone": ("20200229120000+0100", "DT", 1, "20200301120000+0100"),
    "zone-west": ("20200229120000-0500", "DT", 1, "20200301120000-0500"),
    "year-with-zone": ("2020-0500", "DT", 1, "2020-0500"),
    "date-in-dt": ("20200229", "DT", 1, "20200301"),
    "dt-range": ("20200101-20200131", "DT", 1, "20200102-20200201"),
    "dt-range-with-zones": (
        "20200101120000-0500-20200131120000-0500", "DT", 1, "20200102120000-0500-20200201120000-0500",
    ),
    "dt-from-with-zone": ("20200101120000-0500-", "DT", 1, "20200102120000-0500-"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "vr", "days", "expected"), MOVED.values(), ids=MOVED)
def test_moved_dates(text: str, vr: str, days: int, expected: str) -> None:
    assert shifted(text, vr, days) == expected


NO_DATES = {
    "word": ("yesterday", "DA"),
    "no-such-day": ("20200230", "DA"),
    "month-0": ("20200001", "DA"),
    "american": ("02/28/2020", "DA"),
    "seven-digits": ("2020022", "DA"),
    "time-in-a-date": ("20200228120000", "DA"),
    "only-a-hyphen": ("-", "DA"),
    "range-of-nothing": ("20200101-x", "DA"),
    "arabic-digits": ("٢٠٢٠٠١٠١", "DA"),
    "year-0": ("00000101", "DA"),
    "hyphens": ("-" * 10_000, "DT"),
    "time-after-a-month": ("2020021", "DT"),
    "fraction-without-seconds": ("202002281200.5", "DT"),
}


@pytest.mark.parametrize(("text", "vr"), NO_DATES.values(), ids=NO_DATES)
def test_what_is_no_date_is_an_error(text: str, vr: str) -> None:
    with pytest.raises(ValueError, match=r"date|time") as error:
        shifted(text, vr, 1)
    assert text not in str(error.value) or text == "-"


def test_dates_do_not_leave_the_calendar() -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        shifted("99991231", "DA", 1)


@given(st.dates(min_value=datetime.date(101, 1, 1), max_value=datetime.date(9800, 1, 1)), st.integers(-36500, 36500))
def test_intervals_stay(day: datetime.date, days: int) -> None:
    moved = shifted(f"{day:%Y%m%d}".zfill(8), "DA", days)
    assert datetime.date(int(moved[:4]), int(moved[4:6]), int(moved[6:])) - day == datetime.timedelta(days)


@given(st.text(min_size=1), st.integers(1, 51))
def test_hashed_texts_fit_every_text_vr(text: str, length: int) -> None:
    hashed = hashed_text(KEY, text, length)
    assert re.fullmatch(f"[A-Z2-7]{{{length}}}", hashed)
    assert hashed == hashed_text(KEY, text, length)


def test_an_empty_text_stays_empty() -> None:
    assert hashed_text(KEY, "", 16) == ""
