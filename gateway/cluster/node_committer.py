"""The thread that commits for all requestors of a node: payloads, instances and deliveries in one transaction, then the
answers.

What is acknowledged is in the database. A start has nothing to replay, and no node has anything for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef
from gateway.ports.errors import GatewayError, SpoolFull
from gateway.ports.retrying import retried
from gateway.ports.shared_payloads import SharedPayloads, SharedStore
from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, CommitGroup, CommitRequest
from gateway.spool.committing_thread import CommitterReports, CommittingThread
from gateway.spool.digest import digest_of
from gateway.spool.transaction_content import DoubtfulClaims, accept, carry_out

log = structlog.get_logger()

LARGE = "large/"
"""The beginning of the names of payloads that are an object of their own."""
NODE_GROUP_BYTES = 4 * 1024**2
"""A transaction costs two processes more than a sync of a file does."""
CROWD = 4
"""A group of so many objects shows senders enough that the next group waits for more of them."""
MOMENT_S = 0.002
"""The next group waits so long for the next object, and again while one comes in time."""
PATIENCE_SHARE = 0.5
"""The part of the time that the last group took which the next one waits in all: then it holds half as much again, and
the processes have as much less to do for each object."""
MOST_PATIENCE_S = 0.02
LOOK_LIMIT_S = 1.0
"""The time that a transaction spends on asking whether earlier instances can be read."""


class NodeCommitter(CommittingThread):
    """`can_read` says whether the bytes of an earlier instance can be read; it waits for the given seconds at most.
    `kept` is called with name, pieces and length of each group that was committed, `failed` with each error of the
    database. `pause` waits for so many seconds.

    Of many senders each group waits a moment for those that are in the middle of an object.
    """

    _group_bytes = NODE_GROUP_BYTES

    def __init__(
        self,
        open_store: Callable[[], SharedStore],
        reports: CommitterReports,
        *,
        now: Callable[[], datetime],
        can_read: Callable[[PayloadRef, SharedPayloads, float], bool],
        kept: Callable[[str, Sequence[Buffer], int], object],
        failed: Callable[[str], object],
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(self._opened, reports)
        self._open_shared = open_store
        self._now = now
        self._can_read = can_read
        self._kept = kept
        self._failed = failed
        self._pause = pause
        self._patience_s = 0.0
        self._doubtful = DoubtfulClaims()
        self._shared: SharedStore

    def _opened(self) -> Store:
        self._shared = self._open_shared()
        return self._shared

    def _wait_s(self) -> float | None:
        return None

    def _commit_last(self, store: Store) -> None:
        """Each group was committed before its answer."""

    def _finish(self) -> None:
        """There is nothing to be done."""

    def _more_came(self) -> bool:
        """Wait for a moment, as far as the patience of this group goes."""
        moment_s = min(MOMENT_S, self._patience_s)
        if not moment_s:
            return False
        self._patience_s -= moment_s
        self._pause(moment_s)
        return not self._inbox.empty()

    # --- one group ----------------------------------------------------------------------------------------------

    def _commit(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest], store: Store) -> None:
        began_s = time.perf_counter()
        wanted = [each for each in acceptances if not each.done.done()]  # some were refused while they waited
        others_wanted = [each for each in others if not each.done.cancelled()]
        if wanted or others_wanted:
            self._commit_wanted(wanted, others_wanted)
        took_s = time.perf_counter() - began_s
        self._patience_s = min(PATIENCE_SHARE * took_s, MOST_PATIENCE_S) if len(acceptances) >= CROWD else 0.0
        if acceptances:
            self._reports.answer(CommitGroup(acceptances, took_s))
        self._reports.record([*(each for each in wanted if each.error is None), *others])

    def _commit_wanted(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest]) -> None:
        """Each request has its answer or its error then."""
        try:
            self._transact(acceptances, others)
        except GatewayError as error:  # true of each of them: the database takes nothing now
            self._refuse(acceptances, others, error)
        except Exception as error:
            log.error("commit_failed", requests=len(acceptances) + len(others), error=_described(error))
            self._commit_one_by_one(acceptances, others)

    def _refuse(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest], error: GatewayError) -> None:
        if isinstance(error, SpoolFull):
            self._failed(str(error))
        self._doubtful.add(others)
        for request in (*acceptances, *others):
            request.answer, request.error = None, error

    def _commit_one_by_one(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest]) -> None:
        """A request that breaks the transaction must not fail the others. An instance that does is not taken: its
        sender is told, and nothing was promised."""
        for acceptance in acceptances:
            self._commit_alone(acceptance, [acceptance], [])
        for request in others:
            self._commit_alone(request, [], [request])

    def _commit_alone(
        self, request: CommitRequest, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest]
    ) -> None:
        try:
            self._transact(acceptances, others)
        except GatewayError as error:
            self._refuse(acceptances, others, error)
        except Exception as error:
            log.error("commit_failed", kind=type(request).__name__, error=_described(error))
            request.answer, request.error = None, error

    def _transact(self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest]) -> None:
        """One transaction; again where another node's was in the way, or the hour was over."""
        name, pieces = retried(lambda: self._transact_once(acceptances, others))
        self._doubtful.forget()
        if pieces:
            self._kept(name, pieces, sum(map(len, pieces)))
        for acceptance in acceptances:
            acceptance.answer = acceptance.placed

    def _transact_once(
        self, acceptances: Sequence[Acceptance], others: Sequence[CommitRequest]
    ) -> tuple[str, Sequence[Buffer]]:
        """The name and the pieces of the group; "" and none when there was nothing small."""
        store, now = self._shared, self._now()
        large = [each for each in acceptances if is_large(each)]
        small = [each for each in acceptances if not is_large(each)]
        pieces = [piece for each in small for piece in each.pieces]
        digests = [digest_of(each.pieces) for each in small]
        if small:
            store.payloads.prepare()
        name = ""
        with store.transaction():
            if small:
                _place(small, name, digests)
                store.expect([(each.placed or each.place(), each.dispatches) for each in acceptances])
                name = store.payloads.add_group(pieces)
                _place(small, name, digests)
            if large:
                store.payloads.add_objects([_object_of(each) for each in large])
            if acceptances:
                accept(acceptances, store, now, self._is_readable(store.payloads))
            self._doubtful.give_back(store)
            carry_out(others, store, now)
        return name, pieces

    def _is_readable(self, payloads: SharedPayloads) -> Callable[[PayloadRef], bool]:
        """`can_read` for one transaction, in which others wait."""
        left_s = LOOK_LIMIT_S

        def is_readable(payload: PayloadRef) -> bool:
            nonlocal left_s
            began_s = time.monotonic()
            answer = self._can_read(payload, payloads, max(left_s, 0.0))
            left_s -= time.monotonic() - began_s
            return answer

        return is_readable


def is_large(acceptance: Acceptance) -> bool:
    """True when its payload is an object of its own in the object store."""
    return acceptance.payload is not None and acceptance.payload.name.startswith(LARGE)


def _place(acceptances: Sequence[Acceptance], name: str, digests: Sequence[bytes]) -> None:
    """They lie in this group, one behind the other."""
    offset_bytes = 0
    for acceptance, digest in zip(acceptances, digests, strict=True):
        acceptance.place(PayloadRef(name, offset_bytes, acceptance.size_bytes, digest))
        offset_bytes += acceptance.size_bytes


def _object_of(acceptance: Acceptance) -> tuple[str, int]:
    assert acceptance.payload is not None
    return acceptance.payload.name, acceptance.payload.length_bytes


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
