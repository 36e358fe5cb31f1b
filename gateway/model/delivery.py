"""Deliveries: the dispatches that routes decide, their states, attempts and settlements."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from gateway.common.quick_dataclass import quick_dataclass
from gateway.model.collection import Membership
from gateway.model.instance import Instance
from gateway.model.priority import Priority


class DeliveryState(enum.StrEnum):
    """The state of a delivery. A claimed delivery is `PENDING` under a lease."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    HELD = "held"


UNMATCHED_RULE, LOOP_RULE, UNREADABLE_RULE, RECOVERED_RULE = "unmatched", "(loop)", "(unreadable)", "(recovered)"
"""The words in a route's place: no route wanted the object (`unmatched: hold`), it goes round, its data set cannot be
read (`unreadable: hold`), its redo record was damaged.
"""
IN_PLACE_OF_ROUTES = (UNMATCHED_RULE, LOOP_RULE, UNREADABLE_RULE, RECOVERED_RULE)

RULE_PAUSED = "its rule was paused"
"""The reason of what is held until its rule is resumed, and no longer."""

NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The time at which a delivery is due that waits for its collection."""

Duty = tuple[str, str]
"""Destination, or ``group`` and the name of the group that it was chosen of, or ``rule`` and the rule of what is held
for nobody, behind ``collection`` and its identifier where it belongs to one; and actions."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One decision of the routing table: the object goes to this destination, changed by these actions."""

    rule: str
    """Name of the route, or one of `IN_PLACE_OF_ROUTES`."""
    destination: str
    """Name of a peer; empty when the object is only held (`unmatched: hold`)."""
    actions_json: str = ""
    """The `then` list as canonical JSON, frozen at acceptance; empty when there is nothing to edit."""
    state: DeliveryState = DeliveryState.PENDING
    group_name: str = ""
    """The group by which the route names the destination, which is one of its members; empty for a peer itself."""
    reason: str = ""
    """The reason of what is held: rule, place in the configuration, and its own words. Nothing of the object."""
    priority: Priority = Priority.NORMAL
    passes_window: bool = False
    """While it is urgent, it is sent also when the window of its destination is closed."""
    bundle: str = ""
    """Deliveries to a destination with the same one go over one association (`gateway.model.bundle`); empty for one
    that goes alone."""
    bundle_place: int = 0
    """The place in the order of the bundle."""
    collection: Membership | None = None
    """The collection whose end it waits for; None: it is due at once."""

    @property
    def is_passing(self) -> bool:
        """True when a closed window of its destination does not hold it up."""
        return self.passes_window and self.priority is Priority.URGENT

    @property
    def duty(self) -> Duty:
        """Two dispatches of one object with the same are one promise."""
        place = f"group {self.group_name}" if self.group_name else self.destination or f"rule {self.rule}"
        if self.collection is not None:
            place = f"collection {self.collection.collection_id or self.collection.terms.name} {place}"
        return place, self.actions_json

    @property
    def is_waiting(self) -> bool:
        """It waits for the end of a collection that it has joined."""
        return self.collection is not None and self.collection.is_waiting

    def at_least_as(self, other: Dispatch) -> Dispatch:
        """The same, as urgent as `other` of the same duty."""
        if self.priority <= other.priority and self.passes_window >= other.passes_window:
            return self
        passes_window = self.passes_window or other.passes_window
        return replace(self, priority=min(self.priority, other.priority), passes_window=passes_window)


@quick_dataclass(frozen=True, slots=True)
class Delivery:
    """One promise: the queue's row joined with its instance."""

    delivery_id: int
    instance: Instance
    destination: str
    rule: str
    actions_json: str
    state: DeliveryState
    attempts: int
    """Attempts that ended, failed or not."""
    created_at: datetime
    """The time at which it arrived; nothing that is done to it later changes this."""
    due_at: datetime
    lease: int = 0
    """Fencing token of the claim; a settlement with another token changes nothing."""
    reason: str = ""
    """The reason of the last attempt; of the death for a dead letter; why it is held, before any attempt."""
    renewed_at: datetime | None = None
    """The time at which an operator retried or released it last."""
    group_name: str = ""
    """The group of which the destination was chosen; empty for a peer that was named itself."""
    is_doubtful: bool = False
    """It was sent whole, and no response came: the destination may have it."""
    corrected_by: int = 0
    """The operation by which an operator corrected it last: the first of `actions_json` are the operator's; 0: none."""
    priority: Priority = Priority.NORMAL
    passes_window: bool = False
    """Its route lets it pass a closed window while it is urgent."""
    bundle: str = ""
    bundle_place: int = 0
    """As in its `Dispatch`."""
    collection_id: int | None = None
    """The collection that it belongs to."""

    @property
    def is_passing(self) -> bool:
        """True when a closed window of its destination does not hold it up."""
        return self.passes_window and self.priority is Priority.URGENT

    @property
    def is_waiting(self) -> bool:
        """It waits for the end of its collection."""
        return self.state is DeliveryState.PENDING and self.due_at >= NEVER

    @property
    def counted_from(self) -> datetime:
        """The time from which `give_up_after` is measured."""
        return self.renewed_at or self.created_at


@quick_dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it."""

    warning: int = 0
    """A warning status (0xBxxx) that came with the success, or 0x0111; 0 without."""
    note: str = ""
    """A note to keep with the delivery."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: try again. `is_destination_down` says the trouble is the peer's, not this object's."""

    reason: str
    retry_after_s: float | None = None
    """None: as the destination's retry settings say."""
    is_destination_down: bool = False
    log_reason: str = field(default="", compare=False)
    """The reason for the log, where `reason` may quote the object or the peer; empty: `reason` is fit for it."""
    is_over_object: bool = field(default=False, compare=False)
    """The peer ended the association over this object, or was silent to it: either may be to blame."""
    is_doubtful: bool = field(default=False, compare=False)
    """The object was sent whole, and no response came: the peer may have it."""

    @property
    def reason_for_log(self) -> str:
        return self.log_reason or self.reason


RefusedKind = Literal[
    "status",
    "presentation_context",
    "object",
    "action",
    "configuration",
    "payload_lost",
    "file",
    "set_aside",
    "expired",
]
"""The kind of reason for a dead letter: the destination's status; no context is accepted for the object; it cannot
be sent as it is; an action or conversion cannot be done on it; a setting that its actions name is not there; its bytes
are lost; no file can be made of it; associations ended over it again and again; it became too old.
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never in this form: an operator must act."""

    reason: str
    dimse_status: int | None = None
    is_about_form: bool = field(default=False, compare=False)
    """True when the object may be taken in another transfer syntax."""
    is_without_context: bool = field(default=False, compare=False)
    """True when the peer accepted no presentation context for it that we proposed."""
    is_nothing_accepted: bool = field(default=False, compare=False)
    """True when the peer accepted no presentation context at all."""
    log_reason: str = field(default="", compare=False)
    """The reason for the log, where `reason` may quote the object or the peer; empty: `reason` is fit for it."""
    kind: RefusedKind = field(default="status", compare=False)
    is_doubtful: bool = field(default=False, compare=False)
    """It was sent whole before, and no response came: the peer may have it all the same."""

    @property
    def reason_for_log(self) -> str:
        return self.log_reason or self.reason


Outcome = Delivered | Deferred | Refused


@quick_dataclass(frozen=True, slots=True)
class Settlement:
    """The courier's message to the queue after an attempt, or instead of one."""

    delivery_id: int
    lease: int
    state: DeliveryState
    """`PENDING` puts it back, due at `due_at`."""
    due_at: datetime
    reason: str = ""
    is_attempt: bool = True
    """False gives the delivery back untouched (shutdown, destination down)."""
    status: int | None = None
    started_at: datetime | None = None
    duration_s: float = 0.0
    is_doubtful: bool = False
    """The object was sent whole, and no response came. A delivery that is doubtful stays so until it is delivered."""
    kept_until: datetime | None = None
    """The copy here of what was delivered is kept until then at least (`keep`); None: as long as retention says."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a delivery that ended, as the queue keeps it."""

    number: int
    """From 1; the oldest of many are dropped."""
    started_at: datetime | None
    duration_s: float
    state: DeliveryState
    """The state of the delivery after the attempt."""
    status: int | None
    """DIMSE status of the peer's response; None without one."""
    reason: str = ""
