"""An operator's view of deliveries, and verbs on them."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from gateway.model.delivery import Attempt, Delivery, DeliveryState
from gateway.model.priority import Priority

DeliveryOrder = Literal["oldest", "newest", "size", "attempts"]
"""Which deliveries come first: those that arrived first or last; the largest; those that were tried most often. Equal
ones stand in the order of their arrival."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """The deliveries that an operator means; empty fields mean any."""

    ids: tuple[int, ...] = ()
    instance_ids: tuple[int, ...] = ()
    destination: str | None = None
    state: DeliveryState | None = None
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    rule: str = ""
    created_before: datetime | None = None
    created_after: datetime | None = None
    priority: Priority | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryTotal:
    """How many deliveries fit."""

    number: int
    is_exact: bool
    """False: counting stopped before all were looked at; `number` are known to fit."""


@dataclasses.dataclass(frozen=True, slots=True)
class StudyDeliveries:
    """The deliveries of one study to one destination that fit."""

    study_instance_uid: str
    destination: str
    numbers: Mapping[DeliveryState, int]
    """Those in each state that has any."""
    size_bytes: int
    first_received_at: datetime
    last_received_at: datetime
    most_attempts: int
    """Attempts at the delivery that was tried most often."""


@dataclasses.dataclass(frozen=True, slots=True)
class CorrectedDelivery:
    """One delivery with the actions that an operator gives it."""

    delivery_id: int
    former_json: str
    """Its actions before; with others it is left as it is."""
    actions_json: str
    operation_id: int
    """The operation in the record."""


class DeliveryAdministration(Protocol):
    """Part of a `Store`: the verbs (retry, hold and so on) happen inside its transactions."""

    def list(self, which: DeliveryFilter, limit: int, *, order: DeliveryOrder = "oldest") -> list[Delivery]:
        """Deliveries that fit."""
        ...

    def studies(
        self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False
    ) -> builtins.list[StudyDeliveries]:
        """The deliveries that fit of up to `limit` studies, by study and destination. The study with the delivery that
        arrived first stands first, or with `is_newest_first` the one with the delivery that arrived last."""
        ...

    def attempts(self, delivery_id: int) -> builtins.list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        ...

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones: due now, and given up as late as if they had arrived now; `created_at` stays."""
        ...

    def hold(self, which: DeliveryFilter) -> int:
        """Pending and dead ones wait for an operator; what is under a lease stays."""
        ...

    def release(
        self, which: DeliveryFilter, now: datetime, destination: str | None = None, *, even_if_doubtful: bool = False
    ) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own; those held
        without one stay then. Doubtful ones go to no other destination, unless `even_if_doubtful`."""
        ...

    def retarget(
        self, which: DeliveryFilter, now: datetime, destination: str, *, even_if_doubtful: bool = False
    ) -> int:
        """Pending and dead ones that nobody works on go to `destination`, due now; held ones stay held, for that.

        Doubtful ones, and those under a lease that ended unsettled, stay unless `even_if_doubtful`: the former
        destination may have them.
        """
        ...

    def correct(self, correction: CorrectedDelivery, now: datetime, *, even_if_doubtful: bool = False) -> bool:
        """A held or dead delivery with a destination has other actions, and is due now. False when it is none of these,
        has not the former actions any more, or is doubtful without `even_if_doubtful`."""
        ...

    def send_again(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """New deliveries of those that were delivered: to `destination` when it is given, else to their own. None where
        an equal one is still pending or held; the number of new ones."""
        ...

    def set_priority(self, which: DeliveryFilter, priority: Priority) -> int:
        """Another priority for pending, dead and held ones; what is under a lease stays. The number, with those that
        had it."""
        ...

    def discard(self, which: DeliveryFilter, settled_at: datetime | None = None) -> int:
        """Delete dead, held and pending deliveries; what is under a lease stays. The retention of instances that owe
        nothing any more begins at `settled_at`; now without it."""
        ...

    # --- a page at a time ---------------------------------------------------------------------------------------

    def page(
        self, which: DeliveryFilter, states: Collection[DeliveryState], *, after: int, last: int, limit: int
    ) -> builtins.list[int]:
        """Up to `limit` deliveries that fit, in the order of their identifiers, behind `after` and up to `last`."""
        ...

    def count(self, which: DeliveryFilter, states: Collection[DeliveryState]) -> int:
        """The number that fit."""
        ...

    def total(self, which: DeliveryFilter, looked_at: int) -> DeliveryTotal:
        """The number that fit, in any state. What is owed for a destination or in a state is exact; of anything else,
        the first `looked_at` deliveries are looked at."""
        ...

    def last(self) -> int:
        """The newest delivery's identifier; 0 without any."""
        ...

    def missing(self, ids: Sequence[int]) -> builtins.list[int]:
        """The identifiers among `ids` that no delivery has."""
        ...

    def held_for(self, ids: Sequence[int]) -> dict[str, int]:
        """Destination → how many of these deliveries are held for it."""
        ...

    def has_destination(self, destination: str) -> bool:
        """True when any delivery names it."""
        ...

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The queue's time, as in `created_at` and `due_at`; the wall clock may be far from it."""
        ...

    def on_the_wall(self, moment: datetime) -> datetime:
        """The wall clock's time at a moment of the queue's time that is near."""
        ...
