"""The store of objects that all nodes of a cluster share: large payloads, and sealed groups of small ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.common.buffer import Buffer


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it stands in a listing."""

    name: str
    length_bytes: int
    modified_at: datetime
    """Aware UTC, by the store's clock."""


class ObjectStore(Protocol):
    """Synchronous; for any thread, and several threads at a time. Nothing waits longer than the store's time limits.

    A name has up to 512 characters: parts of letters, digits, `.`, `_` and `-`, separated by `/`; a part begins with a
    letter, a digit or `_`. Each method raises ValueError for another name. No name is the folder of another one (`a` of
    `a/b`). An object never changes, and its writer gives it a name that no other writer gives.
    """

    @property
    def shown(self) -> str:
        """Its place, for messages: never a secret."""
        ...

    def check(self, cluster_id: str, version: str) -> None:
        """Prove at the start what a node relies on, with objects below `probe/` that are deleted again.

        The object `gateway.json` says which cluster the store belongs to; the first node makes it.

        Args:
            cluster_id: of the cluster; empty: `gateway.json` is neither made nor looked at.
            version: of the gateway, for people who read `gateway.json`.

        Raises:
            ConfigurationError: it belongs to another cluster, lacks a right or something that is relied upon.
            SpoolFull: it cannot be reached now.
        """
        ...

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        """Durable and whole when it returns. Never over another object: one of the same name with the same bytes is
        the one whose answer was lost. Memory does not grow with the length.

        `part_bytes`: a store that takes requests of a bounded length gets it in such ones, one at a time, for fewer
        requests; 0: as it likes.

        Raises:
            ConfigurationError: another object has the name.
            SpoolFull: there is no room, no right, or the store cannot be reached; `put` may be called again.
            ValueError: `chunks` have not `length_bytes`. Nothing has the name then; the same holds for an exception of
                `chunks` themselves.
        """
        ...

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        """Exactly `length_bytes`.

        Raises:
            PayloadMissing: the object is certainly not there, or too short.
            Temporary: the store cannot be asked now, or refuses.
        """
        ...

    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """The same in chunks of `chunk_bytes`, the last one maybe shorter, for a reader of any pace. Errors as of
        `read`, with any chunk. Memory does not grow with the length."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Objects that are not there are no error. Raises Temporary; some may be deleted then."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose name begins with `prefix`, page by page, in any order. All objects of the folder that the
        prefix names are read for it (`a/` of `a/b`). Files of others that have no object's name are left out.

        Raises Temporary, with any page.
        """
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...
