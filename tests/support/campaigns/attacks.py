"""What honest peers feel while somebody attacks: `python -m benchmarks.attacks [--only NAME] [--times 1|2] [--write]`.

For each attack of `tests/support/attacks` a gateway is started anew. A configured peer sends C-ECHO and C-STORE all
the time: first alone, then beside the attack, then again alone, 10 s after the attack is over. Exits with 1 when a bar
is missed; `--write` writes benchmarks/attacks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.attacks import honest
from tests.support.attacks.catalogue import ATTACKS, Attack
from tests.support.attacks.honest import Honest
from tests.support.attacks.line import KNOWN_HOST, KNOWN_TITLE, Target
from tests.support.gateway_process import GatewayProcess
from tests.support.load.measure import machine, memory_bytes, reset_peak
from tests.support.load.report import table
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.processes import REPOSITORY

PAGE = REPOSITORY / "benchmarks" / "attacks.md"
ECHO_LIMIT_S, STORE_LIMIT_S = 1.0, 2.0
MEMORY_LIMIT_MB = 300
LOG_LIMIT = 100
BACK_MEMORY_MB, BACK_DESCRIPTORS = 100, 10
REST_S, QUIET_S = 10.0, 3.0
AFTER_ABORT_LIMIT_MB = 16
KEPT_LIMITS = {"slow-http": 0, "slow-pdus": 0}
"""Connections that an attacker may have kept for long when it is over: who is too slow is let go, and may come back."""


def site(sink_port: int) -> dict[str, Any]:
    """Both peers are configured; what they send is edited and goes on to the sink."""
    peers = {
        "ct1": {"ae_title": honest.TITLE, "hosts": [honest.HOST], "may": ["store", "find"]},
        "evil": {"ae_title": KNOWN_TITLE, "hosts": [KNOWN_HOST], "may": ["store", "find", "move", "get"]},
        "sink": {"ae_title": "SINK", "address": f"127.0.0.1:{sink_port}"},
    }
    route = {
        "name": "to the sink",
        "to": ["sink"],
        "when": {"modality": ["CT"]},
        "then": [{"set": {"InstitutionName": "North"}}],
    }
    return {"peers": peers, "routes": [route], "unmatched": "hold", "query_retrieve": {"sources": ["local"]}}


@dataclass(slots=True)
class Watch:
    """Memory of a process and its children, looked at all the time."""

    pid: int
    peak_bytes: int = 0

    def look(self) -> int:
        """Proportional set size of all of them, now."""
        total = 0
        for pid in _tree(self.pid):
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(0.2)


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


@dataclass(slots=True)
class Outcome:
    """What was measured of one attack."""

    name: str
    times: float
    quiet: Honest
    beside: Honest
    after: Honest
    memory_mb: float
    log_lines: int
    tracebacks: int
    back_memory_mb: float
    back_descriptors: int
    seen: dict[str, int]
    load: float
    """Load average of the last minute when the attack was over."""
    misses: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Fill `misses`."""
        limits = [
            ("echo", max(self.beside.echoes_s, default=0.0), ECHO_LIMIT_S),
            ("store", max(self.beside.stores_s, default=0.0), STORE_LIMIT_S),
            ("memory", self.memory_mb, MEMORY_LIMIT_MB),
            ("log lines", self.log_lines, LOG_LIMIT),
            ("tracebacks", self.tracebacks, 0),
            ("failed", len(self.beside.failures) + len(self.after.failures), 0),
            ("memory 10 s after", self.back_memory_mb, BACK_MEMORY_MB),
            ("descriptors 10 s after", self.back_descriptors, BACK_DESCRIPTORS),
            ("echo 10 s after", max(self.after.echoes_s, default=0.0), ECHO_LIMIT_S),
        ]
        if self.name in KEPT_LIMITS:
            limits.append(("connections kept", self.seen.get("kept", 0), KEPT_LIMITS[self.name]))
        if self.name == "bytes-after-abort":
            each = self.seen.get("bytes after the abort", 0) / max(1, self.seen.get("accepted", 1)) / 1e6
            limits.append(("MB read after each abort", each, AFTER_ABORT_LIMIT_MB))
        self.misses = [f"{what} {value:.3g} > {limit:g}" for what, value, limit in limits if value > limit]
        if not self.beside.echoes_s or not self.beside.stores_s:
            self.misses.append("nothing honest was answered")

    def row(self) -> list[str]:
        """The row of the table."""
        return [
            self.name,
            f"{self.times:g}",
            _milliseconds(self.quiet.echoes_s),
            _milliseconds(self.beside.echoes_s),
            _milliseconds(self.beside.stores_s),
            f"{len(self.beside.failures)} of {_number_of_requests(self.beside)}",
            f"{self.memory_mb:.0f}",
            str(self.log_lines),
            str(self.tracebacks),
            f"{self.back_memory_mb:+.0f} MB, {self.back_descriptors:+d}, {_milliseconds(self.after.echoes_s)}",
            "**missed**: " + "; ".join(self.misses) if self.misses else "reached",
        ]


HEAD = (
    "attack",
    "times",
    "quiet echo p50 / max ms",
    "echo p50 / max ms",
    "store p50 / max ms",
    "honest requests failed",
    "memory more MB",
    "log lines",
    "tracebacks",
    "10 s after: memory, descriptors, echo",
    "bars",
)


def _number_of_requests(one: Honest) -> int:
    return len(one.echoes_s) + len(one.stores_s) + len(one.finds_s) + len(one.failures)


def _milliseconds(times_s: list[float]) -> str:
    return f"{statistics.median(times_s) * 1000:.0f} / {max(times_s) * 1000:.0f}" if times_s else "-"


class Log:
    """Lines of a log file that speak of others than the honest peer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size

    def count(self) -> tuple[int, int]:
        """(lines, tracebacks) since it was made; it is not read into memory as a whole."""
        lines = tracebacks = 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                lines += b'"peer": "ct1"' not in line
                tracebacks += b'"exception": ' in line or b"Traceback (most recent call last)" in line
        return lines, tracebacks


def limited(descriptors: int) -> list[str] | None:
    """The command of a gateway that may open so many files."""
    if not descriptors:
        return None
    run = f'ulimit -n {descriptors}; exec "{sys.executable}" -m gateway run --log-format json "$@"'
    return ["/bin/sh", "-c", run, "gateway"]


@contextlib.asynccontextmanager
async def beside(peer: Honest, *, with_find: bool = False) -> AsyncIterator[None]:
    """It sends while the block runs."""
    task = asyncio.create_task(peer.run(with_find=with_find))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def attacked(name: str, attack: Attack, port: int, http_port: int, times: float) -> dict[str, int]:
    """Run it in a process of its own; what it saw."""
    command = ["-m", "tests.support.attacks", name, "--port", str(port), "--http-port", str(http_port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--times", str(times), stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        async with asyncio.timeout(attack.seconds * 2 + 60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    seen: dict[str, int] = json.loads(output) if output else {"died": 1}
    return seen


async def measure(root: Path, name: str, times: float) -> Outcome:
    """One attack on a gateway of its own."""
    attack = ATTACKS[name]
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        sink = await stack.enter_async_context(Sink(folder / "sink.log"))
        gateway = GatewayProcess(folder / "gateway", site(sink.port), command=limited(attack.descriptors))
        await stack.enter_async_context(gateway)
        target = Target(gateway.port, gateway.http_port)
        async with beside(Honest(target)):
            await asyncio.sleep(1.0)  # what is made at first use is made
        quiet = Honest(target)
        async with beside(quiet):
            await asyncio.sleep(QUIET_S)
        await gateway.idle()
        watch = Watch(gateway.pid)
        before_bytes, before_descriptors = watch.look(), watch.descriptors()
        reset_peak(gateway.pid)
        rss_before = memory_bytes(gateway.pid)["rss"]
        watching = asyncio.create_task(watch.run())
        log = Log(gateway.log_path)
        during = Honest(target)
        async with beside(during):
            seen = await attacked(name, attack, gateway.port, gateway.http_port, times)
        load, _, _ = os.getloadavg()
        if not gateway.is_running:
            during.failures.append(f"the gateway ended with {gateway.returncode}")
        await asyncio.sleep(REST_S)
        watching.cancel()
        lines, tracebacks = log.count()
        more_bytes = max(watch.peak_bytes - before_bytes, memory_bytes(gateway.pid)["peak"] - rss_before)
        back_bytes, back_descriptors = watch.look(), watch.descriptors()
        after = Honest(target)
        async with beside(after):
            await asyncio.sleep(QUIET_S)
        outcome = Outcome(
            name, times, quiet, during, after, more_bytes / 1e6, lines, tracebacks,
            (back_bytes - before_bytes) / 1e6, back_descriptors - before_descriptors, seen, load,
        )  # fmt: skip
        outcome.judge()
        return outcome


async def campaign(arguments: argparse.Namespace) -> list[Outcome]:
    """The attacks asked for, one after the other."""
    outcomes = []
    for name in arguments.only or ATTACKS:
        for times in arguments.times:
            began_s = time.monotonic()
            outcome = await measure(arguments.folder, name, times)
            outcomes.append(outcome)
            print(f"{name} x{times:g} ({time.monotonic() - began_s:.0f} s): {ATTACKS[name].what}")
            print("  " + " | ".join(f"{head}: {cell}" for head, cell in zip(HEAD[2:], outcome.row()[2:], strict=True)))
            print(f"  the attacker saw {outcome.seen}")
            for failure in outcome.beside.failures[:3] + outcome.after.failures[:3]:
                print(f"  failed: {failure}")
            sys.stdout.flush()
    return outcomes


def circumstances(outcomes: list[Outcome]) -> str:
    """What the machine did beside: attack, gateway and honest peer together make a load of about 2."""
    loads = [outcome.load for outcome in outcomes]
    return (
        f"Load average of the machine, with all of this: {min(loads):.1f} to {max(loads):.1f}, median "
        f"{statistics.median(loads):.1f}; niceness of attacker, honest peer and gateway: {os.nice(0)}."
    )


def page(outcomes: list[Outcome]) -> str:
    """benchmarks/attacks.md."""
    whats = "\n".join(f"- **{name}**: {attack.what}" for name, attack in ATTACKS.items())
    bars = (
        f"Bars: each C-ECHO within {ECHO_LIMIT_S:g} s and each C-STORE within {STORE_LIMIT_S:g} s, none failed; at "
        f"most {MEMORY_LIMIT_MB} MB more memory (with workers), {LOG_LIMIT} log lines, no traceback. 10 s "
        f"after the attack at most {BACK_MEMORY_MB} MB and {BACK_DESCRIPTORS} descriptors more than before, and echo "
        "as above. Attacker, honest peer and gateway share the machine."
    )
    return (
        "# Honest peers beside attacks\n\n"
        "Made by `python -m benchmarks.attacks --times 1 2 --write`. A configured peer sends C-ECHO and C-STORE of "
        "8 KB all the time, each on an association of its own, and C-ECHO on an association that it keeps.\n\n"
        f"Measured {time.strftime('%Y-%m-%d')} on {machine()}. {circumstances(outcomes)}\n\n{bars}\n\n{whats}\n\n"
        f"{table(HEAD, (outcome.row() for outcome in outcomes))}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(ATTACKS), metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--times", type=float, nargs="+", default=[1.0], help="how hard: 1, and twice that")
    parser.add_argument("--write", action="store_true", help="write benchmarks/attacks.md")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="where spools are made")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    outcomes = asyncio.run(campaign(arguments))
    print(table(HEAD, (outcome.row() for outcome in outcomes)))
    if arguments.write:
        PAGE.write_text(page(outcomes))
    return 1 if any(outcome.misses for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
