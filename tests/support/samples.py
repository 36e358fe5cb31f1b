"""Values that queue and journal tests are made of."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.operation_log import OperationRecord

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FACTS = AssociationFacts("CT1", "GATEWAY", "10.1.2.3", 40123, listener="main", association_id="a1")
TO_PACS = Dispatch("everything", "pacs")
TO_VNA = Dispatch("everything", "vna")
HELD = Dispatch("unmatched", "", state=DeliveryState.HELD)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


class SecondsClock:
    """A monotonic clock that stands still until it is moved, in seconds."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def instance(
    number: int = 1,
    *,
    body: bytes | None = None,
    association: AssociationFacts = FACTS,
    study_instance_uid: str = "1.2.3.4",
    payload_name: str = "segments/00000001.seg",
) -> Instance:
    """Instance `number`; its bytes are unlike those of the others unless given."""
    content = body if body is not None else f"data set {number}".encode()
    return Instance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"1.2.3.4.5.{number}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_instance_uid=study_instance_uid,
        series_instance_uid="1.2.3.4.5",
        association=association,
        payload=PayloadRef(payload_name, 128 + 1000 * number, len(content), hashlib.sha256(content).digest()),
        received_at=NOON,
    )


def settlement(
    delivery: Delivery,
    state: DeliveryState = DeliveryState.DELIVERED,
    *,
    due_at: datetime = NOON,
    reason: str = "",
    is_attempt: bool = True,
    status: int | None = None,
    is_doubtful: bool = False,
) -> Settlement:
    """The end of an attempt at `delivery`."""
    return Settlement(
        delivery.delivery_id,
        delivery.lease,
        state,
        due_at,
        reason,
        is_attempt=is_attempt,
        status=status,
        is_doubtful=is_doubtful,
        started_at=NOON,
        duration_s=0.25,
    )


def an_operation(now: datetime = NOON, **values: Any) -> OperationRecord:
    """What an operator begins to do."""
    begun = OperationRecord("hold", "anna", "", "", '{"destination": "pacs"}', 7, began_at=now, changed_at=now)
    return dataclasses.replace(begun, **values)
