"""The content of a committer's transaction: requests are carried out, and get their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from gateway.model.instance import PayloadRef
from gateway.ports.store import Store
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, CommitRequest, Settling


def accept(
    acceptances: Sequence[Acceptance], store: Store, now: datetime, is_readable: Callable[[PayloadRef], bool]
) -> None:
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


def carry_out(requests: Sequence[CommitRequest], store: Store, now: datetime) -> None:
    """Settlements first, then claims and calls in order; inside the transaction. Acceptances are left to `accept`."""
    _settle([each for each in requests if isinstance(each, Settling)], store)
    for request in requests:
        if isinstance(request, ClaimRequest):
            request.answer = store.deliveries.claim(
                request.destination, request.limit, request.lease_s, now, request.apart
            )
        elif isinstance(request, Call):
            request.answer = request.function(store)
