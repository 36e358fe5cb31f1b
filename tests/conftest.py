"""Fixtures for tests on the wire: peers that are ready when a test starts and gone when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import corpus as corpus_files
from tests.support.peers import Orthanc, StockSCP, StoreSCP
from tests.support.stock_reactor import keep_responses

settings.register_profile("gateway", deadline=None)  # how long an example takes depends on who else uses the machine
settings.load_profile("gateway")
keep_responses()


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    """What a test enters here ends with the test: `peer = await running.enter_async_context(StoreSCP(…))`."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def storescp(tmp_path: Path) -> AsyncIterator[StoreSCP]:
    """dcmtk's storescp that keeps the bytes as they came."""
    async with StoreSCP(tmp_path / "storescp") as peer:
        yield peer


@pytest.fixture
async def stock_scp(tmp_path: Path) -> AsyncIterator[StockSCP]:
    """Stock pynetdicom as C-STORE SCP."""
    async with StockSCP(tmp_path / "stock") as peer:
        yield peer


@pytest.fixture
async def orthanc(tmp_path: Path) -> AsyncIterator[Orthanc]:
    """Orthanc with an empty storage."""
    async with Orthanc(tmp_path / "orthanc") as peer:
        yield peer


@pytest.fixture(scope="session")
def corpus() -> tuple[Path, ...]:
    """Every DICOM file of pydicom's test files and of pydicom-data."""
    return corpus_files.corpus()
