"""Deliveries of `gateway queue` that wait: for the end of their collection, or because their destination or
rule is paused, or their destination has a window or a rate by the rules."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway import config
from gateway.cli.render import local_time
from gateway.config.delivery_limits import DeliveryLimits
from gateway.delivery.waits import why_it_waits
from gateway.model.delivery import Delivery, DeliveryState
from gateway.model.priority import Priority
from gateway.operations.delivery_listing import DeliveryListing
from gateway.ports.pauses import Pause, PausedKind

PausesByName = Mapping[tuple[PausedKind, str], Pause]
"""Kind and name of what is paused → its pause."""


def with_waits(found: DeliveryListing, pauses: PausesByName, rules: Path, now: datetime) -> DeliveryListing:
    """The list with these reasons before those of the rows. `now` is the wall clock's."""
    if not any(row.state is DeliveryState.PENDING for row in found.rows):
        return found
    limits = config.peer_limits(rules, os.environ)
    reasons = {
        row.delivery_id: _collected(row.collection_id)
        if row.is_waiting
        else _reason(row.destination, row.rule, row.reason, pauses, limits, now, is_passing=row.is_passing)
        for row in _pending(found)
    }
    rows = [dataclasses.replace(row, reason=reasons.get(row.delivery_id, row.reason)) for row in found.rows]
    described = [{**row, "reason": reasons.get(row["id"], row["reason"])} for row in found.described]
    return dataclasses.replace(found, rows=rows, described=described)


def with_wait(details: dict[str, Any], pauses: PausesByName, rules: Path, now: datetime) -> dict[str, Any]:
    """The same for one delivery as JSON."""
    if details["state"] != DeliveryState.PENDING.value:
        return details
    if details["due_at"] is None:
        return {**details, "reason": _collected(details["collection"])}
    limits = config.peer_limits(rules, os.environ)
    is_passing = details["passes_window"] and details["priority"] == Priority.URGENT.word
    where, rule, reason = details["destination"], details["rule"], details["reason"]
    return {**details, "reason": _reason(where, rule, reason, pauses, limits, now, is_passing=is_passing)}


def _pending(found: DeliveryListing) -> list[Delivery]:
    return [row for row in found.rows if row.state is DeliveryState.PENDING]


def _collected(collection_id: int | None) -> str:
    return f"waits for the end of collection {collection_id}"


def _reason(
    destination: str,
    rule: str,
    reason: str,
    pauses: PausesByName,
    limits: Mapping[str, DeliveryLimits],
    now: datetime,
    *,
    is_passing: bool,
) -> str:
    why = ""
    if (pause := pauses.get(("destination", destination))) is not None:
        why = f"paused since {local_time(pause.began_at)} by {pause.operator}"
    elif (pause := pauses.get(("rule", rule))) is not None:
        why = f"its rule is paused since {local_time(pause.began_at)} by {pause.operator}"
    elif (limit := limits.get(destination)) is not None:
        why = why_it_waits(**{**limit, "window": None} if is_passing else limit, now=now)
    return f"{why}; before: {reason}" if why and reason else why or reason
