"""The tables of nodes and leases on PostgreSQL, over a connection of their own: they wait for no other transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.model.node import ClusterView, DestinationLease, GatewayNode, NodeSeen, NodeState
from gateway.ports.errors import GatewayError, SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.connection import Connection, connect, database_errors
from gateway.postgresql.hang_guard import HangGuard
from gateway.postgresql.statements import SQL
from gateway.relational.rows import batch, microseconds, moment

LIVE_S = 5.0
"""A node that was seen within this time is live."""
STATEMENT_LIMIT_S = 3.0
"""The longest statement: a lease has to be renewed within seconds."""
KEPT_S = 86_400.0
"""A node that is gone stays in the table for this long."""


class PostgreSQLNodeTable:
    """The `NodeTable` port. The connection is made with the first step, and anew when it was lost."""

    def __init__(self, url: str) -> None:
        self._place = address(url)
        self._guard = HangGuard(STATEMENT_LIMIT_S)
        self._connection: Connection | None = None
        self._is_closed = False

    def beat(
        self, node: GatewayNode, state: NodeState, configuration: str, destinations: Collection[str]
    ) -> ClusterView:
        self._run(
            "beat",
            instance=node.instance,
            node_name=node.name,
            version=node.version,
            configuration=configuration,
            host=node.host,
            pid=node.pid,
            state=state,
            destinations=batch(sorted(destinations)),
            started_at=microseconds(node.started_at),
        )
        leases = tuple(DestinationLease(*row) for row in self._rows("read_leases"))
        return ClusterView(tuple(_node(row) for row in self._rows("read_nodes")), leases)

    def renew(self, leases: Mapping[str, int], lease_s: float) -> Collection[str]:
        return self._rows("renew_leases", leases=batch([*leases.items()]), lease_us=round(lease_s * 1_000_000))

    def take(self, instance: str, destinations: Collection[str], lease_s: float) -> Mapping[str, int]:
        names = batch(sorted(destinations))
        with self._transaction():
            self._run("add_leases", destinations=names)
            taken: dict[str, int] = dict(
                self._rows("take_leases", destinations=names, instance=instance, lease_us=round(lease_s * 1_000_000))
            )
            if taken:
                self._run("free_claimed", destinations=batch(sorted(taken)))
        return taken

    def release(self, leases: Mapping[str, int]) -> None:
        self._run("release_leases", leases=batch([*leases.items()]))

    def leave(self, instance: str) -> None:
        with self._transaction():
            self._run("release_leases_of", instance=instance)
            self._run("delete_node", instance=instance)

    def tidy(self) -> None:
        self._run("tidy_nodes", kept_us=round(KEPT_S * 1_000_000), live_us=round(LIVE_S * 1_000_000))
        self._run("tidy_leases", kept_us=round(KEPT_S * 1_000_000))

    def close(self) -> None:
        self._is_closed = True
        self._guard.cut()
        self._guard.close()
        if self._connection is not None:
            self._connection.close()

    # --- statements ---------------------------------------------------------------------------------------------

    def _live(self) -> Connection:
        """The connection. Raises SpoolFull: there is none now, whatever the reason."""
        if self._is_closed:
            raise SpoolFull(f"database {self._place.shown}: the connection was closed")
        if self._connection is None or self._connection.closed:
            try:
                self._connection = connect(
                    self._place, must_exist=True, is_read_only=False, prepare=let_go_when_frozen, opened=self._watch
                )
            except GatewayError as error:
                raise SpoolFull(str(error)) from error
            finally:
                self._guard.end()
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with database_errors(self._place.shown):
            connection = self._live()
            self._watch(connection)
            try:
                with connection.transaction():
                    yield
                    self._watch(connection)
            finally:
                self._guard.end()

    def _watch(self, connection: Connection) -> None:
        self._guard.begin(connection.fileno())

    def _run(self, name: str, **values: Any) -> Any:
        """The one value that the statement gives; None when it gives no rows."""
        with database_errors(self._place.shown):
            connection = self._live()
            self._watch(connection)
            try:
                cursor = connection.execute(SQL[name].encode(), values)
                row = cursor.fetchone() if cursor.description else None
            finally:
                self._guard.end()
        return None if row is None else row[0]

    def _rows(self, name: str, **values: Any) -> list[Any]:
        """The rows that the statement gives as JSON."""
        found: list[Any] = json.loads(self._run(name, **values))
        return found


def let_go_when_frozen(connection: Connection) -> None:
    """The server ends a transaction of a process that is frozen: its locks would keep leases from other nodes."""
    connection.execute("SET idle_in_transaction_session_timeout TO '3s'")


def _node(row: list[Any]) -> NodeSeen:
    instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at, unseen_us, leases = row
    return NodeSeen(
        node=GatewayNode(instance, name, version, host, pid, moment(started_at)),
        state=state,
        configuration=configuration,
        destinations=frozenset(destinations),
        seen_at=moment(seen_at),
        is_live=unseen_us < LIVE_S * 1_000_000,
        leases=leases,
    )
