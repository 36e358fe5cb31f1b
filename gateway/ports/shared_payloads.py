"""Payloads in the database of a store that several nodes share: groups of small ones, and where they lie once sealed.

A payload name says where to look, and never changes: ``journal/HOUR/GROUP`` for a group of small payloads,
``large/NAME`` for an object of its own in the object store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from gateway.common.buffer import Buffer
from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance
from gateway.ports.store import Store

StorePurpose = Literal["committing", "reading", "keeping"]
"""A node commits to one store, reads from others, and forgets and seals with one, of whose changes nobody is told."""


@dataclasses.dataclass(frozen=True, slots=True)
class JournalGroup:
    """A group in the journal that is not sealed yet."""

    name: str
    length_bytes: int
    added_at: int
    """Microseconds since 1970, by the queue's clock."""


@dataclasses.dataclass(frozen=True, slots=True)
class UnsealedPayloads:
    """The part of the journal that the object store does not have yet, as the node that seals counted it last.

    Groups that nothing names any more may be among them until they are looked at.
    """

    groups: int = 0
    length_bytes: int = 0
    oldest_at: datetime | None = None
    """When the oldest group was added."""
    problem: str = ""
    """Why they are not sealed; empty while all goes well."""
    counted_at: datetime | None = None
    """None: no node has counted yet."""


class SharedPayloads(Protocol):
    """Part of a `SharedStore`: writing calls happen inside its transactions."""

    def prepare(self) -> None:
        """Make the place for the groups of the present hour, where there is none yet. Outside a transaction."""
        ...

    def exclude_other_starts(self) -> None:
        """Wait until no other node makes anything at its start; none does until the transaction ends."""
        ...

    def add_group(self, payloads: Sequence[Buffer]) -> str:
        """Keep these payloads one behind the other; the name of the group. Raises TransactionConflict when the hour
        that was prepared is over: `prepare` belongs to the transaction that is done again."""
        ...

    def add_objects(self, objects: Sequence[tuple[str, int]]) -> None:
        """Name and length of objects in the object store that instances of this transaction name."""
        ...

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes | None:
        """Bytes of a group; None when the journal has it no more, or less of it."""
        ...

    def has_group(self, name: str) -> bool:
        """True while the journal has it. Inside a transaction too."""
        ...

    def place(self, name: str) -> tuple[str, int] | None:
        """The object in the object store that a payload name leads to, and the offset in it; None without one."""
        ...

    def unsealed(self) -> UnsealedPayloads:
        """The groups that are not sealed yet, as they were noted last. Inside a transaction too."""
        ...

    def added_since(self, moment: datetime) -> tuple[int, int]:
        """Number and bytes of the groups that came after it, sealed or not."""
        ...


class PayloadSealing(Protocol):
    """The way of groups out of the journal, and of objects out of the object store. One node at a time does it."""

    def take_turn(self) -> bool:
        """True when this connection is the one that does it, from now until it ends."""
        ...

    def unsealed(self, limit: int) -> Sequence[JournalGroup]:
        """The oldest groups that an instance names and that lie in no object yet."""
        ...

    def read_groups(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """All bytes of each of these groups; those that are gone are left out. Raises QueueBroken when one of them
        cannot be read."""
        ...

    def seal(self, object_name: str, groups: Sequence[JournalGroup]) -> None:
        """These groups lie in this object, one behind the other. Inside a transaction."""
        ...

    def note_unsealed(self, problem: str) -> None:
        """Count what is not sealed yet, and write it down for all nodes. Behind a call of `unsealed`, perhaps in one
        transaction with it."""
        ...

    def drop_sealed(self) -> int:
        """Drop the tables of past hours in which nothing is left to be sealed; how many."""
        ...

    def unnamed_objects(self, after: str, limit: int) -> tuple[Sequence[str], str]:
        """Objects of which no instance names anything any more, among `limit` ones behind the name `after`; and the
        name to go on behind, empty after the last object."""
        ...

    def forget_objects(self, names: Sequence[str]) -> None:
        """Delete all that leads to these objects. Inside a transaction."""
        ...

    def known_objects(self, names: Sequence[str]) -> set[str]:
        """Those among these that the database knows."""
        ...


class SharedStore(Store, Protocol):
    """A store that several nodes share."""

    @property
    def payloads(self) -> SharedPayloads: ...

    @property
    def sealing(self) -> PayloadSealing: ...

    def expect(self, arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]]) -> None:
        """These are about to be accepted in the transaction that is open, whatever the names of their payloads:
        questions about them are sent with the next statement."""
        ...
