"""Mutated associations against a gateway: `python -m benchmarks.fuzz [--sessions N] [--seed S] [--record]`.

Associations of real requestors (tests/support/fuzzing/recordings) are mutated by chance and sent, many at a time, to a
gateway process, while a configured peer sends C-ECHO, C-STORE and C-FIND beside them. Exits with 1 when the log has a
traceback, an honest request failed, memory grew beyond its bound or the process ended. A seed and a number make a
session: `--session NUMBER` shows what one sends, `--from NUMBER` begins there. `--record` makes the recordings anew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.attacks.honest import Honest
from tests.support.attacks.line import KNOWN_HOST, Target
from tests.support.campaigns import attacks
from tests.support.campaigns.attacks import Watch, beside
from tests.support.fuzzing.recordings import FOLDER, pdus, record, recordings
from tests.support.fuzzing.session import Fuzzer
from tests.support.gateway_process import GatewayProcess
from tests.support.load.report import table
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.load.wire import RELEASE_RP
from tests.support.processes import REPOSITORY

MEMORY_LIMIT_MB = 300
AT_ONCE = 40
LIMITS = {"limits": {"associations": 4096, "associations_per_peer": 4096}}


def site(sink_port: int) -> dict[str, Any]:
    """As for the attacks; the peer that is recorded calls from many hosts, and a worklist is answered."""
    made = attacks.site(sink_port)
    made["peers"]["evil"]["hosts"] = [KNOWN_HOST, "127.0.4.0/24"]
    return made


@dataclass(slots=True)
class Report:
    """What came of it."""

    sessions: int
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    honest: list[Honest] = field(default_factory=list)
    memory_mb: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    """Events at level error, and tracebacks by their last line."""
    samples: dict[str, str] = field(default_factory=dict)
    """One whole text of each kind."""
    returncode: int | None = None

    @property
    def tracebacks(self) -> list[str]:
        """Their kinds."""
        return [kind for kind in self.events if not kind.startswith("error: ")]

    @property
    def failures(self) -> list[str]:
        return [failure for one in self.honest for failure in one.failures]

    @property
    def misses(self) -> list[str]:
        """What makes it a failure."""
        found = [f"traceback: {kind}" for kind in self.tracebacks]
        if self.failures:
            found.append(f"{len(self.failures)} honest requests failed, the first: {self.failures[0]}")
        if self.memory_mb > MEMORY_LIMIT_MB:
            found.append(f"{self.memory_mb:.0f} MB more memory")
        if self.returncode is not None:
            found.append(f"the gateway ended with {self.returncode}")
        return found

    def rows(self) -> list[list[str]]:
        """The rows of the table."""
        requests = sum(len(one.echoes_s) + len(one.stores_s) + len(one.finds_s) for one in self.honest)
        return [
            ["sessions", str(self.sessions)],
            ["seconds", f"{self.seconds:.0f}"],
            ["honest requests answered", str(requests)],
            ["honest requests failed", str(len(self.failures))],
            ["memory more", f"{self.memory_mb:.0f} MB"],
            ["tracebacks", str(sum(self.events[kind] for kind in self.tracebacks))],
            *([what, str(count)] for what, count in sorted(self.counts.items())),
        ]


def _trouble(line: bytes) -> Iterator[tuple[str, str]]:
    """(kind, whole text) of the tracebacks in a log line, and of an event at level error."""
    text = line.decode(errors="replace")
    if '"exception": ' in text or "Traceback (most recent call last)" in text:
        with contextlib.suppress(ValueError):
            text = str(json.loads(text).get("exception", text))
        yield text.strip().splitlines()[-1][:200], text
    elif '"level": "error"' in text or '"level": "critical"' in text:
        with contextlib.suppress(ValueError):
            yield f"error: {json.loads(text).get('event')}", text


def read_log(path: Path, report: Report) -> None:
    """Fill in what the log says; lines that are not JSON belong to the traceback before them."""
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(b"{") and b"Traceback" in line:
                line += b"".join(next(file, b"") for _ in range(60))
            for kind, text in _trouble(line):
                report.events[kind] += 1
                report.samples.setdefault(kind, text)


async def fuzz(root: Path, sessions: int, seed: int, first: int = 0, at_once: int = AT_ONCE) -> Report:
    """Run so many sessions."""
    report = Report(sessions)
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        sink = await stack.enter_async_context(Sink(folder / "sink.log"))
        gateway = GatewayProcess(folder / "gateway", site(sink.port), settings=LIMITS)
        await stack.enter_async_context(gateway)
        peer = Honest(Target(gateway.port, gateway.http_port))
        report.honest.append(peer)
        fuzzer = Fuzzer(gateway.port, seed, recordings())
        async with beside(peer, with_find=True):
            for name in ("storescu", "pynetdicom-store"):  # what the recorded queries ask for is there
                await _replayed(gateway.port, fuzzer.recorded[name])
            await asyncio.sleep(1.0)
            watch = Watch(gateway.pid)
            before_bytes = watch.look()
            watching = asyncio.create_task(watch.run())
            began_s = time.monotonic()
            await _sessions(fuzzer, iter(range(first, first + sessions)), at_once, report, gateway)
            report.seconds = time.monotonic() - began_s
            await asyncio.sleep(1.0)
        watching.cancel()
        report.memory_mb = (watch.peak_bytes - before_bytes) / 1e6
        report.returncode = gateway.returncode
        await asyncio.to_thread(read_log, gateway.log_path, report)
    return report


async def _replayed(port: int, recorded: list[bytes]) -> None:
    target = Target(port, 0)
    async with await target.associate(request=recorded[0]) as line:
        for pdu in recorded[1:]:
            await line.send(pdu)
        while (await line.pdu())[:1] not in (b"", bytes([RELEASE_RP])):
            pass


async def _sessions(
    fuzzer: Fuzzer, numbers: Iterator[int], at_once: int, report: Report, gateway: GatewayProcess
) -> None:
    told_s = time.monotonic()

    async def worker() -> None:
        nonlocal told_s
        for number in numbers:
            if not gateway.is_running:
                return
            await fuzzer.session(number, report.counts)
            if time.monotonic() - told_s > 30:
                told_s = time.monotonic()
                print(f"  session {number}, {len(report.failures)} honest failures", file=sys.stderr, flush=True)

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def _record(root: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        sink = await stack.enter_async_context(Sink(folder / "sink.log"))
        gateway = await stack.enter_async_context(GatewayProcess(folder / "gateway", site(sink.port)))
        await record(gateway.port, FOLDER, folder)


def show(fuzzer: Fuzzer, number: int) -> None:
    """What a session sends, PDU by PDU."""
    for pdu in pdus(fuzzer.bytes_of(number)):
        print(f"type {pdu[0]}, {len(pdu)} bytes: {pdu[:200].hex(' ')}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--session", type=int, metavar="NUMBER", help="show what a session sends, and send nothing")
    parser.add_argument("--record", action="store_true", help="make the recordings anew, with dcmtk and pynetdicom")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks", help="where spools are made")
    arguments = parser.parse_args()
    if arguments.record:
        asyncio.run(_record(arguments.folder))
        return 0
    if arguments.session is not None:
        show(Fuzzer(0, arguments.seed, recordings()), arguments.session)
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    report = asyncio.run(fuzz(arguments.folder, arguments.sessions, arguments.seed, arguments.first, arguments.at_once))
    print(table(("what", "number"), report.rows()))
    for kind, count in report.events.most_common():
        print(f"{count} times {kind}")
    for text in report.samples.values():
        print(f"\n{text}")
    for failure in report.failures[:10]:
        print(f"honest request failed: {failure}")
    print("\n".join(f"missed: {miss}" for miss in report.misses) or "reached: no traceback, no honest failure")
    return 1 if report.misses else 0


if __name__ == "__main__":
    sys.exit(main())
