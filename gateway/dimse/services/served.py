"""Requests that were served or refused: the log fields that they have in common, and their measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.assembly import Message
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import SUCCESS, WARNINGS
from gateway.ports.meter import Meter, peer_label

INTERRUPTED = "interrupted"
"""The outcome in place of a status when the association ended before the final response."""


def request_fields(association: AcceptorAssociation, message: Message) -> dict[str, Any]:
    """Fields of every log line about a request."""
    return {"sop_class_uid": str(message.context.abstract_syntax), **association.facts.log_fields()}


def count_store(association: AcceptorAssociation, message: Message, status: int) -> None:
    """Measure one answered C-STORE."""
    measures: StoreMeasures | None = association.store_measures
    if measures is None or measures.facts is not association.facts:
        outcomes = association.outcomes.setdefault("c_store", {})
        measures = association.store_measures = StoreMeasures(association.host.meter, association.facts, outcomes)
    measures.count(status, message)


class StoreMeasures:
    """The measures of C-STORE requests of one requestor, by series that were looked up once."""

    __slots__ = ("_add_bytes", "_answered", "_meter", "_observe_seconds", "_outcomes", "_peer", "facts")

    def __init__(self, meter: Meter, facts: AssociationFacts, outcomes: dict[str, int]) -> None:
        self.facts = facts
        self._outcomes = outcomes
        """The same numbers for the log of the association, by status."""
        self._meter, self._peer = meter, peer_label(facts)
        self._answered: dict[int, tuple[str, Callable[[float], None]]] = {}
        """Words and counters by status."""
        self._add_bytes = meter.counter("gateway_received_bytes_total", peer=self._peer)
        self._observe_seconds = meter.observer("gateway_store_seconds", peer=self._peer)

    def count(self, status: int, message: Message) -> None:
        """One request was answered with `status`."""
        known = self._answered.get(status)
        if known is None:
            words = f"0x{status:04X}"
            counter = self._meter.counter("gateway_received_instances_total", peer=self._peer, status=words)
            known = self._answered[status] = words, counter
        words, counter = known
        counter(1)
        self._outcomes[words] = self._outcomes.get(words, 0) + 1
        self._observe_seconds(time.monotonic() - message.complete_s)
        if status == SUCCESS or status in WARNINGS:
            self._add_bytes(message.body.length_bytes if message.body is not None else 0)


def count_outcome(association: AcceptorAssociation, service: str, outcome: str) -> None:
    """Note for the log of the association how one request of a service, named as a log field, ended."""
    counts = association.outcomes.setdefault(service, {})
    counts[outcome] = counts.get(outcome, 0) + 1


def count_find(meter: Meter, facts: AssociationFacts, outcome: str, seconds: float) -> None:
    """Measure one C-FIND that ended; `outcome` is its final status, or `INTERRUPTED`."""
    peer = peer_label(facts)
    meter.count("gateway_find_requests_total", peer=peer, status=outcome)
    meter.observe("gateway_find_seconds", seconds, peer=peer)


def count_retrieve(association: AcceptorAssociation, service: str, outcome: str, seconds: float) -> None:
    """Measure one C-GET or C-MOVE that ended; `outcome` is its final status, or how the association ended."""
    meter, status = association.host.meter, outcome if outcome.startswith("0x") else INTERRUPTED
    count_outcome(association, f"c_{service}", status)
    peer = peer_label(association.facts)
    meter.count("gateway_retrieve_requests_total", service=service, peer=peer, status=status)
    meter.observe("gateway_retrieve_seconds", seconds, service=service)


def count_sub_operation(association: AcceptorAssociation, service: str, destination: str, result: str) -> None:
    """Measure one C-STORE sub-operation."""
    association.host.meter.count(
        "gateway_retrieve_suboperations_total", service=service, destination=destination, result=result
    )
