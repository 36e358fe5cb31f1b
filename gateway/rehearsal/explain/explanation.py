"""The explanation of one object: values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.dataset.difference import Difference
from gateway.model.associate import ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState
from gateway.model.priority import Priority
from gateway.rehearsal.stage import RehearsedAdmission
from gateway.routing.verdicts import Verdict

FateWord = Literal["not admitted", "refused", "discarded", "held", "routed"]
"""The association or its C-STORE would be refused; or the object accepted and then thrown away, held, or sent on."""


@dataclass(frozen=True, slots=True)
class DestinationProposal:
    """The form in which one destination would be offered the object."""

    kind: str
    """Name of a registered kind: `dicom`, `folder`, or one of another package."""
    where: str
    """``host:port``, the folder that no file leaves, or the words of another kind."""
    contexts: tuple[ProposedContext, ...] = ()
    refusal: str = ""
    """The reason why the object cannot be sent there in this form; empty when it can."""


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """One coercion or route, and what it changes."""

    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    refusal: str = ""
    """The reason why its actions cannot be done on this object; may quote the object's values."""


@dataclass(frozen=True, slots=True)
class OutgoingObject:
    """The object on its way to one destination."""

    destination: str
    """Empty when it is only held."""
    rule: str
    state: DeliveryState
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    differences: tuple[Difference, ...] = ()
    """Against what is stored."""
    refusal: str = ""
    proposal: DestinationProposal | None = None
    ring: str = ""
    """The reason why it would come back, or is held for that (`gateway.rehearsal.explain.rings`); empty when there is
    none."""
    waits: str = ""
    """The reason why it would not be sent at once: the window or rate of the destination; empty when there is none."""
    keep_s: float = 0.0
    """The copy here is kept for so long after delivery; 0: as long as retention says."""
    delivery_id: int = 0
    """The ID of a delivery that is in the queue; 0 for one that would be."""
    group_name: str = ""
    """The group of which the destination is a member; empty for a peer that was named itself."""
    group_kind: str = ""
    """failover or balance; empty without a group, and for one that the rules do not have any more."""
    is_one_association: bool = False
    """It goes with what waits of its study, over one association with nothing else in it."""
    stand_ins: tuple[str, ...] = ()
    """The members that get the object while the destination is given up, in order; of a balance group those that may
    get it as well."""
    priority: Priority = Priority.NORMAL
    reason: str = ""
    """The reason of what is held."""


@dataclass(frozen=True, slots=True)
class InstanceExplanation:
    """The outcome for one object, with reasons."""

    name: str
    """Path of the file, or which stored instance."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    association: AssociationFacts
    admission: RehearsedAdmission
    fate: FateWord
    status: int | None
    """The status of the C-STORE response; None when there would be no C-STORE."""
    error_comment: str = ""
    decided_by: str = ""
    """The rule that drops, rejects or holds the object as a whole; empty when none does."""
    oddities: Mapping[str, str] = field(default_factory=dict)
    """Deviations from the standard that are accepted in it: row of `gateway.leniency` → where."""
    coercions: tuple[RuleOutcome, ...] = ()
    routes: tuple[RuleOutcome, ...] = ()
    leaving: tuple[OutgoingObject, ...] = ()
    """The deliveries that would be owed under the rules of now."""
    owed: tuple[OutgoingObject, ...] = ()
    """The deliveries of a stored instance in the queue, decided when it arrived."""
    kept_until: datetime | None = None
    """The time until which the copy of a stored instance that owes nothing is kept, by the wall clock."""

    @property
    def destinations(self) -> tuple[str, ...]:
        """Destinations to which it would be sent, each once, in order; none for what is held, discarded or refused."""
        sent = (one.destination for one in self.leaving if one.state is DeliveryState.PENDING)
        return tuple(dict.fromkeys(name for name in sent if name))


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A file or name that is no object to explain."""

    name: str
    reason: str
    is_named: bool = True
    """False for a file that only lies in a folder that was named."""
