"""Nodes tell each other what is due."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.postgresql.due_notices import DueListener
from tests.support.postgresql_server import shared_server
from tests.support.processes import GUARD_S
from tests.support.samples import HELD, TO_PACS, TO_VNA, Clock, instance
from tests.support.store_rig import accept, claim, settle_all
from tests.unit.postgresql.conftest import OpenStore
from tests.unit.postgresql.test_transactions import end_sessions

pytestmark = pytest.mark.postgresql

Told = Callable[[], "frozenset[str] | None"]


@pytest.fixture
def listen(url: str) -> Iterator[Callable[[str], Told]]:
    with ExitStack() as stack:

        def listening(node: str) -> Told:
            told: queue.Queue[frozenset[str] | None] = queue.Queue()
            stack.enter_context(closing(DueListener(url, node, told.put, lambda node: None)))
            assert told.get(timeout=GUARD_S) is None, "it looks at everything first"
            return lambda: told.get(timeout=GUARD_S)

        yield listening


def test_another_node_is_told_of_an_acceptance_and_the_own_one_is_not(
    open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    one, two = (open_store(is_committing=True, node=name) for name in ("one", "two"))
    told_one, told_two = listen("one"), listen("two")
    accept(one, (instance(1), [TO_PACS]), (instance(2), [TO_PACS, TO_VNA]), (instance(3), [HELD]), clock=clock)
    assert told_two() == frozenset({"pacs", "vna"})
    accept(two, (instance(4), [TO_VNA]), clock=clock)
    assert told_one() == frozenset({"vna"}), "nothing of its own came before"


def test_nothing_is_told_of_claims_settlements_and_what_owes_nothing(
    open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    one = open_store(is_committing=True, node="one")
    accept(one, (instance(1), [TO_PACS]), clock=clock)
    told = listen("two")
    settle_all(one, claim(one, clock), DeliveryState.DELIVERED)
    accept(one, (instance(2), []), (instance(3), [HELD]), clock=clock)
    accept(one, (instance(4), [TO_VNA]), clock=clock)
    assert told() == frozenset({"vna"})


def test_nothing_is_told_of_what_is_rolled_back(
    open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    one, told = open_store(is_committing=True, node="one"), listen("two")

    def fail_midway() -> None:
        with one.transaction():
            one.deliveries.accept([(instance(1), [TO_PACS])], clock())
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError):
        fail_midway()
    accept(one, (instance(2), [TO_VNA]), clock=clock)
    assert told() == frozenset({"vna"})


def test_more_names_than_a_notice_holds_are_any(
    open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    one, told = open_store(is_committing=True, node="one"), listen("two")
    many = [Dispatch("rule", f"{number} {'d' * 200}") for number in range(50)]
    accept(one, (instance(1), many), clock=clock)
    assert told() is None


@pytest.mark.parametrize("node", ["one", "two"])
def test_what_an_operator_lets_go_on_is_told(
    open_store: OpenStore, clock: Clock, listen: Callable[[str], Told], node: str
) -> None:
    one, command, told = open_store(is_committing=True, node="one"), open_store(node=node), listen("two")
    accept(one, (instance(1), [TO_PACS]), clock=clock)
    assert told() == frozenset({"pacs"})
    with command.transaction():
        command.administration.hold(DeliveryFilter())
        assert command.administration.release(DeliveryFilter(), clock()) == 1
    assert told() is None
    settle_all(one, claim(one, clock), DeliveryState.DEAD)
    with command.transaction():
        assert command.administration.retry(DeliveryFilter(), clock()) == 1
    assert told() is None


def test_a_gateway_that_is_alone_tells_nobody(
    url: str, open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    told, alone = listen("two"), open_store(is_committing=True)
    accept(alone, (instance(1), [TO_PACS]), clock=clock)
    alone.close()
    accept(open_store(is_committing=True, node="one"), (instance(2), [TO_VNA]), clock=clock)
    assert told() == frozenset({"vna"})


def test_another_schema_is_another_cluster(open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]) -> None:
    from gateway.postgresql.store import PostgreSQLStore

    told = listen("two")
    with closing(PostgreSQLStore(shared_server().new_schema(), node="one", is_committing=True, now=clock)) as elsewhere:
        accept(elsewhere, (instance(1), [TO_PACS]), clock=clock)
    accept(open_store(is_committing=True, node="one"), (instance(2), [TO_VNA]), clock=clock)
    assert told() == frozenset({"vna"})


def test_everything_is_looked_at_once_the_connection_is_back(
    url: str, open_store: OpenStore, clock: Clock, listen: Callable[[str], Told]
) -> None:
    told = listen("two")
    end_sessions(url)
    assert told() is None
    accept(open_store(is_committing=True, node="one"), (instance(1), [TO_PACS]), clock=clock)
    assert told() == frozenset({"pacs"})


def test_it_ends_while_it_waits_and_while_there_is_no_server() -> None:
    for url in (shared_server().new_schema(), "postgresql:///x?host=/nonexistent"):
        listener = DueListener(url, "one", lambda destinations: None, lambda node: None)
        listener.close()
        for thread in threading.enumerate():
            if thread.name == "postgresql-listener":
                thread.join(GUARD_S)  # a close waits for some seconds alone
                assert not thread.is_alive()
