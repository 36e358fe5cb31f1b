"""The check that written bytes reach the disk, by the last failure and by a probe that worked since.

A file system that became read-only, a disk that gives an error at each sync, no room where there should be some: each
object is answered 0xA700 then. A gateway that nobody sends to any more would never notice that this is over, so that a
small write is tried each second while there is trouble, and now and then when nothing else is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

import structlog

from gateway.ports.meter import Meter

log = structlog.get_logger()

METRIC = "gateway_storage_writable"
IDLE_S = 10.0
"""A probe follows after so long without one."""

WrittenPlace = Literal["spool", "database"]
PLACES: tuple[WrittenPlace, ...] = ("spool", "database")


class Writing:
    """Whether spool and database take writes, and why not. Any thread may use it."""

    def __init__(self, meter: Meter, monotonic: Callable[[], float]) -> None:
        self._meter = meter
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._problems: dict[WrittenPlace, str] = {}
        self._proved_at_s = dict.fromkeys(PLACES, monotonic())
        for place in PLACES:
            meter.set(METRIC, 1, place=place)

    @property
    def problems(self) -> dict[WrittenPlace, str]:
        """Place → why writing to it failed last; empty while all goes well."""
        return dict(self._problems)

    def failed(self, place: WrittenPlace, reason: str) -> None:
        """A write or a sync failed. Logged when it begins; the objects that it refuses have their own lines."""
        with self._lock:
            is_new = place not in self._problems
            self._problems[place] = reason
        if is_new:
            self._meter.set(METRIC, 0, place=place)
            log.error("storage_writing_failed", place=place, reason=reason, consequence="objects are answered 0xA700")

    def worked(self, place: WrittenPlace) -> None:
        """Something was written and synced."""
        with self._lock:
            before = self._problems.pop(place, "")
            self._proved_at_s[place] = self._monotonic()
        if before:
            self._meter.set(METRIC, 1, place=place)
            log.warning("storage_writing_recovered", place=place, reason=before)

    def is_probe_due(self, place: WrittenPlace) -> bool:
        """True while there is trouble, and after a while without any proof."""
        return place in self._problems or self._monotonic() - self._proved_at_s[place] >= IDLE_S
