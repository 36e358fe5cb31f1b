"""The gateways of a schema: one that is alone, or nodes with a name each. Session-level advisory locks say so, which
end with their connection however that ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.postgresql.address import DatabaseAddress
from gateway.postgresql.connection import Connection
from gateway.postgresql.statements import SQL

log = structlog.get_logger()

AT_START_S = 15.0
"""The time that a start waits for a lock: a server notices within eleven seconds that the host of a session is gone
(`gateway.postgresql.connection.SESSION`), and a session of a process that was killed ends a moment after it."""
AGAIN_S = 2.0
"""The same for a gateway that runs: its committer waits."""

OF_SCHEMA = {"space": 1145525041, "of": ""}
"""The lock of the schema ("DGW1"): a gateway that is alone holds it, and all nodes share it."""


def of_node(name: str) -> dict[str, object]:
    """The lock of a node's name ("DGW2")."""
    return {"space": 1145525042, "of": f" {name}"}


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session of the server that holds a lock."""

    session: tuple[int, object]
    """Process of the server, and its begin."""
    host: str
    is_sharing: bool


def holders(connection: Connection, lock: dict[str, object] = OF_SCHEMA) -> list[LockHolder]:
    """The sessions that hold `lock`; none when no gateway runs."""
    found = connection.execute(SQL["lock_holders"].encode(), lock).fetchall()
    return [LockHolder((process, begin), host, is_sharing) for process, begin, host, is_sharing in found]


class GatewayLock:
    """The locks of one gateway, which each of its connections takes anew. A session of ours that the server does not
    know to be gone yet is ended."""

    def __init__(self, place: DatabaseAddress, at_start_s: float = AT_START_S, node: str = "") -> None:
        self._place = place
        self._at_start_s = at_start_s
        self._node = node
        self._session: LockHolder | None = None

    def take(self, connection: Connection) -> None:
        """Raises ConfigurationError at first, SpoolFull later: another gateway uses the schema, or the name."""
        own = of_node(self._node) if self._node else OF_SCHEMA
        self._take(connection, "try_lock", own)
        if self._node:
            self._take(connection, "try_lock_shared", OF_SCHEMA)
        (self._session,) = holders(connection, own)

    def _take(self, connection: Connection, statement: str, lock: dict[str, object]) -> None:
        """A session that waits in the server's own queue would let no node connect meanwhile: it asks again instead."""
        if _has_taken(connection, statement, lock):
            return
        others = holders(connection, lock)
        if self._session in others:
            connection.execute("SELECT pg_terminate_backend(%s, 2000)", (self._session.session[0],))
        limit_s = AGAIN_S if self._session else self._at_start_s
        log.warning("database_lock_awaited", database=self._place.shown, holder=_hosts(others), at_most_s=limit_s)
        until_s = time.monotonic() + limit_s
        while not _has_taken(connection, statement, lock):
            others = holders(connection, lock) or others
            if time.monotonic() >= until_s:
                raise self._in_use(others, lock)
            connection.execute("SELECT pg_sleep(0.05)")

    def _in_use(self, others: Sequence[LockHolder], lock: dict[str, object]) -> ConfigurationError | SpoolFull:
        text, remedy = self._reason(others, lock)
        what = f"database {self._place.shown}: {text}"
        return SpoolFull(what) if self._session else ConfigurationError(f"{what}; {remedy}")

    def _reason(self, others: Sequence[LockHolder], lock: dict[str, object]) -> tuple[str, str]:
        hosts = _hosts(others)
        if lock != OF_SCHEMA:
            what = f"another gateway uses it as the node {self._node!r} (from {hosts})"
            return what, "stop that one, or give this one a name of its own"
        if self._node:
            what = f"a gateway that is alone uses it (from {hosts}), and this one is the node {self._node!r}"
            return what, "stop that one, or make a node of it"
        if any(other.is_sharing for other in others):
            what = f"{len(others)} nodes of a cluster use it (from {hosts}), and this gateway is alone"
            return what, "make a node of it, stop the nodes, or name another database or schema"
        return f"another gateway uses it (from {hosts})", "stop that one, or name another database or schema"


def _has_taken(connection: Connection, statement: str, lock: dict[str, object]) -> bool:
    return connection.execute(SQL[statement].encode(), lock).fetchone() == (True,)


def _hosts(sessions: Sequence[LockHolder]) -> str:
    return ", ".join(sorted({session.host for session in sessions})) or "an unknown machine"
