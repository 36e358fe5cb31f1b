"""Measures of served requests."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.services.served import INTERRUPTED, count_find, count_retrieve, count_store, request_fields
from gateway.model.association import AssociationFacts
from gateway.ports.meter import NoMeter

FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer="ct1", association_id="a1")


class Counts(NoMeter):
    def __init__(self) -> None:
        self.counted: list[tuple[str, float, dict[str, str]]] = []

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.counted.append((name, amount, labels))


def association(meter: Counts, facts: AssociationFacts = FACTS) -> Any:
    outcomes: dict[str, dict[str, int]] = {}
    return SimpleNamespace(host=SimpleNamespace(meter=meter), facts=facts, store_measures=None, outcomes=outcomes)


@pytest.mark.parametrize(("status", "is_kept"), [(0x0000, True), (0xB007, True), (0xA700, False), (0xC000, False)])
def test_bytes_count_when_they_were_taken(status: int, is_kept: bool) -> None:
    meter = Counts()
    message: Any = SimpleNamespace(complete_s=0.0, body=MemoryDataSet(b"12345"))
    count_store(association(meter), message, status)
    instances = ("gateway_received_instances_total", 1, {"peer": "ct1", "status": f"0x{status:04X}"})
    taken = ("gateway_received_bytes_total", 5, {"peer": "ct1"})
    assert meter.counted == ([instances, taken] if is_kept else [instances])


def test_the_measures_of_a_requestor_follow_its_peer() -> None:
    meter = Counts()
    one, message = association(meter), SimpleNamespace(complete_s=0.0, body=None)
    count_store(one, message, 0xA700)  # type: ignore[arg-type]
    one.facts = replace(FACTS, peer="other")
    count_store(one, message, 0xA700)  # type: ignore[arg-type]
    assert [labels["peer"] for _, _, labels in meter.counted] == ["ct1", "other"]
    assert one.outcomes == {"c_store": {"0xA700": 2}}, "the association is one"


def test_strangers_share_a_label() -> None:
    meter = Counts()
    count_find(meter, AssociationFacts("X", "GATEWAY", "10.0.0.8"), "0x0000", 0.1)
    assert meter.counted == [("gateway_find_requests_total", 1, {"peer": "(stranger)", "status": "0x0000"})]


@pytest.mark.parametrize(("outcome", "status"), [("0xA701", "0xA701"), ("the peer asked for release", INTERRUPTED)])
def test_the_end_of_an_association_is_one_status(outcome: str, status: str) -> None:
    meter = Counts()
    count_retrieve(association(meter), "move", outcome, 0.1)
    labels = {"service": "move", "peer": "ct1", "status": status}
    assert meter.counted == [("gateway_retrieve_requests_total", 1, labels)]


def test_the_fields_of_a_line_name_the_requestor() -> None:
    message: Any = SimpleNamespace(context=SimpleNamespace(abstract_syntax="1.2"))
    assert request_fields(association(Counts()), message) == {
        "sop_class_uid": "1.2",
        "calling_ae_title": "CT1",
        "peer": "ct1",
        "remote_host": "10.0.0.7",
        "association": "a1",
    }
