"""Everything in a store as rows, for a migration to another one. The rows of a table are the same for every store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from gateway.ports.shared_payloads import SharedStore
from gateway.ports.store import Store

StoredRow = tuple[Any, ...]
RowKey = tuple[int | str, ...]

OwedRow = tuple[int, str, str, str, str, str, str, int, int, str, int]
"""Instance, rule, destination, actions, state, group, reason of what is held, priority, 1 where it passes a window,
bundle, place in it."""

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "association": ("association_id", "facts"),
        "patient": ("patient_key", "attributes"),
        "study": ("study_key", "patient_key", "attributes"),
        "series": ("series_key", "study_key", "attributes"),
        "instance": (
            "instance_id",
            "sop_class_uid",
            "sop_instance_uid",
            "transfer_syntax_uid",
            "study_instance_uid",
            "series_instance_uid",
            "association_id",
            "payload_name",
            "payload_offset",
            "payload_length",
            "payload_digest",
            "received_at",
            "settled_at",
            "series_key",
            "attributes",
            "is_current",
            "kept_facts",
        ),
        "delivery": (
            "delivery_id",
            "instance_id",
            "destination",
            "rule",
            "actions_json",
            "state",
            "likeness",
            "attempts",
            "created_at",
            "renewed_at",
            "due_at",
            "lease",
            "reason",
            "group_name",
            "is_doubtful",
            "corrected_by",
            "priority",
            "passes_window",
            "bundle",
            "bundle_place",
            "collection_id",
        ),
        "group_affinity": ("affinity_id", "group_name", "study_digest", "member", "forget_at"),
        "kept_copy": ("instance_id", "kept_until", "kept_since", "size_bytes"),
        "collection": (
            "collection_id",
            "collected_key",
            "patient",
            "generation",
            "name",
            "study_instance_uid",
            "series_instance_uid",
            "terms",
            "state",
            "opened_at",
            "last_arrival_at",
            "at_most_at",
            "not_before_at",
            "deadline_at",
            "completed_at",
            "result",
            "outcome",
            "flag",
            "institution",
            "instances",
            "late",
            "repeated",
            "replaced",
            "ignored",
            "expectation",
        ),
        "collection_instance": (
            "collection_id",
            "uid_key",
            "digest",
            "instance_id",
            "matches",
            "arrived_at",
        ),
        "waiting_delivery": ("collection_id", "delivery_id"),
        "pause": ("pause_id", "kind", "name", "operator", "why", "began_at", "resumed_at"),
        "operation": (
            "operation_id",
            "verb",
            "operator",
            "why",
            "target",
            "filter",
            "meant",
            "done",
            "stayed",
            "state",
            "began_at",
            "changed_at",
        ),
        "trace_entry": (
            "entry_id",
            "study_instance_uid",
            "role",
            "name",
            "instances",
            "delivered",
            "size_bytes",
            "most_attempts",
            "first_received_at",
            "last_received_at",
            "last_delivered_at",
            "changed_at",
        ),
        "attempt": ("delivery_id", "number", "started_at", "duration_us", "state", "status", "reason"),
    }
)
"""Table → columns, parents first. No delivery is under a lease."""
_KEYED_BY_TWO = frozenset({"attempt", "collection_instance", "waiting_delivery"})
KEY_COLUMNS = MappingProxyType({table: 2 if table in _KEYED_BY_TWO else 1 for table in TABLES})
"""Table → the number of its first columns that are its key, in whose order its rows are read."""
IDENTIFIED = (
    *("association", "patient", "study", "series", "instance", "delivery"),
    *("operation", "pause", "group_affinity", "collection", "trace_entry"),
)
"""Tables whose first column is an identifier that is never given twice."""


class StoreRows(Protocol):
    """Part of a `MigratableStore`: writing calls happen inside its transactions."""

    def read(self, table: str, after: RowKey | None, limit: int) -> Sequence[StoredRow]:
        """The next rows behind a key, or the first ones."""
        ...

    def last_key(self, table: str) -> RowKey | None:
        """The key of the last row; None for an empty table."""
        ...

    def add(self, table: str, rows: Sequence[StoredRow]) -> None:
        """Add rows with the identifiers that they have."""
        ...

    def owed(self, instance_ids: Sequence[int]) -> Iterable[OwedRow]:
        """The deliveries of these instances that were not delivered, in order."""
        ...

    def tally(self) -> Mapping[str, int]:
        """Table, or kind of row, → number; "bytes" of all payloads."""
        ...

    def identifiers_given(self) -> Mapping[str, int]:
        """Table of `IDENTIFIED` → the last identifier that was given; 0 for none."""
        ...

    def give_identifiers_behind(self, last: Mapping[str, int]) -> None:
        """No identifier up to these is given from now on."""
        ...

    def clock(self) -> tuple[int, int] | None:
        """The queue's time as it was written last, and the wall clock's then."""
        ...

    def set_clock(self, queue_time: int, wall_time: int) -> None:
        """Write them."""
        ...


class MigratableStore(Store, Protocol):
    """A store that a migration reads, or fills. No gateway uses it meanwhile."""

    @property
    def rows(self) -> StoreRows: ...


class MigratableSharedStore(SharedStore, MigratableStore, Protocol):
    """The same of a store that several nodes share."""
