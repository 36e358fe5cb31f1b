"""The server's clock, carried on between readings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from gateway.common.steady_clock import SteadyClock, utc_now
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.postgresql import server_clock
from gateway.postgresql.address import address
from gateway.postgresql.connection import open_connection
from gateway.postgresql.server_clock import READ_EACH_S, SLOWEST_S, ServerClock
from gateway.postgresql.store import PostgreSQLStore
from tests.support.samples import NOON, TO_PACS, SecondsClock, instance
from tests.support.store_rig import LEASE_S

SKEW = timedelta(minutes=5)


class Machine:
    """A clock of a machine, and readings of a server's."""

    def __init__(self) -> None:
        self.seconds = SecondsClock()
        self.clock = ServerClock(self.seconds)

    def reads(self, server_time: datetime, took_s: float = 0.0) -> None:
        self.clock.adopt(server_time, self.seconds() - took_s, self.seconds())

    def after(self, seconds: float) -> timedelta:
        """The time since noon that is shown so much later."""
        self.seconds.now_s += seconds
        return self.clock() - NOON


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.reads(NOON)
    return made


def test_it_goes_on_between_readings(machine: Machine) -> None:
    assert machine.after(0.0) == timedelta()
    assert machine.after(7.5) == timedelta(seconds=7.5)
    assert machine.clock.wall() == machine.clock() == machine.clock.on_the_wall(machine.clock())


def test_an_answer_is_of_the_middle_of_its_time(machine: Machine) -> None:
    machine.seconds.now_s += 10.0
    machine.reads(NOON + timedelta(seconds=20), took_s=0.5)
    assert machine.after(0.0) == timedelta(seconds=20.25)


def test_an_answer_that_took_long_says_nothing_but_the_first(machine: Machine) -> None:
    machine.reads(NOON + SKEW, took_s=SLOWEST_S + 0.1)
    assert machine.after(0.0) == timedelta()
    late = Machine()
    late.reads(NOON, took_s=4.0)
    assert late.after(0.0) == timedelta(seconds=2)


def test_a_server_that_is_ahead_is_followed_at_once(machine: Machine) -> None:
    machine.reads(NOON + SKEW)
    assert machine.after(1.0) == SKEW + timedelta(seconds=1)


def test_a_server_that_is_behind_is_awaited_at_half_the_pace(machine: Machine) -> None:
    machine.after(60.0)
    machine.reads(NOON + timedelta(seconds=50))
    assert machine.after(0.0) == timedelta(seconds=60), "it never goes back"
    assert machine.after(8.0) == timedelta(seconds=64)
    assert machine.after(12.0) == timedelta(seconds=70), "20 seconds after it showed 50"
    assert machine.after(1.0) == timedelta(seconds=71)


def test_readings_again_and_again_never_take_it_back(machine: Machine) -> None:
    shown = machine.after(0.0)
    for step in range(200):
        machine.reads(NOON + timedelta(seconds=(step * 37) % 11))
        later = machine.after((step * 13) % 3 / 10)
        assert later >= shown
        shown = later


def test_before_the_first_reading_it_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_clock, "utc_now", lambda: NOON - SKEW)
    machine = Machine()
    machine.clock.resume(NOON + SKEW)
    assert machine.clock() == NOON - SKEW
    machine.reads(NOON)
    assert machine.clock() == NOON


# --- a store of a node ------------------------------------------------------------------------------------------


@pytest.fixture
def server_time(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def seconds_from(connection: psycopg.Connection[Any], shown: datetime) -> float:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    difference: timedelta = row[0] - shown
    return abs(difference.total_seconds())


GUARD_S = 60.0
"""The most that a slow machine takes between two looks; a clock that is not the server's is minutes away."""


@pytest.mark.postgresql
def test_a_node_whose_clock_is_wrong_goes_by_the_servers(
    url: str, server_time: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_clock, "utc_now", lambda: utc_now() - SKEW)
    clock = ServerClock()
    assert seconds_from(server_time, clock()) > GUARD_S
    with closing(
        PostgreSQLStore(url, clock=clock, node="one", is_committing=True, wall=lambda: utc_now() - SKEW)
    ) as store:
        assert seconds_from(server_time, clock()) < GUARD_S
        assert seconds_from(server_time, store.administration.now()) < GUARD_S


@pytest.mark.postgresql
def test_nodes_whose_clocks_are_apart_claim_what_the_other_one_took(url: str) -> None:
    """An operator's command beside them has the same time."""
    with (
        closing(PostgreSQLStore(url, node="one", is_committing=True, wall=lambda: utc_now() + SKEW)) as one,
        closing(PostgreSQLStore(url, node="two", is_committing=True, wall=lambda: utc_now() - SKEW)) as other,
        closing(PostgreSQLStore(url, node="two", must_exist=True, wall=lambda: utc_now() - 2 * SKEW)) as command,
    ):
        with one.transaction():
            one.deliveries.accept([(instance(1), [TO_PACS])], one.administration.now())
        (due_at,) = (each.due_at for each in one.administration.list(DeliveryFilter(), 10))
        assert abs((command.administration.now() - due_at).total_seconds()) < GUARD_S
        with command.transaction():
            assert command.administration.hold(DeliveryFilter()) == 1
            assert command.administration.release(DeliveryFilter(), command.administration.now()) == 1
        with other.transaction():
            now = other.administration.now() + timedelta(seconds=GUARD_S)
            assert len(other.deliveries.claim("pacs", 10, LEASE_S, now)) == 1


@pytest.mark.postgresql
def test_the_servers_clock_is_read_again_with_a_transaction(url: str) -> None:
    seconds = SecondsClock()
    clock = ServerClock(seconds)
    with closing(PostgreSQLStore(url, clock=clock, node="one", is_committing=True)) as store:
        begun = clock()
        store.sync()
        assert clock() == begun, "it stands still with the machine's seconds"
        seconds.now_s += READ_EACH_S
        assert clock() == begun + timedelta(seconds=READ_EACH_S)
        readings = []
        clock.adopt = lambda *reading: readings.append(reading)  # type: ignore[method-assign]
        store.sync()
        store.sync()
        assert len(readings) == 1


@pytest.mark.postgresql
def test_the_time_of_a_gateway_that_was_alone_is_forgotten(url: str, server_time: psycopg.Connection[Any]) -> None:
    alone = SteadyClock(lambda: NOON)
    with closing(PostgreSQLStore(url, clock=alone, is_committing=True)) as store:
        store.sync()
    assert server_time.execute("SELECT count(*) FROM clock").fetchone() == (1,)
    with closing(PostgreSQLStore(url, node="one", is_committing=True)) as store:
        store.sync()
    assert server_time.execute("SELECT count(*) FROM clock").fetchone() == (0,)


@pytest.mark.postgresql
def test_a_new_connection_is_asked(url: str, server_time: psycopg.Connection[Any]) -> None:
    clock = ServerClock()
    with closing(open_connection(address(url))) as connection:
        clock.read(connection)
    assert seconds_from(server_time, clock()) < GUARD_S
