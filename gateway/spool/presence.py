"""The check that spool and queue are still the folder and the files that were opened at the start.

A volume may be mounted over the spool, a backup restored into it, or a database deleted. Everything written from then
on would be lost, and everything deleted would be another's. So nothing is accepted and nothing is deleted until all is
as it was. Waiting deliveries go on: their bytes are read by the handles of the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from gateway.ports.errors import SpoolFull
from gateway.ports.meter import Meter

log = structlog.get_logger()

METRIC = "gateway_spool_in_place"

Check = Callable[[], str]
"""Says what is wrong; empty when nothing is."""


class NotInPlace(SpoolFull):
    """Spool or queue were replaced, moved or deleted under the running gateway; the peer may send again later."""


class Presence:
    """The result of the last checks. Any thread may read it.

    Args:
        where: the spool folder, for messages.
        meter: gets `gateway_spool_in_place`.
    """

    def __init__(self, where: str, meter: Meter) -> None:
        self._where = where
        self._meter = meter
        self._lock = threading.Lock()
        self._quick: list[Check] = []
        self._thorough: list[Check] = []
        self._final = ""
        self.problem = ""
        """The reason why nothing is accepted or deleted; empty when all is in place. As of the last look."""
        meter.set(METRIC, 1)

    def add(self, *checks: Check, quick: Check | None = None) -> None:
        """Add checks. All run once a second and before deletions, `quick` for each group of acceptances as well."""
        self._thorough.extend(checks)
        if quick is not None:
            self._quick.append(quick)

    def fail(self, problem: str) -> None:
        """Report a problem that no check can see any more: it stays until the next start."""
        self._final = self._final or problem
        self.look()

    def look(self) -> str:
        """Run all checks; the first problem, empty when there is none."""
        return self._record(self._final or _first(self._thorough))

    def look_quickly(self) -> str:
        """Run the quick checks; all of them while there is a problem."""
        if self.problem or self._final:
            return self.look()
        for check in self._quick:
            if found := check():
                return self._record(found)
        return ""

    def check(self) -> None:
        """Raises NotInPlace when the last look found something."""
        if self.problem:
            raise self.error()

    def error(self) -> NotInPlace:
        """The error for a caller that wants to write now."""
        return NotInPlace(f"spool {self._where}: {self.problem}; nothing is taken until it is as it was")

    def _record(self, found: str) -> str:
        with self._lock:
            before, self.problem = self.problem, found
        if found == before:
            return found
        self._meter.set(METRIC, 0 if found else 1)
        if found:
            log.error(
                "spool_not_found",
                spool=self._where,
                problem=found,
                consequence="nothing is accepted and nothing is deleted until it is as it was at the start; "
                "else stop the gateway, put it right, and start again",
            )
        else:
            log.warning("spool_found_again", spool=self._where, problem=before)
        return found


def _first(checks: list[Check]) -> str:
    return next((problem for check in checks if (problem := check())), "")
