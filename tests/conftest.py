"""The rings of tests, a marker for each, and fixtures for all of them.

A test has the marker of the folder that it lies in: `loopback`, `process`, `peers`, and `campaign` in a folder of that
name. A test that does what its ring does not (starts a process, a program of dcmtk) carries the marker itself;
`tests.support.rings` holds that it does.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import corpus as corpus_files
from tests.support.peers import Orthanc, StockSCP, StoreSCP
from tests.support.postgresql_server import stop_shared_server
from tests.support.quick_run import FEWEST_EXAMPLES, HEADER, QUICK_RUN
from tests.support.rings import MARKED_FOLDERS, WATCH, WrongRing
from tests.support.seaweedfs import stop_shared_seaweedfs
from tests.support.steady_loop import SteadyEventLoopPolicy
from tests.support.stock_defects import work_around

# No deadline: how long an example takes depends on who else uses the machine. Examples are those of the run before, so
# that a change is judged by itself; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("gateway", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=FEWEST_EXAMPLES)
settings.register_profile("search", deadline=None)
work_around()
asyncio.set_event_loop_policy(SteadyEventLoopPolicy())

TESTS = Path(__file__).parent
WATCH.install()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="the quick run: see tests/support/quick_run.py")


def pytest_configure(config: pytest.Config) -> None:
    QUICK_RUN.is_on = config.getoption("quick")
    settings.load_profile(config.getoption("--hypothesis-profile") or ("quick" if QUICK_RUN.is_on else "gateway"))


def pytest_report_header() -> str:
    return HEADER if QUICK_RUN.is_on else ""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    is_left_out = collection_path.is_dir() and not QUICK_RUN.takes({collection_path.name} - {"process"})
    return True if is_left_out else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # all that is made stays to the end
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    yield
    metafunc._calls = list(QUICK_RUN.rows(metafunc.function.__name__, metafunc._calls))  # before items are made of them


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for folder in MARKED_FOLDERS.intersection(item.path.relative_to(TESTS).parts[:-1]):
            item.add_marker(folder)
    left_out = {item for item in items if not QUICK_RUN.takes({marker.name for marker in item.iter_markers()})}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    stop_shared_server()
    stop_shared_seaweedfs()
    gc.collect()  # leaks are found, and reported when pytest ends
    gc.freeze()  # pytest, then Python, looks through all that is left again and again


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    WATCH.begin(marker.name for marker in item.iter_markers())
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    yield
    gc.unfreeze()  # what a gateway of the test froze; while anything is frozen, each load counts all of it
    if broken := WATCH.end():
        raise WrongRing("; ".join(dict.fromkeys(broken)))


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
