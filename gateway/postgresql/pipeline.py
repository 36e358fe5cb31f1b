"""Statements of one connection that are sent together: one round trip for all whose answers nobody needs before.

This is libpq's pipeline mode without the driver's cursors: those cost twenty microseconds of processor time a
statement, and a group of a node has a dozen statements. Named statements are prepared at their first use. The server
infers the types of the values.
"""

from __future__ import annotations

import functools
import re
import select
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from gateway.postgresql.connection import Connection

_VALUE = re.compile(r"%\((\w+)\)[sb]")
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)

Fault = Callable[[psycopg.Error], Exception]
"""Makes another error of one that the server answered a statement with."""


class Reply:
    """The answer to one statement; it is there once `Pipeline.collect` returned."""

    __slots__ = ("_loaded", "fault", "prepared", "result", "then")

    def __init__(self, prepared: str, fault: Fault | None, then: Callable[[Reply], object] | None) -> None:
        self.prepared = prepared
        """The name of the statement, where this is the answer to its preparation."""
        self.fault = fault
        self.then = then
        """Called with this once it is there."""
        self.result: PGresult | None = None
        self._loaded: Callable[[PGresult], list[tuple[Any, ...]]]

    def rows(self) -> list[tuple[Any, ...]]:
        assert self.result is not None
        return self._loaded(self.result)

    def load_by(self, loaded: Callable[[PGresult], list[tuple[Any, ...]]]) -> Reply:
        self._loaded = loaded
        return self

    @property
    def changed(self) -> int:
        """The number of rows that the statement changed or gave."""
        assert self.result is not None
        return self.result.command_tuples or 0

    @property
    def tag(self) -> bytes:
        """The server's word for what it did (PostgreSQL's command tag)."""
        assert self.result is not None
        return self.result.command_status or b""


class Pipeline:
    """Statements of one connection, for one thread. After `collect` the connection is as it was: its driver may use it.

    Raises (each call): psycopg.Error; the connection is closed when it was lost.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._loading = Transformer.from_context(connection)
        self._prepared: set[str] = set()
        self._sent: deque[Reply] = deque()
        self._failures: list[Exception] = []
        """Errors that the server answered with since the last `collect` began."""
        self._poll = select.poll()

    @property
    def is_empty(self) -> bool:
        """True when nothing waits for its answer."""
        return not self._sent

    def send(
        self,
        statement: str,
        values: Mapping[str, Any],
        *,
        name: str = "",
        fault: Fault | None = None,
        then: Callable[[Reply], object] | None = None,
    ) -> Reply:
        """Add a statement; it is prepared under `name`. Values are texts, numbers, lists of numbers, and bytes."""
        text, names = _numbered(statement)
        written = [_written(values[each]) for each in names]
        formats = [Format.BINARY if isinstance(values[each], bytes) else Format.TEXT for each in names]
        if not self._sent:
            self._libpq.enter_pipeline_mode()
        reply = Reply("", fault, then).load_by(self._load)
        try:
            if not name:
                self._libpq.send_query_params(text, written, None, formats)
            else:
                if name not in self._prepared:
                    self._libpq.send_prepare(name.encode(), text)
                    self._prepared.add(name)
                    self._sent.append(Reply(name, fault, None))
                self._libpq.send_query_prepared(name.encode(), written, formats)
        except psycopg.Error:
            self._give_up()
            raise
        self._sent.append(reply)
        return reply

    def drop_callbacks(self) -> None:
        """No function gets the answers to what was sent and not asked for yet."""
        for reply in self._sent:
            reply.then = None

    def collect(self) -> None:
        """Wait for the answers to all that was sent. Raises the first error; what was sent behind it was not done."""
        if not self._sent:
            return
        self._failures.clear()
        answered: list[Reply] = []
        try:
            self._libpq.pipeline_sync()
            self._flush()
            self._answers(answered)
            if self._libpq.status != ConnStatus.OK:
                raise psycopg.OperationalError("the connection was lost")
            self._result()  # of the synchronisation
            self._libpq.exit_pipeline_mode()
        except BaseException as error:
            self._give_up()
            if self._failures and isinstance(error, psycopg.OperationalError):
                raise self._failures[0] from error  # the server's last word says why it ended the session
            raise
        if self._failures:
            raise self._failures[0]
        for reply in answered:
            assert reply.then is not None
            reply.then(reply)

    def _answers(self, answered: list[Reply]) -> None:
        """Wait for them, up to the loss of the connection. Those that somebody waits for join `answered`."""
        while self._sent and self._libpq.status == ConnStatus.OK:
            reply = self._sent.popleft()
            result = reply.result = self._result()
            if result is None or result.status == ExecStatus.PIPELINE_ABORTED:
                self._prepared.discard(reply.prepared)
            elif result.status in _FAILED:
                self._prepared.discard(reply.prepared)
                self._failures.append(self._error(result, reply))
            elif reply.then is not None:
                answered.append(reply)
            if result is not None:
                self._result()  # the end of the answer

    def _give_up(self) -> None:
        """Close the connection: answers that nobody waits for may come over it."""
        self._sent.clear()
        self._connection.close()

    def _error(self, result: PGresult, reply: Reply) -> Exception:
        error = error_from_result(result)
        if isinstance(error, InvalidSqlStatementName):  # somebody deallocated them
            self._prepared.clear()
        return error if reply.fault is None else reply.fault(error)

    def _load(self, result: PGresult) -> list[tuple[Any, ...]]:
        self._loading.set_pgresult(result)
        return self._loading.load_rows(0, result.ntuples, tuple)

    # --- libpq --------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        while self._libpq.flush():
            self._wait(select.POLLIN | select.POLLOUT)

    def _result(self) -> PGresult | None:
        """The result of the next statement, or the end of it; None when the connection was lost."""
        while self._libpq.is_busy():
            self._wait(select.POLLIN)
        return self._libpq.get_result()

    def _wait(self, events: int) -> None:
        self._poll.register(self._libpq.socket, events)
        ((_, what),) = self._poll.poll()
        if what & ~select.POLLOUT:
            self._libpq.consume_input()
            while (notification := self._libpq.notifies()) is not None:
                if self._libpq.notify_handler is not None:
                    self._libpq.notify_handler(notification)


@functools.lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with ``$1`` for the first of its values, and the names of these."""
    numbers: dict[str, int] = {}
    text = _VALUE.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", statement)
    return text.encode(), tuple(numbers)


def _written(value: Any) -> bytes | None:
    """A value as PostgreSQL reads it. Raises psycopg.DataError."""
    if isinstance(value, str):
        if "\0" in value:
            raise psycopg.DataError("a text with NUL")
        return value.encode()
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return f"{{{','.join(map(str, map(int, value)))}}}".encode()
    return str(int(value)).encode() if not isinstance(value, bool) else (b"t" if value else b"f")
