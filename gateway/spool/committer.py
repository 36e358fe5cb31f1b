"""The thread that commits for all requestors: all payloads that wait in one write and one sync, then one transaction.

The content of the transaction is written and synced with the payloads (`gateway.spool.redo`), so that the transaction
itself needs no sync.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from gateway.common.buffer import Buffer
from gateway.common.completion import Completion
from gateway.model.delivery import Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.ports.errors import GatewayError, SpoolFull
from gateway.ports.store import Store
from gateway.spool import redo
from gateway.spool.large import LargeFile
from gateway.spool.presence import NotInPlace
from gateway.spool.refusals import UncommittedRefusals
from gateway.spool.segment import Payload
from gateway.spool.store import SpoolStore
from gateway.spool.writing import WrittenPlace

log = structlog.get_logger()

GROUP_REQUESTS = 512
GROUP_BYTES = 2 * 1024**2
"""Limits of one group: beyond them waiting longer gains nothing, and senders idle while it is written."""


@dataclasses.dataclass(slots=True, eq=False)
class CommitRequest:
    """Something that waits for a commit; `answer` or `error` is there once its group is through."""

    done: asyncio.Future[Any] | Completion[Any]
    answer: Any = None
    error: BaseException | None = None


@dataclasses.dataclass(slots=True, eq=False)
class Acceptance(CommitRequest):
    """An instance with its deliveries; small bytes in `pieces`, or a sealed large file's `payload`."""

    instance: Instance | None = None
    dispatches: Sequence[Dispatch] = ()
    pieces: Sequence[Buffer] = ()
    size_bytes: int = 0
    digest: concurrent.futures.Future[bytes] | None = None
    """The digest of `pieces`, when another thread computes it."""
    payload: PayloadRef | None = None
    placed: Instance | None = None
    """`instance` with `payload`, from when its redo record was made."""
    accepted: AcceptedInstance | None = None
    file: LargeFile | None = None
    """Held by this request until its group is through."""


@dataclasses.dataclass(slots=True, eq=False)
class ClaimRequest(CommitRequest):
    """Due deliveries are wanted."""

    destination: str = ""
    limit: int = 0
    lease_s: float = 0.0
    apart: ExcludedLikenesses | None = None


@dataclasses.dataclass(slots=True, eq=False)
class Settling(CommitRequest):
    """Settlements to be written: attempts that ended."""

    settlements: Sequence[Settlement] = ()


@dataclasses.dataclass(slots=True, eq=False)
class Call(CommitRequest):
    """Anything else that must run in this thread, inside the transaction."""

    function: Callable[[Store], Any] = lambda queue: None


@dataclasses.dataclass(frozen=True, slots=True)
class CommitGroup:
    """Requests that were committed together."""

    requests: Sequence[CommitRequest]
    duration_s: float


class Committer(threading.Thread):
    """Gathers the waiting requests, commits them as a group, and reports to the event loop once a group.

    No request waits for a timer: a lone request is committed at once, and what arrives during its sync is the next
    group.

    `finish` is called in this thread after each group, `finish(None)` after the last one; `failure` then says why it
    ended, None for an orderly end. `failed` gets each error of a write to spool or database.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        payloads: SpoolStore,
        now: Callable[[], datetime],
        started: Callable[[BaseException | None], object],
        finish: Callable[[CommitGroup | None], object],
        failed: Callable[[WrittenPlace, str], object] = lambda place, reason: None,
    ) -> None:
        super().__init__(name="spool-committer", daemon=True)
        self._open_store = open_store
        self._payloads = payloads
        self._now = now
        self._report_started = started
        self._finish = finish
        self._failed = failed
        self._inbox: queue.SimpleQueue[CommitRequest | None] = queue.SimpleQueue()
        self._is_ending = False
        self._refusals = UncommittedRefusals(payloads)
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
            while requests := self._gather():
                began_s = time.perf_counter()
                self._commit([request for request in requests if not request.done.cancelled()], store)
                self._finish(CommitGroup(requests, time.perf_counter() - began_s))
        except BaseException as error:
            self.failure = error
            log.critical("committer_died", error=f"{type(error).__name__}: {error}")
        finally:
            self._refusals.write()
            try:
                store.close()
            except Exception as error:
                log.error("queue_not_closed", error=f"{type(error).__name__}: {error}")
            self._finish(None)

    def _gather(self) -> list[CommitRequest]:
        """Wait for a request, and take what else is there; [] at the end."""
        if self._is_ending and self._inbox.empty():
            return []
        requests: list[CommitRequest] = []
        size_bytes = 0
        inbox = self._inbox
        while len(requests) < GROUP_REQUESTS and size_bytes < GROUP_BYTES:
            if inbox.empty() and (requests or self._is_ending):
                break
            request = inbox.get()
            if request is None:
                self._is_ending = True
                continue
            requests.append(request)
            if isinstance(request, Acceptance):
                size_bytes += request.size_bytes
        return requests

    # --- one group ----------------------------------------------------------------------------------------------

    def _commit(self, requests: Sequence[CommitRequest], store: Store) -> None:
        """Payloads first, then one transaction: a row never names bytes that are not on disk."""
        now = self._now()
        self._refusals.write_now_and_then()
        acceptances = [each for each in requests if isinstance(each, Acceptance)]
        redo_record = self._append(acceptances, now)
        rest = [request for request in requests if request.error is None]
        is_durable = redo_record == b"" or any(isinstance(request, Call) for request in rest)
        try:
            self._record(rest, store, now, is_durable=is_durable)
        except GatewayError as error:  # no room, or the queue is held by somebody else: true of each of them
            self._payloads.room.invalidate()
            if isinstance(error, SpoolFull):
                self._failed("database", str(error))
            for request in rest:
                request.error = error
            _settle_doubt(store, error)
        except Exception as error:
            self._record_one_by_one(rest, store, now, error)
        except BaseException:  # the thread ends, and all of them are answered that they were not kept
            self._refusals.add(redo_record, range(len(acceptances)), is_all=True)
            raise
        refused = [number for number, each in enumerate(acceptances) if each.error is not None]
        self._refusals.add(redo_record, refused, is_all=len(refused) == len(acceptances))

    def _append(self, acceptances: Sequence[Acceptance], now: datetime) -> bytes | None:
        """Write and sync the small payloads, and the redo record of all; else each request carries the error. The redo
        record when a start may find it; b"" when none could be made, so that the transaction must be synced.
        """
        if not acceptances:
            return None
        redo_record = b""
        small = [each for each in acceptances if each.payload is None]
        payloads = [Payload(each.pieces, _instance(each).transfer_syntax_uid, each.digest) for each in small]

        def write_redo(refs: Sequence[PayloadRef]) -> bytes:
            for acceptance, ref in zip(small, refs, strict=True):
                acceptance.payload = ref
            for acceptance in acceptances:
                acceptance.placed = _with_payload(acceptance)
            nonlocal redo_record
            with contextlib.suppress(ValueError, TypeError, OverflowError):  # text without UTF-8: the queue replaces it
                redo_record = redo.encode(now, [(_placed(each), each.dispatches) for each in acceptances])
            return redo_record

        try:
            self._payloads.segments.append(payloads, write_redo)
        except SpoolFull as error:
            log.error("write_failed", instances=len(acceptances), error=str(error))
            if not isinstance(error, NotInPlace):
                self._failed("spool", str(error))
            for acceptance in acceptances:
                acceptance.error = error
            return redo_record if self._payloads.segments.is_doubtful else None
        return redo_record

    def _record(self, requests: Sequence[CommitRequest], store: Store, now: datetime, *, is_durable: bool) -> None:
        """One transaction for the group.

        Acceptances stand in the segment already. Claims and settlements need no sync: when the power fails, a claim is
        made again and an object may be sent again. That is no loss, and no sender waits behind what nobody waits for.
        """
        if not requests:
            return
        with store.transaction(is_durable=is_durable):
            if _accept(requests, store, now, self._payloads.can_read):
                store.spool.set_replayed_position(*self._payloads.segments.end)
            _settle(requests, store)
            for request in requests:
                if isinstance(request, ClaimRequest):
                    request.answer = store.deliveries.claim(
                        request.destination, request.limit, request.lease_s, now, request.apart
                    )
                elif isinstance(request, Call):
                    request.answer = request.function(store)

    def _record_one_by_one(
        self, requests: Sequence[CommitRequest], store: Store, now: datetime, error: Exception
    ) -> None:
        """A request that breaks the transaction must not fail the others.

        Synced each: the first of them says that the whole group is known.
        """
        if len(requests) == 1:
            log.error("commit_failed", kind=type(requests[0]).__name__, error=f"{type(error).__name__}: {error}")
            requests[0].error = error
            return
        for request in requests:
            request.answer = None
            try:
                self._record([request], store, now, is_durable=True)
            except GatewayError as alone:
                request.error = alone
                _settle_doubt(store, alone)
            except Exception as alone:
                self._record_one_by_one([request], store, now, alone)


def _accept(
    requests: Sequence[CommitRequest], store: Store, now: datetime, is_readable: Callable[[PayloadRef], bool]
) -> bool:
    """True when there were acceptances."""
    acceptances = [each for each in requests if isinstance(each, Acceptance)]
    if not acceptances:
        return False
    instances = [_placed(each) for each in acceptances]
    answers = store.deliveries.accept(
        [(instance, each.dispatches) for instance, each in zip(instances, acceptances, strict=True)], now, is_readable
    )
    for acceptance, instance, accepted in zip(acceptances, instances, answers, strict=True):
        acceptance.accepted = accepted
        acceptance.answer = instance.stored(accepted.payload or instance.payload, accepted.instance_id)
    return True


def _settle_doubt(store: Store, error: GatewayError) -> None:
    """Sync once more after a sync that failed: its transaction stands in the store's log, and a start may find it.

    Before the refusal is answered the next transaction begins that log anew, if the disk takes it.
    """
    if isinstance(error, SpoolFull):
        with contextlib.suppress(Exception):
            store.sync()


def _settle(requests: Sequence[CommitRequest], store: Store) -> None:
    settlings = [each for each in requests if isinstance(each, Settling)]
    if not settlings:
        return
    held = store.deliveries.settle([settlement for each in settlings for settlement in each.settlements])
    start = 0
    for settling in settlings:
        end = start + len(settling.settlements)
        settling.answer = held[start:end]
        start = end


def _instance(acceptance: Acceptance) -> Instance:
    assert acceptance.instance is not None
    return acceptance.instance


def _with_payload(acceptance: Acceptance) -> Instance:
    assert acceptance.payload is not None
    return _instance(acceptance).stored(acceptance.payload)


def _placed(acceptance: Acceptance) -> Instance:
    return acceptance.placed or _with_payload(acceptance)
