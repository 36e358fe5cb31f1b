"""All rows by name. A further table of rows is one more entry of `TABLES`."""

from __future__ import annotations

from tests.loopback.handler_contract import rows_association, rows_event, rows_find, rows_retrieve, rows_store
from tests.loopback.handler_contract.row import Row

TABLES: tuple[list[Row], ...] = (
    rows_store.ROWS,
    rows_find.ROWS,
    rows_retrieve.ROWS,
    rows_event.ROWS,
    rows_association.ROWS,
)
ROWS: dict[str, Row] = {row.name: row for table in TABLES for row in table}
