"""One spool with its database for all tests of repairs, each of which takes a copy."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.repair.site import Made, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return asyncio.run(make(tmp_path_factory.mktemp("made")))
