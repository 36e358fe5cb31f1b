"""An instance that is to be taken in: who waits for the answer, and under which name the log counts it."""

from __future__ import annotations

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.intake.incoming import Incoming
from gateway.model.association import AssociationFacts

FACTS = AssociationFacts("CT1", "GATEWAY", "10.0.0.7", peer="ct1", association_id="a1")


class Ended:
    is_over = True


class Open:
    is_over = False


def incoming(requestor: Ended | Open | None = None, *, is_retrieved: bool = False) -> Incoming:
    body = MemoryDataSet(b"")
    return Incoming(FACTS, "1.2", "1.3", "1.2.840.10008.1.2.1", body, requestor, is_retrieved)


def test_it_is_answered_unless_its_association_has_ended() -> None:
    assert incoming(Open()).is_answered
    assert not incoming(Ended()).is_answered
    assert incoming(is_retrieved=True).is_answered


def test_the_log_counts_the_sources_of_a_retrieve_one_by_one() -> None:
    assert incoming(Open()).owner == ""
    assert incoming(is_retrieved=True).owner == "a1 ct1"
