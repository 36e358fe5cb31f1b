"""C-MOVE from what a system holds: `python -m benchmarks.retrieve [--quick] [--write]`.

In one run, by turns: the gateway, dcmtk's dcmqrscp and Orthanc each hold the same study and move it to the raw sink,
the gateway also to three sinks at once; then a raw requestor gets it from each by C-GET. Then a study of many small
objects, while the gateway's memory is looked at.
`--quick` is smaller and only prints; `--write` puts the figures into benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.dimse.protocol.message import Command
from gateway.model.query import Value
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from tests.support.archive import QRSCP
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.get import Got, get_study
from tests.support.load.measure import machine, memory_bytes, tree_cpu_seconds
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.sink import Sink
from tests.support.peers import Modality, Orthanc
from tests.support.retrieving import Moving, elements

SIZE_BYTES = 512 * 1024
SMALL_BYTES = 2048
ASSOCIATIONS = 4
"""The associations of the gateway to each sink, as in the other benchmarks."""
SINKS = ("SINK1", "SINK2", "SINK3")
STUDY_INSTANCE = "2.25.1000000000000000000001"
STUDY: dict[int, Value] = {
    QUERY_RETRIEVE_LEVEL: ("STUDY",),
    STUDY_INSTANCE_UID: (STUDY_INSTANCE,),
}
"""All objects of the generator are of this study."""


@dataclass(frozen=True, slots=True)
class Scale:
    objects: int
    rounds: int
    small_objects: int


FULL = Scale(objects=1000, rounds=5, small_objects=50_000)
QUICK = Scale(objects=200, rounds=3, small_objects=5_000)


@dataclass(frozen=True, slots=True)
class Holder:
    """A system that holds the study."""

    name: str
    system: GatewayProcess | QRSCP | Orthanc


def gateway(folder: Path, sinks: list[Sink], associations: int = ASSOCIATIONS) -> GatewayProcess:
    """The gateway; what it gets is held and can be retrieved."""
    peers: dict[str, Any] = {
        sink.ae_title.lower(): {
            "ae_title": sink.ae_title,
            "address": f"127.0.0.1:{sink.port}",
            "delivery": {"associations": associations},
        }
        for sink in sinks
    }
    rules = {
        "peers": {
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
            "load": {"ae_title": "LOAD", "may": ["store"]},
            **peers,
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": ["local"], "move_destinations": {"ALL": list(peers)}},
    }
    return GatewayProcess(folder, rules)


async def filled(system: GatewayProcess | QRSCP | Orthanc, objects: int, size_bytes: int) -> None:
    load = Load(Target(system.port, called=system.ae_title), size_bytes=size_bytes, associations=1, objects=objects)
    report = await asyncio.to_thread(load.run)
    assert report.statuses == {0x0000: objects}, report.summary()


async def moved(holder: Holder, destination: str, sinks: list[Sink], objects: int) -> float:
    """Seconds from the request to the final response; everything has to be at the sinks then."""
    for sink in sinks:
        await asyncio.to_thread(sink.ask, "clear")
    moving = Moving(holder.system.port, called=holder.system.ae_title)
    began_s = time.perf_counter()
    final = await moving.move(destination, STUDY)
    seconds = time.perf_counter() - began_s
    said: Command = elements(final)
    assert final.status == 0x0000, f"{holder.name}: {said}"
    for sink in sinks:
        assert (await asyncio.to_thread(sink.ask))["distinct"] == objects, f"{holder.name}: {said}"
    return seconds


async def got(holder: Holder, objects: int) -> Got:
    """The study by C-GET."""
    target = Target(holder.system.port, called=holder.system.ae_title, calling="VIEWER", timeout_s=120.0)
    found = await asyncio.to_thread(get_study, target, STUDY_INSTANCE)
    assert (found.status, found.objects) == (0x0000, objects), f"{holder.name}: {found}"
    return found


GOT, SPENT = " by C-GET", ": processor time"
REQUESTOR = "share of the requestor of C-GET"


async def rates(folder: Path, scale: Scale) -> dict[str, list[float]]:
    """Seconds of a C-MOVE, and of a C-GET, by name and round, and the processor time of the system; they take turns."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sinks = [await enter(Sink(folder / f"{title}.log", ae_title=title)) for title in SINKS]
        ports = {sink.ae_title: sink.port for sink in sinks}
        modalities = {title: Modality(title, port) for title, port in ports.items()}
        may = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True, "DicomAlwaysAllowGet": True}
        holders = [
            Holder("gateway", await enter(gateway(folder / "gateway", sinks))),
            Holder("dcmqrscp", await enter(QRSCP(folder / "qrscp", destinations=ports))),
            Holder(
                "Orthanc", await enter(Orthanc(folder / "shipped", modalities=modalities, settings=may, no_delay=False))
            ),
            Holder("Orthanc, no delay", await enter(Orthanc(folder / "orthanc", modalities=modalities, settings=may))),
        ]
        for holder in holders:
            await filled(holder.system, scale.objects, SIZE_BYTES)
        ours = holders[0]
        found: dict[str, list[float]] = {}

        async def add(name: str, holder: Holder, seconds: Awaitable[float]) -> None:
            used_s = tree_cpu_seconds(holder.system.pid)
            found.setdefault(name, []).append(await seconds)
            found.setdefault(name + SPENT, []).append(tree_cpu_seconds(holder.system.pid) - used_s)

        async def getting(holder: Holder) -> float:
            study = await got(holder, scale.objects)
            if holder is ours:
                found.setdefault(REQUESTOR, []).append(study.own_seconds / study.seconds)
            return study.seconds

        for turn in range(scale.rounds):
            for holder in holders[:: 1 if turn % 2 else -1]:
                await add(holder.name, holder, moved(holder, SINKS[0], sinks[:1], scale.objects))
                await add(holder.name + GOT, holder, getting(holder))
            await add("three", ours, moved(ours, "ALL", sinks, scale.objects))
    return found


@dataclass(frozen=True, slots=True)
class Memory:
    """Anonymous memory of the gateway during a long C-MOVE, once the index has been read: SQLite's cache is bounded."""

    idle_bytes: int
    """Before any C-MOVE."""
    before_bytes: int
    most_bytes: int
    objects_per_second: float

    @property
    def growth_bytes(self) -> int:
        return self.most_bytes - self.before_bytes


async def memory(folder: Path, scale: Scale) -> Memory:
    """A C-MOVE of many small objects."""
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(Sink(folder / "small.log", ae_title=SINKS[0]))
        system = await stack.enter_async_context(gateway(folder / "small", [sink]))
        await filled(system, scale.small_objects, SMALL_BYTES)
        idle = memory_bytes(system.pid)["anonymous"]
        holder = Holder("gateway", system)
        await moved(holder, SINKS[0], [sink], scale.small_objects)
        seen = [memory_bytes(system.pid)["anonymous"]]
        moving = asyncio.create_task(moved(holder, SINKS[0], [sink], scale.small_objects))
        while not moving.done():
            await asyncio.sleep(0.1)
            seen.append(memory_bytes(system.pid)["anonymous"])
        return Memory(idle, seen[0], max(seen), scale.small_objects / await moving)


def mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median of the ratios of the same round."""
    return statistics.median(one / other for one, other in zip(theirs, ours, strict=True))


def page(scale: Scale, rounds: dict[str, list[float]], small: Memory, load_average: float) -> str:
    """All figures as Markdown."""
    size_mb = scale.objects * SIZE_BYTES / 1e6
    seconds = {name: statistics.median(found) for name, found in rounds.items()}

    def row(name: str, of: str, destinations: int = 1) -> list[str]:
        rate = destinations * scale.objects / seconds[of]
        megabytes = number(destinations * size_mb / seconds[of])
        spent = f"{1000 * seconds[of + SPENT] / scale.objects / destinations:.2f} ms"
        return [name, f"{seconds[of]:.2f} s", f"{number(rate)}/s", f"{megabytes} MB/s", spent]

    others = {
        "dcmqrscp": "dcmtk dcmqrscp, TCP_NODELAY=1",
        "Orthanc": "Orthanc 1.10, as Debian ships it",
        "Orthanc, no delay": "Orthanc 1.10, TCP_NODELAY=1",
    }
    rows = [row("C-MOVE: gateway, to one peer", "gateway"), row("C-MOVE: gateway, to three peers at once", "three", 3)]
    rows += [row(f"C-MOVE: {name}", of) for of, name in others.items()]
    rows += [row("C-GET: gateway", "gateway" + GOT)]
    rows += [row(f"C-GET: {name}", of + GOT) for of, name in others.items()]
    moves, gets = rounds["gateway"], rounds["gateway" + GOT]
    bars = [
        Bar("C-MOVE to one peer, against dcmqrscp", ratio(rounds["dcmqrscp"], moves), 2, "times"),
        Bar("C-MOVE to one peer, against Orthanc as shipped", ratio(rounds["Orthanc"], moves), 5, "times"),
        Bar("C-GET, against dcmqrscp", ratio(rounds["dcmqrscp" + GOT], gets), 1, "times"),
        Bar("three peers at once, total bytes against one", 3 * ratio(moves, rounds["three"]), 0.8, "times"),
        Bar("memory growth during it", small.growth_bytes / 2**20, 10, "MiB", is_ceiling=True),
    ]
    return "\n\n".join(
        [
            f"{scale.objects} objects of {SIZE_BYTES // 1024} KB, from the request to the final response; the gateway "
            f"sends a C-MOVE over {ASSOCIATIONS} associations; median of {scale.rounds} rounds by turns, ratios of the "
            f"same round; load average before it {load_average:.1f}; {machine()}. The requestor of C-GET was at work "
            f"for {100 * seconds[REQUESTOR]:.0f} % of the time that the gateway took.",
            table(("who retrieves", "time", "objects sent", "bytes sent", "processor time of an object sent"), rows),
            f"{scale.small_objects} objects of {SMALL_BYTES // 1024} KB, the second time: "
            f"{number(small.objects_per_second)}/s; "
            f"anonymous memory {mebibytes(small.idle_bytes)} at first, {mebibytes(small.before_bytes)} before and "
            f"{mebibytes(small.most_bytes)} at most.",
            table(("bar", "required", "measured", ""), [bar.row() for bar in bars]),
        ]
    )


async def run(scale: Scale) -> str:
    load_average = os.getloadavg()[0]
    with TemporaryDirectory(prefix="gateway-benchmark-") as folder:
        seconds = await rates(Path(folder), scale)
        return page(scale, seconds, await memory(Path(folder), scale), load_average)


def main() -> None:
    """Print the figures; with `--write` also into the page."""
    is_quick = "--quick" in sys.argv[1:]
    text = asyncio.run(run(QUICK if is_quick else FULL))
    print(text)
    if "--write" in sys.argv[1:] and not is_quick:
        write_section("retrieve", text)


if __name__ == "__main__":
    main()
