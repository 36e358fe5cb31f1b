"""An instance that came for a retrieve, as the C-STORE handler would see it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.association import AssociationFacts
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.routing.table import RoutingTable


@dataclass(frozen=True, slots=True)
class PinnedTable:
    """The association's share: its rules."""

    table: RoutingTable


@dataclass(frozen=True, slots=True)
class RetrievedArrival:
    """What is to be kept by the rules, too."""

    association: PinnedTable
    facts: AssociationFacts
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet
