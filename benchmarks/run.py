"""Everything side by side, in one run: `python -m benchmarks.run [--quick]`.

Prints a Markdown page and, unless `--quick`, writes it into benchmarks/README.md. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import scenarios
from benchmarks.scenarios import Figure, Idle, Large
from benchmarks.systems import CONTENDERS, GATEWAY, GATEWAY_SETS, ORTHANC, STOCK, STORESCP, Contender
from tests.support.load.measure import append_rate, machine
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.processes import REPOSITORY

SIZES = {"8 KB": 8192, "512 KB": 524288}
ASSOCIATIONS = (1, 8)
TOOLS, DISK = "generator → sink (the tools themselves)", "plain append + fdatasync, one at a time"
Key = tuple[str, int]
"""Size and number of associations."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is measured."""

    rounds: int
    seconds: float
    objects: dict[Key, int]
    """Objects that the gateway forwards."""
    slow_objects: int
    idle_associations: int = 500
    idle_seconds: float = 10.0
    large_bytes: int = 1024**3


FULL = Effort(3, 4.0, {("8 KB", 1): 4000, ("8 KB", 8): 10000, ("512 KB", 1): 600, ("512 KB", 8): 1000}, 60)
QUICK = Effort(1, 1.5, {("8 KB", 1): 1000, ("8 KB", 8): 3000, ("512 KB", 1): 100, ("512 KB", 8): 200}, 30)


@dataclass(slots=True)
class Results:
    """All figures; the median of the rounds counts."""

    ingest: dict[tuple[str, Key], list[Figure]] = field(default_factory=dict)
    forward: dict[tuple[str, Key], list[Figure]] = field(default_factory=dict)
    disk: dict[str, list[float]] = field(default_factory=dict)
    opened: dict[str, float] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    large: Large | None = None


def median(figures: Iterable[Figure]) -> Figure:
    """The one in the middle by objects a second."""
    ordered = sorted(figures, key=lambda figure: figure.per_second)
    return ordered[len(ordered) // 2]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure_rates(root: Path, effort: Effort, contenders: Iterable[Contender], results: Results) -> None:
    """One round of what is compared, one system after the other so that the machine's moods hit all alike."""
    for size, size_bytes in SIZES.items():
        async with scratch(root) as folder:
            results.disk.setdefault(size, []).append(append_rate(folder, size_bytes, effort.seconds / 2))
        for associations in ASSOCIATIONS:
            key = (size, associations)
            tools = await scenarios.sink_alone(root, size_bytes, associations, effort.seconds / 2)
            results.ingest.setdefault((TOOLS, key), []).append(tools)
            for contender in contenders:
                await _measure_contender(root, effort, contender, key, results)


async def _measure_contender(root: Path, effort: Effort, contender: Contender, key: Key, results: Results) -> None:
    size, associations = key
    if associations <= contender.most_associations:
        figure = await scenarios.ingest(root, contender, SIZES[size], associations, effort.seconds)
        results.ingest.setdefault((contender.name, key), []).append(figure)
        say(f"ingest {contender.name} {size} {associations}: {number(figure.per_second)}/s")
    if contender.forwards:
        objects = effort.slow_objects if contender.is_slow_at_forwarding else effort.objects[key]
        figure = await scenarios.forward(root, contender, SIZES[size], associations, objects)
        results.forward.setdefault((contender.name, key), []).append(figure)
        say(f"forward {contender.name} {size} {associations}: {number(figure.per_second)}/s")


async def measure_associations(root: Path, effort: Effort, contenders: Iterable[Contender], results: Results) -> None:
    """Opening and keeping associations, and the large object."""
    for contender in contenders:
        if contender.name in (GATEWAY, STOCK):
            results.opened[contender.name] = await scenarios.associations_per_second(root, contender, effort.seconds)
            count = effort.idle_associations if contender.name == GATEWAY else 50
            results.idle[contender.name] = await scenarios.idle(root, contender, count, effort.idle_seconds)
            say(
                f"associations {contender.name}: {results.opened[contender.name]:.0f}/s, {results.idle[contender.name]}"
            )
        if contender.name == GATEWAY:
            results.large = await scenarios.large_object(root, effort.large_bytes)
            say(f"large: {results.large}")


# --- the page ---------------------------------------------------------------------------------------------------


def rates(title: str, figures: dict[tuple[str, Key], list[Figure]]) -> str:
    """One table: systems down, sizes and associations across."""
    keys = [(size, associations) for size in SIZES for associations in ASSOCIATIONS]
    names = list(dict.fromkeys(name for name, _ in figures))
    rows = []
    for name in names:
        cells = [name]
        for key in keys:
            found = figures.get((name, key))
            figure = median(found) if found else None
            cells.append(f"{number(figure.per_second)} ({figure.p50_ms:.2g} / {figure.p99_ms:.2g})" if figure else "-")
        rows.append(cells)
    return f"### {title}\n\n" + table(["system", *(f"{size}, {count} assoc." for size, count in keys)], rows)


def bars(results: Results) -> list[Bar]:
    """The promises, each against what was measured in the same run."""

    def ingest(name: str, size: str, associations: int) -> float:
        return median(results.ingest[name, (size, associations)]).per_second

    def forward(name: str, associations: int) -> float:
        return median(results.forward[name, ("8 KB", associations)]).per_second

    def disk(size: str) -> float:
        return statistics.median(results.disk[size])

    ours = ingest(GATEWAY, "8 KB", 8)
    stock, scp = f"{STOCK} (a)", f"{STORESCP} (b)"
    found = [
        Bar(f"durable ingest, 8 KB, 8 associations, against {stock}", ours / ingest(STOCK, "8 KB", 8), 8, "times"),
        Bar(f"durable ingest, 8 KB, 8 associations, against {scp}", ours / ingest(STORESCP, "8 KB", 1), 2, "times"),
    ]
    for name in (STOCK, ORTHANC):
        for count in ASSOCIATIONS:
            what = f"store and forward, 8 KB, {count} associations, against {name}"
            found.append(Bar(what, forward(GATEWAY, count) / forward(name, count), 40, "times"))
    for count in ASSOCIATIONS:
        what = f"store and forward with one `set` coercion, 8 KB, {count} associations, against untouched"
        found.append(Bar(what, forward(GATEWAY_SETS, count) / forward(GATEWAY, count), 0.8, "times"))
    share = ingest(GATEWAY, "512 KB", 8) / disk("512 KB")
    found.append(Bar("durable ingest, 512 KB, 8 associations, against plain append + fdatasync", share, 0.7, "times"))
    idle = results.idle[GATEWAY]
    found += [
        Bar(f"{idle.associations} idle associations: processor", idle.cpu_share * 100, 2, "% of a core", True),
        Bar(f"{idle.associations} idle associations: memory each", idle.rss_bytes_each / 1000, 200, "KB", True),
        Bar("associations opened a second, 128 contexts", results.opened[GATEWAY], 200, "/s"),
    ]
    if results.large is not None:
        what = f"resident memory while {results.large.size_bytes / 1e9:.2f} GB pass through"
        found.append(Bar(what, results.large.peak_rss_bytes / 1e6, 200, "MB", True))
    return found


def page(results: Results, found: list[Bar], effort: Effort) -> str:
    """The Markdown that is printed."""
    when = datetime.now(UTC).date().isoformat()
    disk = ", ".join(f"{size}: {number(statistics.median(rate))}/s" for size, rate in results.disk.items())
    others = [
        f"{name}: {number(results.opened[name])} associations a second with 128 contexts; "
        f"{idle.associations} idle ones take {idle.cpu_share * 100:.1f} % of a core "
        f"and {idle.rss_bytes_each / 1000:.0f} KB each."
        for name, idle in results.idle.items()
    ]
    if results.large is not None:
        size, took = results.large.size_bytes / 1e9, results.large.seconds
        others.append(f"gateway: {size:.2f} GB passed through in {took:.1f} s, data set equal at the sink (SHA-256).")
    parts = [
        f"Measured {when} on {machine()}; median of {effort.rounds} round(s).",
        "### Bars\n\n" + table(["what", "bar", "measured", ""], [bar.row() for bar in found]),
        rates("Ingest: objects a second (latency p50 / p99 in ms), nothing sent on", results.ingest),
        f"{DISK}: {disk}.",
        rates("Store and forward: objects a second until the last one reached the sink", results.forward),
        "### Associations, and one large object\n\n" + "\n".join(f"- {line}" for line in others),
    ]
    return "\n\n".join(parts) + "\n"


async def run(root: Path, effort: Effort) -> tuple[str, bool]:
    """Measure everything; the page, and whether every bar is reached."""
    results = Results()
    for _ in range(effort.rounds):
        await measure_rates(root, effort, CONTENDERS, results)
    await measure_associations(root, effort, CONTENDERS, results)
    found = bars(results)
    return page(results, found, effort), all(bar.is_reached for bar in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; README.md stays as it is")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="on the disk to measure")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(run(arguments.folder, QUICK if arguments.quick else FULL))
    print(text)
    if not arguments.quick:
        write_section("results", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
