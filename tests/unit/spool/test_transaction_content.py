"""The content of a committer's transaction, in the order that its requests rely on."""

from __future__ import annotations

from pathlib import Path

from gateway.common.completion import Completion
from gateway.model.delivery import DeliveryState
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, CommitRequest, Settling
from gateway.spool.transaction_content import accept, carry_out
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement


def test_settlements_come_before_claims_and_each_gets_its_own_answers(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db", now=Clock())
    acceptances = [
        Acceptance(Completion(), instance=instance(number), dispatches=[TO_PACS], payload=instance(number).payload)
        for number in (1, 2, 3)
    ]
    with store.transaction():
        accept(acceptances, store, NOON, lambda payload: True)
        claim = ClaimRequest(Completion(), destination="pacs", limit=2, lease_s=60.0)
        carry_out([claim], store, NOON)
    assert [each.accepted is not None and each.accepted.deliveries for each in acceptances] == [1, 1, 1]
    first, second = claim.answer
    late = ClaimRequest(Completion(), destination="pacs", limit=9, lease_s=60.0)
    retried = settlement(first, DeliveryState.PENDING)
    counting = Call(Completion(), function=lambda store: len(store.deliveries.depths()))
    requests: list[CommitRequest] = [
        late,
        Settling(Completion(), settlements=[retried]),
        counting,
        Settling(Completion(), settlements=[settlement(second), settlement(second)]),
        Settling(Completion()),
    ]
    with store.transaction():
        carry_out(requests, store, NOON)
    assert [each.answer for each in requests[1:]] == [[True], 1, [True, False], []]
    assert [each.delivery_id for each in late.answer] == [first.delivery_id, acceptances[2].accepted.instance_id]  # type: ignore[union-attr]
    store.close()
