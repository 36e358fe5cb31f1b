"""With which requests a source is asked for instances."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model.query import QueryLevel
from gateway.query.attributes import (
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gateway.retrieve.fetch_requests import MOST_UIDS, FetchRequest, requests
from gateway.retrieve.source_instances import SourceInstance

PATIENT, STUDY, SERIES, IMAGE = QueryLevel


def item(name: str) -> SourceInstance:
    """``study.series.instance``."""
    study, series, _ = name.split(".")
    return SourceInstance(name, "1.2", f"{study}.{series}", study, "P")


STUDIES = ["1.1.1", "1.1.2", "1.2.1", "2.1.1"]

ROWS = {
    "all of a study": (STUDY, "1.1.1 1.1.2 1.2.1", [(STUDY, "1.1.1 1.1.2 1.2.1")]),
    "all of two studies": (
        PATIENT,
        "1.1.1 1.1.2 1.2.1 2.1.1",
        [(STUDY, "1.1.1 1.1.2 1.2.1"), (STUDY, "2.1.1")],
    ),
    "a series of a study": (STUDY, "1.1.1 1.1.2", [(SERIES, "1.1.1 1.1.2")]),
    "a series and a part of another": (STUDY, "1.2.1 1.1.1", [(SERIES, "1.2.1"), (IMAGE, "1.1.1")]),
    "whole series, where the level is series": (SERIES, "1.1.1 1.1.2 1.2.1", [(SERIES, "1.1.1 1.1.2 1.2.1")]),
    "instances, where the level is image": (IMAGE, "1.1.1 1.1.2", [(IMAGE, "1.1.1 1.1.2")]),
    "instances of two series": (IMAGE, "1.1.1 1.2.1", [(IMAGE, "1.1.1"), (IMAGE, "1.2.1")]),
    "nothing": (STUDY, "", []),
}


@pytest.mark.parametrize("name", ROWS)
def test_requests(name: str) -> None:
    level, wanted, expected = ROWS[name]
    held = {uid: item(uid) for uid in STUDIES}

    found = list(requests(level, [held[uid] for uid in wanted.split()], held))

    assert [(each.level, " ".join(one.sop_instance_uid for one in each.items)) for each in found] == expected


def test_of_a_patient_no_study_is_asked_for_as_a_whole() -> None:
    """Some sources look at its UID alone, and another patient may have it as well."""
    held = {uid: item(uid) for uid in STUDIES}
    held["1.3.1"] = dataclasses.replace(item("1.3.1"), patient_id="OTHER")

    found = list(requests(PATIENT, [held[uid] for uid in (*STUDIES, "1.3.1")], held, is_of_patient=True))

    assert all(each.is_of_patient for each in found)
    assert [(each.level, " ".join(one.sop_instance_uid for one in each.items)) for each in found] == [
        (SERIES, "1.1.1 1.1.2 1.2.1"),
        (SERIES, "2.1.1"),
        (SERIES, "1.3.1"),
    ]


def test_every_instance_is_asked_for_once_in_requests_of_bounded_size() -> None:
    held = {f"1.{series}.{number}": item(f"1.{series}.{number}") for series in range(3) for number in range(500)}
    wanted = [one for uid, one in held.items() if not uid.endswith("7")]

    found = list(requests(STUDY, wanted, held))

    assert sorted(one.sop_instance_uid for each in found for one in each.items) == sorted(
        one.sop_instance_uid for one in wanted
    )
    assert {each.level for each in found} == {IMAGE}
    assert max(len(each.items) for each in found) == MOST_UIDS
    assert all(len({one.series_instance_uid for one in each.items}) == 1 for each in found)


@pytest.mark.parametrize(
    ("level", "tags"),
    [
        (STUDY, {STUDY_INSTANCE_UID: ("1",)}),
        (SERIES, {STUDY_INSTANCE_UID: ("1",), SERIES_INSTANCE_UID: ("1.1", "1.2")}),
        (
            IMAGE,
            {
                STUDY_INSTANCE_UID: ("1",),
                SERIES_INSTANCE_UID: ("1.1", "1.2"),
                SOP_INSTANCE_UID: ("1.1.1", "1.1.2", "1.2.1"),
            },
        ),
    ],
    ids=["study", "series", "image"],
)
def test_identifier(level: QueryLevel, tags: dict[int, tuple[str, ...]]) -> None:
    request = FetchRequest(level, tuple(map(item, ["1.1.1", "1.1.2", "1.2.1"])))

    assert request.identifier(has_patient_level=False) == {QUERY_RETRIEVE_LEVEL: (level.value,), **tags}
    assert request.identifier(has_patient_level=True) == {
        QUERY_RETRIEVE_LEVEL: (level.value,),
        PATIENT_ID: ("P",),
        **tags,
    }
