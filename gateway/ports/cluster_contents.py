"""Everything that the database of a cluster says of payloads and objects, for a check beside its nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model.instance import PayloadRef
from gateway.ports.shared_payloads import SharedStore
from gateway.ports.store_rows import StoreRows


@dataclasses.dataclass(frozen=True, slots=True)
class HeldPayload:
    """The payload of an instance, and where the database says that it lies."""

    instance_id: int
    sop_instance_uid: str
    payload: PayloadRef
    object_name: str | None
    """None: its group lies in no object yet."""
    group_offset_bytes: int
    """The offset of the group in the object."""
    object_bytes: int | None
    """The length of the object; None when the object itself has no row."""

    @property
    def start_bytes(self) -> int:
        """In the object."""
        return self.group_offset_bytes + self.payload.offset_bytes

    @property
    def end_bytes(self) -> int:
        """In the object."""
        return self.start_bytes + self.payload.length_bytes


@dataclasses.dataclass(frozen=True, slots=True)
class KnownObject:
    """An object that the database leads to."""

    name: str
    length_bytes: int
    is_named: bool
    """True while an instance names something in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class JournalHour:
    """The table of an hour of the journal."""

    name: str
    groups: int
    waiting: int
    """Groups that an instance names and that lie in no object yet."""
    waiting_bytes: int


class ClusterContents(Protocol):
    """Part of a `CheckedSharedStore`; nothing here writes. Each answer is of one moment."""

    def payloads_after(self, last: HeldPayload | None, limit: int) -> Sequence[HeldPayload]:
        """The next payloads, in order of name, offset and instance."""
        ...

    def payload_of(self, held: HeldPayload) -> HeldPayload | None:
        """The same as it is now; None when the instance is forgotten."""
        ...

    def payloads_of_object(self, name: str, last: HeldPayload | None, limit: int) -> Sequence[HeldPayload]:
        """The next payloads in an object, in the order of their bytes."""
        ...

    def group_bytes(self, name: str) -> int | None:
        """The length of a group in the journal; None when the journal does not have it."""
        ...

    def objects_after(self, name: str, limit: int) -> Sequence[KnownObject]:
        """The next objects behind a name, in order."""
        ...

    def known_among(self, names: Sequence[str]) -> Mapping[str, KnownObject]:
        """Those among these that the database leads to, by name."""
        ...

    def past_hours(self) -> Sequence[JournalHour]:
        """The tables of hours that are over, and whose tables are to be dropped."""
        ...

    def disagreements(self) -> Sequence[tuple[str, int]]:
        """Rows that name rows that are not there, and counts that are wrong: what, and how many."""
        ...


class CheckedSharedStore(SharedStore, Protocol):
    """The store of a cluster that a check reads."""

    @property
    def contents(self) -> ClusterContents: ...

    @property
    def rows(self) -> StoreRows: ...
