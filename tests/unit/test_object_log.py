"""What the log says of stored and delivered objects: each is counted in exactly one line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.lifecycle.log_summary import SUMMARISED
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.model.peer import Peer
from gateway.object_log import LONGEST_S, MOST_STUDIES, EachObject, EachStudy, Objects, object_log
from tests.support.samples import SecondsClock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer="ct1", association_id="a1")
PACS = (Dispatch("all", "pacs"),)
SENDER = {"calling_ae_title": "CT1", "called_ae_title": "GATEWAY", "peer": "ct1", "association": "a1"}


def instance(study: str = "1.2", size_bytes: int = 10, facts: AssociationFacts = FACTS) -> Instance:
    payload = PayloadRef("segment", 0, size_bytes, b"")
    return Instance("1.5", "1.2.3.4", "1.2.840.10008.1.2", study, f"{study}.1", facts, payload, NOW)


def delivery(study: str = "1.2", destination: str = "pacs", attempts: int = 0) -> Delivery:
    state = DeliveryState.PENDING
    return Delivery(7, instance(study), destination, "all", "", state, attempts, NOW, NOW)


def lines(written: list[Any], *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(line.get(field) for field in fields) for line in written]


def test_an_association_has_one_line_a_study_when_it_ends() -> None:
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        for study, size_bytes in (("1.2", 10), ("1.2", 11), ("1.3", 5), ("1.2", 1)):
            tallies.stored(instance(study, size_bytes), PACS)
        tallies.stored(instance("1.2", 7, replace(FACTS, association_id="a2")), PACS)
        assert written == []
        tallies.association_ended(FACTS)
        tallies.association_ended(FACTS)
    both = {"event": "objects_stored", "log_level": "info", **SENDER}
    assert written == [
        {**both, "count": 3, "bytes": 22, "study_instance_uid": "1.2"},
        {**both, "count": 1, "bytes": 5, "study_instance_uid": "1.3"},
    ]
    with capture_logs() as written:
        tallies.close()
    assert lines(written, "association", "count", "bytes") == [("a2", 1, 7)]


def test_an_association_that_stays_open_is_reported_each_minute() -> None:
    clock = SecondsClock()
    tallies = EachStudy(clock)
    with capture_logs() as written:
        for _ in range(13):  # every ten seconds an object
            tallies.stored(instance(), PACS)
            clock.now_s += 10
            tallies.write_due()
        tallies.association_ended(FACTS)
    assert lines(written, "count") == [(6,), (6,), (1,)]


def test_a_study_that_was_left_for_another_is_reported_at_the_second_look() -> None:
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        tallies.stored(instance("1.2"), PACS)
        tallies.write_due()
        tallies.write_due()
        assert written == []  # it may go on
        tallies.stored(instance("1.3"), PACS)
        tallies.stored(instance("1.2"), PACS)
        tallies.write_due()  # both had something since
        tallies.stored(instance("1.3"), PACS)
        tallies.write_due()
        assert lines(written, "study_instance_uid", "count") == [("1.2", 2)]
        tallies.stored(instance("1.2"), PACS)
        tallies.close()
    assert sum(line["count"] for line in written) == 5


def test_many_studies_take_no_more_memory() -> None:
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        for number in range(10 * MOST_STUDIES):
            tallies.stored(instance(f"1.{number}"), PACS)
        assert len(written) == 9 * MOST_STUDIES
        tallies.association_ended(FACTS)
    assert [line["study_instance_uid"] for line in written] == [f"1.{number}" for number in range(10 * MOST_STUDIES)]


def test_what_was_not_kept_or_not_answered_stands_apart() -> None:
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        tallies.stored(instance(), PACS)
        tallies.stored(instance(), PACS, is_answered=False)
        tallies.dropped(instance())
        tallies.association_ended(FACTS)
    assert lines(written, "count", "bytes", "unanswered", "dropped") == [(2, 20, 1, 1)]


@pytest.mark.parametrize(
    ("modalities", "shown"),
    [
        (["CT", "CT", "SR", "CT"], "CT/SR"),
        (["", ""], None),
        (["SMITH^JOHN", "SMITH", "ct"], None),  # no defined term: it may be anything
        (["MR", "ANONYMOUS"], "MR"),
    ],
)
def test_only_defined_terms_of_modality_are_shown(modalities: list[str], shown: str | None) -> None:
    tallies, each = EachStudy(SecondsClock()), EachObject()
    with capture_logs() as written:
        for modality in modalities:
            tallies.stored(instance(), PACS, modality)
        tallies.association_ended(FACTS)
    assert lines(written, "modality") == [(shown,)]
    with capture_logs() as written:
        for modality in modalities:
            each.stored(instance(), PACS, modality)
    assert {line.get("modality") for line in written} <= {None, "CT", "SR", "MR"}


def test_what_a_source_brings_for_a_retrieve_is_counted_for_itself() -> None:
    """Its association is the requestor's, which may be sending at the same time."""
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        tallies.stored(instance(), PACS)
        tallies.stored(instance(facts=replace(FACTS, calling_ae_title="VNA", peer="vna")), PACS, owner="a1 vna")
        tallies.close()
    assert lines(written, "peer", "count") == [("ct1", 1), ("vna", 1)]


def test_a_destination_has_one_line_a_study_when_it_is_idle() -> None:
    tallies = EachStudy(SecondsClock())
    with capture_logs() as written:
        for waited_s, status in ((1.0, 0), (9.5, 0xB007), (2.0004, 0)):
            tallies.delivered(delivery(), NOW + timedelta(seconds=waited_s), status)
        tallies.delivered(delivery("1.3"), NOW, 0)
        tallies.delivered(delivery(destination="vna"), NOW, 0)
        tallies.destination_idle("pacs")
    both = {"event": "objects_delivered", "log_level": "info", "destination": "pacs"}
    waited = {"first_waited_s": 1.0, "last_waited_s": 2.0, "longest_waited_s": 9.5}
    at_once = dict.fromkeys(waited, 0.0)
    assert written == [
        {**both, "count": 3, "bytes": 30, "study_instance_uid": "1.2", **waited, "with_warning": 1},
        {**both, "count": 1, "bytes": 10, "study_instance_uid": "1.3", **at_once},
    ]


def test_a_destination_that_is_never_idle_is_reported_each_minute() -> None:
    clock = SecondsClock()
    tallies = EachStudy(clock)
    with capture_logs() as written:
        tallies.delivered(delivery(), NOW, 0)
        clock.now_s += LONGEST_S - 1
        tallies.write_due()
        assert written == []
        clock.now_s += 1
        tallies.write_due()
    assert lines(written, "event", "count") == [("objects_delivered", 1)]


def test_each_object_has_its_line() -> None:
    each = EachObject()
    held = Dispatch("hold it", "", "", DeliveryState.HELD)
    with capture_logs() as written:
        each.stored(instance(), PACS)
        each.stored(instance(), (*PACS, held), is_answered=False)
        each.dropped(instance())
        each.delivered(delivery(attempts=2), NOW + timedelta(seconds=3), 0xB000)
        each.close()
    uids = {
        "sop_class_uid": "1.5",
        "sop_instance_uid": "1.2.3.4",
        "series_instance_uid": "1.2.1",
        "study_instance_uid": "1.2",
    }
    both = {"log_level": "info", **uids, **SENDER}
    assert written == [
        {**both, "event": "object_stored", "bytes": 10, "destinations": ["pacs"]},
        {**both, "event": "object_stored", "bytes": 10, "destinations": ["pacs"], "held": 1, "is_answered": False},
        {**both, "event": "object_dropped"},
        {
            **both,
            "event": "object_delivered",
            "bytes": 10,
            "destination": "pacs",
            "delivery_id": 7,
            "rule": "all",
            "status": "0xB000",
            "tries": 3,
            "waited_s": 3.0,
        },
    ]


def test_none_says_nothing() -> None:
    silent = object_log("none", dict)
    with capture_logs() as written:
        silent.stored(instance(), PACS)
        silent.dropped(instance())
        silent.delivered(delivery(), NOW, 0)
        silent.association_ended(FACTS)
        silent.destination_idle("pacs")
        silent.write_due()
        silent.close()
    assert written == []


SWITCHES: dict[str, tuple[Objects, Objects | None, Objects | None, list[str]]] = {
    "as the gateway's settings say": ("object", None, None, ["object_stored", "object_dropped", "object_delivered"]),
    "the sender's": ("none", "object", None, ["object_stored", "object_dropped"]),
    "the destination's": ("none", None, "object", ["object_delivered"]),
    "none of a sender": ("study", "none", None, ["objects_delivered"]),
    "studies of a destination": ("object", None, "study", ["object_stored", "object_dropped", "objects_delivered"]),
}


@pytest.mark.parametrize(("ours", "sender", "destination", "told"), SWITCHES.values(), ids=SWITCHES)
def test_a_peer_has_a_switch_of_its_own(
    ours: Objects, sender: Objects | None, destination: Objects | None, told: list[str]
) -> None:
    named = {FACTS.peer: Peer(FACTS.peer, log_objects=sender), "pacs": Peer("pacs", log_objects=destination)}
    switched = object_log(ours, lambda: named)
    with capture_logs() as written:
        switched.stored(instance(), PACS)
        switched.dropped(instance())
        switched.association_ended(FACTS)
        switched.delivered(delivery(), NOW, 0)
        switched.destination_idle("pacs")
        switched.close()
    assert [line["event"] for line in written] == told


def test_what_was_counted_before_a_switch_has_its_line() -> None:
    named = {"pacs": Peer("pacs")}
    switched = object_log("study", lambda: named)
    with capture_logs() as written:
        switched.delivered(delivery(), NOW, 0)
        named["pacs"] = Peer("pacs", log_objects="none")
        switched.delivered(delivery(), NOW, 0)
        switched.write_due()
        switched.close()
    assert [(line["event"], line["count"]) for line in written] == [("objects_delivered", 1)]


def test_no_line_of_an_object_is_ever_summarised() -> None:
    """The log has the outcome of each object."""
    told = {"objects_stored", "objects_delivered", "object_stored", "object_dropped", "object_delivered"}
    assert not told & SUMMARISED
