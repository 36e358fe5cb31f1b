"""The gateway by several interpreters, in turns: `python -m benchmarks.engines 'NAME=WORDS' 'NAME=WORDS' …`.

WORDS start the gateway without `run`: `3.13=/opt/venv313/bin/python -P -m gateway`. `-P` takes the gateway that is
installed in that environment, and not this folder. Prints the least processor time an object of the rounds and the
median of the objects a second; the first one named is what the others are compared with. On a machine that others use
too only the processor time says something, and only beside one of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.scenarios import Figure, forward, ingest
from benchmarks.systems import LIMITS, Contender, gateway_rules
from tests.support.gateway_process import GatewayProcess
from tests.support.load.measure import machine
from tests.support.load.report import number, table
from tests.support.processes import REPOSITORY

SIZE_BYTES = 8192
COLUMNS = ("ingest, 1 assoc.", "ingest, 8 assoc.", "forward, 8 assoc.")


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to run the gateway."""

    name: str
    words: tuple[str, ...]
    """Up to the command `run`."""

    @classmethod
    def parsed(cls, text: str) -> Engine:
        """Of ``NAME=WORDS``. Raises ArgumentTypeError."""
        name, _, words = text.partition("=")
        if not name or not words.strip():
            raise argparse.ArgumentTypeError(f"{text!r}: write NAME=WORDS, as in 3.13=python3.13 -P -m gateway")
        return cls(name, tuple(shlex.split(words)))

    def gateway(self, folder: Path, sink_port: int) -> GatewayProcess:
        """The gateway of a benchmark, run this way."""
        command = [*self.words, "run", "--log-format", "json"]
        return GatewayProcess(folder, gateway_rules(sink_port), settings=LIMITS, command=command)

    @property
    def contender(self) -> Contender:
        return Contender(self.name, self.name, self.gateway, forwards=True, is_slow_at_forwarding=False)


async def measure(root: Path, engines: Sequence[Engine], rounds: int, seconds: float) -> str:
    """A table: a row for each engine, a column for each of `COLUMNS`."""
    cases = (
        partial(ingest, size_bytes=SIZE_BYTES, associations=1, seconds=seconds),
        partial(ingest, size_bytes=SIZE_BYTES, associations=8, seconds=seconds),
        partial(forward, size_bytes=SIZE_BYTES, associations=8, objects=round(300 * seconds)),
    )
    found: dict[Engine, list[list[Figure]]] = {engine: [[] for _ in cases] for engine in engines}
    for round_number in range(rounds):
        print(f"round {round_number + 1} of {rounds}", file=sys.stderr)
        for index, case in enumerate(cases):
            for engine in engines:
                found[engine][index].append(await case(root, engine.contender))
    least = {engine: [min(one.cpu_ms for one in figures) for figures in found[engine]] for engine in engines}
    rows = [
        [engine.name, *(cell(*both) for both in zip(found[engine], least[engines[0]], strict=True))]
        for engine in engines
    ]
    head = f"{SIZE_BYTES} bytes; ms of processor time an object, least of {rounds} rounds (objects a second, median)"
    return f"{head}; {machine()}.\n\n{table(['engine', *COLUMNS], rows)}"


def cell(figures: Sequence[Figure], compared_ms: float) -> str:
    """Least processor time of the rounds, the difference from `compared_ms`, and the median rate."""
    cpu_ms = min(figure.cpu_ms for figure in figures)
    rate = statistics.median(figure.per_second for figure in figures)
    return f"{cpu_ms:.3f} ({100 * (cpu_ms / compared_ms - 1):+.0f} %; {number(rate)}/s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", type=Engine.parsed, nargs="+", metavar="NAME=WORDS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case of each round")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="on the disk to measure")
    arguments = parser.parse_args()
    print(asyncio.run(measure(arguments.folder, arguments.engines, arguments.rounds, arguments.seconds)))


if __name__ == "__main__":
    main()
