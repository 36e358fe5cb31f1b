"""An instance that came, as the rules and the commit see it, by whatever way it came."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway.model.association import AssociationFacts
from gateway.model.priority import MEDIUM
from gateway.ports.encoded_data_set import EncodedDataSet


class Requestor(Protocol):
    """Waits for the answer."""

    @property
    def is_over(self) -> bool:
        """True when nobody waits any more."""
        ...


class Incoming(NamedTuple):
    """One instance that is to be taken in. A tuple, since one is made for each object."""

    facts: AssociationFacts
    """Facts of the association that it came over; facts of the source when it came for a retrieve."""
    sop_class_uid: str
    """Affected SOP Class UID of the command, as are the fields below."""
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet
    """Stays the caller's to close."""
    requestor: Requestor | None = None
    """None when nobody waits for an answer of ours."""
    is_retrieved: bool = False
    """It came for a retrieve and is kept beside: its requestor is the retrieve's, and no sender is answered."""
    sent_as: int = MEDIUM
    """Priority (0000,0700) of the request."""

    @property
    def owner(self) -> str:
        """Under which the log of objects counts it, where that is not the association: one retrieve has several
        sources."""
        return f"{self.facts.association_id} {self.facts.peer}" if self.is_retrieved else ""

    @property
    def is_answered(self) -> bool:
        """False when nobody will get the answer."""
        return self.requestor is None or not self.requestor.is_over
