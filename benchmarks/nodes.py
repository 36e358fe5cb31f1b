"""Nodes of a cluster beside the embedded store, in one run: `python -m benchmarks.nodes [--rounds 2] [--write]`.

Each round starts a PostgreSQL server (`fsync` on, a Unix socket), SeaweedFS, and by turns: the embedded store (SQLite
and segments), a node with a folder, a node with S3. Objects are stored and held, nothing is sent on. A cell says what
an object costs: processor time of the gateway and of the servers, transactions, S3 requests, bytes that the database
logs and the object store takes for each byte of objects. A ratio is the median of the ratios of each round. The row of
64 associations lasts longer, and has the sealing of most of what it stored; the others are over before. Then come:
C-STORE at half of the rate that was measured, one node and two on one database, and the processor time of each process
that shares the machine.

`--border` measures instead where an object should become one of its own (`spool.large_object`): each size in the
transaction of its group, and put into the object store before. `--sizes 100` and `--seconds 2` narrow a run. On a
machine that others use too only ratios of processor time say something. A round takes some three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.node_report import EMBEDDED, FOLDER, S3, Cell, Key, Results, border_page, page
from benchmarks.systems import LIMITS, gateway_rules
from gateway.postgresql.statements import SQL, of_hour
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Report, Target
from tests.support.load.measure import machine, tree_cpu_seconds
from tests.support.load.paced import paced
from tests.support.load.report import write_section
from tests.support.load.scratch import scratch
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.processes import REPOSITORY, until
from tests.support.seaweedfs import SeaweedFS

KB = 1024
CELLS: tuple[Key, ...] = ((8, 1), (8, 8), (100, 1), (100, 8), (100, 64), (512, 1), (512, 8))
"""KB and associations."""
OF_S3: tuple[Key, ...] = ((100, 8), (100, 64))
"""A node does the same up to the sealing, wherever it seals to."""
LOADED = 64
LONGER = 4
"""Times as long."""
HALF = (100, 8)
SETTINGS = {"fsync": "on", "shared_buffers": "128MB", "max_wal_size": "4GB", "autovacuum_naptime": "60s"}
COUNTED_AFTER_S = 1.1
"""The server counts the transactions of a session at least once a second."""
BORDER_KB = (256, 512, 1024, 2048, 4096)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Servers:
    """The database server and the object store of one round."""

    database: PostgreSQLServer
    objects: SeaweedFS

    @property
    def cpu_s(self) -> tuple[float, float]:
        return tree_cpu_seconds(self.database.pid), tree_cpu_seconds(self.objects.pid)


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    made = Servers(PostgreSQLServer(**SETTINGS), SeaweedFS())
    try:
        await asyncio.to_thread(made.database.start)
        await asyncio.to_thread(made.objects.start)
        yield made
    finally:
        made.objects.stop()
        made.database.stop()


@dataclass
class Cluster:
    """Gateways on one store; one alone for the embedded store."""

    kind: str
    folder: Path
    servers: Servers
    large_object: str = "1 MiB"
    url: str = ""
    gateways: list[GatewayProcess] = field(default_factory=list)

    def store(self, name: str) -> dict[str, Any]:
        if self.kind == EMBEDDED:
            return {}
        objects: dict[str, Any] = {"folder": str(self.folder / "objects")}
        if self.kind == S3:
            place = self.servers.objects.place(prefix=f"bench/{self.folder.name}")
            objects = {
                "s3": {
                    "endpoint": place.endpoint,
                    "bucket": place.bucket,
                    "prefix": place.prefix,
                    "access_key_id": place.access_key_id,
                    "secret_access_key": place.secret_access_key,
                }
            }
        return {"store": {"postgresql": self.url, "objects": objects, "node": name}}

    async def add(self) -> GatewayProcess:
        """One more."""
        name = f"node-{len(self.gateways) + 1}"
        spool = {"path": str(self.folder / name / "spool"), "min_free": "64 MiB", "large_object": self.large_object}
        settings = LIMITS | self.store(name) | {"spool": spool}
        made = GatewayProcess(self.folder / name, gateway_rules(0), settings=settings)
        await made.start()
        self.gateways.append(made)
        await stored([made.port], 8 * KB, 8, 0.5)  # what is made once is not what an object costs
        await self.sealed()
        return made

    def stop(self) -> None:
        for each in self.gateways:
            each.stop()

    @property
    def cpu_s(self) -> float:
        return sum(tree_cpu_seconds(each.pid) for each in self.gateways)

    # --- the database -------------------------------------------------------------------------------------------

    def counted(self) -> tuple[int, int, int]:
        """Transactions, bytes of the log, bytes in the object store; as of now."""
        if self.kind == EMBEDDED:
            return 0, 0, 0
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT xact_commit + xact_rollback, pg_current_wal_lsn() - '0/0', "
                "(SELECT coalesce(sum(length_bytes), 0) FROM segment_object) "
                "FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1]), int(row[2])

    async def settled(self) -> None:
        """Wait until the transactions of before are counted."""
        if self.kind != EMBEDDED:
            await asyncio.sleep(COUNTED_AFTER_S)

    async def sealed(self) -> None:
        """Wait until all groups lie in the object store."""

        async def is_sealed() -> bool:
            with psycopg.connect(self.url, autocommit=True) as connection:
                hours = [hour for (hour,) in connection.execute(SQL["journal_hours"].encode())]
                waiting = [of_hour("has_unsealed_groups", hour)[0].encode() for hour in hours]
                return not any(row and row[0] for row in (connection.execute(each).fetchone() for each in waiting))

        if self.kind != EMBEDDED:
            await until(is_sealed, 120.0, "all groups sealed")


@contextlib.asynccontextmanager
async def cluster(root: Path, kind: str, both: Servers, large_object: str = "1 MiB") -> AsyncIterator[Cluster]:
    """A cluster of one so far."""
    async with scratch(root) as folder:
        (folder / "objects").mkdir()
        made = Cluster(kind, folder, both, large_object, "" if kind == EMBEDDED else both.database.new_database())
        try:
            await made.add()
            yield made
        finally:
            await asyncio.to_thread(made.stop)


async def stored(ports: Sequence[int], size_bytes: int, associations: int, seconds: float) -> list[Report]:
    """Objects that are stored at each of these ports at full speed."""
    loads = [Load(Target(port), size_bytes=size_bytes, associations=associations, seconds=seconds) for port in ports]
    reports = await asyncio.gather(*(asyncio.to_thread(load.run) for load in loads))
    assert all(set(report.statuses) == {0x0000} for report in reports), [each.summary() for each in reports]
    return list(reports)


async def measured(what: Cluster, size_bytes: int, associations: int, seconds: float) -> Cell:
    """One cell: the load, then all that is sealed later."""
    ports = [each.port for each in what.gateways]
    await what.settled()
    counted, requests = what.counted(), what.servers.objects.requests()
    used, used_by_servers, own_s = what.cpu_s, what.servers.cpu_s, time.process_time()
    reports = await stored(ports, size_bytes, associations, seconds)
    used, own_s = what.cpu_s - used, time.process_time() - own_s
    by_servers = [now - before for now, before in zip(what.servers.cpu_s, used_by_servers, strict=True)]
    await what.settled()
    transactions = what.counted()[0] - counted[0]
    await what.sealed()
    _, log_bytes, object_bytes = (now - before for now, before in zip(what.counted(), counted, strict=True))
    objects = sum(len(report.acknowledged) for report in reports)
    latencies = sorted(latency for report in reports for latency in report.latencies_s)
    return Cell(
        per_second=sum(report.per_second for report in reports),
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[int(0.99 * len(latencies))],
        cpu_ms=1000 * used / objects,
        database_ms=1000 * by_servers[0] / objects,
        object_store_ms=1000 * by_servers[1] / objects,
        sender_ms=1000 * own_s / objects,
        transactions=transactions / objects,
        requests=(what.servers.objects.requests() - requests) / objects,
        log_share=log_bytes / objects / size_bytes,
        object_share=object_bytes / objects / size_bytes,
    )


async def one_round(root: Path, cells: Sequence[Key], seconds: float, results: Results, *, is_reversed: bool) -> None:
    """Each kind in turn, each cell in it."""
    kinds = [EMBEDDED, FOLDER, S3]
    async with servers() as both:
        for kind in reversed(kinds) if is_reversed else kinds:
            chosen = [key for key in cells if kind != S3 or key in OF_S3]
            async with cluster(root, kind, both) as what:
                for size, associations in chosen:
                    longer = LONGER if associations == LOADED else 1
                    cell = await measured(what, size * KB, associations, seconds * longer)
                    results.add(kind, (size, associations), cell)
                    say(f"{kind}, {size} KB, {associations} associations: {cell}")
                    if (size, associations) == HALF and kind != S3:
                        await half_load(what, cell, seconds, results)
        await two_nodes(root, both, seconds, results)


async def half_load(what: Cluster, cell: Cell, seconds: float, results: Results) -> None:
    """C-STOREs at half of the rate that was measured just now."""
    size, associations = HALF
    arguments = (Target(what.gateways[0].port), size * KB, associations, cell.per_second / 2, 2 * seconds)
    found = await asyncio.to_thread(paced, *arguments)
    results.half.setdefault(what.kind, []).append([1000 * each for each in found])
    say(f"{what.kind}, half load: p99 {1000 * found[int(0.99 * len(found))]:.1f} ms of {len(found)}")


async def two_nodes(root: Path, both: Servers, seconds: float, results: Results) -> None:
    """The same load at one node, then at two."""
    async with cluster(root, FOLDER, both) as what:
        for size in (8, 100):
            one = await measured(what, size * KB, 8, seconds)
            results.nodes.setdefault((size, 1), []).append(one)
        await what.add()
        for size in (8, 100):
            two = await measured(what, size * KB, 8, seconds)
            results.nodes.setdefault((size, 2), []).append(two)
            say(f"two nodes, {size} KB: {two}")


async def border(root: Path, rounds: int, seconds: float) -> str:
    """Objects of each size over one association: in the transaction of their group, and as objects of their own."""
    found: dict[tuple[int, str], list[tuple[Cell, Cell]]] = {}
    for _ in range(rounds):
        async with servers() as both:
            for kind in (FOLDER, S3):
                async with cluster(root, kind, both, "8 MiB") as inside, cluster(root, kind, both, "64 KiB") as outside:
                    for size in BORDER_KB:
                        pair = [await measured(each, size * KB, 1, seconds) for each in (inside, outside)]
                        found.setdefault((size, kind), []).append((pair[0], pair[1]))
                        say(f"{kind}, {size} KB: {pair[0]} / {pair[1]}")
    return border_page(found)


async def measure(root: Path, rounds: int, cells: Sequence[Key], seconds: float) -> tuple[str, bool]:
    """The page, and whether each bar is reached."""
    results = Results(os.getloadavg()[0], machine(), rounds)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        await one_round(root, cells, seconds, results, is_reversed=number % 2 == 1)
    return page(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each cell")
    parser.add_argument("--sizes", nargs="+", type=int, choices=[8, 100, 512], default=[8, 100, 512], help="in KB")
    parser.add_argument("--border", action="store_true", help="measure the default of spool.large_object instead")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="on the disk to measure")
    arguments = parser.parse_args()
    root, rounds, seconds = arguments.folder, arguments.rounds, arguments.seconds
    cells = [key for key in CELLS if key[0] in arguments.sizes]
    if arguments.border:
        text, is_reached = asyncio.run(border(root, rounds, seconds)), True
    else:
        text, is_reached = asyncio.run(measure(root, rounds, cells, seconds))
    print(text)
    if arguments.write:
        write_section("border" if arguments.border else "nodes", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
