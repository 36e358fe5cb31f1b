"""A gateway with its queue in PostgreSQL, as a process: refusals at the start, a server that goes and comes back."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.processes import run, until

pytestmark = pytest.mark.postgresql

RULES = {"unmatched": "hold"}


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    """A server of the test's own, which it may kill."""
    made = PostgreSQLServer(fsync="on")
    made.start()
    yield made
    made.stop()


def made(folder: Path, url: str, **settings: Any) -> GatewayProcess:
    return GatewayProcess(folder, RULES, settings={"store": {"postgresql": url}, **settings})


async def status_of_store(gateway: GatewayProcess) -> int:
    association = await call(gateway.port)
    response = await store_new(association)
    await association.release()
    return int(response.status)


async def is_ready(gateway: GatewayProcess) -> bool:
    return (await gateway.http("GET", "/readyz"))[0] == 200


async def command(gateway: GatewayProcess, *words: str) -> tuple[int, str]:
    """`RULES` among the words is the rules folder."""
    known = [str(gateway.rules_folder) if word == "RULES" else word for word in words]
    finished = await run([sys.executable, "-m", "gateway", *known])
    return finished.returncode, finished.output


async def held(gateway: GatewayProcess) -> int:
    code, output = await command(gateway, "queue", "list", "--rules", "RULES", "--format", "json", "--state", "held")
    assert code == 0, output
    rows, _ = json.JSONDecoder().raw_decode(output)  # a summary follows on standard error
    return len(rows)


async def test_a_server_that_goes_and_comes_back(
    running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer
) -> None:
    gateway = await running.enter_async_context(made(tmp_path, server.new_database()))
    statuses = [await status_of_store(gateway)]
    for _ in range(2):
        server.kill()
        await until(lambda: _is_away(gateway), what="/readyz 503")
        await until(lambda: _notes_a_refusal(gateway, statuses), what="0xA700, once the committer knows")
        assert await status_of_store(gateway) == 0xA700
        _, text = await gateway.http("GET", "/readyz")
        assert "postgresql" in text
        await asyncio.to_thread(server.start)
        await until(lambda: is_ready(gateway), what="/readyz 200")
        statuses.append(await status_of_store(gateway))
        assert statuses[-1] == 0x0000
        assert await held(gateway) == statuses.count(0x0000)
    assert set(statuses) == {0x0000, 0xA700}


async def _notes_a_refusal(gateway: GatewayProcess, statuses: list[int]) -> bool:
    """Objects that come before are in the segments."""
    statuses.append(await status_of_store(gateway))
    return statuses[-1] == 0xA700


async def _is_away(gateway: GatewayProcess) -> bool:
    return not await is_ready(gateway)


async def _is_refused(gateway: GatewayProcess) -> bool:
    return await status_of_store(gateway) == 0xA700


async def test_a_server_that_answers_nothing_ends_no_request(
    running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer
) -> None:
    gateway = await running.enter_async_context(made(tmp_path, server.new_database()))
    assert await status_of_store(gateway) == 0x0000
    with server.frozen():
        await until(lambda: _is_away(gateway), what="/readyz 503")
        await until(lambda: _is_refused(gateway), what="0xA700")
        assert await status_of_store(gateway) == 0xA700
    await until(lambda: is_ready(gateway), what="/readyz 200")
    assert await status_of_store(gateway) == 0x0000
    assert await gateway.drain() == 0


async def ended(gateway: GatewayProcess) -> int:
    gateway.launch()
    try:
        return await gateway.wait()
    finally:
        gateway.stop()


async def test_each_refusal_at_the_start_says_why(tmp_path: Path, server: PostgreSQLServer) -> None:
    url = server.new_database()
    server.execute("CREATE ROLE poor LOGIN")
    newer = server.new_database()
    server.execute(
        "CREATE TABLE gateway_schema AS SELECT true AS one, 99 AS version", newer.split("@/")[1].split("?")[0]
    )
    rows = {
        "no server": (f"postgresql://postgres@/x?host={tmp_path}", 70, "cannot be reached"),
        "no database": (server.address("nowhere"), 78, "nowhere"),
        "no right": (url.replace("postgres@", "poor@"), 78, "lacks a right"),
        "newer schema": (newer, 78, "newer gateway"),
        "no URL": ("mysql://x", 78, "expected the URL of a database"),
    }
    for name, (address, code, text) in rows.items():
        gateway = made(tmp_path / name.replace(" ", "-"), address)
        assert await ended(gateway) == code, f"{name}: {gateway.log}"
        assert text in gateway.log, f"{name}: {gateway.log}"


async def test_one_gateway_a_database(running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer) -> None:
    url = server.new_database()
    first = await running.enter_async_context(made(tmp_path / "first", url))
    second = made(tmp_path / "second", url)
    assert await ended(second) == 78
    assert "another gateway uses it" in second.log
    assert await status_of_store(first) == 0x0000
    assert await first.drain() == 0
    assert await ended(second) == 78
    assert "spool" in second.log, "its rows name payloads of the first one's spool"


async def test_commands_beside_it(running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer) -> None:
    url = server.new_database()
    secret = url.replace("postgres@", "postgres:hush-hush@")
    gateway = await running.enter_async_context(made(tmp_path, secret))
    assert await status_of_store(gateway) == 0x0000
    code, output = await command(gateway, "status", "--rules", "RULES")
    assert (code, "database postgresql" in output) == (0, True), output
    code, output = await command(gateway, "doctor", "RULES")
    assert "it answers, and keeps what it says it has" in output, output
    assert await held(gateway) == 1
    code, output = await command(gateway, "queue", "discard", "--rules", "RULES", "--state", "held", "--yes")
    assert code == 0, output
    assert await held(gateway) == 0
    code, output = await command(gateway, "check", "RULES")
    assert (code, "only a SQLite database" in output) == (78, True), output
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM instance WHERE settled_at IS NOT NULL").fetchone() == (1,)
    assert "hush-hush" not in gateway.log + output


async def test_a_database_that_lost_its_last_transactions_is_made_whole_by_a_restart(
    running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer
) -> None:
    url = server.new_database()
    gateway = await running.enter_async_context(made(tmp_path, url))
    assert await status_of_store(gateway) == 0x0000
    await until(lambda: _has(gateway, 1), what="one row")
    with psycopg.connect(url) as connection:
        before = connection.execute("SELECT segment, end_bytes FROM known").fetchone()
    assert [await status_of_store(gateway) for _ in range(3)] == [0x0000] * 3
    await until(lambda: _has(gateway, 4), what="four rows")
    gateway.pause()  # it looks at the server once, after what follows
    server.kill()
    await asyncio.to_thread(server.start)
    with psycopg.connect(url) as connection:  # what a standby lacks that was behind
        connection.execute("DELETE FROM instance WHERE instance_id > 1")
        connection.execute("DELETE FROM delivery WHERE instance_id > 1")
        connection.execute("UPDATE known SET segment = %s, end_bytes = %s", before)
    gateway.resume()
    await until(lambda: _asks_for_a_restart(gateway), what="the reason in /readyz")
    statuses: list[int] = []
    await until(lambda: _notes_a_refusal(gateway, statuses), what="0xA700, once the committer knows")
    await gateway.restart()
    assert await held(gateway) == 4 + statuses.count(0x0000)
    assert await status_of_store(gateway) == 0x0000


async def _has(gateway: GatewayProcess, number: int) -> bool:
    return await held(gateway) == number


async def _asks_for_a_restart(gateway: GatewayProcess) -> bool:
    return "it lacks what it had" in (await gateway.http("GET", "/readyz"))[1]


async def test_queries_are_answered_from_its_index(
    running: AsyncExitStack, tmp_path: Path, server: PostgreSQLServer
) -> None:
    rules = {
        "peers": {"ws": {"ae_title": "WS", "hosts": ["127.0.0.1"], "may": ["find", "get"]}},
        "query_retrieve": {"sources": ["local"], "keep": "1 d"},
        "unmatched": "hold",
    }
    settings = {"store": {"postgresql": server.new_database()}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules, settings=settings))
    assert await status_of_store(gateway) == 0x0000
    here = f"127.0.0.1:{gateway.port}"
    titles = ("--rules", "RULES", "--calling-ae", "WS", "--called-ae", "GATEWAY")
    wanted = ("PatientName=nobody^a*", "Modality", "SOPInstanceUID", "SeriesInstanceUID", "--level", "image")
    for place in ("local", here):
        code, output = await command(gateway, "find", place, "StudyInstanceUID=1.2.3.1", *wanted, *titles)
        assert (code, "1.2.3.2" in output) == (0, True), output
    code, output = await command(gateway, "get", here, str(tmp_path / "got"), "StudyInstanceUID=1.2.3.1", *titles)
    assert code == 0, output
    assert len([path for path in (tmp_path / "got").rglob("*") if path.is_file()]) == 1
    code, output = await command(gateway, "explain", "--delivery", "1", "--rules", "RULES")
    assert (code, "unmatched" in output) == (0, True), output
