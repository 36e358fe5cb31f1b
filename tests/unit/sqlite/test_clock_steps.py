"""Clocks that are set, while a gateway runs and while none does: nothing dies, goes, or waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.delivery.retry import is_given_up
from gateway.model.delivery import DeliveryState
from gateway.model.peer import Retry
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.relational.queue_clock import KEEP_CLOCK_S, MOST_UNWRITTEN_S
from gateway.spool.lock import QueueLock, is_gateway_running
from gateway.sqlite.salvage import salvage
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, instance, settlement
from tests.unit.common.test_steady_clock import DAY_S, Machine

ALL = DeliveryFilter()
WEEK = Retry(give_up_after_s=7 * DAY_S)
LEASE_S, RETENTION_S = 900.0, DAY_S


class Site:
    """A machine and the queue on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine = Machine()
        self.start()

    def start(self) -> None:
        self.clock = self.machine.clock()
        self.queue = SQLiteStore(self.path, clock=self.clock)
        with self.queue.transaction():
            self.queue.deliveries.expire_leases()

    def restart(self, down_s: float, step_s: float = 0.0) -> None:
        """The gateway ends, the machine's clocks go on or begin anew, and it starts again."""
        self.queue._transactions.clock.keep_soon()
        with self.queue.transaction():
            pass
        self.queue.close()
        self.machine.wall_time += timedelta(seconds=down_s + step_s)
        self.machine.seconds = 5.0  # the machine was started anew
        self.start()

    def claim(self) -> list[int]:
        with self.queue.transaction():
            return [each.delivery_id for each in self.queue.deliveries.claim("pacs", 10, LEASE_S, self.clock())]

    def forget(self) -> int:
        with self.queue.transaction():
            return self.queue.deliveries.forget(self.clock() - timedelta(seconds=RETENTION_S), 100)


def ahead_and_back(site: Site) -> None:
    site.machine.step(400 * DAY_S)
    site.restart(1.0)
    site.machine.step(-400 * DAY_S)
    site.restart(1.0)


STEPS: dict[str, Callable[[Site], None]] = {
    "none": lambda site: None,
    "400 days ahead": lambda site: site.machine.step(400 * DAY_S),
    "400 days back": lambda site: site.machine.step(-400 * DAY_S),
    "10 minutes ahead": lambda site: site.machine.step(600.0),
    "10 minutes back": lambda site: site.machine.step(-600.0),
    "restart ahead and restart back": ahead_and_back,
    "restart": lambda site: site.restart(1.0),
    "restart, 400 days ahead": lambda site: site.restart(1.0, 400 * DAY_S),
    "restart, 400 days back": lambda site: site.restart(1.0, -400 * DAY_S),
    "restart, the clock of 1970": lambda site: site.restart(1.0, -56 * 365 * DAY_S),
    "off for 30 days": lambda site: site.restart(30 * DAY_S),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """1 is delivered, 2 waits for its second try in an hour, 3 is under a lease, 4 waits."""
    made = Site(tmp_path / "queue.db")
    with made.queue.transaction():
        made.queue.deliveries.accept([(instance(number), [TO_PACS]) for number in range(1, 5)], made.clock())
        first, second, _third = made.queue.deliveries.claim("pacs", 3, LEASE_S, made.clock())
        made.queue.deliveries.settle([settlement(first, DeliveryState.DELIVERED, due_at=made.clock())])
        again_at = made.clock() + timedelta(hours=1)
        made.queue.deliveries.settle([settlement(second, DeliveryState.PENDING, due_at=again_at, reason="down")])
    made.machine.run(60.0)
    return made


@pytest.mark.parametrize("name", STEPS)
def test_nothing_ages_by_it(site: Site, name: str) -> None:
    STEPS[name](site)
    now = site.clock()
    rows = {row.delivery_id: row for row in site.queue.administration.list(ALL, 10)}
    assert sorted(rows) == [1, 2, 3, 4]
    ages = {round((now - row.created_at).total_seconds()) for row in rows.values()}
    assert ages == {60}
    assert not any(is_given_up(WEEK, row.created_at, now) for row in rows.values())


@pytest.mark.parametrize("name", STEPS)
def test_retention_does_not_end_by_it(site: Site, name: str) -> None:
    STEPS[name](site)
    assert site.forget() == 0
    site.machine.run(RETENTION_S)
    assert site.forget() == 1


@pytest.mark.parametrize("name", STEPS)
def test_leases_and_due_times_stay(site: Site, name: str) -> None:
    is_restart = name.startswith(("restart", "off"))  # leases of a process that is gone end
    STEPS[name](site)
    assert site.claim() == ([3, 4] if is_restart else [4])
    due_at = site.queue.deliveries.next_due("pacs")
    assert due_at is not None
    assert 0 < (due_at - site.clock()).total_seconds() <= LEASE_S
    site.machine.run(LEASE_S)
    assert site.claim() == [3, 4]
    site.machine.run(3600.0)
    assert 2 in site.claim()


@pytest.mark.parametrize("name", STEPS)
def test_what_arrives_after_it_is_young_and_due(site: Site, name: str) -> None:
    STEPS[name](site)
    with site.queue.transaction():
        site.queue.deliveries.accept([(instance(9), [TO_PACS])], site.clock())
    assert 5 in site.claim()
    (row,) = site.queue.administration.list(DeliveryFilter(ids=(5,)), 1)
    assert row.created_at == site.clock()


@pytest.mark.parametrize("name", STEPS)
def test_an_operator_beside_it_sees_and_does_the_same(site: Site, name: str) -> None:
    STEPS[name](site)
    site.machine.run(KEEP_CLOCK_S)
    site.queue._transactions.clock.keep_soon()
    with site.queue.transaction():
        pass
    operator = SQLiteStore(site.path, must_exist=True)
    assert operator.administration.now() == site.clock()
    assert operator.administration.on_the_wall(operator.administration.now()) == site.machine.wall_time
    with operator.transaction():
        assert operator.administration.retry(DeliveryFilter(ids=(2,)), operator.administration.now()) == 1
    operator.close()
    assert 2 in site.claim()


@pytest.mark.parametrize(
    ("is_running", "ran_s", "step_s", "seen_s"),
    [
        pytest.param(True, 9.0, 0.0, 9.0, id="since the last note"),
        pytest.param(False, 9.0, 0.0, 0.0, id="no gateway runs"),
        pytest.param(True, 9.0, -400 * DAY_S, 0.0, id="wall clock set back"),
        pytest.param(True, 9.0, 400 * DAY_S, MOST_UNWRITTEN_S, id="wall clock set ahead"),
    ],
)
def test_an_operator_counts_what_passed_since_the_last_note(
    site: Site, is_running: bool, ran_s: float, step_s: float, seen_s: float
) -> None:
    site.queue._transactions.clock.keep_soon()
    with site.queue.transaction():
        pass
    noted = site.clock()
    site.machine.run(ran_s)
    site.machine.step(step_s)
    operator = SQLiteStore(
        site.path, must_exist=True, wall=lambda: site.machine.wall_time, is_running=lambda path: is_running
    )
    assert (operator.administration.now() - noted).total_seconds() == pytest.approx(seen_s)
    operator.close()


def test_an_operator_sees_the_same_before_and_after_the_first_start_on_a_database_made_anew(tmp_path: Path) -> None:
    at = Machine().wall_time
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db", now=lambda: at)) as made, made.transaction():
        made.deliveries.accept([(instance(1), [TO_PACS])], at)
    machine = Machine(at + timedelta(seconds=34))
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db", must_exist=True, wall=machine.wall)) as operator:
        before = operator.administration.now()
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db", clock=machine.clock())) as queue:
        assert queue.administration.now() == before == at


def test_a_gateway_is_seen_by_the_lock_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    assert not is_gateway_running(path)
    lock = QueueLock(path)
    assert is_gateway_running(path)
    lock.release()
    assert not is_gateway_running(path), "the lock file stays, with our number"


def test_a_crash_costs_no_more_than_the_time_between_two_notes(site: Site) -> None:
    before = site.clock()
    site.machine.run(KEEP_CLOCK_S / 2)
    site.queue.close()
    site.machine.seconds = 0.0
    site.start()
    assert 0 <= (before + timedelta(seconds=KEEP_CLOCK_S) - site.clock()).total_seconds() <= 60 + 2 * KEEP_CLOCK_S
    assert {2, 3, 4} >= set(site.claim()) >= {3, 4}


def test_without_a_note_it_is_the_wall_clock(tmp_path: Path) -> None:
    site = Site(tmp_path / "queue.db")
    assert site.clock() == site.machine.wall_time


def test_a_database_that_was_made_anew_goes_on_from_its_newest_delivery(site: Site) -> None:
    before = site.clock()
    site.queue.connection.execute("DELETE FROM clock")
    site.queue.close()
    site.machine.step(400 * DAY_S)
    site.start()
    assert site.clock() == before - timedelta(seconds=60)


def test_what_is_salvaged_goes_on_from_the_old_ones_time(site: Site, tmp_path: Path) -> None:
    site.restart(0.0)
    before = site.clock()
    site.queue.close()
    site.path = tmp_path / "new.db"
    with contextlib.closing(SQLiteStore(site.path)) as new:
        salvage(tmp_path / "queue.db", new, lambda payload: True)
    site.machine.step(400 * DAY_S)
    site.start()
    assert site.clock() == before
