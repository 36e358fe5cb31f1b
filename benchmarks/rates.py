"""Whether deliveries keep to their rates in real time: `python -m benchmarks.rates`, written into benchmarks/README.md.

Each object goes to six receivers: three with a rate in bytes, three with one in objects, over up to 1, 4 and 16
associations. The receivers answer so slowly that the rate needs most of them. A receiver's files say when each object
came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.systems import LIMITS
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.peers import StockSCP
from tests.support.processes import REPOSITORY, until

SIZE_BYTES = 50_000
PER_SECOND = 10
"""Objects of `SIZE_BYTES`, whichever rate says it."""
DELAYS_S = {1: 0.0, 4: 2.5 / PER_SECOND, 16: 12 / PER_SECOND}
"""Associations → the time that the receiver takes for an object: the rate needs most of them."""
RATES = {"bytes": {"rate": f"{SIZE_BYTES * PER_SECOND} B/s"}, "objects": {"objects": f"{PER_SECOND}/s"}}
MOST_OFF = 5
"""Per cent."""


async def arrivals(root: Path, seconds: float) -> dict[tuple[str, int], list[float]]:
    """(rate, associations) → the times at which objects came, in order."""
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        receivers: dict[tuple[str, int], StockSCP] = {}
        peers: dict[str, Any] = {}
        for what, rate in RATES.items():
            for associations, delay_s in DELAYS_S.items():
                name = f"{what}-{associations}"
                receiver = StockSCP(folder / name, delay_s=delay_s)
                receivers[what, associations] = await stack.enter_async_context(receiver)
                delivery = {**rate, "associations": associations}
                peers[name] = {"ae_title": "STOCK", "address": f"127.0.0.1:{receiver.port}", "delivery": delivery}
        rules = {"peers": peers, "routes": [{"name": "all", "to": list(peers)}], "unmatched": "reject"}
        gateway = await stack.enter_async_context(GatewayProcess(folder / "gateway", rules, settings=LIMITS))
        objects = int(PER_SECOND * (seconds + 15))
        load = Load(Target(gateway.port), size_bytes=SIZE_BYTES, associations=4, objects=objects)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: objects}, report.summary()

        def are_all_over() -> bool:
            found = [times(receiver.folder) for receiver in receivers.values()]
            return all(each and each[-1] > each[0] + seconds for each in found)

        await until(are_all_over, seconds * 4, "a minute of each receiver")
        return {key: times(receiver.folder) for key, receiver in receivers.items()}


def times(folder: Path) -> list[float]:
    """The times of the files in a folder, in order."""
    return sorted(entry.stat().st_mtime for entry in os.scandir(folder) if not entry.name.startswith("."))


async def run(root: Path, seconds: float) -> tuple[str, bool]:
    """The section of the page, and whether all bars are reached."""
    rows, bars = [], []
    for (what, associations), came in (await arrivals(root, seconds)).items():
        within = sum(each < came[0] + seconds for each in came)
        off = abs(within / (PER_SECOND * seconds) - 1) * 100
        rows.append([what, str(associations), number(within / seconds), number(PER_SECOND)])
        bars.append(Bar(f"off the rate in {what}, {associations} associations", off, MOST_OFF, "%", is_ceiling=True))
    text = f"Objects of {SIZE_BYTES} bytes for {seconds:g} s from the first one on; {machine()}.\n\n"
    text += table(["rate in", "associations", "objects a second", "rate"], rows) + "\n\n"
    text += table(["what", "bar", "measured", ""], [bar.row() for bar in bars])
    return text, all(bar.is_reached for bar in bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(run(arguments.folder, arguments.seconds))
    print(text)
    write_section("rates", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
