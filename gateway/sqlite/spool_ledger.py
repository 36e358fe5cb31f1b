"""The spool's ledger on SQLite."""

from __future__ import annotations

from gateway.sqlite.connection import our_errors
from gateway.sqlite.transactions import Transactions


class SQLiteSpoolLedger:
    """The `SpoolLedger` port on one connection."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there."""
        with our_errors(self._transactions.path):
            return dict(self._transactions.json("payload_names"))

    def spool_id(self) -> str:
        """Empty when none was bound yet."""
        with our_errors(self._transactions.path):
            return self._transactions.single("read_spool") or ""

    def bind_spool(self, spool_id: str) -> None:
        """Bind the store to this spool, in place of the one before."""
        self._transactions.do("delete_spool")
        self._transactions.do("insert_spool", spool_id=spool_id)

    def replayed_position(self) -> tuple[str, int]:
        """A segment's name and a position in it; ("", 0) at first."""
        with our_errors(self._transactions.path):
            name, end_bytes = self._transactions.single("read_known")
        return str(name), int(end_bytes)

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        """Set the position in the transaction that accepts everything before it."""
        self._transactions.do("update_known", segment=name, end_bytes=end_bytes)
