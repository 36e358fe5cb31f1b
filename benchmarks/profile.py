"""Where the gateway's time goes: `python -m benchmarks.profile [--scenario forward] [--seconds 10]`.

Samples the running gateway with py-spy (`pip install py-spy`), all threads, while the generator keeps it busy; prints
what each part takes of the time in which something is done or the disk is waited for, and the functions that take most,
and writes them into benchmarks/README.md. Threads without work do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from benchmarks.scenarios import running
from benchmarks.systems import gateway
from tests.support.load.generator import Load, Target
from tests.support.load.measure import cpu_seconds, machine
from tests.support.load.report import table, write_section
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.processes import REPOSITORY, run

SAMPLES_PER_S = 250
_FRAME = re.compile(r"^(.*) \((.*?)(?::(\d+))?\)$")
PARTS = (
    ("gateway/dimse/", "association runtime (dimse)"),
    ("gateway/handlers/", "handlers"),
    ("gateway/dataset/", "header scan and edits (dataset)"),
    ("gateway/routing/", "routing"),
    ("gateway/intake/", "intake"),
    ("gateway/sqlite/", "store (SQLite)"),
    ("gateway/spool/", "spool and group commit"),
    ("gateway/delivery/", "delivery"),
    ("gateway/sending/", "delivery"),
    ("gateway/destinations/", "delivery"),
    ("gateway/metric", "metrics"),
    ("structlog", "log"),
    ("pynetdicom", "pynetdicom"),
    ("asyncio/", "asyncio"),
)
IDLE = (
    "_worker (concurrent/futures/",
    "_gather (gateway/spool/committer",
    "select (selectors.py",
    "wait (threading.py",
    "get (queue.py",
)
"""Innermost functions of a thread that has nothing to do."""
DISK = {
    "fdatasync (gateway/spool/": "waiting for the disk: payload",
    "transaction (gateway/sqlite/": "waiting for the disk: store",
}
"""Innermost functions that wait for the disk."""


def part_of(stack: list[str]) -> str:
    """The part that the innermost frame of ours belongs to; asyncio itself only when nobody else is above it."""
    for place, name in DISK.items():
        if place in stack[-1]:
            return name
    for frame in reversed(stack):
        for place, name in PARTS:
            if place in frame:
                return name
    return "other"


def read_samples(text: str) -> Counter[tuple[str, ...]]:
    """py-spy's raw format: `frame;frame;… count` lines."""
    samples: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack:
            samples[tuple(stack.split(";"))] += int(count)
    return samples


def function_of(frame: str) -> str:
    """`name (path:line)` → `name (path)`, the path from `gateway/` or the package on."""
    match = _FRAME.match(frame)
    if not match:
        return frame
    path = re.sub(r"^.*?(?=gateway/|site-packages/|asyncio/)", "", match[2]).removeprefix("site-packages/")
    return f"{match[1]} ({path})"


def describe(samples: Counter[tuple[str, ...]], top: int = 20) -> str:
    """Share of each part, and of the functions themselves (without what they call)."""
    samples = Counter({stack: n for stack, n in samples.items() if not any(place in stack[-1] for place in IDLE)})
    total = sum(samples.values())
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in samples.items():
        parts[part_of(list(stack))] += count
        functions[function_of(stack[-1])] += count

    def rows(counter: Counter[str], limit: int) -> list[list[str]]:
        return [[name, f"{100 * count / total:.1f} %"] for name, count in counter.most_common(limit)]

    return "\n\n".join(
        [
            table(["part", "share of samples"], rows(parts, 20)),
            table(["function itself", "share"], rows(functions, top)),
        ]
    )


async def sample(scenario: str, size_bytes: int, associations: int, seconds: float) -> str:
    """Keep a gateway busy and sample it."""
    py_spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if py_spy is None:
        raise SystemExit("py-spy is not installed: pip install py-spy")
    async with scratch(REPOSITORY / "var" / "benchmarks") as folder, Sink(folder / "sink.log") as sink:
        forward_port = sink.port if scenario == "forward" else 0
        async with running(gateway(folder / "system", forward_port)) as system:
            load = Load(Target(system.port), size_bytes=size_bytes, associations=associations, seconds=seconds + 3)
            loading = asyncio.create_task(asyncio.to_thread(load.run))
            await asyncio.sleep(1.0)
            used = cpu_seconds(system.pid)
            out = folder / "samples.txt"
            options = ["--format", "raw", "--rate", str(SAMPLES_PER_S), "--duration", str(int(seconds)), "--threads"]
            finished = await run(
                [py_spy, "record", "--pid", str(system.pid), "--output", out, *options], timeout_s=seconds + 60
            )
            assert out.exists(), finished.output
            used = cpu_seconds(system.pid) - used
            report = await loading
            samples = read_samples(out.read_text())
    head = f"{scenario}, {size_bytes} bytes, {associations} associations: {report.per_second:.0f} objects/s while "
    head += f"sampled, {100 * used / seconds:.0f} % of a core; {machine()}."
    return f"### {scenario}\n\n{head}\n\n{describe(samples)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=["ingest", "forward"], action="append")
    parser.add_argument("--size-bytes", type=int, default=8192)
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    texts = [
        asyncio.run(sample(scenario, arguments.size_bytes, arguments.associations, arguments.seconds))
        for scenario in arguments.scenario or ["ingest", "forward"]
    ]
    text = "\n\n".join(texts)
    print(text)
    if not arguments.scenario:
        write_section("profile", text)


if __name__ == "__main__":
    main()
