"""The list of `gateway queue`: a table that fits a terminal, or CSV."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.cli.render import age, local_time, size, table
from gateway.common.plain_text import printable, shown_uid
from gateway.model.delivery import Delivery
from gateway.operations.delivery_listing import FIELDS, age_s, shown_reason
from gateway.ports.delivery_administration import DeliveryTotal

WIDTH = 120
"""Columns of the table where the output is no terminal."""
LEAST_REASON, MOST_RULE, MOST_DESTINATION, MOST_UID = 24, 20, 16, 24
CUT = "…"

HEADS = ("id", "state", "destination", "rule", "arrived", "age", "tries", "object", "reason")
WIDE_HEADS = (*HEADS[:7], "size", *HEADS[7:])


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `delivery_json` with heads (RFC 4180); what a spreadsheet would take for a formula is quoted."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in FIELDS])
    return output.getvalue().replace("\r\n", "\n").rstrip("\n")


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    text = printable(json.dumps(value) if isinstance(value, list) else str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_table(rows: Sequence[Delivery], now: datetime, *, with_values: bool, is_wide: bool) -> str:
    """One line a delivery; long texts end in "…" unless `is_wide`."""
    if is_wide:
        return table(WIDE_HEADS, [_cells(row, now, with_values=with_values) for row in rows])
    narrow = [_narrow(_cells(row, now, with_values=with_values)) for row in rows]
    widths = [max(len(str(row[column])) for row in (*narrow, HEADS)) for column in range(len(HEADS) - 1)]
    most = max(shutil.get_terminal_size((WIDTH, 24)).columns - sum(widths) - 2 * len(widths), LEAST_REASON)
    return table(HEADS, [(*row[:-1], _start(row[-1], most)) for row in narrow])


def _cells(row: Delivery, now: datetime, *, with_values: bool) -> tuple[str, ...]:
    uid = row.instance.sop_instance_uid
    return (
        str(row.delivery_id),
        row.state.value,
        row.destination or "-",
        row.rule,
        local_time(row.instance.received_at)[:16],
        age(age_s(row, now)),
        str(row.attempts),
        size(row.instance.payload.length_bytes),
        uid if with_values else shown_uid(uid),
        shown_reason(row.reason, with_values=with_values),
    )


def _narrow(cells: tuple[str, ...]) -> tuple[str, ...]:
    number, state, destination, rule, arrived, old, tries, _, uid, reason = cells
    end = uid if len(uid) <= MOST_UID else CUT + uid[1 - MOST_UID :]
    where = _start(destination, MOST_DESTINATION)
    return number, state, where, _start(rule, MOST_RULE), arrived, old, tries, end, reason


def _start(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + CUT


def summary(shown: int, total: DeliveryTotal, *, is_newest_first: bool, form: str) -> str:
    """One line that says how many of all deliveries are shown."""
    if not total.number:
        return "nothing"
    order = "newest" if is_newest_first else "oldest"
    some = (
        f"{shown} of {_all(total)}, {order} first; see --limit"
        if shown < total.number or not total.is_exact
        else _all(total)
    )
    return f"{some}; times are {datetime.now().astimezone():%Z}" if form == "text" else some


def _all(total: DeliveryTotal) -> str:
    if total.is_exact:
        return "1 delivery" if total.number == 1 else f"{total.number} deliveries"
    return f"at least {total.number} deliveries (counting stopped there)"
