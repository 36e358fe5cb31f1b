"""The spool's ledger in a relational database."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.instance import PayloadRef
from gateway.model.migration import MigrationMark
from gateway.relational.rows import batch
from gateway.relational.statements import Statements


class RelationalSpoolLedger:
    """The `SpoolLedger` port on one connection."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there."""
        with self._statements.errors():
            return dict(self._statements.json("payload_names"))

    def which_are_named(self, payloads: Sequence[PayloadRef]) -> set[tuple[str, int]]:
        """Those of these that instances name: segment or file, and offset in bytes."""
        places = batch([(each.name, each.offset_bytes) for each in payloads])
        with self._statements.errors():
            return {
                (name, offset_bytes) for name, offset_bytes in self._statements.json("named_payloads", places=places)
            }

    def spool_id(self) -> str:
        """Empty when none was bound yet."""
        with self._statements.errors():
            return self._statements.single("read_spool") or ""

    def bind_spool(self, spool_id: str) -> None:
        """Bind the store to this spool, in place of the one before."""
        self._statements.do("delete_spool")
        self._statements.do("insert_spool", spool_id=spool_id)

    def replayed_position(self) -> tuple[str, int]:
        """A segment's name and a position in it; ("", 0) at first."""
        with self._statements.errors():
            name, end_bytes = self._statements.single("read_known")
        return str(name), int(end_bytes)

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        """Set the position in the transaction that accepts everything before it."""
        self._statements.do("update_known", segment=name, end_bytes=end_bytes)

    def migration(self) -> MigrationMark | None:
        """The mark of a migration from this store or to it."""
        with self._statements.errors():
            found = self._statements.single("read_migration")
        if found is None:
            return None
        migration_id, role, place, is_complete = found
        return MigrationMark(migration_id, role, place, bool(is_complete))

    def set_migration(self, mark: MigrationMark | None) -> None:
        """Set the mark, or take it away."""
        self._statements.do("delete_migration")
        if mark is not None:
            self._statements.do(
                "insert_migration",
                migration_id=mark.migration_id,
                role=mark.role,
                place=mark.place,
                is_complete=int(mark.is_complete),
            )
