"""Named statements of one connection, as the parts of a store use them, whatever the database.

A batch goes into a statement as one JSON text, and an answer of many rows comes back as one: a statement serves any
number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from gateway.model.delivery import DeliveryState
from gateway.model.query import Query
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryOrder

MadeStatement = tuple[str, dict[str, Any]]
"""A statement that was made for one question, and its values."""


class QueueTime(Protocol):
    """The queue's time."""

    @property
    def now(self) -> Callable[[], datetime]: ...

    def now_us(self) -> int:
        """`now` as it is stored."""
        ...

    def on_the_wall(self, moment: datetime) -> datetime:
        """The wall clock's time at a moment of the queue's time that is near."""
        ...

    def keep(self) -> None:
        """Write the time, or read it, once in a while, with what is written anyway."""
        ...


class Statements(Protocol):
    """Runs statements on one connection, for one thread at a time. Each raises what the database raises; `errors` makes
    of it the gateway's own."""

    @property
    def clock(self) -> QueueTime: ...

    @property
    def on_roll_back(self) -> list[Callable[[], None]]:
        """Called right after a transaction was rolled back."""
        ...

    def errors(self) -> AbstractContextManager[object]:
        """Errors of the database inside become SpoolFull, Temporary or QueueBroken."""
        ...

    def one_state(self) -> AbstractContextManager[object]:
        """The same, and several statements that read see one state of the database."""
        ...

    def do(self, name: str, **values: Any) -> int:
        """Run a named statement; the number of rows it changed."""
        ...

    def post(self, name: str, then: Callable[[list[tuple[Any, ...]]], object] | None = None, **values: Any) -> None:
        """Run a named statement whose answer nobody waits for: it may be sent with a later one, and then fails that
        one. `then` gets its rows by the end of the transaction."""
        ...

    def rows(self, name: str, **values: Any) -> Iterable[tuple[Any, ...]]:
        """The rows that a named statement gives."""
        ...

    def json(self, name: str, **values: Any) -> Any:
        """The one value of a named statement, which is JSON."""
        ...

    def single(self, name: str, **values: Any) -> Any:
        """The one value, or the tuple of the one row, that a named statement gives; None without a row."""
        ...

    def made(self, statement: MadeStatement) -> Any:
        """The one value that a statement gives which was made for it; None without a row."""
        ...

    def made_rows(self, statement: MadeStatement) -> Iterable[tuple[Any, ...]]:
        """The rows of such a statement."""
        ...


class Dialect(Protocol):
    """Makes statements in the words of one database. `limit` -1 is no limit."""

    def find(self, query: Query, limit: int) -> MadeStatement:
        """The keys of what fits, as JSON."""
        ...

    def find_instances(self, query: Query, limit: int) -> MadeStatement:
        """The same for the instances below what fits."""
        ...

    def deliveries(self, which: DeliveryFilter, limit: int, order: DeliveryOrder = "oldest") -> MadeStatement:
        """The identifiers of the deliveries that fit, as JSON."""
        ...

    def studies(self, name: str, which: DeliveryFilter, *, is_newest_first: bool = False) -> MadeStatement:
        """The statement `name` (`find_studies`, `sum_studies`) over the deliveries that fit and their instances."""
        ...

    def paged(self, name: str, which: DeliveryFilter, states: Collection[DeliveryState]) -> MadeStatement:
        """The statement `name` (`page`, `count`, `count_owed`) over the deliveries in one of `states` that fit."""
        ...

    def some(self, which: DeliveryFilter, looked_at: int) -> MadeStatement:
        """How many of up to `looked_at` deliveries fit, and how many were looked at."""
        ...
