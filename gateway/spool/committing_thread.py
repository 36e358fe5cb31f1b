"""A thread that commits for all: it gathers the requests that wait, and its kind says how a group is committed."""

from __future__ import annotations

import dataclasses
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import structlog

from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, CommitGroup, CommitRequest

log = structlog.get_logger()

GROUP_REQUESTS = 512
GROUP_BYTES = 2 * 1024**2
"""Limits of one group: beyond them waiting longer gains nothing, and senders idle while it is written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CommitterReports:
    """Calls of a committer, all in its thread."""

    started: Callable[[BaseException | None], object]
    """With the error for which it did not start."""
    answer: Callable[[CommitGroup], object]
    """With the instances of each group, once they are durable or refused."""
    record: Callable[[Sequence[CommitRequest]], object]
    """With requests that are in the store, or could not be."""
    ended: Callable[[], object]
    """At last; `failure` says why then, None for an orderly end."""


class CommittingThread(threading.Thread, ABC):
    """Gathers the waiting requests, commits them as a group, and reports to the event loop.

    A lone request is committed at once, and what arrives during its commit is the next group.
    """

    _group_bytes = GROUP_BYTES

    def __init__(self, open_store: Callable[[], Store], reports: CommitterReports) -> None:
        super().__init__(name="spool-committer", daemon=True)
        self._open_store = open_store
        self._reports = reports
        self._inbox: queue.SimpleQueue[CommitRequest | None] = queue.SimpleQueue()
        self._is_ending = False
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
            self._reports.started(error)
            return
        self._reports.started(None)
        try:
            while not (self._is_ending and self._inbox.empty()):
                self._commit(*self._gather(), store)
            self._commit_last(store)
        except BaseException as error:
            self.failure = error
            log.critical("committer_died", error=f"{type(error).__name__}: {error}")
        finally:
            self._finish()
            try:
                store.close()
            except Exception as error:
                log.error("queue_not_closed", error=f"{type(error).__name__}: {error}")
            self._reports.ended()

    def _gather(self) -> tuple[list[Acceptance], list[CommitRequest]]:
        """Wait for a request, and take what else is there: acceptances and others; none at the end, and when `_wait_s`
        is over.
        """
        inbox = self._inbox
        acceptances: list[Acceptance] = []
        others: list[CommitRequest] = []
        size_bytes = 0
        try:
            request = inbox.get(timeout=self._wait_s())
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
            is_full = len(acceptances) + len(others) >= GROUP_REQUESTS or size_bytes >= self._group_bytes
            if is_full or (inbox.empty() and (self._is_ending or not self._more_came())):
                return acceptances, others
            request = inbox.get_nowait()  # this thread alone takes them out

    # --- its kind -----------------------------------------------------------------------------------------------

    def _more_came(self) -> bool:
        """Called when no request is left: whether one came after all, where a kind waits a moment for more."""
        return False

    @abstractmethod
    def _commit(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest], store: Store) -> None:
        """Commit one group, and report it."""

    @abstractmethod
    def _wait_s(self) -> float | None:
        """The longest time to wait for a request; None for any."""

    @abstractmethod
    def _commit_last(self, store: Store) -> None:
        """Commit what is left at an orderly end."""

    @abstractmethod
    def _finish(self) -> None:
        """The last thing before the store is closed, however the thread ends."""
