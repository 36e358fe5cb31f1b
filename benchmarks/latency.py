"""Waiting times of others while 8 associations store at full speed: `python -m benchmarks.latency [--write]`.

A C-ECHO on an association that is open, one on a new association (connect, associate, echo), and a C-FIND of 100
matches, each again and again, first beside nothing and then beside the stores. A C-ECHO to the raw sink at the same
time shows what the machine itself adds. `--write` puts the figures into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.find import Requestor, identifier, study
from benchmarks.systems import LIMITS
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Target, open_association, receive_pdu
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.load.wire import (
    C_ECHO_RQ,
    COMMAND,
    EXPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    NO_DATA_SET,
    RELEASE_RQ_PDU,
    Context,
    associate_rq,
    command_set,
    p_data,
    read_command,
    us,
)
from tests.support.peers import storescu
from tests.support.processes import REPOSITORY, run
from tests.support.query_table import write_object

VERIFICATION = "1.2.840.10008.1.1"
STORING = 8
SIZE_BYTES = 8192
MATCHES = 100
PAUSE_S = 0.03
"""Between two questions of one kind."""
RULES: Mapping[str, Any] = {
    "peers": {"viewer": {"ae_title": "VIEWER", "may": ["find", "echo"]}, "load": {"ae_title": "LOAD"}},
    "unmatched": "hold",
    "query_retrieve": {"sources": ["local"]},
}
OPEN, NEW, FIND = "C-ECHO, open association", "C-ECHO, new association", f"C-FIND of {MATCHES} matches"
MACHINE = "C-ECHO to the raw sink (the machine itself)"
MOST_MS = {OPEN: 20.0, NEW: 20.0, FIND: 200.0}


def echo(connection: socket.socket) -> None:
    """One C-ECHO. Raises AssertionError for anything but Success."""
    command = command_set(
        [
            (0x0002, VERIFICATION.encode() + b"\0"),
            (0x0100, struct.pack("<H", C_ECHO_RQ)),
            (0x0110, struct.pack("<H", 1)),
            (0x0800, struct.pack("<H", NO_DATA_SET)),
        ]
    )
    connection.sendall(p_data(1, COMMAND | LAST, command))
    _, body = receive_pdu(connection, bytearray())
    assert us(read_command(body[6:]), 0x0900) == 0x0000


def opened(port: int) -> socket.socket:
    """An association for C-ECHO."""
    context = Context(1, VERIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN,))
    connection, negotiated = open_association(
        Target(port, calling="VIEWER"), associate_rq("GATEWAY", "VIEWER", [context])
    )
    assert negotiated.results[1][0] == 0
    return connection


class Asking(threading.Thread):
    """Asks the same thing again and again until it is stopped; the times are in `seconds`."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.error: BaseException | None = None
        self._ask = ask
        self._is_over = threading.Event()

    def run(self) -> None:
        try:
            while not self._is_over.wait(PAUSE_S):
                began_s = time.perf_counter()
                self._ask()
                self.seconds.append(time.perf_counter() - began_s)
        except BaseException as error:
            self.error = error

    def stop(self) -> list[float]:
        """The times in order of size. Raises what went wrong."""
        self._is_over.set()
        self.join()
        if self.error is not None:
            raise self.error
        return sorted(self.seconds)


@dataclass(frozen=True, slots=True)
class Waited:
    """Times of each kind, in order of size, and the objects that were stored meanwhile."""

    seconds: dict[str, list[float]]
    stored_per_second: float = 0.0

    def ms(self, name: str, share: float) -> float:
        found = self.seconds[name]
        return found[min(len(found) - 1, int(share * len(found)))] * 1000


async def waits(gateway: GatewayProcess, sink: Sink, seconds: float, *, is_storing: bool) -> Waited:
    """The four kinds side by side for `seconds`."""
    here, there, requestor = opened(gateway.port), opened(sink.port), Requestor(gateway.port)
    wanted = identifier(AccessionNumber="A-*")

    def anew() -> None:
        with opened(gateway.port) as connection:
            echo(connection)
            connection.sendall(RELEASE_RQ_PDU)

    def find() -> None:
        matches, _ = requestor.ask(wanted)
        assert matches == MATCHES, matches

    asking = {
        name: Asking(ask)
        for name, ask in {
            OPEN: lambda: echo(here),
            NEW: anew,
            FIND: find,
            MACHINE: lambda: echo(there),
        }.items()
    }
    for each in asking.values():
        each.start()
    rate = await stored(gateway.port, seconds) if is_storing else await asyncio.sleep(seconds, 0.0)
    found = {name: await asyncio.to_thread(each.stop) for name, each in asking.items()}
    requestor.close()
    here.close()
    there.close()
    return Waited(found, rate)


async def stored(port: int, seconds: float) -> float:
    """Objects a second that a generator in a process of its own stores."""
    options = ["--port", str(port), "--associations", str(STORING), "--seconds", str(seconds)]
    options += ["--size-bytes", str(SIZE_BYTES)]
    finished = await run([sys.executable, "-m", "tests.support.load.generator", *options])
    assert finished.returncode == 0, finished.output
    summary = json.loads(finished.output)
    assert list(summary["statuses"]) == ["0x0000"], summary
    return float(summary["per_second"])


async def measure(root: Path, seconds: float) -> tuple[str, bool]:
    """The section of the page, and whether the bars are reached."""
    load_average = os.getloadavg()[0]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = await enter(scratch(root))
        sink = await enter(Sink(folder / "sink.log"))
        gateway = await enter(GatewayProcess(folder / "gateway", RULES, settings=LIMITS))
        paths = [write_object(folder / f"{at}.dcm", study(at)) for at in range(MATCHES)]
        kept = await storescu(gateway.port, paths)
        assert kept.returncode == 0, kept.output
        alone = await waits(gateway, sink, seconds / 4, is_storing=False)
        beside = await waits(gateway, sink, seconds, is_storing=True)
    return section(alone, beside, load_average)


def section(alone: Waited, beside: Waited, load_average: float) -> tuple[str, bool]:
    """As Markdown, and whether every bar is reached."""

    def cell(waited: Waited, name: str) -> str:
        return " / ".join(number(waited.ms(name, share)) for share in (0.5, 0.99, 1.0))

    rows = [[name, cell(alone, name), cell(beside, name), str(len(beside.seconds[name]))] for name in beside.seconds]
    bars = [Bar(f"{name}, p99", beside.ms(name, 0.99), most, "ms", is_ceiling=True) for name, most in MOST_MS.items()]
    text = (
        f"{STORING} associations store {number(beside.stored_per_second)} objects of {SIZE_BYTES // 1024} KB a second; "
        f"load average before it {load_average:.1f}; {machine()}.\n\n"
    )
    head = ["p50 / p99 / longest in ms", "nobody stores", f"{STORING} associations store", "times"]
    text += table(head, rows) + "\n\n" + table(["what", "bar", "measured", ""], [bar.row() for bar in bars])
    return text, all(bar.is_reached for bar in bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    text, is_reached = asyncio.run(measure(arguments.folder, arguments.seconds))
    print(text)
    if arguments.write:
        write_section("latency", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
