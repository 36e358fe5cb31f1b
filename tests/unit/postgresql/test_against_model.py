"""Random histories: PostgreSQL and the model in dictionaries must agree after every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store import Store
from gateway.postgresql import due_bounds
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.queue_history import FILTERS, SETTINGS, QueueHistory
from tests.support.samples import settlement

pytestmark = pytest.mark.postgresql


class Undone(Exception):
    pass


class SharedHistory(QueueHistory):
    """What changed is replaced by its sum now and then, or a part of it. Transactions end in vain, and commands beside
    the gateway change the queue. A claim looks from where it remembers, and nowhere else: it has no net."""

    real: PostgreSQLStore
    options: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.url = shared_server().new_schema()
        self.nets = ExitStack()
        for name, value in (("ALL_EACH_US", 10**18), ("LATE_US", 0), ("PROMPT_US", 0)):
            self.nets.enter_context(mock.patch.object(due_bounds, name, value))
        super().__init__()
        self.command = PostgreSQLStore(self.url, now=self.clock, **self.options)

    def new_store(self) -> Callable[[], Store]:
        return partial(PostgreSQLStore, self.url, now=self.clock, is_committing=True, **self.options)

    def teardown(self) -> None:
        self.nets.close()
        self.command.close()
        super().teardown()

    @rule(destination=st.sampled_from(["pacs", "vna"]), limit=st.integers(1, 4), which=FILTERS)
    def undone(self, destination: str, limit: int, which: DeliveryFilter) -> None:
        with suppress(Undone), self.real.transaction():
            self.real.administration.hold(which)
            claimed = self.real.deliveries.claim(destination, limit, 20.0, self.clock())
            self.real.deliveries.settle([settlement(each) for each in claimed])
            self.real.deliveries.claim(destination, limit, 20.0, self.clock())
            raise Undone

    @rule(which=FILTERS, verb=st.sampled_from(["retry", "hold", "release", "urgent", "low", "discard"]))
    def elsewhere(self, which: DeliveryFilter, verb: str) -> None:
        administration, model = self.command.administration, self.model
        with self.command.transaction():
            match verb:
                case "retry":
                    done, expected = administration.retry(which, self.clock()), model.retry(which, self.clock())
                case "hold":
                    done, expected = administration.hold(which), model.hold(which)
                case "release":
                    done, expected = administration.release(which, self.clock()), model.release(which, self.clock())
                case "urgent" | "low":
                    priority = Priority[verb.upper()]
                    done, expected = administration.set_priority(which, priority), model.set_priority(which, priority)
                case _:
                    done, expected = administration.discard(which), model.discard(which)
        assert done == expected

    @rule(few=st.sampled_from([0, 3]), limit=st.sampled_from([1, 4, 100]))
    def fold(self, few: int, limit: int) -> None:
        with self.real.transaction():
            folded = self.real._transactions.single("fold_changes", few=few, limit=limit)
        assert folded <= limit


class PostgreSQLHistory(SharedHistory):
    pass


class NodeHistory(SharedHistory):
    """Patients, studies and series of one group are written in one order. Claims stay when a node begins anew."""

    is_index_in_order_of_arrival = False
    does_begin_end_claims = False
    options: Mapping[str, Any] = {"node": "one"}


PostgreSQLHistory.TestCase.settings = NodeHistory.TestCase.settings = SETTINGS
TestPostgreSQLHistory = PostgreSQLHistory.TestCase
TestNodeHistory = NodeHistory.TestCase
