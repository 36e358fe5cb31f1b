"""What a reload of thousands of rules costs those who send meanwhile; a part of `benchmarks.many_rules`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.systems import LIMITS
from gateway.lifecycle.pid_file import read_result
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.measure import machine, memory_bytes
from tests.support.load.report import Bar, number, table
from tests.support.load.rule_shapes import SHAPES, write
from tests.support.load.scratch import scratch
from tests.support.processes import until

SHAPE = "sender and region, with actions"
"""The one that takes the longest to load."""
RELOAD_S, LONGEST_S, COLLECTION_S, GROWTH = 5.0, 0.5, 0.05, 16 * 1024**2
WARM = 3
"""Reloads before memory is compared: allocators keep what they once had."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reload beside one association that stores."""

    seconds: float
    """From the signal to the result."""
    median_s: float
    """The median time of C-STORE responses from the signal until the result."""
    longest_s: float
    """The longest time of C-STORE responses from the signal until half a second after the result."""
    collection_s: float
    """The longest garbage collection meanwhile."""
    anonymous_bytes: int
    """The memory of the gateway, after it."""


class Site:
    """A gateway with thousands of rules, which holds every object."""

    def __init__(self, folder: Path, rules: int) -> None:
        self._written = write(SHAPES[SHAPE], rules, folder).read_text().partition("unmatched:")[2]
        self._pid_file = folder / "gateway.pid"
        self._collections = folder / "collections"
        command = [sys.executable, "-m", "benchmarks.garbage", str(self._collections), "run", "--log-format", "json"]
        settings = {**LIMITS, "pid_file": str(self._pid_file)}
        self.gateway = GatewayProcess(folder / "gateway", self._text(0), settings=settings, command=command)

    def _text(self, edition: int) -> str:
        return f"# edition {edition}\nunmatched:{self._written}"

    async def reload(self, edition: int, load: Load) -> Measured:
        """With other rules than before."""
        self.gateway.write_rules(self._text(edition))
        first, began, at = len(load.report.latencies_s), time.monotonic(), time.time()
        self.gateway.reload()

        async def is_done() -> bool:
            return bool(read_result(self._pid_file).get("number") == edition)

        await until(is_done, 120, "the result of the reload")
        seconds = time.monotonic() - began
        beside = load.report.latencies_s[first:] or [seconds]
        assert read_result(self._pid_file)["result"] == "applied", read_result(self._pid_file)
        await asyncio.sleep(0.5)
        process = self.gateway.process
        assert process is not None
        return Measured(
            seconds,
            statistics.median(beside),
            max(load.report.latencies_s[first:], default=seconds),
            max(self.collections_s(at), default=0.0),
            memory_bytes(process.pid)["anonymous"],
        )

    def collections_s(self, since: float) -> list[float]:
        lines = [json.loads(line) for line in self._collections.read_text().splitlines()]
        return [line["seconds"] for line in lines if line["at"] >= since]


async def run(root: Path, rules: int, reloads: int) -> str:
    """The figures as Markdown."""
    async with contextlib.AsyncExitStack() as stack:
        site = Site(await stack.enter_async_context(scratch(root)), rules)
        gateway = await stack.enter_async_context(site.gateway)
        load = Load(Target(gateway.port), seconds=3600.0)
        storing = asyncio.create_task(asyncio.to_thread(load.run))
        await asyncio.sleep(3.0)
        quiet = load.report.latencies_s[:]
        found: list[Measured] = []
        for edition in range(1, reloads + 1):
            found.append(await site.reload(edition, load))
            print(found[-1], file=sys.stderr, flush=True)
        load.stop()
        report = await storing
    assert set(report.statuses) == {0}, report.statuses
    return page(found, quiet, rules)


def page(found: list[Measured], quiet: list[float], rules: int) -> str:
    """Markdown."""
    growth = found[-1].anonymous_bytes - found[min(WARM, len(found) - 1)].anonymous_bytes
    bars = [
        Bar("from SIGHUP to the result, the slowest", max(one.seconds for one in found), RELOAD_S, "s", True),
        Bar("longest C-STORE meanwhile", max(one.longest_s for one in found) * 1e3, LONGEST_S * 1e3, "ms", True),
        Bar("longest garbage collection", max(one.collection_s for one in found) * 1e3, COLLECTION_S * 1e3, "ms", True),
        Bar(f"memory more after {len(found) - WARM} further reloads", growth / 1e6, GROWTH / 1e6, "MB", True),
    ]
    rows = [
        [
            f"{index + 1}",
            f"{number(one.seconds)} s",
            f"{number(one.median_s * 1e3)} / {number(one.longest_s * 1e3)} ms",
            f"{number(one.collection_s * 1e3)} ms",
            f"{number(one.anonymous_bytes / 1e6)} MB",
        ]
        for index, one in enumerate(found)
        if index in (0, 1, len(found) // 2, len(found) - 1)
    ]
    head = ("reload", "took", "C-STORE median / longest", "longest collection", "anonymous memory after it")
    return "\n\n".join(
        [
            f"{len(found)} reloads of {rules} rules ({SHAPE}) while one association stores objects of 8 KB; wall time. "
            f"Without a reload its C-STORE took {number(statistics.median(quiet) * 1e3)} ms (median), "
            f"{number(max(quiet) * 1e3)} ms at most. {machine()}.",
            table(head, rows),
            table(("bar", "required", "measured", ""), [bar.row() for bar in bars]),
        ]
    )
