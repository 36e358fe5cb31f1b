"""A schema of its own for each test, and stores on it that end with the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest

from gateway.postgresql.store import PostgreSQLStore
from tests.support.parallel_writers import broken_invariants
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock

OpenStore = Callable[..., PostgreSQLStore]


@pytest.fixture
def url() -> str:
    return shared_server().new_schema()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(url: str, clock: Clock) -> Iterator[OpenStore]:
    with ExitStack() as stack:

        def opened(**options: Any) -> PostgreSQLStore:
            return stack.enter_context(closing(PostgreSQLStore(url, now=clock, **options)))

        yield opened


class Beside:
    """Work of another node while a transaction of the first one is open."""

    def __init__(self, look: psycopg.Connection[Any]) -> None:
        self._look = look
        self._pool = ThreadPoolExecutor(1)

    def until_it_waits(self, work: Callable[[], Any]) -> Future[Any]:
        """Begin `work`; returns once it is over, or waits for a lock."""
        running = self._pool.submit(work)
        while not running.done():
            waiting = self._look.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
            if waiting != (0,):
                break
            threading.Event().wait(0.002)
        return running


@pytest.fixture
def look(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        assert broken_invariants(connection) == {}


@pytest.fixture
def beside(look: psycopg.Connection[Any]) -> Beside:
    return Beside(look)
