"""A look at a database that changes nothing: a start asks before it makes anything, and commands beside a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from gateway.postgresql.address import DatabaseAddress
from gateway.postgresql.connection import Connection, check_version, database_errors, open_connection, version_of
from gateway.postgresql.gateway_lock import holders
from gateway.postgresql.statements import SQL

COUNTED_SINCE = 8
"""The schema version since which what is kept is counted as it changes."""


class DatabaseInspection:
    """One connection that looks. Raises psycopg.Error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._version = version_of(connection)

    def identity(self) -> tuple[str, bool]:
        """The spool that the database belongs to, and whether it has instances."""
        if not self._version:
            return "", False
        bound = self._connection.execute(SQL["read_spool"].encode()).fetchone()
        has_instances = self._connection.execute(SQL["has_instances"].encode()).fetchone()
        return (str(bound[0]) if bound else ""), has_instances == (True,)

    def waiting(self) -> Mapping[str, int]:
        """Destination → pending deliveries."""
        if not self._version:
            return {}
        name = "waiting" if self._version >= COUNTED_SINCE else "waiting_before_8"
        return dict(self._connection.execute(SQL[name].encode()).fetchall())

    def is_gateway_running(self) -> bool:
        """True while a gateway holds the lock of this schema, or nodes do."""
        return bool(holders(self._connection))

    def problems(self) -> Sequence[str]:
        """The settings of the server by which it may lose what it said it has."""
        fsync, full_pages, synchronous, _ = self._connection.execute(SQL["server_settings"].encode()).fetchone() or ()
        found = []
        if fsync != "on":
            found.append("fsync is off: a power cut may lose or tear what was delivered and accepted; set fsync = on")
        if full_pages != "on":
            found.append("full_page_writes is off: a power cut may tear pages; set full_page_writes = on")
        if synchronous == "off":
            found.append("synchronous_commit is off: the gateway switches it on for itself; set it for the server")
        return found


@contextmanager
def inspected(place: DatabaseAddress) -> Iterator[DatabaseInspection]:
    """Raises ConfigurationError: the server refuses it, or a newer version made the tables; SpoolFull: it cannot be
    reached now."""
    with open_connection(place) as connection, database_errors(place.shown):
        connection.execute("SET default_transaction_read_only TO on")
        check_version(connection, place)
        yield DatabaseInspection(connection)
