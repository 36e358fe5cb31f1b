"""Durable instances on their way into the store, behind the answers to their senders.

Their redo records are on the disk (`gateway.spool.redo`), so that a start replays what the store does not know. The
store therefore takes many groups in one transaction, and no sender waits for it. Claims, settlements and everything
else that goes into the store come after what was acknowledged before them, in the same transaction.

When the store takes nothing, the instances stay here, and no further ones are acknowledged until it has them. Where
nobody knows whether a transaction was committed, the store is asked which of them it has: taken twice, they would be
duplicates of themselves, and their files nobody's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from gateway.ports.errors import GatewayError, SpoolFull, Temporary
from gateway.ports.retrying import retried
from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, Call, CommitRequest
from gateway.spool.replay import RECOVERED, held_for_recovery
from gateway.spool.store import SpoolStore
from gateway.spool.transaction_content import DoubtfulClaims, accept, carry_out
from gateway.spool.writing import WrittenPlace

log = structlog.get_logger()

RECORDED_AFTER_S = 0.01
"""The store knows an acknowledged instance after this time: some ten of one sender that has no pauses."""
MOST_WAITING = 64
"""The number of instances that are recorded at once; a larger transaction is not cheaper for each of them."""
TRIED_AGAIN_S = 1.0
"""The time between two tries while the store takes nothing."""
LEFT_OUT = "it is kept in the spool and not delivered; the next start tries again, and no file is deleted until then"


class Recording:
    """The transactions of the committer thread, and the instances that wait for the next one. Used in that thread.

    `failed` gets each error of a write to the store.
    """

    def __init__(
        self,
        payloads: SpoolStore,
        monotonic: Callable[[], float],
        failed: Callable[[WrittenPlace, str], object],
    ) -> None:
        self._payloads = payloads
        self._monotonic = monotonic
        self._failed = failed
        self._doubtful = DoubtfulClaims()
        self._waiting: list[Acceptance] = []
        self._are_some_known = False
        """True when the store may have some of those that wait: a transaction failed, or its answer was lost."""
        self._due_s = 0.0
        """The time at which those that wait are recorded; defined while there are some."""
        self.problem: GatewayError | None = None
        """The reason why the store took nothing last time; None while it does."""
        self._is_position_held = False
        """True once an instance could not be recorded: a start must find its redo record again."""

    def add(self, acceptances: Sequence[Acceptance]) -> None:
        """These are durable, with their redo record."""
        if acceptances and not self._waiting:
            self._due_s = self._monotonic() + RECORDED_AFTER_S
        self._waiting += acceptances

    def wait_s(self) -> float | None:
        """The time until the next transaction is due; None while nothing waits for it."""
        return max(0.0, self._due_s - self._monotonic()) if self._waiting else None

    @property
    def is_due(self) -> bool:
        """True when what waits is to be recorded now, whatever else comes."""
        waiting = self._waiting
        return bool(waiting) and (len(waiting) >= MOST_WAITING or self._monotonic() >= self._due_s)

    def record(self, others: Sequence[CommitRequest], store: Store, now: datetime) -> list[Acceptance]:
        """One transaction for all that wait, and for `others`, which have their answers or errors then; the instances
        that the store knows now.

        Claims and settlements need no sync: when the power fails, a claim is made again and an object may be sent
        again. That is no loss, and no sender waits behind what nobody waits for.
        """
        waiting = self._waiting
        is_durable = any(isinstance(request, Call | Acceptance) for request in others)
        try:
            self._transaction(waiting, others, store, now, is_durable=is_durable)
        except GatewayError as error:  # no room, or the store is held by somebody else: true of each of them
            self._are_some_known = True
            self._stopped(error, store)
            self._doubtful.add(others)
            for request in others:
                request.error = error
            return []
        except Exception as error:
            log.error("commit_failed", requests=len(waiting) + len(others), error=f"{type(error).__name__}: {error}")
            self._are_some_known = True
            return self._record_one_by_one(others, store, now)
        self.problem = None
        self._waiting = []
        self._are_some_known = False
        return waiting

    def end(self, store: Store, now: datetime) -> list[Acceptance]:
        """The last transaction. What the store does not take is taken by the next start."""
        recorded = self.record((), store, now) if self._waiting else []
        if self._waiting:
            log.error(
                "instances_not_recorded",
                instances=len(self._waiting),
                reason=str(self.problem),
                consequence="the next start takes them from the spool",
            )
        return recorded

    def _transaction(
        self,
        waiting: Sequence[Acceptance],
        others: Sequence[CommitRequest],
        store: Store,
        now: datetime,
        *,
        is_durable: bool,
    ) -> None:
        """All of it again when the store met another process."""
        retried(lambda: self._transaction_once(waiting, others, store, now, is_durable=is_durable))
        if others:
            self._doubtful.forget()

    def _transaction_once(
        self,
        waiting: Sequence[Acceptance],
        others: Sequence[CommitRequest],
        store: Store,
        now: datetime,
        *,
        is_durable: bool,
    ) -> None:
        acceptances = [*waiting, *(each for each in others if isinstance(each, Acceptance))]
        with store.transaction(is_durable=is_durable):
            if acceptances:
                accept(self._unknown(acceptances, store), store, now, self._payloads.can_read)
                if not self._is_position_held:
                    store.spool.set_replayed_position(*self._payloads.segments.end)
            if others:
                self._doubtful.give_back(store)
                carry_out(others, store, now)

    def _unknown(self, acceptances: Sequence[Acceptance], store: Store) -> Sequence[Acceptance]:
        """Those of them that the store does not have. The others were answered by the transaction that brought them."""
        if not self._are_some_known:
            return acceptances
        payloads = [(each.placed or each.place()).payload for each in acceptances]
        named = store.spool.which_are_named(payloads)
        places = [(payload.name, payload.offset_bytes) for payload in payloads]
        return [each for each, place in zip(acceptances, places, strict=True) if place not in named]

    def _stopped(self, error: GatewayError, store: Store) -> None:
        """The store takes nothing now."""
        self._payloads.room.invalidate()
        if isinstance(error, SpoolFull) or self._waiting:
            self._failed("database", str(error))
        if self._waiting:
            self.problem = error
            self._due_s = self._monotonic() + TRIED_AGAIN_S
        _settle_doubt(store, error)

    def _record_one_by_one(self, others: Sequence[CommitRequest], store: Store, now: datetime) -> list[Acceptance]:
        """A request that breaks the transaction must not fail the others, which still come after what waits.

        The replayed position moves with the next transaction of all: what was acknowledged and is not recorded yet
        stands behind it.
        """
        was_held, self._is_position_held = self._is_position_held, True
        recorded, left_out = self._record_each_waiting(store, now)
        for request in others:
            self._record_alone(request, store, now)
        self._is_position_held = was_held or bool(left_out)
        self._payloads.is_needed_by_next_start |= bool(left_out)
        is_behind = bool(recorded) or any(isinstance(each, Acceptance) for each in others)
        if is_behind and not self._is_position_held and not self._waiting:
            with contextlib.suppress(GatewayError), store.transaction(is_durable=False):
                store.spool.set_replayed_position(*self._payloads.segments.end)
        return recorded

    def _record_alone(self, request: CommitRequest, store: Store, now: datetime) -> None:
        if self._waiting:
            request.answer, request.error = None, self.problem
            return
        try:
            self._transaction((), [request], store, now, is_durable=True)
        except GatewayError as error:
            self._doubtful.add([request])
            request.error = error
            self._stopped(error, store)
        except Exception as error:
            log.error("commit_failed", kind=type(request).__name__, error=f"{type(error).__name__}: {error}")
            request.answer, request.error = None, error

    def _record_each_waiting(self, store: Store, now: datetime) -> tuple[list[Acceptance], list[Acceptance]]:
        """(recorded, left out). Those that stay waiting are taken by none of this: the store takes nothing now."""
        recorded: list[Acceptance] = []
        left_out: list[Acceptance] = []
        while self._waiting:
            acceptance = self._waiting[0]
            try:
                is_taken = self._take(acceptance, store, now)
            except GatewayError as error:
                self._stopped(error, store)
                break
            (recorded if is_taken else left_out).append(acceptance)
            del self._waiting[0]
        return recorded, left_out

    def _take(self, acceptance: Acceptance, store: Store, now: datetime) -> bool:
        """Record an instance, held if it breaks its transaction; False when it alone is not taken even so.

        Raises GatewayError when the store takes nothing.
        """
        try:
            self._transaction([acceptance], (), store, now, is_durable=True)
            return True
        except GatewayError:
            raise
        except Exception as error:
            if self._hold(acceptance, store, now):
                _report(acceptance, error, f"it is held by {RECOVERED.rule}: look at it, then release or discard it")
                return True
            _check_takes_others(store)
            _report(acceptance, error, LEFT_OUT)
            return False

    def _hold(self, acceptance: Acceptance, store: Store, now: datetime) -> bool:
        """Record an instance that breaks its transaction without what is not needed to keep it, and held; False when
        the store does not take that either. Raises GatewayError when it takes nothing."""
        assert acceptance.placed is not None
        whole = acceptance.placed, acceptance.dispatches
        acceptance.placed, acceptance.dispatches = held_for_recovery(acceptance.placed)
        is_held = False
        try:
            self._transaction([acceptance], (), store, now, is_durable=True)
            is_held = True
        except GatewayError:
            raise
        except Exception:
            return False
        finally:
            if not is_held:
                acceptance.placed, acceptance.dispatches = whole
        return True


def _check_takes_others(store: Store) -> None:
    """Tell a store that takes nothing from an instance that it does not take.

    Raises GatewayError when it takes nothing.
    """
    try:
        with store.transaction():
            store.sync()
    except GatewayError:
        raise
    except Exception as error:
        raise Temporary(f"the database takes nothing: {type(error).__name__}: {error}; restart the gateway") from error


def _report(acceptance: Acceptance, error: Exception, consequence: str) -> None:
    instance = acceptance.placed
    assert instance is not None
    log.critical(
        "instance_not_recorded",
        sop_instance_uid=instance.sop_instance_uid,
        file=instance.payload.name,
        offset_bytes=instance.payload.offset_bytes,
        error=f"{type(error).__name__}: {error}",
        consequence=consequence,
    )


def _settle_doubt(store: Store, error: GatewayError) -> None:
    """Sync once more after a sync that failed: its transaction stands in the store's log, and a start may find it.

    Before the refusal is answered the next transaction begins that log anew, if the disk takes it.
    """
    if isinstance(error, SpoolFull):
        with contextlib.suppress(Exception):
            store.sync()
