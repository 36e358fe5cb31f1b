"""Refusals of one destination in a row: after some with the same status it is the destination that is in trouble, and
not the objects."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Delivery

MOST_SEEN = 256
"""Senders and studies that are remembered of refused objects."""


class Refusals:
    """Counts refusals with one status and no success between them."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._count = 0
        self._seen: set[tuple[str, str]] = set()

    @property
    def is_running(self) -> bool:
        """True when the last object that it answered was refused."""
        return self._count > 0

    def add(self, delivery: Delivery, status: int, most: int) -> bool:
        """One more; True when they are so many that the destination is to be left alone. `most` 0: never."""
        if status != self._status:
            self._status, self._count = status, 0
            self._seen.clear()
        self._count += 1
        if len(self._seen) < MOST_SEEN:
            self._seen.add(_kin(delivery))
        return 0 < most <= self._count

    def clear(self) -> None:
        """It took something."""
        if self._count:
            self._status, self._count = None, 0
            self._seen.clear()

    def reason(self, refusal: str) -> str:
        """For the log and the status; `refusal` is the last one, fit for both."""
        return f"it refused {self._count} objects in a row: {refusal}"

    def has_other(self, batch: Sequence[Delivery]) -> bool:
        """True when one of `batch` is of another sender or study than those that were refused."""
        return any(_kin(delivery) not in self._seen for delivery in batch)

    def probe(self, batch: Sequence[Delivery]) -> int:
        """Which of `batch` to try next: the first of another sender or study than those that were refused, since these
        may be at fault themselves; else the first."""
        return next((index for index, delivery in enumerate(batch) if _kin(delivery) not in self._seen), 0)


def _kin(delivery: Delivery) -> tuple[str, str]:
    return delivery.instance.association.calling_ae_title, delivery.instance.study_instance_uid
