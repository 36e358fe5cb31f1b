"""Payloads in PostgreSQL: a group is one row in the table of its hour, and leaves with that table once it is sealed.

Each hour has a table of its own. To drop one costs nothing and locks nobody who writes into another. A partition would
lock its parent, which every acceptance writes to.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import Error, errors

from gateway.common.buffer import Buffer
from gateway.ports.errors import QueueBroken, Temporary, TransactionConflict
from gateway.ports.shared_payloads import JournalGroup, UnsealedPayloads
from gateway.postgresql.statements import of_hour
from gateway.postgresql.transactions import PostgreSQLTransaction, PostgreSQLTransactions
from gateway.postgresql.unsealed_groups import UnsealedGroups
from gateway.relational.rows import batch, cleaned, microseconds, moment

HOUR_US = 3_600_000_000
NAME = re.compile(r"journal/(\d{1,9})/(\d{1,18})")
KEPT_HOURS = 1
"""Tables of so many past hours stay, sealed or not: a reader that looked for a group just now finds it there."""


class PostgreSQLSharedPayloads:
    """The `SharedPayloads` port on one connection."""

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions
        self._prepared = -1
        """The hour whose table is known to be there."""
        transactions.on_roll_back.append(self._forget)

    def _forget(self) -> None:
        self._prepared = -1

    def _hour(self) -> int:
        return self._transactions.clock.now_us() // HOUR_US

    def prepare(self) -> None:
        """Make the table of the present hour, where there is none yet. Outside a transaction."""
        hour = self._hour()
        if hour == self._prepared:
            return
        with PostgreSQLTransaction(self._transactions):
            self._transactions.do("take_migration_lock")
            self._transactions.change(of_hour("make_journal_of_hour", hour))
        self._prepared = hour

    def exclude_other_starts(self) -> None:
        """Wait until no other node makes anything at its start; none does until the transaction ends."""
        self._transactions.do("take_migration_lock")

    def add_group(self, payloads: Sequence[Buffer]) -> str:
        """Keep these payloads as one row. Raises TransactionConflict when the hour of its table is over."""
        hour = self._prepared
        if hour != self._hour():
            raise TransactionConflict(f"database {self._transactions.place.shown}: the hour of journal_{hour} is over")
        now = self._transactions.clock.now_us()
        group = of_hour("add_group", hour, now=now, payloads=b"".join(payloads))
        number = self._transactions.made_together(group, self._dropped)
        return f"journal/{hour}/{number}"

    def _dropped(self, error: Error) -> Exception:
        """Another node drops tables by its own clock, which may be ahead: the transaction is done again without it."""
        if not isinstance(error, errors.UndefinedTable):
            return error
        shown = self._transactions.place.shown
        return TransactionConflict(f"database {shown}: another node dropped the table: {error}")

    def add_objects(self, objects: Sequence[tuple[str, int]]) -> None:
        """Each is a payload of its own."""
        self._transactions.do("add_objects", objects=batch(objects), now=self._transactions.clock.now_us())

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes | None:
        """Bytes of a group; None when the journal has it no more."""
        hour, group = _parsed(name)
        if not self._has_hour(hour):
            return None
        part = of_hour("read_part_of_group", hour, start=offset_bytes + 1, length=length_bytes, group=group)
        try:
            with self._transactions.errors():
                data = self._transactions.made(part, is_binary=True)
        except QueueBroken as error:
            if isinstance(error.__cause__, errors.UndefinedTable):  # dropped a moment ago
                return None
            raise
        return None if data is None or len(data) != length_bytes else bytes(data)

    def has_group(self, name: str) -> bool:
        """True while the journal has it. Raises TransactionConflict when its table is dropped at this moment."""
        hour, group = _parsed(name)
        with self._transactions.errors():
            try:
                return self._has_hour(hour) and bool(self._transactions.made(of_hour("has_group", hour, group=group)))
            except errors.UndefinedTable as error:
                raise self._dropped(error) from error

    def _has_hour(self, hour: int) -> bool:
        with self._transactions.errors():
            return bool(self._transactions.made(of_hour("has_journal_of_hour", hour)))

    def place(self, name: str) -> tuple[str, int] | None:
        """Where a payload name leads in the object store."""
        with self._transactions.errors():
            found = self._transactions.single("place", payload=name)
        return None if found is None else (found[0], found[1])

    def unsealed(self) -> UnsealedPayloads:
        """The groups that are not sealed yet, as the node that seals noted them last."""
        with self._transactions.errors():
            found = self._transactions.single("read_unsealed")
        if found is None:
            return UnsealedPayloads()
        groups, length_bytes, oldest_at, problem, counted_at = found
        oldest = None if oldest_at is None else moment(oldest_at)
        return UnsealedPayloads(groups, length_bytes, oldest, problem, moment(counted_at))

    def added_since(self, moment: datetime) -> tuple[int, int]:
        """Number and bytes of the groups that came after it, sealed or not."""
        after = microseconds(moment)
        with self._transactions.errors():
            hours = [hour for (hour,) in self._transactions.rows("journal_hours") if hour >= after // HOUR_US]
        found = [self._added_since(hour, after) for hour in hours]
        return sum(groups for groups, _ in found), sum(length_bytes for _, length_bytes in found)

    def _added_since(self, hour: int, after: int) -> tuple[int, int]:
        try:
            with self._transactions.errors():
                rows = list(self._transactions.made_rows(of_hour("count_groups_since", hour, after=after)))
        except QueueBroken as error:
            if isinstance(error.__cause__, errors.UndefinedTable):  # dropped a moment ago: all is sealed
                return 0, 0
            raise
        groups, length_bytes = rows[0]
        return groups, length_bytes


class PostgreSQLPayloadSealing:
    """The `PayloadSealing` port on one connection."""

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions
        self._unsealed = UnsealedGroups(transactions)

    def take_turn(self) -> bool:
        """True when this session holds the lock of the one that seals."""
        with self._transactions.errors():
            return bool(self._transactions.single("take_sealing_turn"))

    def unsealed(self, limit: int) -> Sequence[JournalGroup]:
        """The oldest groups that an instance names and that lie in no object yet."""
        if self._transactions.is_open:
            return self._unsealed.first(limit)
        with PostgreSQLTransaction(self._transactions):  # in place of one for each statement
            return self._unsealed.first(limit)

    def read_groups(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """All bytes of each of these groups that is there."""
        numbers: dict[int, list[int]] = {}
        for hour, number in map(_parsed, names):
            numbers.setdefault(hour, []).append(number)
        found: dict[str, bytes] = {}
        for hour, groups in numbers.items():
            with self._transactions.errors():
                rows = self._transactions.made_rows(of_hour("read_groups", hour, groups=groups), is_binary=True)
            found |= {f"journal/{hour}/{number}": bytes(data) for number, data in rows}
        return found

    def seal(self, object_name: str, groups: Sequence[JournalGroup]) -> None:
        """These groups lie in this object, one behind the other.

        Raises Temporary: another node sealed one of them. The turn ends with the connection, which may be a new one.
        """
        places, offset_bytes = [], 0
        for group in groups:
            places.append((group.name, offset_bytes))
            offset_bytes += group.length_bytes
        now = self._transactions.clock.now_us()
        try:
            self._transactions.do("seal", object=object_name, length=offset_bytes, now=now, groups=batch(places))
        except errors.UniqueViolation as error:
            shown = self._transactions.place.shown
            raise Temporary(f"database {shown}: another node sealed these groups meanwhile") from error
        self._unsealed.sealed(groups)

    def note_unsealed(self, problem: str) -> None:
        """Count what is not sealed yet, and write it down for all nodes."""
        if self._transactions.is_open:
            self._note_unsealed(problem)
            return
        with PostgreSQLTransaction(self._transactions):  # in place of one for each statement
            self._note_unsealed(problem)

    def _note_unsealed(self, problem: str) -> None:
        groups, length_bytes, oldest_at = self._unsealed.count()
        with self._transactions.errors():
            self._transactions.do(
                "note_unsealed",
                groups=groups,
                length=length_bytes,
                oldest=oldest_at,
                problem=cleaned([problem])[0],
                now=self._transactions.clock.now_us(),
            )

    def drop_sealed(self) -> int:
        """Drop the tables of past hours in which nothing is left to be sealed."""
        last = self._transactions.clock.now_us() // HOUR_US - KEPT_HOURS
        past = [hour for hour in self._unsealed.hours if hour < last and self._unsealed.may_be_over(hour)]
        return sum(self._has_dropped(hour) for hour in past)

    def _has_dropped(self, hour: int) -> bool:
        """Drop the table of an hour, if it can be: nobody writes into it once it is locked."""
        with contextlib.suppress(Temporary), PostgreSQLTransaction(self._transactions):
            self._transactions.do("wait_a_second_for_locks")
            self._transactions.change(of_hour("lock_journal_of_hour", hour))
            if self._transactions.made(of_hour("has_unsealed_groups", hour)):
                return False
            self._transactions.change(of_hour("drop_journal_of_hour", hour))
            return True
        return False

    def unnamed_objects(self, after: str, limit: int) -> tuple[Sequence[str], str]:
        """Objects of which no instance names anything, among the next ones, and the name to go on behind."""
        with self._transactions.errors():
            page = list(self._transactions.rows("unnamed_objects", after=after, limit=limit))
        return [name for name, is_named in page if not is_named], page[-1][0] if len(page) == limit else ""

    def forget_objects(self, names: Sequence[str]) -> None:
        """Delete all that leads to these objects."""
        self._transactions.do("forget_objects", names=batch(names))

    def known_objects(self, names: Sequence[str]) -> set[str]:
        """Those among these that the database knows."""
        with self._transactions.errors():
            return {name for (name,) in self._transactions.rows("known_objects", names=batch(names))}


def _parsed(name: str) -> tuple[int, int]:
    """The hour and the number of a group."""
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"payload {name!r}: it is no group of the journal")
    return int(found[1]), int(found[2])
