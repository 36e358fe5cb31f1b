"""Processor time of one object by part: `python -m benchmarks.parts [--scenario forward] [--associations 1]`.

Runs the gateway with a clock around the functions of `PARTS` while the generator keeps it busy, and prints what each
takes itself, without the others that it calls, in processor time of its thread. The clock costs about a microsecond a
call, which stands in the figures: they say where to look, `benchmarks.run` says what it comes to. `--write` puts the
tables into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scenarios import running
from benchmarks.systems import LIMITS, gateway_rules
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.measure import machine, tree_cpu_seconds
from tests.support.load.report import table, write_section
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.processes import REPOSITORY

OUTPUT = "GATEWAY_PARTS_OUTPUT"
"""The variable that names the file for the figures of the measured process."""

PARTS = (
    ("gateway.dimse.protocol.connection", "AssociationTransport.buffer_updated", "read: PDUs"),
    ("gateway.dimse.protocol.association", "Association._take_message", "read: messages that are like the one before"),
    ("gateway.dimse.protocol.assembly", "MessageAssembler.whole", "read: their data sets"),
    ("gateway.dimse.protocol.association", "Association._fragment", "read: fragments"),
    ("gateway.dimse.protocol.assembly", "MessageAssembler.fragment", "read: messages"),
    (
        "gateway.dimse.acceptor.acceptor_association",
        "AcceptorAssociation._message_received",
        "serve: requests in order",
    ),
    ("gateway.dimse.services.operation_table", "serve_store", "serve: checks and event of C-STORE"),
    ("gateway.handlers.store", "StoreHandler.__call__", "serve: handler"),
    ("gateway.intake.intake", "Intake._reading", "intake: begin to read"),
    ("gateway.dataset.scan", "at_once", "intake: read the facts"),
    ("gateway.intake.intake", "Intake._decide", "intake: rules"),
    ("gateway.intake.intake", "Intake._commit_of", "intake: instance"),
    ("gateway.spool.commits", "Commits.hand_in_soon", "commit: hand over"),
    ("gateway.spool.commits", "Commits._answer", "answer: wake those that wait"),
    ("gateway.intake.intake", "Intake._ended", "answer: log"),
    ("gateway.dimse.services.operation_table", "_respond_store", "answer: response"),
    ("gateway.dimse.services.operation_table", "count_store", "answer: measures"),
    ("gateway.dimse.protocol.connection", "AssociationTransport._write", "socket: write"),
    ("gateway.spool.commits", "Commits._record", "recorded: wake couriers"),
    ("gateway.spool.committer", "Committer._gather", "committer: gather"),
    ("gateway.spool.committer", "Committer._commit", "committer: group"),
    ("gateway.spool.segment", "Segment.append", "committer: digests and records"),
    ("gateway.spool.redo", "encode", "committer: redo record"),
    ("gateway.spool.disk", "LocalDisk.pwritev", "committer: write"),
    ("gateway.spool.disk", "LocalDisk.fdatasync", "committer: sync"),
    ("gateway.spool.segment_writer", "SegmentWriter._check_in_place", "committer: spool in place"),
    ("gateway.spool.recording", "Recording.record", "store: transaction"),
    ("gateway.sqlite.delivery_queue", "SQLiteDeliveryQueue.accept", "store: accept"),
    ("gateway.sqlite.delivery_queue", "SQLiteDeliveryQueue.claim", "store: claim"),
    ("gateway.sqlite.delivery_queue", "SQLiteDeliveryQueue.settle", "store: settle"),
    ("gateway.sqlite.transactions", "Transactions.commit", "store: commit"),
    ("gateway.spool.journal", "GroupCommitJournal.open", "send: payload"),
    ("gateway.delivery.outcome_handler", "OutcomeHandler.finish", "send: outcome"),
)
"""(module, function, name of the part). Coroutines are not among them: their time is not that of one call."""


class Clock:
    """Processor time of the threads that call, by part, without that of the parts inside."""

    def __init__(self) -> None:
        self.self_ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._here = threading.local()

    def around(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """`function`, counted for `part`."""

        def counted(*arguments: Any, **options: Any) -> Any:
            inside = self._here.__dict__.setdefault("inside", [])
            inside.append(0)
            began = time.thread_time_ns()
            try:
                return function(*arguments, **options)
            finally:
                took = time.thread_time_ns() - began
                self.self_ns[part] += took - inside.pop()
                self.calls[part] += 1
                if inside:
                    inside[-1] += took

        return counted

    def install(self) -> None:
        """Put itself around every function of `PARTS`, wherever a module of the gateway has it by name."""
        for module_name, qualified, part in PARTS:
            owner: Any = importlib.import_module(module_name)
            *path, name = qualified.split(".")
            for step in path:
                owner = getattr(owner, step)
            function = getattr(owner, name)
            counted = self.around(function, part)
            setattr(owner, name, counted)
            if path:
                continue
            for module in list(sys.modules.values()):
                if module.__name__.startswith("gateway.") and getattr(module, name, None) is function:
                    setattr(module, name, counted)


def serve(rules: str) -> None:
    """Run the gateway with a clock in it; the figures go into a file at the end."""
    import gateway.app.process  # noqa: F401 - every module that a part may stand in
    from gateway.cli import main as run_gateway

    clock = Clock()
    clock.install()
    sys.argv = ["gateway", "run", "--log-format", "json", rules]
    try:
        run_gateway(prog_name="gateway")
    finally:
        figures = {part: [clock.self_ns[part], clock.calls[part]] for _, _, part in PARTS}
        Path(os.environ[OUTPUT]).write_text(json.dumps(figures))


async def measure(scenario: str, size_bytes: int, associations: int, seconds: float) -> str:
    """One table."""
    async with scratch(REPOSITORY / "var" / "benchmarks") as folder, Sink(folder / "sink.log") as sink:
        output = folder / "parts.json"
        system = GatewayProcess(
            folder / "system",
            gateway_rules(sink.port if scenario == "forward" else 0),
            settings=LIMITS,
            variables={OUTPUT: str(output)},
            command=[sys.executable, "-m", "benchmarks.parts", "--serve"],
        )
        async with running(system):
            load = Load(Target(system.port), size_bytes=size_bytes, associations=associations, seconds=seconds)
            before = tree_cpu_seconds(system.pid)
            report = await asyncio.to_thread(load.run)
            await system.idle()
            used_s = tree_cpu_seconds(system.pid) - before
            await system.drain()
        figures: dict[str, list[int]] = json.loads(output.read_text())
    objects = len(report.latencies_s)
    rows = [
        [part, f"{self_ns / objects / 1000:.1f}", f"{calls / objects:.2f}"]
        for part, (self_ns, calls) in figures.items()
        if calls
    ]
    counted_us = sum(self_ns for self_ns, _ in figures.values()) / objects / 1000
    whole_us = used_s / objects * 1e6
    rows.append(["everything else: event loop, coroutines, other threads", f"{whole_us - counted_us:.1f}", ""])
    rows.append(["**whole process**", f"{whole_us:.1f}", ""])
    head = f"### {scenario}, {size_bytes} bytes, {associations} associations\n\n{machine()}; {objects} objects."
    return f"{head}\n\n{table(['part', 'µs an object', 'calls an object'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", metavar="RULES", help=argparse.SUPPRESS)
    parser.add_argument("--scenario", choices=["ingest", "forward"], action="append")
    parser.add_argument("--size-bytes", type=int, default=8192)
    parser.add_argument("--associations", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    texts = [
        asyncio.run(measure(scenario, arguments.size_bytes, associations, arguments.seconds))
        for scenario in arguments.scenario or ["ingest", "forward"]
        for associations in arguments.associations or [8, 1]
    ]
    text = "\n\n".join(texts)
    print(text)
    if arguments.write:
        write_section("parts", text)


if __name__ == "__main__":
    main()
