"""One gateway a schema, or nodes with a name each."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.postgresql import gateway_lock
from gateway.postgresql.address import address
from gateway.postgresql.connection import Connection, open_connection
from gateway.postgresql.gateway_lock import OF_SCHEMA, GatewayLock, holders, of_node
from gateway.postgresql.inspection import inspected
from tests.support.postgresql_server import shared_server
from tests.support.samples import SecondsClock
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def test_a_second_gateway_is_refused_until_the_first_ends(open_store: OpenStore) -> None:
    first = open_store(is_committing=True)
    with pytest.raises(ConfigurationError, match="another gateway uses it"):
        open_store(is_committing=True, lock_patience_s=0.05)
    open_store(must_exist=True)  # a command beside it
    first.close()
    open_store(is_committing=True)


def test_nodes_share_a_schema_and_a_gateway_alone_is_refused_beside_them(url: str, open_store: OpenStore) -> None:
    nodes = [open_store(is_committing=True, node=name) for name in ("one", "two", "three")]
    with pytest.raises(ConfigurationError, match=r"3 nodes of a cluster use it .*, and this gateway is alone"):
        open_store(is_committing=True, lock_patience_s=0.05)
    for node in nodes:
        with inspected(address(url)) as found:
            assert found.is_gateway_running()
        node.close()
    open_store(is_committing=True)


def test_a_node_is_refused_beside_a_gateway_that_is_alone(open_store: OpenStore) -> None:
    alone = open_store(is_committing=True)
    with pytest.raises(ConfigurationError, match=r"a gateway that is alone uses it .* this one is the node 'one'"):
        open_store(is_committing=True, node="one", lock_patience_s=0.05)
    alone.close()
    open_store(is_committing=True, node="one")


def test_two_nodes_of_one_name_are_refused(open_store: OpenStore) -> None:
    first = open_store(is_committing=True, node="one")
    with pytest.raises(ConfigurationError, match="another gateway uses it as the node 'one'"):
        open_store(is_committing=True, node="one", lock_patience_s=0.05)
    first.sync()
    first.close()
    open_store(is_committing=True, node="one")


def test_a_gateway_alone_that_waits_lets_nodes_connect(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waited in the server's queue for the lock would be before them."""
    place, clock = address(url), CountedClock()
    monkeypatch.setattr(gateway_lock, "time", SimpleNamespace(monotonic=clock))
    with ExitStack() as stack:
        first, second, alone = (stack.enter_context(closing(open_connection(place))) for _ in range(3))
        GatewayLock(place, node="one").take(first)
        waiting = GatewayLock(place, 1.0)  # on a clock that stands
        refused = threading.Thread(target=_take_in_vain, args=(waiting, alone))
        refused.start()
        while alone.info.transaction_status is not TransactionStatus.ACTIVE and refused.is_alive():
            threading.Event().wait(0.001)
        GatewayLock(place, 0.0, "two").take(second)
        clock.wait_for_calls(2, refused)
        while refused.is_alive():
            clock.now_s += 1.0
            clock.wait_for_calls(2, refused)
        assert len(holders(first)) == 2


class CountedClock(SecondsClock):
    """Stands, and knows how often it was looked at."""

    calls = 0

    def __call__(self) -> float:
        self.calls += 1
        return super().__call__()

    def wait_for_calls(self, number: int, caller: threading.Thread) -> None:
        """Until it was looked at so often, or its caller has ended. Between two calls the lock was looked at."""
        wanted = self.calls + number
        while self.calls < wanted and caller.is_alive():
            threading.Event().wait(0.001)


def _take_in_vain(lock: GatewayLock, connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match="2 nodes of a cluster"):
        lock.take(connection)


def test_a_session_of_a_node_that_the_server_does_not_know_to_be_gone_is_ended(url: str) -> None:
    lock = GatewayLock(address(url), node="one")
    with closing(open_connection(address(url))) as lost, closing(open_connection(address(url))) as new:
        lock.take(lost)
        lock.take(new)
        for held in (of_node("one"), OF_SCHEMA):
            assert [each.session[0] for each in holders(new, held)] == [new.info.backend_pid]
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT 1")


def test_a_start_waits_for_a_session_that_is_about_to_end(open_store: OpenStore) -> None:
    first = open_store(is_committing=True)
    timer = threading.Timer(0.2, first.close)
    timer.start()
    open_store(is_committing=True).sync()
    timer.join()


def test_another_schema_has_a_lock_of_its_own(url: str) -> None:
    one, other, third = (address(each) for each in (url, shared_server().new_schema(), shared_server().new_schema()))
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(open_connection(each))) for each in (one, other, third)]
        for place, connection in ((one, connections[0]), (other, connections[1])):
            GatewayLock(place).take(connection)
            assert holders(connection)[0].session[0] == connection.info.backend_pid
        assert holders(connections[2]) == []


def test_a_session_of_ours_that_the_server_does_not_know_to_be_gone_is_ended(url: str) -> None:
    lock = GatewayLock(address(url))
    with closing(open_connection(address(url))) as lost, closing(open_connection(address(url))) as new:
        lock.take(lost)
        lock.take(new)
        assert holders(new)[0].session[0] == new.info.backend_pid
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT 1")


def test_a_session_of_another_gateway_is_left_alone(url: str) -> None:
    ours, others = GatewayLock(address(url)), GatewayLock(address(url))
    with closing(open_connection(address(url))) as first:
        ours.take(first)
    with closing(open_connection(address(url))) as theirs, closing(open_connection(address(url))) as again:
        others.take(theirs)
        with pytest.raises(SpoolFull, match="another gateway uses it"):
            ours.take(again)
        assert holders(theirs)[0].session[0] == theirs.info.backend_pid
