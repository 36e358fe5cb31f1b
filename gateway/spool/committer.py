"""The thread that commits for all requestors: all payloads that wait in one write and one sync, then the answers.

The content of the store's transaction is written and synced with the payloads (`gateway.spool.redo`). The transaction
itself follows behind the answers, with what several groups brought (`gateway.spool.recording`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from gateway.model.instance import PayloadRef
from gateway.ports.errors import SpoolFull
from gateway.ports.store import Store
from gateway.spool import redo
from gateway.spool.commit_requests import Acceptance, CommitGroup, CommitRequest
from gateway.spool.presence import NotInPlace
from gateway.spool.recording import Recording
from gateway.spool.refusals import UncommittedRefusals
from gateway.spool.store import SpoolStore
from gateway.spool.writing import WrittenPlace

log = structlog.get_logger()

GROUP_REQUESTS = 512
GROUP_BYTES = 2 * 1024**2
"""Limits of one group: beyond them waiting longer gains nothing, and senders idle while it is written."""


class Committer(threading.Thread):
    """Gathers the waiting requests, commits them as a group, and reports to the event loop.

    No request waits for a timer: a lone request is committed at once, and what arrives during its sync is the next
    group.

    All of these are called in this thread: `answer` with the instances of each group, once they are durable or refused;
    `record` with requests that are in the store; `ended` at last, when `failure` says why, None for an orderly end;
    `failed` with each error of a write to spool or database.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        payloads: SpoolStore,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        started: Callable[[BaseException | None], object],
        answer: Callable[[CommitGroup], object],
        record: Callable[[Sequence[CommitRequest]], object],
        ended: Callable[[], object],
        failed: Callable[[WrittenPlace, str], object] = lambda place, reason: None,
    ) -> None:
        super().__init__(name="spool-committer", daemon=True)
        self._open_store = open_store
        self._payloads = payloads
        self._now = now
        self._report_started = started
        self._report_answer = answer
        self._report_recorded = record
        self._report_end = ended
        self._failed = failed
        self._inbox: queue.SimpleQueue[CommitRequest | None] = queue.SimpleQueue()
        self._is_ending = False
        self._refusals = UncommittedRefusals(payloads)
        self._recording = Recording(payloads, monotonic, failed)
        self.failure: BaseException | None = None

    def submit(self, request: CommitRequest) -> None:
        """Commit `request` with the next group. Any thread."""
        self._inbox.put(request)

    def end(self) -> None:
        """Commit what waits, then end. Any thread."""
        self._inbox.put(None)

    # --- the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            store = self._open_store()
        except BaseException as error:
            self._report_started(error)
            return
        self._report_started(None)
        try:
            while not (self._is_ending and self._inbox.empty()):
                self._commit(*self._gather(), store)
            self._report_recorded(self._recording.end(store, self._now()))
        except BaseException as error:
            self.failure = error
            log.critical("committer_died", error=f"{type(error).__name__}: {error}")
        finally:
            self._refusals.write()
            try:
                store.close()
            except Exception as error:
                log.error("queue_not_closed", error=f"{type(error).__name__}: {error}")
            self._report_end()

    def _gather(self) -> tuple[list[Acceptance], list[CommitRequest]]:
        """Wait for a request, and take what else is there: acceptances and others; none at the end, and when a
        transaction is due.
        """
        inbox = self._inbox
        acceptances: list[Acceptance] = []
        others: list[CommitRequest] = []
        size_bytes = 0
        try:
            request = inbox.get(timeout=self._recording.wait_s())
        except queue.Empty:
            return acceptances, others
        while True:
            if isinstance(request, Acceptance):
                acceptances.append(request)
                size_bytes += request.size_bytes
            elif request is None:
                self._is_ending = True
            else:
                others.append(request)
            is_full = len(acceptances) + len(others) >= GROUP_REQUESTS or size_bytes >= GROUP_BYTES
            if is_full or inbox.empty():
                return acceptances, others
            request = inbox.get_nowait()  # this thread alone takes them out

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
            self._report_recorded([*recorded, *others])

    def _accept(self, acceptances: Sequence[Acceptance], store: Store, began_s: float) -> Sequence[Acceptance]:
        """Make instances durable and report them; those without a redo record, which the store must have first."""
        wanted = [each for each in acceptances if not each.done.cancelled()]
        now = self._now()
        if self._recording.problem is not None:
            self._report_recorded(self._recording.record((), store, now))
        if self._recording.problem is not None:
            for acceptance in wanted:
                acceptance.error = self._recording.problem
        elif wanted:
            redo_record = self._append(wanted, now)
            if redo_record == b"" and wanted[0].error is None:
                return acceptances
        self._recording.add([each for each in wanted if each.error is None])
        self._report_answer(CommitGroup(acceptances, time.perf_counter() - began_s))
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
