"""Everything side by side, in one run: `python -m benchmarks.run [--quick]`.

Prints a Markdown page and, unless `--quick` or `--only`, writes it into benchmarks/README.md. Exit code 1 when a bar is
missed. While optimising: `python -m benchmarks.run --only gateway floor` measures these two alone, by turns, with the
processor time of an object, which other work on the machine disturbs least; `--sizes 8`, `--associations 8`,
`--scenarios ingest`, `--rounds 3` and `--seconds 2` narrow it further.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scenarios
from benchmarks.results import ASSOCIATIONS, SIZES, TOOLS, Key, Results, bars, page
from benchmarks.systems import CONTENDERS, GATEWAY, STOCK, Contender
from tests.support.load.measure import append_rate
from tests.support.load.report import number, write_section
from tests.support.load.scratch import scratch
from tests.support.processes import REPOSITORY

SCENARIOS = ("ingest", "forward")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much and how long is measured."""

    rounds: int
    seconds: float
    objects: dict[Key, int]
    """Objects that the gateway and the relay floor forward."""
    slow_objects: int
    idle_associations: int = 1000
    idle_seconds: float = 10.0
    large_bytes: int = 1024**3
    scenarios: tuple[str, ...] = SCENARIOS


FULL = Effort(5, 3.0, {("8 KB", 1): 3000, ("8 KB", 8): 10000, ("512 KB", 1): 500, ("512 KB", 8): 1000}, 60)
QUICK = Effort(1, 1.5, {("8 KB", 1): 1000, ("8 KB", 8): 3000, ("512 KB", 1): 100, ("512 KB", 8): 200}, 30)
ONLY = dataclasses.replace(
    FULL, seconds=2.0, objects={("8 KB", 1): 1500, ("8 KB", 8): 5000, ("512 KB", 1): 250, ("512 KB", 8): 600}
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure_rates(root: Path, effort: Effort, contenders: Sequence[Contender], results: Results) -> None:
    """One round of what is compared, one system after the other so that the machine's moods hit all alike."""
    for size in dict.fromkeys(size for size, _ in effort.objects):
        async with scratch(root) as folder:
            results.disk.setdefault(size, []).append(append_rate(folder, SIZES[size], effort.seconds / 2))
    for key in effort.objects:
        size, associations = key
        if "ingest" in effort.scenarios:
            tools = await scenarios.sink_alone(root, SIZES[size], associations, effort.seconds / 2)
            results.ingest.setdefault((TOOLS, key), []).append(tools)
        for scenario in effort.scenarios:
            for contender in contenders:
                await _measure_contender(root, effort, scenario, contender, key, results)


async def _measure_contender(
    root: Path, effort: Effort, scenario: str, contender: Contender, key: Key, results: Results
) -> None:
    size, associations = key
    if scenario == "ingest":
        if associations > contender.most_associations:
            return
        figure = await scenarios.ingest(root, contender, SIZES[size], associations, effort.seconds)
    else:
        if not contender.forwards:
            return
        objects = effort.slow_objects if contender.is_slow_at_forwarding else effort.objects[key]
        figure = await scenarios.forward(root, contender, SIZES[size], associations, objects)
    figures = results.ingest if scenario == "ingest" else results.forward
    figures.setdefault((contender.name, key), []).append(figure)
    say(
        f"{scenario} {contender.name} {size} {associations}: {number(figure.per_second)}/s, "
        f"{figure.cpu_ms:.3f} ms of processor time an object"
    )


async def measure_associations(root: Path, effort: Effort, contenders: Sequence[Contender], results: Results) -> None:
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


async def run(root: Path, effort: Effort, contenders: Sequence[Contender], *, is_whole: bool) -> tuple[str, bool]:
    """Measure everything; the page, and whether every bar is reached."""
    results = Results(load_average=os.getloadavg()[0])
    for turn in range(effort.rounds):
        in_order = contenders if turn % 2 == 0 else contenders[::-1]
        await measure_rates(root, effort, in_order, results)
    if is_whole:
        await measure_associations(root, effort, contenders, results)
    results.in_order_of([contender.name for contender in contenders])
    found = bars(results)
    return page(results, found, effort.rounds), all(bar.is_reached for bar in found)


def effort_of(arguments: argparse.Namespace) -> Effort:
    """The preset with what the command line changes of it."""
    preset = QUICK if arguments.quick else ONLY if arguments.only else FULL
    return dataclasses.replace(
        preset,
        rounds=arguments.rounds or preset.rounds,
        seconds=arguments.seconds or preset.seconds,
        scenarios=tuple(arguments.scenarios),
        objects={
            (size, count): objects
            for (size, count), objects in preset.objects.items()
            if int(size.split()[0]) in arguments.sizes and count in arguments.associations
        },
    )


def main() -> None:
    keys = [contender.key for contender in CONTENDERS]
    kilobytes = [int(size.split()[0]) for size in SIZES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; README.md stays as it is")
    parser.add_argument("--only", nargs="+", choices=keys, metavar="SYSTEM", help=f"these alone: {', '.join(keys)}")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--sizes", nargs="+", type=int, choices=kilobytes, default=kilobytes, help="in KB")
    parser.add_argument("--associations", nargs="+", type=int, choices=ASSOCIATIONS, default=ASSOCIATIONS)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement of ingest")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="on the disk to measure")
    arguments = parser.parse_args()
    effort = effort_of(arguments)
    is_narrowed = arguments.only is not None or effort.scenarios != SCENARIOS or len(effort.objects) < len(FULL.objects)
    contenders = [each for each in CONTENDERS if each.key in (arguments.only or keys)]
    text, is_reached = asyncio.run(run(arguments.folder, effort, contenders, is_whole=not is_narrowed))
    print(text)
    if not arguments.quick and not is_narrowed:
        write_section("results", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
