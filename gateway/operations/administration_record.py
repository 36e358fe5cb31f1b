"""The record of an operator's act: user, verb and number of deliveries, as one event of the log."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import structlog

from gateway.operations.queue_administration import Progress, Verb
from gateway.ports.delivery_administration import DeliveryFilter

log = structlog.get_logger()


def record(
    verb: Verb,
    which: DeliveryFilter,
    to: str | None,
    progress: Progress,
    *,
    operator: Mapping[str, Any],
    began_at: datetime,
    duration_s: float,
) -> None:
    """`operator`: log fields that name the operator."""
    log.info(
        "queue_administered",
        verb=verb.name,
        **operator,
        filter=_as_json(which) or "all",
        to=to or "",
        deliveries=progress.done,
        stayed=progress.busy + progress.without_destination,
        held_for=dict(progress.held_for),
        is_complete=progress.is_complete,
        began_at=began_at.isoformat(),
        duration_s=round(duration_s, 3),
    )


def _as_json(which: DeliveryFilter) -> dict[str, Any]:
    """The filters that were given."""
    given = {each.name: getattr(which, each.name) for each in dataclasses.fields(which)}
    return {
        name: _plain(value)
        for name, value in given.items()
        if value not in ((), None, "") or (name == "destination" and value == "")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
