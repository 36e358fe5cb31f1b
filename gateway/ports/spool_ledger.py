"""The store's knowledge of the spool: its identifier, the payloads that are named, the position that it has
replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.model.instance import PayloadRef
from gateway.model.migration import MigrationMark


class SpoolLedger(Protocol):
    """Part of a `Store`: writing calls happen inside its transactions."""

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there (the end of its last payload)."""
        ...

    def which_are_named(self, payloads: Sequence[PayloadRef]) -> set[tuple[str, int]]:
        """Those of these that instances of the store name: segment or file, and offset in bytes."""
        ...

    def spool_id(self) -> str:
        """Identity of the spool that the payloads lie in; empty when none was bound yet."""
        ...

    def bind_spool(self, spool_id: str) -> None:
        """Say which spool the payloads lie in."""
        ...

    def replayed_position(self) -> tuple[str, int]:
        """Up to where the store knows the spool's segments: a segment's name and a position in it; ("", 0) at first."""
        ...

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        """Say so, in the transaction that accepts what stands before."""
        ...

    def migration(self) -> MigrationMark | None:
        """The mark of a migration from this store or to it; None without one."""
        ...

    def set_migration(self, mark: MigrationMark | None) -> None:
        """Set the mark, or take it away."""
        ...
