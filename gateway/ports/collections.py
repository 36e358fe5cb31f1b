"""Studies and series as wholes, in the store (`gateway.model.collection`)."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.model.collection import Collection, CollectionResult, CollectionState, End
from gateway.model.expectation import Expectation


@dataclasses.dataclass(frozen=True, slots=True)
class CollectionFilter:
    """The collections that an operator means; empty fields mean any."""

    ids: tuple[int, ...] = ()
    name: str = ""
    state: CollectionState | None = None
    study_instance_uid: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LetGo:
    """Deliveries of a collection that wait no longer."""

    deliveries: int
    destinations: frozenset[str]
    """Where some are due now."""
    is_last: bool
    """None waits any more: the collection is complete."""


@dataclasses.dataclass(frozen=True, slots=True)
class CollectionCount:
    """The collections of one definition in one state, with one result."""

    name: str
    state: CollectionState
    result: CollectionResult
    collections: int
    oldest_at: datetime
    """When the oldest one was opened."""
    overdue: int = 0
    """Those that are open although `at_most` is over."""
    late_left_out: int = 0
    """Objects that came late and were left out."""
    again_left_out: int = 0
    """Objects that came again and were left out."""


class Collections(Protocol):
    """Part of a `Store`: writing calls happen inside its transactions. Objects join by `DeliveryQueue.accept`."""

    # --- decisions ----------------------------------------------------------------------------------------------

    def next_deadline(self) -> datetime | None:
        """The time at which something is to be decided; None when nothing ever is."""
        ...

    def due(self, now: datetime, limit: int) -> builtins.list[int]:
        """The collections whose deadline has come, earliest first."""
        ...

    def take(self, collection_id: int) -> Collection | None:
        """A collection that nobody else changes until the transaction ends; None when it is gone, or somebody else
        works on it."""
        ...

    def totals(self, collection_id: int) -> Mapping[str, int]:
        """Tests that hold for an instance (`Membership.matches`) → the number of such instances."""
        ...

    def series(self, collection_id: int) -> int:
        """The number of series that its instances are of."""
        ...

    def lacking(self, collection_id: int, uid_keys: Sequence[str]) -> builtins.list[str]:
        """Those of these keys of SOP Instance UIDs that are none of its instances'."""
        ...

    def expect(self, collection_id: int, expectation: Expectation) -> None:
        """This is known of the whole of it."""
        ...

    def put_off(self, collection_id: int, until: datetime) -> None:
        """The next decision is not before `until`."""
        ...

    def end(self, collection_id: int, end: End) -> None:
        """It ends so: `let_go` follows."""
        ...

    def let_go(self, collection: Collection, limit: int, now: datetime) -> LetGo:
        """Do with up to `limit` of its deliveries that wait what `outcome` says; with the last one it is complete."""
        ...

    def close(self, collection_id: int, forget_at: datetime) -> None:
        """Objects that come begin a new generation. It forgets its instances, but for their number."""
        ...

    def forget(self, collection_id: int) -> None:
        """Delete it."""
        ...

    def arriving(self, study_instance_uids: Sequence[str], now: datetime) -> int:
        """Objects of these studies are on their way in: open collections of them are quiet later. Their number."""
        ...

    # --- operators ----------------------------------------------------------------------------------------------

    def list(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        """Collections that fit, oldest first."""
        ...

    def newest(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        """Collections that fit, the last arrival first. Closed ones are left out unless `which` has that state."""
        ...

    def count(self, which: CollectionFilter) -> int:
        """The number of those that `newest` means."""
        ...

    def waiting(self, collection_id: int) -> int:
        """The number of deliveries that wait for its end."""
        ...

    def counts(self, now: datetime) -> builtins.list[CollectionCount]:
        """Numbers by name, state and result, of all that are not forgotten yet."""
        ...

    def extend(self, collection_id: int, until: datetime) -> None:
        """An open one is not decided before `until`, unless an operator does."""
        ...
