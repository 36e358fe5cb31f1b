"""What is known of studies whose instances were forgotten, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.model.delivery import Attempt, Delivery, DeliveryState
from gateway.model.instance import Instance
from gateway.ports.trace_entries import LONGEST_STUDY, TraceEntry


def of_sender(instance: Instance) -> TraceEntry:
    """The entry of one instance."""
    study, name, at = instance.study_instance_uid, instance.association.calling_ae_title, instance.received_at
    return TraceEntry(study, "sender", name, 1, 0, instance.payload.length_bytes, 0, at, at)


def of_delivery(delivery: Delivery, ended: Sequence[Attempt]) -> TraceEntry:
    """The entry of one delivery; `ended`: the attempts that delivered it."""
    is_delivered = delivery.state is DeliveryState.DELIVERED
    times = [each.started_at + timedelta(seconds=each.duration_s) for each in ended if each.started_at is not None]
    return replace(
        of_sender(delivery.instance),
        role="destination",
        name=delivery.destination,
        delivered=int(is_delivered),
        most_attempts=delivery.attempts,
        last_delivered_at=max(times, default=None),
    )


class MemoryTraces:
    """Entries by study, role and name."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], tuple[TraceEntry, datetime]] = {}

    def add(self, one: TraceEntry, now: datetime) -> None:
        """Count it in; without a Study Instance UID, and with one of any length, it is left out."""
        key = one.study_instance_uid, one.role, one.name
        if 1 <= len(one.study_instance_uid) <= LONGEST_STUDY:
            before = self._entries.get(key)
            self._entries[key] = (one if before is None else before[0] + one, now)

    def of(self, study_instance_uids: Sequence[str]) -> list[TraceEntry]:
        """Those of these studies, senders first."""
        found = [entry for entry, _ in self._entries.values() if entry.study_instance_uid in study_instance_uids]
        return sorted(found, key=lambda each: (each.study_instance_uid, each.role == "destination", each.name))

    def forget(self, before: datetime, limit: int) -> int:
        """Delete those to which nothing came since then."""
        old = sorted((at, key) for key, (_, at) in self._entries.items() if at < before)[:limit]
        for _, key in old:
            del self._entries[key]
        return len(old)
