"""What verbs of `gateway queue` over a million deliveries cost senders meanwhile: `python -m benchmarks.queue_verbs`.

A gateway with a destination that refuses connections holds one delivery a row, all of one payload. Each verb runs as
operators run it, in a process of its own, while one association stores object after object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from benchmarks.systems import LIMITS
from gateway.sqlite import page_checksums
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.measure import machine, memory_bytes
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.processes import REPOSITORY, free_port

VERBS = (
    ("hold", "--state", "pending"),
    ("release", "--state", "held"),
    ("retry", "--state", "pending"),
    ("retarget", "--destination", "down", "--to", "other"),
    ("send-again", "--destination", "other"),
    ("discard", "--state", "pending", "--yes"),
)
DELIVERED = (
    "UPDATE delivery SET state = 'delivered' WHERE destination = 'other'",
    "UPDATE instance SET settled_at = received_at WHERE instance_id IN "
    "(SELECT instance_id FROM delivery WHERE destination = 'other')",
)
LONGEST_S = 0.5
MOST_GROWTH = 32 * 1024**2
MOST_MEMORY = 128 * 1024**2

COPY = """
WITH RECURSIVE row (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM row WHERE value < :number)
INSERT INTO instance (sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid, series_instance_uid,
    association_id, payload_name, payload_offset, payload_length, payload_digest, received_at)
SELECT sop_class_uid, sop_instance_uid || '.' || row.value, transfer_syntax_uid, study_instance_uid,
    series_instance_uid, association_id, payload_name, payload_offset, payload_length, payload_digest, received_at
FROM row CROSS JOIN (SELECT * FROM instance LIMIT 1)
"""
DELIVERIES = """
INSERT INTO delivery (instance_id, destination, rule, actions_json, state, created_at, due_at)
SELECT instance.instance_id, first.destination, first.rule, first.actions_json, 'pending',
    first.created_at, first.created_at
FROM instance CROSS JOIN (SELECT * FROM delivery LIMIT 1) AS first WHERE instance.instance_id > first.instance_id
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One verb."""

    verb: str
    seconds: float
    stored: int
    longest_s: float
    p99_s: float
    statuses: str
    cli_bytes: int
    growth_bytes: int
    output: str


def site(folder: Path) -> GatewayProcess:
    """Every object goes to a destination that refuses connections, as another one does. What was delivered stays."""

    def down(title: str) -> dict[str, Any]:
        retry = {"first": "1 h", "max": "1 h"}
        return {"ae_title": title, "address": f"127.0.0.1:{free_port()}", "delivery": {"retry": retry}}

    peers = {"down": down("DOWN"), "other": down("OTHER")}
    rules = {"peers": peers, "routes": [{"name": "all", "to": ["down"]}], "unmatched": "reject"}
    spool = {"path": str(folder / "gateway" / "spool"), "min_free": "64 MiB", "retention": "30 d"}
    return GatewayProcess(folder / "gateway", rules, settings=LIMITS | {"spool": spool})


def fill(path: Path, deliveries: int) -> None:
    """Copies of the one delivery that is there, each of an instance of its own, over the same payload."""
    connection = apsw.Connection(str(path), vfs=page_checksums.vfs())
    with connection:
        connection.execute(COPY, {"number": deliveries - 1})
        connection.execute(DELIVERIES)
    connection.close()


async def deliver(gateway: GatewayProcess, path: Path) -> None:
    """All that waits for `other` was delivered, while the gateway is away."""

    def write() -> None:
        connection = apsw.Connection(str(path), vfs=page_checksums.vfs())
        with connection:
            for statement in DELIVERED:
                connection.execute(statement)
        connection.close()

    await gateway.drain()
    await asyncio.to_thread(write)
    await gateway.restart()


async def measure(gateway: GatewayProcess, arguments: tuple[str, ...]) -> Measured:
    """One verb, while one association stores."""
    load = Load(Target(gateway.port), seconds=3600.0)
    storing = asyncio.create_task(asyncio.to_thread(load.run))
    await asyncio.sleep(1.0)
    assert gateway.process is not None
    before = memory_bytes(gateway.process.pid)["rss"]
    began_s = time.monotonic()
    command = [sys.executable, "-m", "gateway", "queue", *arguments, "--rules", str(gateway.rules_folder)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=REPOSITORY
    )
    ended = asyncio.create_task(process.communicate())
    peak = highest = 0
    while not ended.done():
        with contextlib.suppress(OSError, KeyError, ValueError):
            peak = max(peak, memory_bytes(process.pid)["peak"])
        highest = max(highest, memory_bytes(gateway.process.pid)["rss"])
        await asyncio.wait({ended}, timeout=0.1)
    seconds = time.monotonic() - began_s
    await asyncio.sleep(1.0)
    load.stop()
    report = await storing
    output, _ = ended.result()
    assert process.returncode == 0, output.decode()
    statuses = " ".join(f"0x{status:04X}:{count}" for status, count in sorted(report.statuses.items()))
    return Measured(
        arguments[0],
        seconds,
        len(report.acknowledged),
        max(report.latencies_s),
        report.percentile_ms(0.99) / 1000,
        statuses,
        peak,
        highest - before,
        output.decode().splitlines()[-1],
    )


async def run(root: Path, deliveries: int) -> tuple[str, bool]:
    """All verbs, one after the other; the section of the page, and whether the bars are reached."""
    found: list[Measured] = []
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        gateway = await stack.enter_async_context(site(folder))
        await asyncio.to_thread(Load(Target(gateway.port), objects=1).run)
        await gateway.drain()
        await asyncio.to_thread(fill, folder / "gateway" / "gateway.db", deliveries)
        await gateway.restart()
        for arguments in VERBS:
            if arguments[0] == "send-again":
                await deliver(gateway, folder / "gateway" / "gateway.db")
            found.append(await measure(gateway, arguments))
            print(found[-1], flush=True)
    bars = [
        Bar(
            "longest C-STORE beside any verb",
            max(each.longest_s for each in found) * 1000,
            LONGEST_S * 1000,
            "ms",
            True,
        ),
        Bar("memory of a verb", max(each.cli_bytes for each in found) / 1e6, MOST_MEMORY / 1e6, "MB", True),
        Bar("the gateway's memory more", max(each.growth_bytes for each in found) / 1e6, MOST_GROWTH / 1e6, "MB", True),
    ]
    return page(found, bars, deliveries), all(bar.is_reached for bar in bars) and all(_is_whole(each) for each in found)


def _is_whole(measured: Measured) -> bool:
    return measured.statuses == f"0x0000:{measured.stored}"


def page(found: list[Measured], bars: list[Bar], deliveries: int) -> str:
    """The section of benchmarks/README.md."""
    rows: list[list[Any]] = [
        [
            each.verb,
            f"{number(each.seconds)} s",
            number(each.stored),
            each.statuses,
            f"{number(each.p99_s * 1000)} / {number(each.longest_s * 1000)}",
            f"{number(each.cli_bytes / 1e6)} MB",
        ]
        for each in found
    ]
    head = ["verb", "took", "stored beside it", "statuses", "C-STORE p99 / longest in ms", "memory of the command"]
    text = f"{deliveries} queued deliveries, one association that stores objects of 8 KB; {machine()}.\n\n"
    return (
        text + table(head, rows) + "\n\n" + table(["what", "bar", "measured", ""], [bar.row() for bar in bars]) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(run(arguments.folder, arguments.deliveries))
    print(text)
    if arguments.write:
        write_section("queue verbs", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
