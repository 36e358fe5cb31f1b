"""Nodes and leases in the database. What leases do together: `tests/contract/test_destination_leases.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.node import DestinationStanding, GatewayNode
from gateway.ports.errors import SpoolFull
from gateway.postgresql.node_table import KEPT_S, LIVE_S, PostgreSQLNodeTable
from gateway.postgresql.store import PostgreSQLStore
from tests.support.node_rig import ClusterClock
from tests.support.processes import GUARD_S
from tests.support.samples import NOON, TO_PACS, TO_VNA, instance
from tests.support.store_rig import LEASE_S, settle_all

pytestmark = pytest.mark.postgresql

SERVER_LEASE_S = 10.0


def node(name: str) -> GatewayNode:
    return GatewayNode(f"{name}-run", name, "1.2.3", "host", 7, NOON)


@pytest.fixture
def clock() -> Iterator[ClusterClock]:
    with closing(ClusterClock()) as made:
        yield made


@pytest.fixture
def table(clock: ClusterClock) -> Iterator[PostgreSQLNodeTable]:
    with closing(PostgreSQLNodeTable(clock.url)) as opened:
        yield opened


Opened = Callable[[dict[str, int]], PostgreSQLStore]


@pytest.fixture
def fenced(clock: ClusterClock) -> Iterator[Opened]:
    """A node's store: it holds leases with the tokens of the dictionary, which may change."""
    with ExitStack() as stack:

        def opened(tokens: dict[str, int]) -> PostgreSQLStore:
            return stack.enter_context(closing(PostgreSQLStore(clock.url, now=clock.now, tokens=lambda: tokens)))

        yield opened


def filled(store: PostgreSQLStore, number: int) -> None:
    with store.transaction():
        store.deliveries.accept([(instance(each), [TO_PACS, TO_VNA]) for each in range(number)], NOON)


def taken(table: PostgreSQLNodeTable, instance_id: str, *destinations: str) -> dict[str, int]:
    return dict(table.take(instance_id, destinations, SERVER_LEASE_S))


def test_a_node_sees_itself_and_the_others_by_the_server_s_clock(
    table: PostgreSQLNodeTable, clock: ClusterClock
) -> None:
    table.beat(node("two"), "running", "rules-1", ["pacs"])
    taken(table, "two-run", "pacs", "vna")
    clock.advance(LIVE_S)
    view = table.beat(node("one"), "draining", "rules-2", ["vna", "pacs"])
    one, two = view.nodes
    assert (one.node, one.state, one.configuration, one.is_live, one.leases) == (
        node("one"),
        "draining",
        "rules-2",
        True,
        0,
    )
    assert one.destinations == {"pacs", "vna"}
    assert (two.node.name, two.is_live, two.leases) == ("two", False, 2)
    assert two.seen_at == one.seen_at - timedelta(seconds=LIVE_S) == NOON
    assert [(each.destination, each.instance, each.is_over) for each in view.leases] == [
        ("pacs", "two-run", False),
        ("vna", "two-run", False),
    ]


def test_what_changes_of_a_node_is_written_with_each_beat(table: PostgreSQLNodeTable) -> None:
    table.beat(node("one"), "running", "rules-1", ["pacs"])
    (one,) = table.beat(node("one"), "draining", "rules-2", []).nodes
    assert (one.state, one.configuration, one.destinations) == ("draining", "rules-2", frozenset())


def test_a_lease_is_one_node_s_until_it_is_over(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    first = taken(table, "one", "pacs")
    clock.advance(SERVER_LEASE_S - 1)
    assert taken(table, "two", "pacs") == {}
    assert table.renew(first, SERVER_LEASE_S) == ["pacs"]
    clock.advance(SERVER_LEASE_S)
    assert table.renew(first, SERVER_LEASE_S) == []
    second = taken(table, "two", "pacs")
    assert second["pacs"] > first["pacs"]
    assert table.renew(first, SERVER_LEASE_S) == []


def test_a_release_is_for_the_holder_alone_and_makes_its_token_worthless(
    table: PostgreSQLNodeTable, fenced: Opened
) -> None:
    first = taken(table, "one", "pacs")
    table.release({"pacs": first["pacs"] - 1})
    assert taken(table, "two", "pacs") == {}
    store = fenced(first)
    filled(store, 1)
    table.release(first)
    with store.transaction():
        assert store.deliveries.claim("pacs", 1, LEASE_S, NOON) == []
    assert taken(table, "two", "pacs")["pacs"] > first["pacs"]


def test_a_node_that_leaves_is_gone_with_its_leases(table: PostgreSQLNodeTable) -> None:
    table.beat(node("one"), "running", "rules-1", ["pacs"])
    taken(table, "one-run", "pacs", "vna")
    taken(table, "two-run", "research")
    table.leave("one-run")
    view = table.beat(node("two"), "running", "rules-1", [])
    assert [each.node.name for each in view.nodes] == ["two"]
    assert {each.destination: each.is_over for each in view.leases} == {"pacs": True, "vna": True, "research": False}


def test_nodes_and_leases_of_long_ago_go(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    table.beat(node("one"), "running", "rules-1", ["vna"])
    taken(table, "one-run", "pacs", "vna")
    clock.advance(KEPT_S)
    table.tidy()
    assert len(table.beat(node("two"), "running", "rules-1", ["vna"]).nodes) == 2
    clock.advance(SERVER_LEASE_S + 1)
    table.tidy()
    view = table.beat(node("two"), "running", "rules-1", ["vna"])
    assert [each.node.name for each in view.nodes] == ["two"]
    assert [each.destination for each in view.leases] == ["vna"], "a node has it among its destinations"


def test_a_run_that_ended_goes_when_its_node_runs_again(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    again = replace(node("one"), instance="one-again", started_at=NOON + timedelta(seconds=7))
    for each in (node("one"), node("two")):
        table.beat(each, "running", "rules-1", [])
    table.beat(again, "running", "rules-1", [])
    table.tidy()
    assert len(table.beat(again, "running", "rules-1", []).nodes) == 3, "the run before may still live"
    clock.advance(LIVE_S)
    table.tidy()
    view = table.beat(again, "running", "rules-1", [])
    assert [each.node.instance for each in view.nodes] == ["one-again", "two-run"]


DOWN = DestinationStanding(False, "connection refused", 3, 60.0, '["refusals"]', down_s=5.0)


def test_the_standing_of_a_destination_is_for_all_and_its_refusals_for_the_node_that_takes_it(
    table: PostgreSQLNodeTable, clock: ClusterClock
) -> None:
    token = taken(table, "one", "pacs")["pacs"]
    table.write_standings({"pacs": (token, DOWN)})
    clock.advance(20)
    assert table.read_standings(["pacs", "vna"]) == {"pacs": replace(DOWN, wait_s=40.0, down_s=25.0)}
    view = table.beat(node("two"), "running", "rules-1", [])
    assert view.standings == {"pacs": replace(DOWN, wait_s=40.0, refusals="", down_s=25.0)}
    clock.advance(60)
    assert table.read_standings(["pacs"])["pacs"].wait_s == 0.0


def test_a_node_without_the_lease_writes_no_standing(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    late = taken(table, "one", "pacs")["pacs"]
    clock.advance(SERVER_LEASE_S)
    token = taken(table, "two", "pacs")["pacs"]
    table.write_standings({"pacs": (token, DOWN)})
    table.write_standings({"pacs": (late, DestinationStanding(True)), "vna": (7, DestinationStanding(True))})
    assert table.read_standings(["pacs", "vna"]) == {"pacs": DOWN}
    table.write_standings({"pacs": (token, DestinationStanding(True))})
    assert table.read_standings(["pacs"]) == {"pacs": DestinationStanding(True)}


def test_the_standing_of_a_destination_goes_with_its_lease(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    token = taken(table, "one", "pacs")["pacs"]
    table.write_standings({"pacs": (token, DOWN)})
    table.tidy()
    assert [*table.read_standings(["pacs"])] == ["pacs"]
    clock.advance(KEPT_S + SERVER_LEASE_S + 1)
    table.tidy()
    assert table.read_standings(["pacs"]) == {}


# --- fencing ------------------------------------------------------------------------------------------------------

APART = pytest.mark.parametrize("apart", [None, ExcludedLikenesses()], ids=["oldest first", "by likeness"])


@APART
def test_a_node_claims_with_the_token_of_its_lease_alone(
    table: PostgreSQLNodeTable, fenced: Opened, apart: ExcludedLikenesses | None
) -> None:
    tokens: dict[str, int] = {}
    store = fenced(tokens)
    filled(store, 3)

    def claimed() -> int:
        with store.transaction():
            return len(store.deliveries.claim("pacs", 1, LEASE_S, NOON, apart))

    assert claimed() == 0
    tokens |= taken(table, "one", "pacs")
    assert claimed() == 1
    tokens["pacs"] += 1
    assert claimed() == 0


def test_what_a_late_node_settles_changes_nothing_and_what_it_claimed_is_claimed_again_at_once(
    table: PostgreSQLNodeTable, fenced: Opened, clock: ClusterClock
) -> None:
    first = taken(table, "one", "pacs", "vna")
    late = fenced(first)
    filled(late, 2)
    with late.transaction():
        mine = late.deliveries.claim("pacs", 2, LEASE_S, clock.now())
        others = late.deliveries.claim("vna", 1, LEASE_S, clock.now())
    assert len(mine) == 2
    clock.advance(SERVER_LEASE_S)
    now = fenced(taken(table, "two", "pacs"))
    assert settle_all(late, [*mine, *others], DeliveryState.DELIVERED) == 1, "nobody took the other destination"
    with now.transaction():
        again = now.deliveries.claim("pacs", 2, LEASE_S, clock.now())
    assert [each.delivery_id for each in again] == [each.delivery_id for each in mine]
    assert [each.due_at for each in again] == [each.due_at for each in mine], "at their old place in the queue"
    assert settle_all(late, mine, DeliveryState.DEAD) == 0
    assert settle_all(now, again, DeliveryState.DELIVERED) == 2


def test_what_a_node_had_claimed_is_doubtful_for_the_next_one(
    table: PostgreSQLNodeTable, fenced: Opened, clock: ClusterClock
) -> None:
    late = fenced(taken(table, "one", "pacs"))
    filled(late, 2)
    with late.transaction():
        late.deliveries.claim("pacs", 1, LEASE_S, clock.now())
    clock.advance(SERVER_LEASE_S)
    now = fenced(taken(table, "two", "pacs"))
    with now.transaction():
        again = now.deliveries.claim("pacs", 2, LEASE_S, clock.now())
    assert [each.is_doubtful for each in again] == [True, False]


def test_the_node_that_works_on_a_member_moves_its_deliveries_or_any_where_none_does(
    table: PostgreSQLNodeTable, fenced: Opened, clock: ClusterClock
) -> None:
    tokens = taken(table, "one", "pacs")
    holder, other = fenced(tokens), fenced({})
    with holder.transaction():
        dispatch = Dispatch("all", "pacs", group_name="archives")
        holder.deliveries.accept([(instance(each), [dispatch]) for each in range(4)], NOON)

    def moved(store: PostgreSQLStore) -> int:
        with store.transaction():
            return store.deliveries.move_in_group("archives", "pacs", "vna", 1, NOON)

    assert moved(other) == 0
    assert moved(holder) == 1
    assert moved(fenced({"pacs": tokens["pacs"] + 1})) == 0
    clock.advance(SERVER_LEASE_S)
    assert moved(other) == 1, "the lease is over"
    table.release(tokens)
    assert moved(other) == 1
    taken(table, "two", "pacs")
    assert moved(holder) == 0, "another node has it"
    assert moved(other) == 0


def test_the_token_alone_keeps_a_late_settlement_away(table: PostgreSQLNodeTable, fenced: Opened) -> None:
    """The lease of the delivery is still the one of the late node."""
    tokens = taken(table, "one", "pacs")
    late = fenced(tokens)
    filled(late, 1)
    with late.transaction():
        claimed = late.deliveries.claim("pacs", 1, LEASE_S, NOON)
    table.release(tokens)
    assert settle_all(late, claimed, DeliveryState.DELIVERED) == 0


def test_a_take_over_waits_for_no_transaction_of_the_holder_and_comes_after_it(
    table: PostgreSQLNodeTable, fenced: Opened, clock: ClusterClock
) -> None:
    holder = fenced(taken(table, "one", "pacs"))
    filled(holder, 1)
    with holder.transaction():
        (claimed,) = holder.deliveries.claim("pacs", 1, LEASE_S, clock.now())
        clock.advance(SERVER_LEASE_S)
        assert taken(table, "two", "pacs") == {}
    tokens = taken(table, "two", "pacs")
    now = fenced(tokens)
    with now.transaction():
        (again,) = now.deliveries.claim("pacs", 1, LEASE_S, clock.now())
    assert again.delivery_id == claimed.delivery_id


def test_a_lease_is_renewed_while_its_holder_claims(table: PostgreSQLNodeTable, fenced: Opened) -> None:
    tokens = taken(table, "one", "pacs")
    holder = fenced(tokens)
    filled(holder, 1)
    with holder.transaction():
        assert len(holder.deliveries.claim("pacs", 1, LEASE_S, NOON)) == 1
        assert table.renew(tokens, SERVER_LEASE_S) == ["pacs"]


# --- the connection -----------------------------------------------------------------------------------------------


def test_a_lost_connection_is_made_anew(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    table.beat(node("one"), "running", "rules-1", [])
    with psycopg.connect(clock.url, autocommit=True) as other:
        others = (
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE query LIKE '%FROM destination_lease%'"
        )
        other.execute(f"{others} AND pid <> pg_backend_pid()".encode())
    with pytest.raises(SpoolFull):
        table.beat(node("one"), "running", "rules-1", [])
    assert len(table.beat(node("one"), "running", "rules-1", []).nodes) == 1


class Interrupted(PostgreSQLNodeTable):
    """Its session is ended right before the statement `at`, once."""

    at = ""

    def _run(self, name: str, **values: Any) -> Any:
        if name == self.at:
            self.at = ""
            assert self._connection is not None
            with psycopg.connect(self._place.conninfo, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 60000)", (self._connection.info.backend_pid,))
        return super()._run(name, **values)


@pytest.mark.parametrize("at", ["add_leases", "take_leases", "free_claimed"])
def test_a_connection_that_is_lost_while_leases_are_taken_takes_none(clock: ClusterClock, at: str) -> None:
    with closing(Interrupted(clock.url)) as table:
        table.beat(node("one"), "running", "rules-1", ["pacs"])
        table.at = at
        with pytest.raises(SpoolFull):
            taken(table, "one-run", "pacs")
        assert {*taken(table, "one-run", "pacs")} == {"pacs"}


def test_the_end_waits_for_no_statement(table: PostgreSQLNodeTable, clock: ClusterClock) -> None:
    lease = taken(table, "one", "pacs")
    with (
        psycopg.connect(clock.url) as other,
        psycopg.connect(clock.url, autocommit=True) as third,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute("LOCK TABLE destination_lease")
        releasing = thread.submit(table.release, lease)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'destination_lease'::regclass"
        until = time.monotonic() + GUARD_S
        while third.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < until
        table.close()
        with pytest.raises(SpoolFull):
            releasing.result(GUARD_S)


def test_nothing_is_done_after_the_end(table: PostgreSQLNodeTable) -> None:
    table.beat(node("one"), "running", "rules-1", [])
    table.close()
    with pytest.raises(SpoolFull):
        table.take("one-run", ["pacs"], SERVER_LEASE_S)
