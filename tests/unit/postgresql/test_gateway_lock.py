"""One gateway a schema."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing

import psycopg
import pytest

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.connection import open_connection
from gateway.postgresql.gateway_lock import GatewayLock, holder
from tests.support.postgresql_server import shared_server
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def test_a_second_gateway_is_refused_until_the_first_ends(open_store: OpenStore) -> None:
    first = open_store(is_committing=True)
    with pytest.raises(ConfigurationError, match="another gateway uses it"):
        open_store(is_committing=True, lock_patience_s=0.05)
    open_store(must_exist=True)  # a command beside it
    first.close()
    open_store(is_committing=True)


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
            assert holder(connection)[0] == connection.info.backend_pid
        assert holder(connections[2]) == ()


def test_a_session_of_ours_that_the_server_does_not_know_to_be_gone_is_ended(url: str) -> None:
    lock = GatewayLock(address(url))
    with closing(open_connection(address(url))) as lost, closing(open_connection(address(url))) as new:
        lock.take(lost)
        lock.take(new)
        assert holder(new)[0] == new.info.backend_pid
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
        assert holder(theirs)[0] == theirs.info.backend_pid
