"""A PostgreSQL queue of millions of deliveries: `python -m benchmarks.large_queue --deliveries 10000000`.

Half of them wait for one destination that is down, the others for eight that take. The tables are filled by the server
itself. Claims of 20 and their settlements are timed with and without a transaction that another session holds open, and
the questions of `gateway status` and `gateway queue list` beside them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg

from gateway.model.delivery import Delivery, DeliveryState
from gateway.operations.delivery_listing import LOOKED_AT
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.postgresql.server_clock import ServerClock
from gateway.postgresql.store import PostgreSQLStore
from gateway.relational.rows import association_text
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.samples import instance, settlement

DOWN, PEERS = "down", 8
BATCH, ROUNDS, QUESTIONS = 20, 400, 5
LARGE_BATCH = 500

FILL = (
    """
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid,
    series_instance_uid, association_id, payload_name, payload_offset, payload_length, payload_digest, received_at,
    is_current, kept_facts)
SELECT number, '1.2.840.10008.5.1.4.1.1.2', '1.2.3.4.' || number, '1.2.840.10008.1.2.1', '1.2.3.' || number / 500,
    '1.2.3.' || number / 500 || '.1', %(association)s, 'journal/1/' || number / 50, number %% 50 * 8192, 8192,
    decode(md5(number::text), 'hex') || decode(md5(number::text), 'hex'), %(now)s + number, 0, '{}'
FROM generate_series(1, %(number)s::bigint) AS number
""",
    """
INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, created_at, due_at)
SELECT number, number, CASE WHEN number %% 2 = 0 THEN %(down)s::text ELSE 'peer-' || number / 2 %% %(peers)s END, 'all',
    '[]', 'pending', 0, %(now)s + number, %(now)s + number
FROM generate_series(1, %(number)s::bigint) AS number
""",
    """
INSERT INTO due (delivery_id, destination, likeness, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, due_at, created_at, 0 FROM delivery
""",
)
LISTS = {
    "all": DeliveryFilter(),
    "of what is down": DeliveryFilter(destination=DOWN, state=DeliveryState.PENDING),
    "dead letters": DeliveryFilter(state=DeliveryState.DEAD),
    "of a rule": DeliveryFilter(rule="all"),
    "of a study": DeliveryFilter(study_instance_uid="1.2.3.7"),
    "younger than a moment": DeliveryFilter(created_after=datetime(2020, 1, 1, tzinfo=UTC)),
}
DEAD_ROWS = "SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE relname IN ('due', 'delivery', 'instance')"


def fill(store: PostgreSQLStore, look: psycopg.Connection[Any], number: int) -> None:
    """As many instances with a delivery each. A statement of the store may take ten seconds only."""
    facts = association_text(instance(1).association)
    values = {
        "association": store._transactions.single("insert_association", facts=facts),
        "now": store._transactions.clock.now_us() - 86_400_000_000,
        "number": number,
        "down": DOWN,
        "peers": PEERS,
    }
    for statement in FILL:
        look.execute(statement.encode(), values)


@contextmanager
def held_open(url: str) -> Iterator[None]:
    """A transaction that sees the tables as they were at its beginning."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM gateway_schema")
        yield


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    began_s = time.perf_counter()
    work()
    return (time.perf_counter() - began_s) * 1000


def rounds(store: PostgreSQLStore, number: int, batch: int = BATCH) -> tuple[list[float], float]:
    """Milliseconds of each claim of `batch`, and deliveries a second."""
    claims: list[float] = []
    began_s = time.perf_counter()
    done = 0
    for turn in range(number):
        found: list[Delivery] = []

        def claim(found: list[Delivery] = found, destination: str = f"peer-{turn % PEERS}") -> None:
            found += store.deliveries.claim(destination, batch, 60.0, store._transactions.clock.now())

        with store.transaction():
            claims.append(timed(claim))
        with store.transaction():
            done += sum(store.deliveries.settle([settlement(each) for each in found]))
    return claims, done / (time.perf_counter() - began_s)


def said(name: str, milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    return f"{name}: {statistics.median(ordered):.1f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms"


def ask(store: PostgreSQLStore) -> None:
    """The questions of `gateway status` and `gateway queue list`, and the sum that a node makes each minute."""
    with store.transaction():
        folded_ms = timed(lambda: store.deliveries.forget(datetime(2000, 1, 1, tzinfo=UTC), 1))
    print(f"changes replaced by their sum: {folded_ms:.0f} ms")
    every = [timed(store.deliveries.depths) for _ in range(QUESTIONS)]
    print(said("depths of all queues", every))
    print(
        said("destinations with pending ones", [timed(store.deliveries.pending_destinations) for _ in range(QUESTIONS)])
    )
    for name, which in LISTS.items():
        lists = [timed(partial(store.administration.list, which, 50)) for _ in range(QUESTIONS)]
        totals = [timed(partial(store.administration.total, which, LOOKED_AT)) for _ in range(QUESTIONS)]
        total = store.administration.total(which, LOOKED_AT)
        print(f"{said(f'list of 50, {name}', lists)}; {said('its total', totals)}: {total}")


def measure(url: str, number: int, turns: int, settled: int) -> None:
    with (
        closing(PostgreSQLStore(url, clock=ServerClock(), node="benchmark")) as store,
        psycopg.connect(url, autocommit=True) as look,
    ):
        print(f"filled with {number} deliveries in {timed(lambda: fill(store, look, number)) / 1000:.0f} s")
        print(f"analysed in {timed(lambda: look.execute('ANALYZE')) / 1000:.0f} s")
        claims, free = rounds(store, turns)
        print(f"{said('claim of 20', claims)}; {free:.0f} deliveries/s")
        with held_open(url):
            _, large = rounds(store, settled // LARGE_BATCH, LARGE_BATCH)
            print(
                f"{settled} settled in claims of {LARGE_BATCH} beside a transaction held open: {large:.0f} deliveries/s"
            )
            claims, held = rounds(store, turns)
            print(f"{said('claim of 20, a transaction held open', claims)}; {held:.0f} deliveries/s")
            print(f"dead rows: {dict(look.execute(DEAD_ROWS).fetchall())}")
            ask(store)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="claims of 20 with their settlements, twice")
    parser.add_argument("--settled", type=int, default=0, help="beside the held transaction, before claims are timed")
    options = parser.parse_args()
    server = PostgreSQLServer(fsync="on")
    server.start()
    try:
        measure(server.new_schema(), options.deliveries, options.rounds, options.settled)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
