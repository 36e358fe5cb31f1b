"""The lists of `gateway queue`: deliveries or their studies, as a table that fits a terminal, or CSV."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from gateway.cli.render import age, count, local_time, size, table
from gateway.common.plain_text import printable, shown_uid
from gateway.common.setting_faults import did_you_mean
from gateway.model.delivery import Delivery
from gateway.model.priority import Priority
from gateway.operations.delivery_listing import age_s, shown_reason
from gateway.ports.delivery_administration import DeliveryOrder, DeliveryTotal

WIDTH = 120
"""Columns of the table where the output is no terminal."""
LEAST_REASON, MOST_RULE, MOST_DESTINATION, MOST_UID = 24, 20, 16, 24
CUT = "…"

HEADS = ("id", "state", "destination", "rule", "arrived", "age", "tries", "object", "reason")
WIDE_HEADS = (*HEADS[:7], "size", *HEADS[7:])


FIRST: dict[DeliveryOrder, str] = {
    "oldest": "oldest first",
    "newest": "newest first",
    "size": "largest first",
    "attempts": "most tried first",
}
SHOWN: dict[str, Callable[[Any], str]] = {"age_s": age, "size_bytes": size}
"""Numbers as people read them; so are times, whose names end in "_at"."""


def column_names(text: str | None, known: Sequence[str]) -> Sequence[str]:
    """The columns that an operator names; all that there are where none is named. Raises BadParameter for others."""
    if text is None:
        return known
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            what = f"{name!r} is no column{did_you_mean(name, known)} (known: {', '.join(known)})"
            raise click.BadParameter(what, param_hint="--columns")
    return names


def as_text(rows: Sequence[dict[str, Any]], columns: Sequence[str], form: str) -> str:
    """Rows of JSON with these columns, as JSON, CSV or a table; a table of nothing is empty."""
    if form == "json":
        return json.dumps([{name: row[name] for name in columns} for row in rows], indent=2)
    if form == "csv":
        return as_csv(rows, columns)
    return as_columns(rows, columns) if rows else ""


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows of JSON with heads (RFC 4180); what a spreadsheet would take for a formula is quoted."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return output.getvalue().replace("\r\n", "\n").rstrip("\n")


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    text = printable(json.dumps(value) if isinstance(value, list) else str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_columns(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows of JSON as a table with these columns, each as wide as it needs to be."""
    return table(columns, [[_shown(name, row[name]) for name in columns] for row in rows])


def _shown(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if name.endswith("_at"):
        return local_time(value)[:16]
    return SHOWN[name](value) if name in SHOWN else json.dumps(value) if isinstance(value, list) else str(value)


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
        row.state.value if row.priority is Priority.NORMAL else f"{row.state.value}, {row.priority.word}",
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


def summary(shown: int, total: DeliveryTotal, *, order: DeliveryOrder, form: str) -> str:
    """One line that says how many of all deliveries are shown."""
    if not total.number:
        return "nothing"
    is_all = shown >= total.number and total.is_exact
    return _with_zone(_all(total) if is_all else f"{shown} of {_all(total)}, {FIRST[order]}; see --limit", form)


def _all(total: DeliveryTotal) -> str:
    if total.is_exact:
        return count(total.number, "delivery")
    return f"at least {total.number} deliveries (counting stopped there)"


def studies_summary(shown: int, limit: int, *, order: DeliveryOrder, form: str) -> str:
    """One line that says how many studies are shown, and whether there may be others."""
    if not shown:
        return "nothing"
    studies = "1 study" if shown == 1 else f"{shown} studies"
    return _with_zone(f"{studies}, {FIRST[order]}; there may be more, see --limit" if shown == limit else studies, form)


def _with_zone(text: str, form: str) -> str:
    return f"{text}; times are {datetime.now().astimezone():%Z}" if form == "text" else text
