"""A start on a damaged database: a clear end that names the remedy, and `gateway rebuild` brings everything back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import apsw
import pytest

from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess

RULES = {"unmatched": "hold"}
OBJECTS = 20


def flip(path: Path, at_bytes: int, count: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(at_bytes)
        data = file.read(count)
        file.seek(at_bytes)
        file.write(bytes(each ^ 0x55 for each in data))


def first_page(database: Path) -> None:
    flip(database, 10)


def some_page(database: Path) -> None:
    flip(database, 4 * 4096 + 2000)  # page 2 says where pages are


def first_page_of(table: str) -> Callable[[Path], None]:
    """The page that all its rows are found by."""

    def damage(database: Path) -> None:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
        connection.close()
        flip(database, (page - 1) * 4096 + 2000)

    damage.__name__ = f"first_page_of_{table}"
    return damage


DAMAGES = [first_page, some_page, *map(first_page_of, ("association", "instance", "delivery"))]


def cut(database: Path) -> None:
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size // 2)


def gone(database: Path) -> None:
    database.unlink()


@pytest.mark.parametrize("damage", [*DAMAGES, cut, gone], ids=lambda damage: damage.__name__)
async def test_a_damaged_database_ends_with_78_and_can_be_rebuilt(
    running: AsyncExitStack, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    association = await call(gateway.port)
    for _ in range(OBJECTS):
        assert (await store_new(association)).status == 0
    await association.release()
    assert await gateway.drain() == 0
    damage(tmp_path / "gateway.db")
    before = len(gateway.log)
    gateway.launch()
    assert await gateway.wait() == 78
    log = gateway.log[before:]
    assert "gateway_not_started" in log
    assert "gateway rebuild" in log
    assert "Traceback" not in log
    command = [sys.executable, "-m", "gateway", "rebuild", str(gateway.rules_folder)]
    rebuilt = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    gateway.launch()
    await gateway.wait_ready()
    assert await gateway.metric("gateway_queue_deliveries", state="held") == OBJECTS
    assert await gateway.drain() == 0
