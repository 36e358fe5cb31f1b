"""What dead destinations cost a healthy one: `python -m benchmarks.dead_peer`, written into benchmarks/README.md.

One destination refuses connections, one is a black hole (the connection is never answered), one accepts associations
and requests and then says nothing. Every object goes to all of them and to the healthy one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from pathlib import Path

from benchmarks.systems import LIMITS
from tests.support.gateway_process import GatewayProcess
from tests.support.load.black_hole import BlackHole, rules
from tests.support.load.generator import Load, Target
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.processes import REPOSITORY, free_port


async def rate(root: Path, *, dead: bool, objects: int) -> float:
    """Objects a second at the healthy destination, from the first request to its last object."""
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        healthy = await stack.enter_async_context(Sink(folder / "healthy.log"))
        if dead:
            black_hole = stack.enter_context(BlackHole())
            silent = await stack.enter_async_context(Sink(folder / "silent.log", silent=True))
            others = {"refusing": free_port(), "black-holed": black_hole.port, "silent": silent.port}
        else:
            others = {}
        gateway = GatewayProcess(folder / "gateway", rules(healthy.port, others), settings=LIMITS)
        await stack.enter_async_context(gateway)
        started = time.monotonic()
        load = Load(Target(gateway.port), associations=4, objects=objects)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: objects}, report.summary()
        stats = await healthy.received(objects, timeout_s=120.0)
        return float(objects / (stats["last_at"] - started))


async def run(root: Path, objects: int, rounds: int) -> tuple[str, bool]:
    """By turns without and with dead destinations; the section of the page, and whether the bar is reached."""
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(await rate(root, dead=False, objects=objects))
        beside.append(await rate(root, dead=True, objects=objects))
    share = statistics.median(beside) / statistics.median(alone)
    bar = Bar("rate of the healthy destination beside three dead ones", share * 100, 90, "%")
    rows = [
        ["the healthy destination alone", f"{number(statistics.median(alone))}/s"],
        ["with one refusing, one black-holed, one silent", f"{number(statistics.median(beside))}/s"],
    ]
    text = f"{objects} objects of 8 KB, 4 associations in; median of {rounds} rounds; {machine()}.\n\n"
    text += table(["destinations", "objects a second"], rows) + "\n\n"
    text += table(["what", "bar", "measured", ""], [bar.row()])
    return text, bar.is_reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(run(arguments.folder, arguments.objects, arguments.rounds))
    print(text)
    write_section("dead peer", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
