"""A schema of its own for each test, and stores on it that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from gateway.postgresql.store import PostgreSQLStore
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
