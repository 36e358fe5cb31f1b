"""Everything in the PostgreSQL store as rows (`gateway.ports.store_rows`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.ports.store_rows import KEY_COLUMNS, TABLES, OwedRow, RowKey, StoredRow
from gateway.postgresql.statements import SQL
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.rows import batch

FROM = {"delivery": "delivery LEFT JOIN due USING (delivery_id)"}
"""Table → what its rows are read from, where that is more than the table."""
READ = {
    ("patient", "attributes"): "attributes::text",
    ("study", "attributes"): "attributes::text",
    ("series", "attributes"): "attributes::text",
    ("instance", "attributes"): "coalesce(attributes::text, '')",
    ("delivery", "destination"): "delivery.destination",
    ("delivery", "likeness"): "delivery.likeness",
    ("delivery", "due_at"): "coalesce(due.due_at, delivery.due_at)",
    ("delivery", "lease"): "coalesce(due.lease, delivery.lease)",
}
"""Table and column → how it is read, where its name does not say so."""
TEXTS = frozenset(
    {
        *("facts", "sop_class_uid", "sop_instance_uid", "transfer_syntax_uid", "study_instance_uid"),
        *(
            "series_instance_uid",
            "payload_name",
            "kept_facts",
            "destination",
            "rule",
            "actions_json",
            "state",
            "reason",
        ),
    }
)
IDENTITY = {
    "patient": "jsonb_build_array(coalesce({0} ->> '00100020', ''), coalesce({0} ->> '00100021', ''), "
    "coalesce({0} #>> '{{00100010=,0,0}}', ''), coalesce({0} ->> '00100030', ''), "
    "coalesce({0} ->> '0020000D', ''))::text",
    "study": "coalesce({0} ->> '0020000D', '')",
    "series": "coalesce({0} ->> '0020000E', '')",
}
"""Table → the text whose SHA-256 its `identity` is, of the attributes: as in `upsert_patient.sql` and its like."""


class PostgreSQLStoreRows:
    """The `StoreRows` port on one connection."""

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions

    def read(self, table: str, after: RowKey | None, limit: int) -> Sequence[StoredRow]:
        """The next rows behind a key."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        values: dict[str, int] = {"limit": limit}
        condition = "true"
        if after is not None:
            values |= {f"after_{column}": value for column, value in zip(key, after, strict=True)}
            condition = f"({', '.join(key)}) > ({', '.join(f'%(after_{column})s' for column in key)})"
        statement = SQL["stored_rows"].format(
            columns=", ".join(READ.get((table, column), column) for column in TABLES[table]),
            table=FROM.get(table, table),
            after=condition,
            key=", ".join(key),
        )
        with self._transactions.errors():
            return list(self._transactions.made_rows((statement, values)))

    def last_key(self, table: str) -> RowKey | None:
        """The key of the last row."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        statement = SQL["last_stored_row"].format(
            table=table, key=", ".join(key), backwards=", ".join(f"{column} DESC" for column in key)
        )
        with self._transactions.errors():
            return next(iter(self._transactions.made_rows((statement, {}))), None)

    def add(self, table: str, rows: Sequence[StoredRow]) -> None:
        """Add rows with the identifiers that they have."""
        columns = TABLES[table]
        values = [_value(column, place) for place, column in enumerate(columns)]
        if table in IDENTITY:
            attributes = values[columns.index("attributes")]
            columns = (*columns, "identity")
            values.append(f"sha256(convert_to({IDENTITY[table].format(attributes)}, 'UTF8'))")
        statement = SQL["add_stored_rows"].format(table=table, columns=", ".join(columns), values=", ".join(values))
        self._transactions.change((statement, {"rows": batch(rows)}))
        if table == "delivery":
            self._transactions.do("add_due_rows", first=rows[0][0], last=rows[-1][0])

    def owed(self, instance_ids: Sequence[int]) -> Iterable[OwedRow]:
        """The deliveries of these instances that were not delivered."""
        with self._transactions.errors():
            return list(self._transactions.rows("owed_of_instances", ids=batch(instance_ids)))

    def tally(self) -> Mapping[str, int]:
        """Kind of row → number."""
        with self._transactions.errors():
            return dict(self._transactions.rows("tally"))

    def identifiers_given(self) -> Mapping[str, int]:
        """Table → the last identifier that was given."""
        with self._transactions.errors():
            return dict(self._transactions.rows("identifiers_given"))

    def give_identifiers_behind(self, last: Mapping[str, int]) -> None:
        """No identifier up to these is given from now on."""
        self._transactions.single("give_identifiers_behind", last=batch(list(last.items())))

    def clock(self) -> tuple[int, int] | None:
        """The queue's time as it was written last, and the wall clock's then."""
        with self._transactions.errors():
            found = self._transactions.single("read_clock")
        return None if found is None else (int(found[0]), int(found[1]))

    def set_clock(self, queue_time: int, wall_time: int) -> None:
        """Write them."""
        self._transactions.do("keep_clock", queue_time=queue_time, wall_time=wall_time)


def _value(column: str, place: int) -> str:
    """The value of a column, in a row of JSON."""
    text = f"row ->> {place}"
    if column in TEXTS:
        return text
    if column == "payload_digest":
        return f"decode({text}, 'base64')"
    if column == "attributes":
        return f"without_nul(nullif({text}, ''))"
    return f"({text})::bigint"
