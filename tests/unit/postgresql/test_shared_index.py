"""Two nodes at one moment: what one names the other one does not forget, and the later one sees what the first did."""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg
import pytest

from gateway.model.delivery import Delivery
from gateway.model.instance import Instance
from gateway.postgresql.store import PostgreSQLStore
from tests.support.samples import FACTS, TO_PACS, TO_VNA, Clock, settlement
from tests.support.store_rig import claim
from tests.unit.postgresql.conftest import Beside, OpenStore
from tests.unit.postgresql.test_acceptance import accept, indexed

pytestmark = pytest.mark.postgresql


@pytest.fixture
def nodes(open_store: OpenStore) -> tuple[PostgreSQLStore, PostgreSQLStore]:
    return open_store(is_committing=True, node="one"), open_store(is_committing=True, node="two")


def deliver(store: PostgreSQLStore, deliveries: list[Delivery]) -> None:
    with store.transaction():
        assert all(store.deliveries.settle([settlement(each) for each in deliveries]))


def forget(store: PostgreSQLStore, clock: Clock) -> int:
    with store.transaction():
        return store.deliveries.forget(clock.advance(1), 100)


def accept_without_duties(store: PostgreSQLStore, clock: Clock, *instances: Instance) -> None:
    with store.transaction():
        store.deliveries.accept([(each, []) for each in instances], clock())


def test_a_remembered_series_that_another_node_forgot_is_made_anew(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    accept_without_duties(one, clock, indexed(1))
    assert forget(other, clock) == 1
    accept(one, clock, indexed(2))
    assert look.execute("SELECT count(*) FROM series JOIN instance USING (series_key)").fetchone() == (1,)
    assert look.execute("SELECT count(*) FROM association").fetchone() == (1,)


def test_a_remembered_study_that_another_node_forgot_is_made_anew(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    accept_without_duties(one, clock, indexed(1), indexed(2, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"))
    with other.transaction():
        other.deliveries.forget(clock.advance(1), 1)
    accept(one, clock, indexed(3, SeriesInstanceUID="1.1.2"))
    assert look.execute("SELECT count(*) FROM series JOIN study USING (study_key)").fetchone() == (2,)


def test_a_series_is_not_forgotten_while_an_instance_of_it_is_on_its_way(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    one, other = nodes
    accept_without_duties(one, clock, indexed(1))
    over_another = dataclasses.replace(indexed(2), association=dataclasses.replace(FACTS, association_id="a2"))
    with one.transaction():
        one.deliveries.accept([(over_another, [TO_PACS])], clock())
        assert forget(other, clock) == 0, "it waits for nobody"
    assert forget(other, clock) == 1
    assert look.execute("SELECT count(*) FROM series JOIN instance USING (series_key)").fetchone() == (1,)


def test_an_instance_of_a_series_that_is_being_forgotten_waits_and_makes_it_anew(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    one, other = nodes
    accept_without_duties(one, clock, indexed(1))
    with other.transaction():
        assert other.deliveries.forget(clock.advance(1), 100) == 1
        accepting = beside.until_it_waits(lambda: accept(one, clock, indexed(2)))
        assert not accepting.done()
    accepting.result()
    assert look.execute("SELECT count(*) FROM series JOIN instance USING (series_key)").fetchone() == (1,)


def test_two_nodes_that_forget_the_last_of_a_series_leave_nothing(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    accept_without_duties(one, clock, indexed(1), indexed(2))
    with one.transaction():
        assert one.deliveries.forget(clock.advance(1), 1) == 1
        assert forget(other, clock) == 0
    assert forget(other, clock) == 1
    assert look.execute("SELECT count(*) FROM patient").fetchone() == (0,)


def test_of_one_object_that_two_nodes_take_at_once_one_is_a_duplicate(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    one, other = nodes
    with one.transaction():
        (first,) = one.deliveries.accept([(indexed(1), [TO_PACS])], clock())
        accepting = beside.until_it_waits(lambda: accept(other, clock, indexed(1)))
        assert not accepting.done()
    assert accepting.result() == [first.instance_id]
    assert look.execute("SELECT count(*) FROM delivery").fetchone() == (1,)


def test_of_two_objects_of_one_uid_that_two_nodes_take_at_once_one_is_current(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    one, other = nodes
    again = dataclasses.replace(indexed(1), payload=dataclasses.replace(indexed(1).payload, digest=b"other bytes"))
    with one.transaction():
        one.deliveries.accept([(indexed(1), [TO_PACS])], clock())
        accepting = beside.until_it_waits(lambda: accept(other, clock, again))
    (newest,) = accepting.result()
    assert look.execute("SELECT instance_id FROM instance WHERE is_current = 1").fetchall() == [(newest,)]


def test_what_becomes_current_again_is_decided_after_what_arrives(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    kept, newer, newest = (
        dataclasses.replace(indexed(1), payload=dataclasses.replace(indexed(1).payload, digest=b"%d" % number))
        for number in range(3)
    )
    accept(one, clock, kept)
    accept_without_duties(one, clock, newer)
    with one.transaction():
        one.deliveries.accept([(newest, [TO_PACS])], clock())
        assert forget(other, clock) == 0
    assert forget(other, clock) == 1
    assert look.execute("SELECT instance_id FROM instance WHERE is_current = 1").fetchall() == [
        (max(row[0] for row in look.execute("SELECT instance_id FROM instance")),)
    ]


def test_an_instance_whose_last_deliveries_end_at_one_moment_is_settled(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any], beside: Beside
) -> None:
    one, other = nodes
    with one.transaction():
        one.deliveries.accept([(indexed(1), [TO_PACS, TO_VNA])], clock())
    to_pacs, to_vna = claim(one, clock, "pacs"), claim(other, clock, "vna")
    with one.transaction():
        one.deliveries.settle([settlement(each) for each in to_pacs])
        settling = beside.until_it_waits(lambda: deliver(other, to_vna))
    settling.result()
    assert look.execute("SELECT settled_at IS NOT NULL FROM instance").fetchall() == [(True,)]


def test_an_instance_that_joins_the_index_later_is_held_until_then(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    without = dataclasses.replace(indexed(1), index=None)
    accept(one, clock, without)
    claimed = claim(other, clock)
    with one.transaction():
        one.deliveries.accept([(indexed(1), [TO_PACS])], clock())
        assert forget(other, clock) == 0
    deliver(other, claimed)
    assert look.execute("SELECT series_key IS NOT NULL FROM instance").fetchall() == [(True,)]
    assert forget(other, clock) == 1


def test_leases_of_other_nodes_stay_when_a_node_begins(
    nodes: tuple[PostgreSQLStore, PostgreSQLStore], clock: Clock, look: psycopg.Connection[Any]
) -> None:
    one, other = nodes
    accept(one, clock, *(indexed(number) for number in range(4)))
    mine, theirs = claim(one, clock, limit=1), claim(other, clock, limit=3)
    with one.transaction():
        assert one.deliveries.expire_leases() == 0
    deliver(other, theirs)
    deliver(one, mine)
