"""Windows of time, samples and expressions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.effort import processor_time_below
from tests.unit.routing.build import facts, predicate, problems_of_predicate

NIGHT = {"between": "18:00-06:00", "days": "mon-fri", "time_zone": "Europe/Berlin"}

WINDOWS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "begins": (NIGHT, "2026-11-20T17:00", True),  # Friday 18:00 in Berlin
    "just-before": (NIGHT, "2026-11-20T16:59", False),
    "after-midnight": (NIGHT, "2026-11-21T04:59", True),  # Saturday 05:59, of Friday's window
    "ends": (NIGHT, "2026-11-21T05:00", False),
    "not-on-saturday": (NIGHT, "2026-11-21T20:00", False),
    "sunday-night-is-no-weekday": (NIGHT, "2026-11-23T03:00", False),  # Monday 04:00, of Sunday's window
    "monday-evening": (NIGHT, "2026-11-23T17:00", True),
    "summer-time": (NIGHT, "2026-07-01T16:00", True),  # Wednesday 18:00 in Berlin
    "day": ({"between": "08:00-17:00", "time_zone": "UTC"}, "2026-11-21T08:00", True),
    "day-end": ({"between": "08:00-17:00", "time_zone": "UTC"}, "2026-11-21T17:00", False),
    "second-window": ({"between": ["01:00-02:00", "08:00-17:00"], "time_zone": "UTC"}, "2026-11-21T09:00", True),
    "whole-day": ({"between": "00:00-24:00", "time_zone": "UTC"}, "2026-11-21T23:59", True),
    "days-alone": ({"days": ["sat", "sun"], "time_zone": "UTC"}, "2026-11-21T23:59", True),
    "days-alone-not": ({"days": ["sat", "sun"], "time_zone": "UTC"}, "2026-11-23T00:00", False),
    "days-over-the-week-end": ({"days": "fri-mon", "time_zone": "UTC"}, "2026-11-23T00:00", True),
    "day-of-the-zone": ({"days": "sun", "time_zone": "Pacific/Auckland"}, "2026-11-21T12:00", True),
    "upper-case": ({"days": "SAT", "time_zone": "UTC"}, "2026-11-21T12:00", True),
}


@pytest.mark.parametrize(("config", "received_at", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_windows(config: dict[str, Any], received_at: str, expected: bool) -> None:
    moment = datetime.fromisoformat(received_at).replace(tzinfo=UTC)
    assert predicate({"time": config})(facts({}, received_at=moment)) is expected


def test_without_a_zone_it_is_the_clock_of_this_machine() -> None:
    moment = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    here = moment.astimezone()
    window = f"{here:%H:%M}-{'24:00' if here.hour == 23 else f'{here.hour + 1:02}:00'}"
    assert predicate({"time": {"between": window}})(facts({}, received_at=moment))


def test_a_window_is_reported_with_its_zone() -> None:
    condition: Any = predicate({"time": NIGHT})
    moment = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    told = condition.compared(facts({}, received_at=moment), with_values=False)
    assert told == "it was received on fri 2026-11-20 18:00 CET"


def share(percent: float, salt: str = "", count: int = 2000) -> set[int]:
    condition = predicate({"sample": {"percent": percent, "salt": salt}})
    return {one for one in range(count) if condition(facts({"StudyInstanceUID": f"1.2.{one}"}))}


def test_samples_have_their_share_and_contain_each_other() -> None:
    ten, twenty = share(10), share(20)
    assert 140 < len(ten) < 260
    assert 330 < len(twenty) < 470
    assert ten < twenty
    assert share(0, count=200) == set()
    assert len(share(100, count=200)) == 200


def test_another_salt_is_another_share() -> None:
    other = share(10, "teaching", 500)
    assert other != share(10, count=500)
    assert other == share(10, "teaching", 500)


def test_a_share_is_the_same_everywhere() -> None:
    """Pinned: an update that drew other lots would send the other halves of studies."""
    assert sorted(share(5, "teaching", 60)) == PINNED


PINNED = [4, 23, 28, 47]

SAMPLES: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {
    "absent": ({"percent": 100}, {}, False),
    "empty": ({"percent": 100}, {"StudyInstanceUID": ""}, False),
    "by-another": ({"percent": 100, "by": "PatientID"}, {"PatientID": "x"}, True),
    "multi-valued": ({"percent": 100, "by": "ImageType"}, {"ImageType": "A\\B"}, True),
}


@pytest.mark.parametrize(("config", "attributes", "expected"), SAMPLES.values(), ids=SAMPLES)
def test_samples(config: dict[str, Any], attributes: dict[str, str], expected: bool) -> None:
    assert predicate({"sample": config})(facts({**attributes, "Modality": "MR"})) is expected


OBJECT = {
    "Rows": "\x00\x02",
    "SliceThickness": "2.5",
    "PatientID": "A12",
    "ImageType": "ORIGINAL\\PRIMARY",
    "StudyID": "",
}

EXPRESSIONS: dict[str, tuple[str, bool]] = {
    "number": ("Rows|int > 511", True),
    "number-not": ("Rows|int > 512", False),
    "float": ("SliceThickness|float * 2 == 5", True),
    "text": ("PatientID.startswith('A') and PatientID[1:]|int == 12", True),
    "several-values": ("'PRIMARY' in ImageType.split('\\\\')", True),
    "association": ("association.calling_ae_title == 'MR1'", True),
    "absent-is-empty": ("StudyDescription == ''", True),
    "empty-is-false": ("StudyID", False),
    "text-is-true": ("PatientID", True),
    "zero-is-false": ("0", False),
    "conditional": ("true if StudyID else PatientID == 'A12'", True),
    "fails-on-types": ("Rows > 5", False),
    "fails-on-numbers": ("1 / 0 > 0", False),
    "bomb-text": ("('x' * 1000000000)|length > 0", False),
    "bomb-list": ("([1] * 1000000000)|length > 0", False),
    "bomb-replace": ("(PatientID ~ PatientID).replace('', 'x' ~ PatientID)|length > 0", True),
    "bomb-padding": ("'%0999999999d' % 5", False),
}


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_expressions(text: str, expected: bool) -> None:
    with processor_time_below(2):
        assert predicate({"expression": text})(facts({**OBJECT})) is expected


def test_why_an_expression_fails_is_reported_without_values() -> None:
    condition: Any = predicate({"expression": "PatientID > 5"})
    told = condition.compared(facts(OBJECT), with_values=False)
    assert told == "it fails on this object: TypeError; attributes are text, and |int makes a number of one"
    other: Any = predicate({"expression": "PatientID"})
    assert other.compared(facts(OBJECT), with_values=False) == "the expression is true"


WALKS = {
    "class": "PatientID.__class__",
    "mro": "''.__class__.__mro__[1].__subclasses__()",
    "format": "PatientID.format(x=association)",
    "subscript": "association['__class__']",
    "globals": "association.__init__.__globals__",
    "filter": "PatientID|attr('__class__')",
    "map": "[PatientID]|map(attribute='__class__')|list",
    "loop": "[x for x in PatientID]",
    "cycler": "cycler('a')",
}


@pytest.mark.parametrize("text", WALKS.values(), ids=WALKS)
def test_no_way_out_of_the_sandbox(text: str) -> None:
    found = problems_of_predicate({"expression": text})
    assert [(path, code) for path, code, _message in found] == [(("expression",), "bad-expression")]


def test_deep_expressions_are_refused() -> None:
    for text in ("(" * 4000 + "1" + ")" * 4000, "not " * 2000 + "1", "+".join(["1"] * 4000), "1" * 20000):
        assert problems_of_predicate({"expression": text})
