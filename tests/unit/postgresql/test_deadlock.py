"""Two transactions that wait for each other: the server ends one, and the layer that owns it does all of it again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.common.completion import Completion
from gateway.model.instance import PayloadRef
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.errors import TransactionConflict
from gateway.ports.store import Store
from gateway.postgresql.store import PostgreSQLStore
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest
from gateway.spool.recording import Recording
from tests.support.processes import GUARD_S, POLL_S
from tests.support.samples import TO_PACS, Clock, instance
from tests.support.store_rig import ANY
from tests.unit.postgresql.conftest import OpenStore
from tests.unit.spool.test_recording import Payloads

pytestmark = pytest.mark.postgresql

GATEWAY, COMMAND = 0, 1
PATIENCE = "SELECT set_config('deadlock_timeout', %(patience)s, true)"
LOCK = "SELECT 1 FROM pg_advisory_xact_lock(%(number)s)"
IS_WAITED_FOR = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = %(number)s::oid"


class OppositeOrders:
    """Work of two transactions that lock the same two things in opposite orders, each after the other's first one; the
    server ends that of `victim`, which closes the circle: a transaction looks for one once, when it has waited so long.
    """

    def __init__(self, victim: int) -> None:
        self._both = threading.Barrier(2, timeout=GUARD_S)
        self._victim = victim
        self.calls = [0, 0]

    def of(self, side: int) -> Callable[[Store], int]:
        def lock_both(store: Store) -> int:
            assert isinstance(store, PostgreSQLStore)
            transactions = store._transactions
            patience = "20ms" if side == self._victim else f"{GUARD_S}s"
            transactions.made_rows((PATIENCE, {"patience": patience}))
            transactions.made_rows((LOCK, {"number": side}))
            self.calls[side] += 1
            if self.calls[side] == 1:
                self._both.wait()
                if side == self._victim:
                    self._until_it_is_waited_for(transactions, side)
            transactions.made_rows((LOCK, {"number": 1 - side}))
            return self.calls[side]

        return lock_both

    def _until_it_is_waited_for(self, transactions: PostgreSQLTransactions, side: int) -> None:
        deadline_s = time.monotonic() + GUARD_S
        while not [*transactions.made_rows((IS_WAITED_FOR, {"number": side}))]:
            assert time.monotonic() < deadline_s
            time.sleep(POLL_S)


def in_transaction(store: PostgreSQLStore, function: Callable[[Store], int]) -> int:
    with store.transaction():
        return function(store)


def write(store: PostgreSQLStore, function: Callable[[Store], int]) -> int:
    return asyncio.run(StoreOnFile(store).write(function))


def test_the_store_says_that_a_transaction_may_be_done_again(open_store: OpenStore) -> None:
    stores, orders = [open_store(), open_store()], OppositeOrders(GATEWAY)
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(in_transaction, store, orders.of(side)) for side, store in enumerate(stores)]
        with pytest.raises(TransactionConflict, match="deadlock detected"):
            done[GATEWAY].result()
        assert done[COMMAND].result() == 1
    assert [store._transactions.is_open for store in stores] == [False, False]


@pytest.mark.parametrize("victim", [GATEWAY, COMMAND], ids=["the gateway's is ended", "the command's is ended"])
def test_a_committer_and_a_command_beside_it_lose_nothing(open_store: OpenStore, clock: Clock, victim: int) -> None:
    """What was acknowledged, a claim and a call: the one that is ended has all of it in its next try."""
    store, orders = open_store(is_committing=True), OppositeOrders(victim)
    with store.transaction():
        store.deliveries.accept([(instance(1), [TO_PACS])], clock())
    recording = Recording(Payloads(), lambda: 0.0, lambda place, reason: None)
    recording.add([acceptance(2)])
    claim = ClaimRequest(Completion(), destination="pacs", limit=10, lease_s=60.0)
    call = Call(Completion(), function=orders.of(GATEWAY))
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(write, open_store(must_exist=True), orders.of(COMMAND))
        recorded = recording.record([claim, call], store, clock())
        assert [call.answer, command.result()] == orders.calls
    assert orders.calls == ([2, 1] if victim == GATEWAY else [1, 2])
    assert (len(recorded), claim.error, call.error) == (1, None, None)
    assert len(claim.answer) == 2, "what was recorded before it is claimed as well"
    assert len(store.administration.list(ANY, 10)) == 2


def acceptance(number: int) -> Acceptance:
    payload = PayloadRef("segments/00000001.seg", number * 128, 4, b"%032d" % number)
    made = Acceptance(Completion(), instance=instance(number), dispatches=[TO_PACS], payload=payload)
    made.place()
    return made
