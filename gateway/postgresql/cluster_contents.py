"""Everything that the database of a cluster says of payloads and objects (`gateway.ports.cluster_contents`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import errors

from gateway.model.instance import PayloadRef
from gateway.ports.cluster_contents import HeldPayload, JournalHour, KnownObject
from gateway.ports.errors import QueueBroken
from gateway.postgresql.shared_payloads import HOUR_US, KEPT_HOURS, NAME
from gateway.postgresql.statements import of_hour
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.rows import batch


class PostgreSQLClusterContents:
    """The `ClusterContents` port on one connection."""

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions

    def payloads_after(self, last: HeldPayload | None, limit: int) -> Sequence[HeldPayload]:
        """The next payloads, in order of name, offset and instance."""
        name, offset_bytes, instance_id = "", 0, 0
        if last is not None:
            name, offset_bytes, instance_id = last.payload.name, last.payload.offset_bytes, last.instance_id
        return self._held("held_payloads_after", payload=name, offset=offset_bytes, instance=instance_id, limit=limit)

    def payload_of(self, held: HeldPayload) -> HeldPayload | None:
        """The same as it is now."""
        return next(iter(self._held("held_payload", instance=held.instance_id)), None)

    def payloads_of_object(self, name: str, last: HeldPayload | None, limit: int) -> Sequence[HeldPayload]:
        """The next payloads in an object, in the order of their bytes."""
        start_bytes, instance_id = (-1, 0) if last is None else (last.start_bytes, last.instance_id)
        return self._held("held_payloads_of_object", object=name, start=start_bytes, instance=instance_id, limit=limit)

    def _held(self, statement: str, **values: Any) -> Sequence[HeldPayload]:
        with self._transactions.errors():
            return [
                HeldPayload(
                    instance_id, sop_instance_uid, PayloadRef(name, offset_bytes, length_bytes, bytes(digest)), *place
                )
                for instance_id, sop_instance_uid, name, offset_bytes, length_bytes, digest, *place in (
                    self._transactions.rows(statement, **values)
                )
            ]

    def group_bytes(self, name: str) -> int | None:
        """The length of a group in the journal."""
        found = NAME.fullmatch(name)
        row = found and self._of_hour("group_length", int(found[1]), group=int(found[2]))
        return None if row is None else int(row)

    def _of_hour(self, statement: str, hour: int, **values: object) -> Any:
        """The answer of a statement on the table of an hour; None when there is no such table."""
        with self._transactions.errors():
            if not self._transactions.made(of_hour("has_journal_of_hour", hour)):
                return None
        try:
            with self._transactions.errors():
                return self._transactions.made(of_hour(statement, hour, **values))
        except QueueBroken as error:
            if isinstance(error.__cause__, errors.UndefinedTable):  # dropped a moment ago
                return None
            raise

    def objects_after(self, name: str, limit: int) -> Sequence[KnownObject]:
        """The next objects behind a name, in order."""
        with self._transactions.errors():
            return [KnownObject(*row) for row in self._transactions.rows("objects_after", after=name, limit=limit)]

    def known_among(self, names: Sequence[str]) -> Mapping[str, KnownObject]:
        """Those among these that the database leads to."""
        with self._transactions.errors():
            return {row[0]: KnownObject(*row) for row in self._transactions.rows("objects_among", names=batch(names))}

    def past_hours(self) -> Sequence[JournalHour]:
        """The tables of hours that are over, and whose tables are to be dropped."""
        with self._transactions.errors():
            present = self._transactions.single("server_time") // HOUR_US
            hours = [hour for (hour,) in self._transactions.rows("journal_hours") if hour < present - KEPT_HOURS]
        found = [(hour, self._of_hour("journal_of_hour", hour)) for hour in hours]
        return [JournalHour(f"journal_{hour}", *counted) for hour, counted in found if counted is not None]

    def disagreements(self) -> Sequence[tuple[str, int]]:
        """Rows that name rows that are not there, and counts that are wrong."""
        with self._transactions.errors():
            return [(what, number) for what, number in self._transactions.rows("disagreements") if number]
