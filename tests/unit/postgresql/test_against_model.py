"""Random histories: PostgreSQL and the model in dictionaries must agree after every step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from gateway.ports.store import Store
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.queue_history import SETTINGS, QueueHistory

pytestmark = pytest.mark.postgresql


class FoldingHistory(QueueHistory):
    """What changed is replaced by its sum now and then, or a part of it."""

    real: PostgreSQLStore

    @rule(few=st.sampled_from([0, 3]), limit=st.sampled_from([1, 4, 100]))
    def fold(self, few: int, limit: int) -> None:
        with self.real.transaction():
            folded = self.real._transactions.single("fold_changes", few=few, limit=limit)
        assert folded <= limit


class PostgreSQLHistory(FoldingHistory):
    def new_store(self) -> Callable[[], Store]:
        return partial(PostgreSQLStore, shared_server().new_schema(), now=self.clock, is_committing=True)


class NodeHistory(FoldingHistory):
    """Patients, studies and series of one group are written in one order. Claims stay when a node begins anew."""

    is_index_in_order_of_arrival = False
    does_begin_end_claims = False

    def new_store(self) -> Callable[[], Store]:
        return partial(PostgreSQLStore, shared_server().new_schema(), now=self.clock, is_committing=True, node="one")


PostgreSQLHistory.TestCase.settings = NodeHistory.TestCase.settings = SETTINGS
TestPostgreSQLHistory = PostgreSQLHistory.TestCase
TestNodeHistory = NodeHistory.TestCase
