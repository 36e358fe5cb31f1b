"""Everything in the PostgreSQL store as rows (`gateway.ports.store_rows`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.ports.store_rows import TABLES, StoredRow
from gateway.postgresql.statements import SQL
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.rows import batch
from gateway.relational.store_rows import RelationalStoreRows

FROM = {"delivery": "delivery LEFT JOIN due USING (delivery_id)"}
"""Table → what its rows are read from, where that is more than the table."""
READ = {
    ("patient", "attributes"): "attributes::text",
    ("study", "attributes"): "attributes::text",
    ("series", "attributes"): "attributes::text",
    ("instance", "attributes"): "coalesce(attributes::text, '')",
    ("delivery", "destination"): "delivery.destination",
    ("delivery", "likeness"): "abs(delivery.likeness)",
    ("delivery", "due_at"): "coalesce(due.due_at, delivery.due_at)",
    ("delivery", "lease"): "coalesce(due.lease, delivery.lease)",
    ("delivery", "group_name"): "delivery.group_name",
    ("delivery", "priority"): "delivery.priority",
    ("delivery", "passes_window"): "delivery.passes_window",
    ("delivery", "is_doubtful"): "coalesce(due.is_doubtful, delivery.is_doubtful)",
}
"""Table and column → how it is read, where its name does not say so."""
TEXTS = frozenset(
    {
        *(
            "facts",
            "sop_class_uid",
            "sop_instance_uid",
            "transfer_syntax_uid",
            "study_instance_uid",
            "series_instance_uid",
        ),
        *("payload_name", "kept_facts", "destination", "rule", "actions_json", "state", "reason", "group_name"),
        *("bundle", "verb", "operator", "why", "target", "filter", "kind", "name", "study_digest", "member"),
        *(
            "collected_key",
            "patient",
            "terms",
            "result",
            "outcome",
            "flag",
            "uid_key",
            "digest",
            "matches",
            "institution",
            "role",
            "expectation",
        ),
    }
)
"""Columns that are texts."""
IDENTITY = {
    "patient": "jsonb_build_array(coalesce({0} ->> '00100020', ''), coalesce({0} ->> '00100021', ''), "
    "coalesce({0} #>> '{{00100010=,0,0}}', ''), coalesce({0} ->> '00100030', ''), "
    "coalesce({0} ->> '0020000D', ''))::text",
    "study": "coalesce({0} ->> '0020000D', '')",
    "series": "coalesce({0} ->> '0020000E', '')",
}
"""Table → the text whose SHA-256 its `identity` is, of the attributes: as in `upsert_patient.sql` and its like."""


class PostgreSQLStoreRows(RelationalStoreRows):
    """The `StoreRows` port on one connection."""

    sql = SQL
    placeholder = "%({})s"
    read_from = FROM
    read_as = READ

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        super().__init__(transactions)
        self._transactions = transactions

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
            self._transactions.do("add_due_rows", ids=batch([row[0] for row in rows]))

    def identifiers_given(self) -> Mapping[str, int]:
        """Table → the last identifier that was given."""
        with self._transactions.errors():
            return dict(self._transactions.rows("identifiers_given"))

    def give_identifiers_behind(self, last: Mapping[str, int]) -> None:
        """No identifier up to these is given from now on."""
        self._transactions.single("give_identifiers_behind", last=batch(list(last.items())))


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
