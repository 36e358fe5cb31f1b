"""A store of each implementation, and what tests of its parts do to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.instance import Instance
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.ports.store import Store
from gateway.postgresql.store import PostgreSQLStore
from gateway.sqlite.store import SQLiteStore
from tests.support.fakes.memory_store import MemoryStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock, settlement

IMPLEMENTATIONS: dict[str, Callable[[Path, Clock], Store]] = {
    "sqlite": lambda folder, clock: SQLiteStore(folder / "queue.db", now=clock),
    "postgresql": lambda folder, clock: PostgreSQLStore(shared_server().new_schema(), now=clock, is_committing=True),
    "postgresql-node": lambda folder, clock: PostgreSQLStore(
        shared_server().new_schema(), now=clock, is_committing=True, node="one"
    ),
    "memory": lambda folder, clock: MemoryStore(clock),
}
EACH = [
    pytest.param(name, marks=pytest.mark.postgresql) if name.startswith("postgresql") else pytest.param(name)
    for name in IMPLEMENTATIONS
]
"""Their names, as parameters of tests."""
DATABASES = [each for each in EACH if each.values != ("memory",)]
"""Those that a clock set back and a damaged copy can happen to."""
ANY = DeliveryFilter()
LEASE_S = 60.0


def accept(queue: Store, *arrivals: tuple[Instance, list[Dispatch]], clock: Clock) -> list[AcceptedInstance]:
    with queue.transaction():
        return queue.deliveries.accept(arrivals, clock())


def claim(queue: Store, clock: Clock, destination: str = "pacs", limit: int = 10) -> list[Delivery]:
    with queue.transaction(is_durable=False):
        return queue.deliveries.claim(destination, limit, LEASE_S, clock())


def uids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.instance.sop_instance_uid for delivery in deliveries]


def settle_all(queue: Store, deliveries: list[Delivery], state: DeliveryState, reason: str = "") -> int:
    with queue.transaction():
        return sum(queue.deliveries.settle([settlement(delivery, state, reason=reason) for delivery in deliveries]))
