"""An operator's act as one event of the log: user, verb and number of deliveries. The store has the same, and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from gateway.operations.operation_listing import filter_as_json
from gateway.operations.queue_administration import Operator, Progress, Verb
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.store import Store

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
        operation=progress.operation_id,
        verb=verb.name,
        **operator,
        filter=filter_as_json(which) or "all",
        to=to or "",
        deliveries=progress.done,
        stayed=progress.stayed,
        held_for=dict(progress.held_for),
        is_complete=progress.is_complete,
        began_at=began_at.isoformat(),
        duration_s=round(duration_s, 3),
    )


def note_whole(store: Store, verb: str, which: Mapping[str, Any], number: int, by: Operator, now: datetime) -> None:
    """Keep an operation that is over with the transaction which does it. It meant `number` deliveries."""
    made = OperationRecord(verb, by.name, by.why, "", json.dumps(which), number, began_at=now, changed_at=now)
    store.operations.begin_operation(dataclasses.replace(made, done=number, state=OperationState.COMPLETE))
