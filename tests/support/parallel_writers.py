"""Several nodes that write to one PostgreSQL schema at the same time, at random, and what must be true of it."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TypeVar

import psycopg

from gateway.common.steady_clock import utc_now
from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.retrying import retried
from gateway.postgresql.statements import SQL
from gateway.postgresql.store import PostgreSQLStore
from gateway.relational.rows import batch
from tests.support.identifiers import attributes, entry
from tests.support.samples import FACTS, HELD, TO_PACS, TO_VNA, instance, settlement

T = TypeVar("T")

LEASE_S = 3600.0
STATES = [DeliveryState.DELIVERED] * 6 + [DeliveryState.PENDING] * 2 + [DeliveryState.DEAD, DeliveryState.HELD]
DISPATCHES: tuple[list[Dispatch], ...] = (
    [TO_PACS],
    [TO_VNA],
    [TO_PACS, TO_VNA],
    [TO_PACS, TO_VNA, Dispatch("other", "archive")],
    [HELD],
    [],
)
DESTINATIONS = ("pacs", "vna", "archive")
ENTRIES = [
    entry(attributes(PatientID=patient, StudyInstanceUID=f"{patient}.{study}", SeriesInstanceUID=f"{study}.{series}"))
    for patient in ("1", "2")
    for study in (1, 2)
    for series in (1, 2)
]
UIDS = 12
"""So many that nodes often take the same one at once."""

INVARIANTS = {
    "an instance names a series that is not there": """
        SELECT count(*) FROM instance LEFT JOIN series USING (series_key)
        WHERE instance.series_key IS NOT NULL AND series.series_key IS NULL""",
    "a series names a study that is not there": """
        SELECT count(*) FROM series LEFT JOIN study USING (study_key) WHERE study.study_key IS NULL""",
    "a study names a patient that is not there": """
        SELECT count(*) FROM study LEFT JOIN patient USING (patient_key) WHERE patient.patient_key IS NULL""",
    "an instance names an association that is not there": """
        SELECT count(*) FROM instance LEFT JOIN association USING (association_id)
        WHERE association.association_id IS NULL""",
    "a series is empty": """
        SELECT count(*) FROM series
        WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.series_key = series.series_key)""",
    "a study is empty": """
        SELECT count(*) FROM study WHERE NOT EXISTS (SELECT 1 FROM series WHERE series.study_key = study.study_key)""",
    "a patient is empty": """
        SELECT count(*) FROM patient
        WHERE NOT EXISTS (SELECT 1 FROM study WHERE study.patient_key = patient.patient_key)""",
    "nothing came over an association": """
        SELECT count(*) FROM association
        WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.association_id = association.association_id)""",
    "not one instance of a SOP Instance UID is the current one": """
        SELECT count(*) FROM (SELECT 1 FROM instance WHERE series_key IS NOT NULL
                              GROUP BY sop_instance_uid HAVING sum(is_current) <> 1) AS odd""",
    "a pending delivery is not due, or another one is": """
        SELECT count(*) FROM delivery FULL JOIN due USING (delivery_id)
        WHERE (coalesce(delivery.state, '') = 'pending') <> (due.destination IS NOT NULL)""",
    "an instance is settled that owes something, or the other way round": """
        SELECT count(*) FROM instance WHERE (settled_at IS NULL) <> (
            EXISTS (SELECT 1 FROM kept_copy
                    WHERE kept_copy.instance_id = instance.instance_id AND kept_since IS NOT NULL)
            OR EXISTS (SELECT 1 FROM delivery
                       WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'))""",
    "an instance is kept that owes something, or that is not there": """
        SELECT count(*) FROM kept_copy LEFT JOIN instance USING (instance_id)
        WHERE sop_instance_uid IS NULL OR (kept_since IS NOT NULL AND EXISTS (
            SELECT 1 FROM delivery WHERE delivery.instance_id = kept_copy.instance_id AND state <> 'delivered'))""",
    "a delivery has no instance": """
        SELECT count(*) FROM delivery LEFT JOIN instance USING (instance_id) WHERE instance.instance_id IS NULL""",
    "what is kept is not what its changes come to": f"""
        SELECT count(*)
        FROM ({SQL["depths"].removesuffix(";")}) AS said (destination, state, number, size_bytes, oldest_at)
        FULL JOIN (
            SELECT destination, state, count(*) AS number, sum(payload_length)::bigint AS size_bytes,
                   min(created_at) AS oldest_at
            FROM delivery JOIN instance USING (instance_id) WHERE state <> 'delivered' GROUP BY destination, state
        ) AS counted USING (destination, state, number, size_bytes, oldest_at)
        WHERE said.* IS NULL OR counted.* IS NULL""",
    "changes of nothing have a length": """
        SELECT count(*) FROM (SELECT 1 FROM queue_change GROUP BY destination, state
                              HAVING sum(number) < 0 OR (sum(number) = 0 AND sum(size_bytes) <> 0)) AS odd""",
    "an attempt has no delivery": """
        SELECT count(*) FROM attempt LEFT JOIN delivery USING (delivery_id) WHERE delivery.delivery_id IS NULL""",
}
TABLES = ("instance", "delivery", "due", "attempt", "association", "patient", "study", "series")


def broken_invariants(connection: psycopg.Connection[tuple[int]]) -> dict[str, int]:
    """How many rows break which of `INVARIANTS`, at one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = {text: connection.execute(statement.encode()).fetchone() for text, statement in INVARIANTS.items()}
    return {text: row[0] for text, row in found.items() if row is not None and row[0]}


class Writer:
    """One node, and the account of what it did."""

    def __init__(self, url: str, number: int, seed: int) -> None:
        self.random = random.Random(f"{seed} {number}")
        self.store = PostgreSQLStore(url, node=f"node-{number}", is_committing=True, now=utc_now)
        self._number = number
        self._claimed: list[Delivery] = []
        self.counts: Counter[str] = Counter()
        self.delivered: list[int] = []

    def transaction(self, function: Callable[[], T]) -> T:
        """As the layer that owns it does."""

        def once() -> T:
            self.counts["transactions"] += 1
            with self.store.transaction():
                answer = function()
                if self.random.random() < 0.3:  # others come in between
                    threading.Event().wait(self.random.uniform(0.0, 0.004))
                return answer

        self.counts["wanted"] += 1
        return retried(once)

    def step(self) -> None:
        """One of all that a node does."""
        steps = [self.accept] * 4 + [self.claim] * 3 + [self.settle] * 4 + [self.forget] * 2
        self.random.choice([*steps, self.operate, self.take_over, self.fold])()

    def accept(self) -> None:
        arrivals = [self._arrival() for _ in range(self.random.randint(1, 6))]
        accepted = self.transaction(lambda: self.store.deliveries.accept(arrivals, utc_now()))
        self.counts["instances"] += len({each.instance_id for each in accepted if each.payload is None})
        self.counts["deliveries"] += sum(each.deliveries for each in accepted)

    def _arrival(self) -> tuple[Instance, list[Dispatch]]:
        chance = self.random
        made = instance(chance.randrange(UIDS), body=b"%d" % chance.randrange(3))
        index = chance.choice([None, *ENTRIES])
        facts = dataclasses.replace(FACTS, association_id=f"{self._number}.{chance.randrange(3)}")
        return dataclasses.replace(made, index=index, association=facts), chance.choice(DISPATCHES)

    def claim(self) -> None:
        destination, limit = self.random.choice(DESTINATIONS), self.random.randint(1, 8)
        self._claimed += self.transaction(lambda: self.store.deliveries.claim(destination, limit, LEASE_S, utc_now()))

    def settle(self) -> None:
        self.random.shuffle(self._claimed)
        some, self._claimed = self._claimed[:6], self._claimed[6:]
        settlements = [settlement(each, self.random.choice(STATES), due_at=utc_now()) for each in some]
        held = self.transaction(lambda: self.store.deliveries.settle(settlements))
        for each, was_held in zip(settlements, held, strict=True):
            if was_held and each.state is DeliveryState.DELIVERED:
                self.delivered.append(each.delivery_id)
            self.counts["settled"] += was_held

    def forget(self) -> None:
        before = utc_now() + timedelta(seconds=1)
        self.counts["forgotten"] += self.transaction(
            lambda: self.store.deliveries.forget(before, self.random.randint(1, 20))
        )

    def operate(self) -> None:
        """A verb of an operator."""
        administration, destination = self.store.administration, self.random.choice(DESTINATIONS)
        which, also = DeliveryFilter(destination=self.random.choice([destination, None])), self.random.random() < 0.5
        verbs = {
            "held": lambda: administration.hold(which),
            "released": lambda: administration.release(which, utc_now(), destination, even_if_doubtful=also),
            "retargeted": lambda: administration.retarget(which, utc_now(), destination, even_if_doubtful=also),
            "sent again": lambda: administration.send_again(which, utc_now(), self.random.choice([destination, None])),
            "retried": lambda: administration.retry(which, utc_now()),
            "discarded": lambda: administration.discard(dataclasses.replace(which, state=DeliveryState.DEAD)),
        }
        name = self.random.choice([*verbs])
        self.counts[name] += self.transaction(verbs[name])

    def take_over(self) -> None:
        """As one that takes the lease of a destination: what others had claimed for it is due again."""
        destinations = batch([self.random.choice(DESTINATIONS)])
        self.transaction(lambda: self.store._transactions.do("free_claimed", destinations=destinations))

    def fold(self) -> None:
        """As the node that keeps house, which is not always one alone."""
        values = {"few": 3, "limit": self.random.randint(1, 50)}
        self.counts["folded"] += self.transaction(lambda: self.store._transactions.single("fold_changes", **values))

    def drain(self) -> None:
        """Deliver all that is left, and forget all."""
        self.transaction(lambda: self.store._transactions.do("free_claimed", destinations=batch(DESTINATIONS)))
        administration, anything = self.store.administration, DeliveryFilter()
        self.transaction(lambda: administration.release(anything, utc_now(), "pacs", even_if_doubtful=True))
        self.transaction(lambda: administration.retry(anything, utc_now()))
        for destination in DESTINATIONS:
            while self._deliver(destination):
                pass
        before = utc_now() + timedelta(seconds=1)
        while forgotten := self.transaction(lambda: self.store.deliveries.forget(before, 100)):
            self.counts["forgotten"] += forgotten

    def _deliver(self, destination: str) -> int:
        claimed = self.transaction(lambda: self.store.deliveries.claim(destination, 50, LEASE_S, utc_now()))
        settlements = [settlement(each, due_at=utc_now()) for each in claimed]
        assert all(self.transaction(lambda: self.store.deliveries.settle(settlements)))
        self.delivered += [each.delivery_id for each in claimed]
        return len(claimed)


def write_in_parallel(url: str, *, writers: int, steps: int, seed: int) -> Counter[str]:
    """`writers` nodes take `steps` each; then everything is delivered and forgotten. The sum of their accounts.

    Raises AssertionError: something is not as it must be.
    """
    nodes = [Writer(url, number, seed) for number in range(writers)]
    is_over = threading.Event()
    with ThreadPoolExecutor(writers + 1) as pool:
        looking = pool.submit(_look, url, is_over)
        try:
            for done in [pool.submit(_take, node, steps) for node in nodes]:
                done.result()
        finally:
            is_over.set()
        broken = looking.result()
        assert broken == {}, broken
    nodes[0].drain()
    for node in nodes:
        node.store.close()
    total = sum((node.counts for node in nodes), Counter[str]())
    delivered = [each for node in nodes for each in node.delivered]
    assert len(delivered) == len(set(delivered)), "a delivery was settled twice"
    assert total["deliveries"] + total["sent again"] == len(delivered) + total["discarded"]
    assert total["instances"] == total["forgotten"]
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        left = {table: connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() for table in TABLES}
    assert left == dict.fromkeys(TABLES, (0,))
    return total


def _take(node: Writer, steps: int) -> None:
    for _ in range(steps):
        node.step()


def _look(url: str, is_over: threading.Event) -> dict[str, int]:
    """The invariants that were broken while nodes wrote; the last look is at the end."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        while not is_over.wait(0.05):
            if broken := broken_invariants(connection):
                return broken
        return broken_invariants(connection)
