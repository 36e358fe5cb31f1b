"""How `gateway queue` shows deliveries: as a table that fits a terminal, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from gateway.cli.render import age, local_time, size, table
from gateway.common.plain_text import printable, shown_uid, without_peers_words
from gateway.model.delivery import Attempt, Delivery
from gateway.sqlite.delivery_queue import SQLiteQueue

WIDTH = 120
"""Columns of the table where the output is no terminal."""
LEAST_REASON, MOST_RULE, MOST_DESTINATION, MOST_UID = 24, 20, 16, 24
CUT = "…"

HEADS = ("id", "state", "destination", "rule", "arrived", "age", "tries", "object", "reason")
FIELDS = (
    *("id", "state", "destination", "rule", "actions", "created_at", "renewed_at", "age_s", "due_at", "attempts_made"),
    *("reason", "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid"),
    *("transfer_syntax_uid", "size_bytes", "calling_ae_title", "remote_host"),
)
"""Of `as_json`, in order."""
WIDE_HEADS = (*HEADS[:7], "size", *HEADS[7:])


def as_json(delivery: Delivery, found: SQLiteQueue, now: datetime, *, with_values: bool) -> dict[str, Any]:
    """A delivery; without `with_values`, without what could name a patient. Times are the wall clock's; `age_s` is
    since its arrival. `now` is the queue's time."""
    instance = delivery.instance
    uid: Callable[[str], str] = str if with_values else shown_uid
    renewed_at = delivery.renewed_at
    return {
        "id": delivery.delivery_id,
        "state": delivery.state.value,
        "destination": delivery.destination,
        "rule": delivery.rule,
        "actions": json.loads(delivery.actions_json or "[]"),
        "created_at": instance.received_at.isoformat(),
        "renewed_at": found.on_the_wall(renewed_at).isoformat() if renewed_at else None,
        "age_s": round(_age_s(delivery, now)),
        "due_at": found.on_the_wall(delivery.due_at).isoformat(),
        "attempts_made": delivery.attempts,
        "reason": _reason(delivery.reason, with_values=with_values),
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": uid(instance.sop_instance_uid),
        "study_instance_uid": uid(instance.study_instance_uid),
        "series_instance_uid": uid(instance.series_instance_uid),
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "size_bytes": instance.payload.length_bytes,
        "calling_ae_title": instance.association.calling_ae_title,
        "remote_host": instance.association.remote_host,
    }


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `as_json` with a line of heads (RFC 4180); what a spreadsheet would take for a formula is quoted."""
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
        age(_age_s(row, now)),
        str(row.attempts),
        size(row.instance.payload.length_bytes),
        uid if with_values else shown_uid(uid),
        _reason(row.reason, with_values=with_values),
    )


def _narrow(cells: tuple[str, ...]) -> tuple[str, ...]:
    number, state, destination, rule, arrived, old, tries, _, uid, reason = cells
    end = uid if len(uid) <= MOST_UID else CUT + uid[1 - MOST_UID :]
    where = _start(destination, MOST_DESTINATION)
    return number, state, where, _start(rule, MOST_RULE), arrived, old, tries, end, reason


def _start(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + CUT


def attempt_as_json(attempt: Attempt, *, with_values: bool) -> dict[str, Any]:
    """One attempt at a delivery."""
    return {
        "number": attempt.number,
        "started_at": attempt.started_at.isoformat() if attempt.started_at else None,
        "duration_s": round(attempt.duration_s, 3),
        "state": attempt.state.value,
        "status": None if attempt.status is None else f"0x{attempt.status:04X}",
        "reason": _reason(attempt.reason, with_values=with_values),
    }


def summary(shown: int, total: int, *, is_newest_first: bool, form: str) -> str:
    """What is shown of what there is."""
    if not total:
        return "nothing"
    order = "newest" if is_newest_first else "oldest"
    some = f"{shown} of {total} deliveries, {order} first; see --limit" if shown < total else _all(total)
    return f"{some}; times are {datetime.now().astimezone():%Z}" if form == "text" else some


def _all(total: int) -> str:
    return "1 delivery" if total == 1 else f"{total} deliveries"


def _age_s(delivery: Delivery, now: datetime) -> float:
    """Never below 0: what arrived after the time that is known just arrived."""
    return max(0.0, (now - delivery.created_at).total_seconds())


def _reason(reason: str, *, with_values: bool) -> str:
    return reason if with_values else without_peers_words(reason)
