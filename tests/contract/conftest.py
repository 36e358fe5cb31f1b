"""A store to each test of a port, once for each implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ports.store import Store
from tests.support.samples import Clock
from tests.support.store_rig import EACH, IMPLEMENTATIONS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=EACH)
def queue(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = IMPLEMENTATIONS[request.param](tmp_path, clock)
    yield opened
    opened.close()
