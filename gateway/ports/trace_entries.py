"""Entries of studies whose instances were forgotten: who sent them, and what became of them where."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

TraceRole = Literal["sender", "destination"]

LONGEST_STUDY = 128
"""The most characters of a Study Instance UID that has entries: no index of PostgreSQL takes a text of any length. A
UID has 64 (PS3.5 §9.1)."""


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """Instances of one study that one requestor sent, or deliveries of one study to one destination. Those that are
    still in the store are left out, and so are deliveries that an operator discarded."""

    study_instance_uid: str
    role: TraceRole
    name: str
    """The Calling AE Title of a sender, the name of a destination; empty for what was held without one."""
    instances: int
    delivered: int
    size_bytes: int
    most_attempts: int
    first_received_at: datetime
    last_received_at: datetime
    last_delivered_at: datetime | None = None
    """None for a sender, and where nothing was delivered."""

    def __add__(self, other: TraceEntry) -> TraceEntry:
        """Both together, for the same study and name."""
        delivered = [each.last_delivered_at for each in (self, other) if each.last_delivered_at is not None]
        return replace(
            self,
            instances=self.instances + other.instances,
            delivered=self.delivered + other.delivered,
            size_bytes=self.size_bytes + other.size_bytes,
            most_attempts=max(self.most_attempts, other.most_attempts),
            first_received_at=min(self.first_received_at, other.first_received_at),
            last_received_at=max(self.last_received_at, other.last_received_at),
            last_delivered_at=max(delivered, default=None),
        )


class TraceEntries(Protocol):
    """Part of a `Store`. `DeliveryQueue.forget` writes the entries in its own transaction, so that each instance and
    each delivery is counted exactly once, in the store or here. Those without a Study Instance UID, or with one of more
    than `LONGEST_STUDY` characters, have none."""

    def one_state(self) -> AbstractContextManager[object]:
        """Reads of the store inside it are of one moment, whatever is forgotten meanwhile."""
        ...

    def entries(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        """The entries of these studies; of each its senders first, by name."""
        ...

    def senders(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        """The senders of what the store has of these studies, in the same form and order."""
        ...

    def forget_entries(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` entries to which nothing came since `before`: the number. Inside a transaction."""
        ...
