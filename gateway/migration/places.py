"""The two kinds of places for payloads that a migration reads and fills: a spool, and the object store of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef
from gateway.ports.store_rows import MigratableStore
from gateway.spool.replay import RecordedArrival

CHUNK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class SmallPayload:
    """A payload that goes into one group with others."""

    number: int
    """The identifier of its instance."""
    pieces: Sequence[Buffer]
    transfer_syntax_uid: str


PayloadPlace = tuple[str, int]
"""A payload's name and offset, as its instance names them."""


OwedOfGroup = Callable[[Sequence[PayloadPlace]], Sequence[RecordedArrival]]
"""The instances of a group and what they owe, by the places of its small payloads; large ones have theirs already."""


class MigrationSide(Protocol):
    """One of the two gateways: its store, and its payloads, which nobody else uses meanwhile."""

    @property
    def store(self) -> MigratableStore: ...

    @property
    def shown(self) -> str:
        """Its place, for messages: never a password."""
        ...

    @property
    def is_shared(self) -> bool:
        """True for a cluster, whose time is the server's."""
        ...

    def close(self) -> None: ...


class MigrationSource(MigrationSide, Protocol):
    """The side that is read."""

    def recover(self) -> None:
        """Bring store and payloads together as a start does: what a gateway that was killed left is in the store then.

        Raises ConfigurationError, SpoolFull, Temporary.
        """
        ...

    def expect(self, payloads: Sequence[PayloadRef]) -> None:
        """These are read next, for a place that reads several at once."""
        ...

    def chunks(self, payload: PayloadRef) -> Iterator[bytes]:
        """The stored bytes, whatever they are.

        Raises PayloadMissing: they are certainly not there; Temporary: they cannot be read now.
        """
        ...


class MigrationDestination(MigrationSide, Protocol):
    """The side that is filled."""

    large_object_bytes: int
    """Longer payloads are objects, or files, of their own."""
    group_bytes: int
    """Payloads of so many bytes in all go into one group."""

    def require_unused(self) -> None:
        """Raises ConfigurationError: payloads lie there already, or it belongs to something else; SpoolFull: it cannot
        be reached now. Nothing is changed."""
        ...

    def begin(self, migration_id: str) -> None:
        """Make the place ready, for the first time or again: what an interrupted migration left is taken away.

        Raises ConfigurationError: it belongs to another one; SpoolFull, Temporary.
        """
        ...

    def put_group(self, payloads: Sequence[SmallPayload], owed: OwedOfGroup) -> Sequence[PayloadPlace]:
        """Make them durable, if there are any; with what the instances of the group owe, where that is kept beside
        payloads. Raises SpoolFull."""
        ...

    def put_large(
        self, number: int, chunks: Iterator[bytes], length_bytes: int, transfer_syntax_uid: str
    ) -> PayloadPlace:
        """Make one durable. Raises SpoolFull, and what `chunks` raise: then nothing was kept."""
        ...

    def no_place(self) -> PayloadPlace:
        """A place at which nothing ever is."""
        ...

    def record(self) -> None:
        """Say in the store where all is that was put since the last call; in the transaction of the instances."""
        ...
