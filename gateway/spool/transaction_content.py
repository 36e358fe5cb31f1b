"""The content of a committer's transaction: requests are carried out, and get their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from gateway.model.delivery import Delivery, DeliveryState, Settlement
from gateway.model.instance import PayloadRef
from gateway.ports.delivery_queue import DeliveryQueue
from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, CommitRequest, Settling


def accept(
    acceptances: Sequence[Acceptance], store: Store, now: datetime, is_readable: Callable[[PayloadRef], bool]
) -> None:
    if not acceptances:
        return
    arrivals = [(each.placed or each.place(), each.dispatches) for each in acceptances]
    answers = store.deliveries.accept(arrivals, now, is_readable)
    for acceptance, accepted in zip(acceptances, answers, strict=True):
        acceptance.accepted = accepted


def _settle(settlings: Sequence[Settling], store: Store) -> None:
    if not settlings:
        return
    held = store.deliveries.settle([settlement for each in settlings for settlement in each.settlements])
    start = 0
    for settling in settlings:
        end = start + len(settling.settlements)
        settling.answer = held[start:end]
        start = end


class DoubtfulClaims:
    """Claims of transactions of which nobody knows whether they were committed: the next one gives back what they took.

    Without that it would wait for the end of its leases. Its tokens fence it: a claim that was not committed, or was
    made by somebody else since, stays as it is.
    """

    def __init__(self) -> None:
        self._settlements: list[Settlement] = []

    def add(self, requests: Sequence[CommitRequest]) -> None:
        """The transaction of these requests failed: its claims are in doubt."""
        for request in requests:
            if isinstance(request, ClaimRequest) and request.answer:
                self._settlements += map(_untouched, request.answer)
                request.answer = None

    def give_back(self, store: Store) -> None:
        """Inside a transaction, before its own claims; `forget` once it is committed."""
        if self._settlements:
            store.deliveries.settle(self._settlements)

    def forget(self) -> None:
        """None is in doubt any more."""
        self._settlements.clear()


def _untouched(delivery: Delivery) -> Settlement:
    return Settlement(
        delivery.delivery_id,
        delivery.lease,
        DeliveryState.PENDING,
        delivery.due_at,
        delivery.reason,
        is_attempt=False,
    )


def _claimed(request: ClaimRequest, queue: DeliveryQueue, now: datetime) -> list[Delivery]:
    if request.bundle:
        return queue.claim_bundle(request.destination, request.bundle, request.limit, request.lease_s, now)
    return queue.claim(request.destination, request.limit, request.lease_s, now, request.apart, request.order)


def carry_out(requests: Sequence[CommitRequest], store: Store, now: datetime) -> None:
    """Settlements first, then claims and calls in order; inside the transaction. Acceptances are left to `accept`."""
    _settle([each for each in requests if isinstance(each, Settling)], store)
    for request in requests:
        if isinstance(request, ClaimRequest):
            request.answer = _claimed(request, store.deliveries, now)
        elif isinstance(request, Call):
            request.answer = request.function(store)
