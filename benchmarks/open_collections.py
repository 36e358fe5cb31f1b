"""A gateway with 100 000 open collections of a million instances: `python -m benchmarks.open_collections`.

Measured beside a gateway with none: its start, how late studies that have gone quiet are sent, and the objects that it
takes a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from benchmarks.systems import LIMITS
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite.store import SQLiteStore
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.measure import cpu_seconds, machine
from tests.support.load.objects import of_study
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.processes import REPOSITORY, until

INSTANCES = 10
"""Of each collection."""
AT_ONCE = 500
"""Instances of one transaction that fills the store."""
LONG = CollectionTerms(name="long", quiet_s=6 * 3600.0, at_most_s=12 * 3600.0)
QUIET_S = 1.0
LATEST_S, LONGEST_START_S, MOST_COST = 1.0, 5.0, 1.05
STUDIES, SENDERS, ROUNDS = 50, 8, 3
"""Studies that are timed, one after the other; associations that store; turns of each gateway."""
SECONDS = 10.0


def site(folder: Path, sink: Sink) -> GatewayProcess:
    """What LOAD sends goes to the sink when its study was quiet for a second, what LONG sends waits for hours."""
    rules = {
        "peers": {"sink": {"ae_title": sink.ae_title, "address": f"127.0.0.1:{sink.port}"}},
        "collections": {
            "short": {"quiet": f"{QUIET_S:.0f} s", "at_most": "12 h"},
            "long": {"quiet": "6 h", "at_most": "12 h"},
        },
        "routes": [
            {"name": "short", "when": {"calling_ae_title": "SHORT"}, "collection": "short", "to": ["sink"]},
            {"name": "long", "when": {"calling_ae_title": "LONG"}, "collection": "long", "to": ["sink"]},
        ],
        "unmatched": "reject",
    }
    return GatewayProcess(folder, rules, settings=LIMITS | {"spool": {"path": str(folder / "spool")}})


def fill(path: Path, collections: int) -> None:
    """So many open collections; all instances name the one payload that is there."""
    with closing(SQLiteStore(path)) as store:
        (first,) = store.administration.list(DeliveryFilter(), 1)
        instances = collections * INSTANCES
        for start in range(0, instances, AT_ONCE):
            arrivals = [_arrival(first.instance, each) for each in range(start, min(start + AT_ONCE, instances))]
            now = store.administration.now()
            with store.transaction(is_durable=False):
                store.deliveries.accept(arrivals, now)


def _arrival(like: Instance, each: int) -> tuple[Instance, list[Dispatch]]:
    study = f"1.2.826.0.{each // INSTANCES}"
    instance = dataclasses.replace(like, sop_instance_uid=f"{study}.{each}", study_instance_uid=study, index=None)
    membership = Membership(LONG, study, matches="")
    return instance, [Dispatch("long", "sink", collection=membership)]


async def start_seconds(gateway: GatewayProcess) -> float:
    """From the command to /readyz."""
    await gateway.drain()
    began_s = time.monotonic()
    await gateway.restart()
    return time.monotonic() - began_s


async def lateness(gateway: GatewayProcess, sink: Sink) -> list[float]:
    """Seconds from when each study has been quiet for long enough until it is at the sink."""
    found = []
    for each in range(STUDIES):
        before = sink.ask("stats")["total"]
        target = Target(gateway.port, calling="SHORT")
        await asyncio.to_thread(Load(target, what=of_study(10**6 + each), objects=INSTANCES).run)
        quiet_at_s = time.monotonic() + QUIET_S

        def is_there(wanted: int = before + INSTANCES) -> bool:
            return bool(sink.ask("stats")["total"] >= wanted)

        await until(is_there, what="a study at the sink")
        found.append(sink.ask("stats")["last_at"] - quiet_at_s)
    return sorted(found)


async def stored(gateway: GatewayProcess, turn: int) -> tuple[float, float]:
    """Objects a second, and the gateway's milliseconds of processor time for each, of `SENDERS` associations, each of a
    study of its own, whose collections stay open."""
    assert gateway.process is not None
    before_s = cpu_seconds(gateway.process.pid)
    loads = [
        Load(Target(gateway.port, calling="LONG"), what=of_study(10**8 + turn * SENDERS + each), seconds=SECONDS)
        for each in range(SENDERS)
    ]
    with ThreadPoolExecutor(SENDERS) as threads:
        loop = asyncio.get_running_loop()
        reports = await asyncio.gather(*(loop.run_in_executor(threads, load.run) for load in loads))
    assert all(set(report.statuses) == {0x0000} for report in reports)
    number_stored = sum(len(report.acknowledged) for report in reports)
    return number_stored / SECONDS, (cpu_seconds(gateway.process.pid) - before_s) * 1000 / number_stored


async def run(root: Path, collections: int) -> tuple[str, bool]:
    """The section of the page, and whether the bars are reached."""
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        sink = await stack.enter_async_context(Sink(folder / "sink.log"))
        filled, empty = [await stack.enter_async_context(site(folder / name, sink)) for name in ("filled", "empty")]
        for gateway in (filled, empty):
            await asyncio.to_thread(Load(Target(gateway.port, calling="LONG"), objects=1).run)
        await filled.drain()
        began_s = time.monotonic()
        await asyncio.to_thread(fill, folder / "filled" / "gateway.db", collections)
        print(f"filled in {time.monotonic() - began_s:.0f} s", flush=True)
        await filled.restart()
        starts = {name: await start_seconds(each) for name, each in (("filled", filled), ("empty", empty))}
        print(starts, flush=True)
        late = {name: await lateness(each, sink) for name, each in (("filled", filled), ("empty", empty))}
        print({name: (each[len(each) // 2], each[-1]) for name, each in late.items()}, flush=True)
        turns: dict[str, list[tuple[float, float]]] = {"filled": [], "empty": []}
        for turn in range(ROUNDS):
            for name, gateway in (("filled", filled), ("empty", empty)):
                turns[name].append(await stored(gateway, turn))
            print(turns, flush=True)
    cost_ms = {name: statistics.median(cost for _, cost in each) for name, each in turns.items()}
    bars = [
        Bar("start", starts["filled"], LONGEST_START_S, "s", True),
        Bar("latest study", late["filled"][-1], LATEST_S, "s", True),
        Bar(
            "processor time of an object, to that without open collections",
            cost_ms["filled"] / cost_ms["empty"],
            MOST_COST,
            "",
            True,
        ),
    ]
    return page(collections, starts, late, turns, bars), all(bar.is_reached for bar in bars)


def page(
    collections: int,
    starts: dict[str, float],
    late: dict[str, list[float]],
    turns: dict[str, list[tuple[float, float]]],
    bars: list[Bar],
) -> str:
    """The section of benchmarks/README.md."""
    rows: list[list[str]] = [
        [
            f"{number(collections)} open" if name == "filled" else "none open",
            f"{number(starts[name])} s",
            f"{number(late[name][STUDIES // 2])} / {number(late[name][-1])} s",
            number(max(rate for rate, _ in turns[name])),
            f"{number(statistics.median(cost for _, cost in turns[name]))} ms",
        ]
        for name in ("filled", "empty")
    ]
    head = [
        "collections",
        "start",
        "studies sent late, median / most",
        "objects of 8 KB a second",
        "processor time each",
    ]
    text = f"{INSTANCES} instances each, SQLite, {SENDERS} associations store; {machine()}.\n\n"
    return (
        text + table(head, rows) + "\n\n" + table(["what", "bar", "measured", ""], [bar.row() for bar in bars]) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(run(arguments.folder, arguments.collections))
    print(text)
    if arguments.write:
        write_section("open collections", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
