"""Commits that the server calls done, and warns of: they stand on it, and a standby may not have them.

So it ends the wait for a synchronous standby when the commit is cancelled: by an operator, or by `statement_timeout`.
"""

from __future__ import annotations

from psycopg.errors import Diagnostic

from gateway.ports.errors import SpoolFull
from gateway.postgresql.connection import Connection

WAITS = "SyncRepWaitForLSN"
"""The routine of the server that waits for a standby, and warns. Its texts come in the server's language, and its
SQLSTATE (01000) is that of all warnings without one of their own."""


class CommitWarnings:
    """Warnings of one connection that concern commits, since `forget`."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._warning = ""

    def watch(self, connection: Connection) -> None:
        """Called with each new connection."""
        self.forget()
        connection.add_notice_handler(self._noticed)

    def forget(self) -> None:
        """A transaction begins."""
        self._warning = ""

    def check(self) -> None:
        """After a commit. Raises SpoolFull when it may not be as durable as the server is to make it."""
        if self._warning:
            raise SpoolFull(f"database {self._shown}: the server warns of a commit: {self._warning}")

    def _noticed(self, diagnostic: Diagnostic) -> None:
        if diagnostic.source_function == WAITS:
            self._warning = " ".join(f"{diagnostic.message_primary}. {diagnostic.message_detail or ''}".split())
