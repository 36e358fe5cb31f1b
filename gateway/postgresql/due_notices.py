"""Notices of other nodes (LISTEN, NOTIFY): an acceptance says for which destinations deliveries are due now; a C-MOVE
to the gateway, and what it brings, concern nodes."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from typing import Any

import psycopg
import structlog

from gateway.ports.errors import GatewayError
from gateway.postgresql.address import address
from gateway.postgresql.connection import Connection, open_connection
from gateway.relational.rows import batch
from gateway.relational.statements import Statements

log = structlog.get_logger()

CHANNEL = "gateway_due"
"""The channel of `announce`: its payload is [schema, node, destinations], without those when they are too many."""
EXPECTED = "gateway_expected"
"""The channel of `expect`, `hand_over` and what follows: the payload is [schema, run of a node], empty for all."""
AGAIN_S = 1.0
"""The time between two tries to connect."""
CLOSED_WITHIN_S = 5.0
"""The time that a close waits: a try to connect takes three seconds."""


Announce = Callable[[Collection[str] | None], object]
"""Says that deliveries for these destinations are due now; None: for any."""


class Announcer:
    """Tells nodes through `statements`, once the transaction is committed; `node` is the one that needs no notice,
    empty when all do."""

    def __init__(self, statements: Statements, node: str) -> None:
        self._statements = statements
        self._node = node

    def __call__(self, destinations: Collection[str] | None) -> None:
        """Deliveries for these are due now; None: for any."""
        if destinations is None or destinations:
            names = None if destinations is None else batch(sorted(destinations))
            self._statements.post("announce", node=self._node, destinations=names)


def no_announcement(destinations: Collection[str] | None) -> None:
    """There are no other nodes."""


class DueListener:
    """Calls `on_due` in a thread of its own with the destinations that another node, or a command, made deliveries due
    for; with None when they may be any: too many were named, or the connection was made anew and nobody knows what was
    said meanwhile. Calls `on_expected` with the run of the node that has instances to take or answers to read, empty
    for all. It is a help: what is told to nobody is found by looking."""

    def __init__(
        self,
        url: str,
        node: str,
        on_due: Callable[[frozenset[str] | None], object],
        on_expected: Callable[[str], object],
    ) -> None:
        self._place = address(url)
        self._node = node
        self._on_due = on_due
        self._on_expected = on_expected
        self._is_closed = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="postgresql-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_closed.set()
        self._waker.send(b"\0")
        self._thread.join(CLOSED_WITHIN_S)

    def _run(self) -> None:
        with closing(self._woken), closing(self._waker):
            while not self._is_closed.is_set():
                try:
                    with closing(open_connection(self._place)) as connection:
                        self._listen(connection)
                except (psycopg.Error, GatewayError) as error:
                    log.warning("notices_interrupted", database=self._place.shown, reason=" ".join(str(error).split()))
                    self._is_closed.wait(AGAIN_S)

    def _listen(self, connection: Connection) -> None:
        """Returns when this is closed. Raises psycopg.Error when the connection is lost."""
        for channel in (CHANNEL, EXPECTED):
            connection.execute(f"LISTEN {channel}".encode())
        schema = connection.execute("SELECT current_schema()").fetchone()
        self._on_due(None)
        self._on_expected("")
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while not self._is_closed.is_set():
            notices = [(each.channel, json.loads(each.payload)) for each in connection.notifies(timeout=0)]
            self._report([payload for channel, payload in notices if channel == CHANNEL], schema)
            for node in {payload[1] for channel, payload in notices if channel == EXPECTED and (payload[0],) == schema}:
                self._on_expected(node)
            poll.poll()

    def _report(self, notices: list[list[Any]], schema: tuple[object, ...] | None) -> None:
        """One call for all that came together."""
        others = [notice for notice in notices if (notice[0],) == schema and notice[1] != self._node]
        if not others:
            return
        if any(len(notice) < 3 for notice in others):
            self._on_due(None)
            return
        self._on_due(frozenset(name for notice in others for name in notice[2]))
