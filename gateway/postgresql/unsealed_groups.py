"""The search for groups of the journal that are to be sealed: each look costs what came since the last one.

Numbers of groups come from one sequence, and transactions are not over in their order: a group may appear behind one
with a higher number. So the search goes on behind a number only when no transaction is left that could bring a lower
one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from gateway.ports.shared_payloads import JournalGroup
from gateway.postgresql.statements import of_hour
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.rows import batch

GROUPS_READ = 1024
"""Groups that one statement reads."""


@dataclasses.dataclass(slots=True)
class _Counted:
    """Groups of an hour that are not read yet."""

    until: int = 0
    """The number of the last one that is counted."""
    groups: int = 0
    length_bytes: int = 0


class UnsealedGroups:
    """Follows the tables of all hours on one connection. A transaction that is rolled back begins the search anew, as
    does a connection that is made anew."""

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions
        self._forget()
        transactions.on_roll_back.append(self._forget)

    def _forget(self) -> None:
        self._passed: dict[int, int] = {}
        """Hour → the number behind which it is read next."""
        self._waiting: dict[tuple[int, int], JournalGroup] = {}
        """Hour and number → a group that was read and is not sealed yet."""
        self._unread: frozenset[int] = frozenset()
        """Hours that the last look did not read to their end."""
        self._read_to: dict[int, int] = {}
        """Hour → the number of the last group that was read."""
        self._counted: dict[int, _Counted] = {}
        """Hour → the groups behind that one that were counted."""
        self._complete = 0
        """Each group up to this number can be seen, or never will be."""
        self._next: tuple[int, frozenset[str]] | None = None
        """The number that `_complete` is to become, and the transactions that have to end before."""

    def first(self, limit: int) -> Sequence[JournalGroup]:
        """The oldest groups that an instance names and that lie in no object yet."""
        with self._transactions.errors():
            self._look(limit)
            while unnamed := self._unnamed(limit):
                for key in unnamed:
                    del self._waiting[key]
                self._look(limit)
            return [self._waiting[key] for key in sorted(self._waiting)[:limit]]

    def sealed(self, groups: Sequence[JournalGroup]) -> None:
        """These lie in an object now. Inside the transaction that says so."""
        names = {group.name for group in groups}
        self._waiting = {key: group for key, group in self._waiting.items() if group.name not in names}

    @property
    def hours(self) -> Sequence[int]:
        """Those that have a table, as the last look found them."""
        return [*self._passed]

    def may_be_over(self, hour: int) -> bool:
        """False when a group of this hour is known to wait, or the last look did not come so far."""
        return hour not in self._unread and all(key[0] != hour for key in self._waiting)

    def count(self) -> tuple[int, int, int | None]:
        """Number and bytes of the groups that wait, and when the oldest one was added.

        Those that were not read yet are counted once each, as they come: whether they wait is found out later.
        """
        with self._transactions.errors():
            self._move_on()
            beyond = [self._counted_beyond(hour) for hour in self._passed]
        groups = len(self._waiting) + sum(each.groups for each in beyond)
        length_bytes = sum(group.length_bytes for group in self._waiting.values())
        oldest_at = min((group.added_at for group in self._waiting.values()), default=None)
        return groups, length_bytes + sum(each.length_bytes for each in beyond), oldest_at

    def _counted_beyond(self, hour: int) -> _Counted:
        counted = self._counted.setdefault(hour, _Counted())
        after = max(counted.until, self._read_to.get(hour, 0))
        if after < self._complete:
            statement = of_hour("count_groups", hour, after=after, until=self._complete)
            groups, length_bytes = self._transactions.made(statement)
            counted.groups += groups
            counted.length_bytes += length_bytes
            counted.until = self._complete
        return counted

    # --- inside -------------------------------------------------------------------------------------------------

    def _look(self, limit: int) -> None:
        self._move_on()
        hours = [hour for (hour,) in self._transactions.rows("journal_hours")]
        self._passed = {hour: self._passed.get(hour, 0) for hour in hours}
        self._counted = {hour: counted for hour, counted in self._counted.items() if hour in self._passed}
        self._read_to = {hour: number for hour, number in self._read_to.items() if hour in self._passed}
        self._waiting = {key: group for key, group in self._waiting.items() if key[0] in self._passed}
        self._unread = frozenset(hour for hour in hours if not self._is_read(hour, limit))

    def _move_on(self) -> None:
        """Find out up to where the groups are complete. What is read afterwards holds all of them."""
        if self._next is None:
            begun = self._transactions.single("last_group")
            self._next = begun, self._writers()
        begun, writers = self._next
        writers = writers and writers & self._writers()
        self._next = (begun, writers) if writers else None
        if not writers:
            self._complete = begun

    def _writers(self) -> frozenset[str]:
        return frozenset(transaction for (transaction,) in self._transactions.rows("journal_writers"))

    def _is_read(self, hour: int, limit: int) -> bool:
        """Read on until so many groups wait; True when it came to the end of this hour."""
        number = self._passed[hour]
        while len(self._waiting) < limit:
            rows = list(self._groups_after(hour, number))
            for number, length_bytes, added_at, waits in rows:
                self._was_read(hour, number, length_bytes)
                if waits:
                    self._waiting[hour, number] = JournalGroup(f"journal/{hour}/{number}", length_bytes, added_at)
            if len(rows) < GROUPS_READ:
                self._passed[hour] = self._complete
                return True
            self._passed[hour] = min(number, self._complete)
        return False

    def _was_read(self, hour: int, number: int, length_bytes: int) -> None:
        """A group that was counted is counted no more, once it is read for the first time."""
        if number <= self._read_to.get(hour, 0):
            return
        self._read_to[hour] = number
        counted = self._counted.get(hour)
        if counted is not None and number <= counted.until:
            counted.groups -= 1
            counted.length_bytes -= length_bytes

    def _groups_after(self, hour: int, number: int) -> Iterator[tuple[int, int, int, bool]]:
        statement = of_hour("groups_after", hour, after=number, limit=GROUPS_READ)
        yield from self._transactions.made_rows(statement)

    def _unnamed(self, limit: int) -> list[tuple[int, int]]:
        """Those that no instance names any more, among the oldest ones."""
        oldest = sorted(self._waiting)[:limit]
        names = [self._waiting[key].name for key in oldest]
        named = {name for (name,) in self._transactions.rows("named_groups", names=batch(names))}
        return [key for key in oldest if self._waiting[key].name not in named]
