"""The thread that commits for all requestors: all payloads that wait in one write and one sync, then the answers.

The content of the store's transaction is written and synced with the payloads (`gateway.spool.redo`). The transaction
itself follows behind the answers, with what several groups brought (`gateway.spool.recording`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from gateway.model.instance import PayloadRef
from gateway.ports.errors import SpoolFull
from gateway.ports.store import Store
from gateway.spool import redo
from gateway.spool.commit_requests import Acceptance, CommitGroup, CommitRequest
from gateway.spool.committing_thread import CommitterReports, CommittingThread
from gateway.spool.presence import NotInPlace
from gateway.spool.recording import Recording
from gateway.spool.refusals import UncommittedRefusals
from gateway.spool.store import SpoolStore
from gateway.spool.writing import WrittenPlace

log = structlog.get_logger()


class Committer(CommittingThread):
    """Commits to a spool folder and, behind it, to a store. `failed` gets each error of a write to either."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        reports: CommitterReports,
        *,
        payloads: SpoolStore,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        failed: Callable[[WrittenPlace, str], object] = lambda place, reason: None,
    ) -> None:
        super().__init__(open_store, reports)
        self._payloads = payloads
        self._now = now
        self._failed = failed
        self._refusals = UncommittedRefusals(payloads)
        self._recording = Recording(payloads, monotonic, failed)

    def _wait_s(self) -> float | None:
        return self._recording.wait_s()

    def _commit_last(self, store: Store) -> None:
        self._reports.record(self._recording.end(store, self._now()))

    def _finish(self) -> None:
        self._refusals.write()

    # --- one group ----------------------------------------------------------------------------------------------

    def _commit(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest], store: Store) -> None:
        """Payloads first, then a transaction, where one is due: a row never names bytes that are not on disk."""
        began_s = time.perf_counter()
        self._refusals.write_now_and_then()
        is_idle = not acceptances and not others
        if acceptances:
            others = [*self._accept(acceptances, store, began_s), *others]
        if others or is_idle or self._recording.is_due:
            wanted = [request for request in others if not request.done.cancelled()]
            recorded = self._recording.record(wanted, store, self._now())
            self._reports.record([*recorded, *others])

    def _accept(self, acceptances: Sequence[Acceptance], store: Store, began_s: float) -> Sequence[Acceptance]:
        """Make instances durable and report them; those without a redo record, which the store must have first."""
        wanted = [each for each in acceptances if not each.done.cancelled()]
        now = self._now()
        if self._recording.problem is not None:
            self._reports.record(self._recording.record((), store, now))
        if self._recording.problem is not None:
            for acceptance in wanted:
                acceptance.error = self._recording.problem
        elif wanted:
            redo_record = self._append(wanted, now)
            if redo_record == b"" and wanted[0].error is None:
                return acceptances
        self._recording.add([each for each in wanted if each.error is None])
        self._reports.answer(CommitGroup(acceptances, time.perf_counter() - began_s))
        return ()

    def _append(self, acceptances: Sequence[Acceptance], now: datetime) -> bytes:
        """Write and sync the small payloads, and the redo record of all; else each request carries the error. The redo
        record, b"" when none could be made.
        """
        redo_record = b""
        small = [each for each in acceptances if each.payload is None]

        def write_redo(refs: Sequence[PayloadRef]) -> bytes:
            nonlocal redo_record
            for acceptance, ref in zip(small, refs, strict=True):
                acceptance.payload = ref
            arrivals = [(each.place(), each.dispatches) for each in acceptances]
            with contextlib.suppress(ValueError, TypeError, OverflowError):  # text without UTF-8: the store replaces it
                redo_record = redo.encode(now, arrivals)
            return redo_record

        try:
            self._payloads.segments.append(small, write_redo)
        except SpoolFull as error:
            log.error("write_failed", instances=len(acceptances), error=str(error))
            if not isinstance(error, NotInPlace):
                self._failed("spool", str(error))
            for acceptance in acceptances:
                acceptance.error = error
            if self._payloads.segments.is_doubtful:
                self._refusals.add(redo_record, range(len(acceptances)), is_all=True)
            return redo_record
        for acceptance in acceptances:
            acceptance.answer = acceptance.placed
        return redo_record
