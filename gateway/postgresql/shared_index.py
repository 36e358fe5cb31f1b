"""The index of a schema that several nodes write: no row goes while an instance that names it is about to be committed.

A node remembers keys of patients, studies and series, as a gateway that is alone does. Another node may have forgotten
such a row meanwhile. So a node locks the rows of the remembered keys before it names them (FOR KEY SHARE), and makes
anew what is gone. A node that forgets locks the rows first, and looks afterwards whether anything names them. It waits
for no lock, so that the two never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from gateway.model.instance import IndexEntry
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.index_tables import IndexTables
from gateway.relational.rows import batch
from gateway.relational.statements import Dialect

ASSOCIATION = "association"
TABLES = ("patient", "study", "series", ASSOCIATION)

IndexRow = tuple[str, int]
"""Table, key."""


class SharedIndexTables(IndexTables):
    """The index on one connection of a node."""

    def __init__(self, transactions: PostgreSQLTransactions, dialect: Dialect) -> None:
        super().__init__(transactions, dialect)
        self._transactions = transactions

    def hold(
        self, sop_instance_uids: Iterable[str], entries: Collection[IndexEntry], associations: Iterable[int]
    ) -> Callable[[], set[int]]:
        """Until the transaction ends no other node takes these SOP Instance UIDs, or forgets rows that the entries or
        the associations name. The answer, which waits for it: the associations among these that are gone already."""
        wanted = {(ASSOCIATION, each) for each in associations} | self._remembered(entries)
        holding = self._hold(sorted(set(sop_instance_uids)), wanted)
        return lambda: self._held(entries, wanted, holding)

    def _held(
        self, entries: Collection[IndexEntry], wanted: set[IndexRow], holding: Callable[[], set[IndexRow]]
    ) -> set[int]:
        """The associations that are gone. Keys above one that is gone may be remembered: they are held too."""
        held: set[IndexRow] = set()
        gone_associations: set[int] = set()
        while True:
            gone = wanted - holding()
            gone_associations |= {key for table, key in gone if table == ASSOCIATION}
            self.drop(gone)
            held |= wanted
            wanted = self._remembered(entries) - held
            if not wanted:
                return gone_associations
            holding = self._hold([], wanted)

    def _remembered(self, entries: Iterable[IndexEntry]) -> set[IndexRow]:
        """The lowest row of each entry whose key is remembered: while it is there, those above it are."""
        return {row for entry in entries if (row := self.lowest(entry)) is not None}

    def _hold(self, sop_instance_uids: Sequence[str], wanted: Collection[IndexRow]) -> Callable[[], set[IndexRow]]:
        """Those that are there, once that is asked."""
        keys = {table: sorted(key for of, key in wanted if of == table) for table in TABLES}
        holding = self._transactions.send("hold_rows", sop_instance_uids=batch(sop_instance_uids), **keys)

        def held() -> set[IndexRow]:
            _, *found = holding()
            return {(table, key) for table, there in zip(TABLES, found, strict=True) for key in there}

        return held

    def _write(self, entries: Sequence[IndexEntry]) -> None:
        """Rows level by level in one order, whatever came first: nodes that write the same ones do not wait for each
        other in a ring."""
        ordered = sorted({(entry.patient, entry.study, entry.series) for entry in entries})
        patients = {patient: self._key(0, "patient", patient) for patient, _, _ in ordered}
        studies = {each[:2]: self._key(patients[each[0]], "study", each[1]) for each in ordered}
        for patient, study, series in ordered:
            self._key(studies[patient, study], "series", series)

    # --- forgetting ---------------------------------------------------------------------------------------------

    def forgettable(self, instance_ids: Sequence[int]) -> Sequence[int]:
        """Lock these instances and what may go with them; those that another transaction works on are left out."""
        free: list[int] = self._statements.json("take_forgettable", ids=batch(instance_ids))
        return free
