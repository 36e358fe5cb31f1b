"""The cost of thousands of rules: `python -m benchmarks.many_rules [--rules N] [--write]`.

Sites of N routes (5 000 unless told), one shape of `tests.support.load.rule_shapes` a line of the table. Measured are:
`gateway validate` in a process of its own, a load in a process that runs, and the plan of one object, by the index and
rule by rule. All is processor time. Then a gateway with so many rules is told to reload again and again while an
association stores (`benchmarks.many_reloads`).
`--write` puts the figures into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks import many_reloads
from benchmarks.rules import NOW, seconds
from gateway.config import load
from gateway.dataset.scan import at_once
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.association import AssociationFacts
from gateway.routing.facts import ObjectFacts
from gateway.routing.table import RoutingTable
from tests.support.load.measure import machine
from tests.support.load.objects import MR_IMAGE_STORAGE, sample
from tests.support.load.report import Bar, table, write_section
from tests.support.load.rule_shapes import PEERS, SHAPES, title, write
from tests.support.load.wire import EXPLICIT_VR_LITTLE_ENDIAN, instance_uid
from tests.support.processes import REPOSITORY

RULES = 5000


def validating_s(path: Path) -> float:
    """Processor time of `gateway validate` in a process of its own."""
    before = os.times()
    command = [sys.executable, "-m", "gateway", "validate", str(path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def loading_s(path: Path) -> tuple[float, RoutingTable]:
    """Processor time of one load in this process, as a running gateway does it, and what came of it."""
    began = time.process_time()
    loaded = load(path, {})
    spent = time.process_time() - began
    assert loaded.table is not None, loaded.problems[:3]
    return spent, loaded.table


def facts_for(routing: RoutingTable, host: str) -> ObjectFacts:
    """Facts of an MR image of 8 KB from one of the senders."""
    return at_once(
        routing.reading_facts(
            association=AssociationFacts(title(7), "GATEWAY", host, 40000, association_id="bench-1"),
            sop_class_uid=MR_IMAGE_STORAGE,
            sop_instance_uid=instance_uid(0, 0).decode(),
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            body=MemoryDataSet(sample(8192).data_set),
            received_at=NOW,
        )
    )


def linear(routing: RoutingTable, facts: ObjectFacts) -> list[str]:
    """The rules that hold, found one by one."""
    return [route.name for route in routing.routes if route.when(facts)]


def run(rules: int) -> str:
    """All figures as Markdown."""
    rows, bars = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, shape) in enumerate(SHAPES.items()):
            (place := Path(folder) / str(number)).mkdir()
            path = write(shape, rules, place)
            validating = validating_s(path)
            loading, routing = loading_s(path)
            facts = facts_for(routing, "10.7.7.1")
            one = seconds(lambda routing=routing, facts=facts: routing.plan(facts), 0.05)  # type: ignore[misc]
            slow = seconds(lambda routing=routing, facts=facts: linear(routing, facts), 0.05)  # type: ignore[misc]
            plain = linear(routing, facts)
            assert {dispatch.rule for dispatch in routing.plan(facts).dispatches if dispatch.destination} <= set(plain)
            rows.append(
                [name, f"{validating:.1f} s", f"{loading:.1f} s", f"{one * 1e6:.0f} µs", f"{slow * 1e6:.0f} µs"]
            )
            bars += [(validating, loading, one)]
            print(rows[-1], file=sys.stderr)
    worst = [max(column) for column in zip(*bars, strict=True)]
    held = [
        Bar("validate, the slowest shape", worst[0], 3, "s", is_ceiling=True),
        Bar("load of a reload, the slowest shape", worst[1], 5, "s", is_ceiling=True),
        Bar("plan of an object, the slowest shape", worst[2] * 1e3, 1, "ms", is_ceiling=True),
    ]
    head = ("routes", "validate", "load", "plan, indexed", "rule by rule")
    return "\n\n".join(
        [
            f"{rules} routes, to {PEERS} peers unless said; processor time. {machine()}.",
            table(head, rows),
            table(("bar", "required", "measured", ""), [bar.row() for bar in held]),
        ]
    )


def main() -> None:
    """Print the figures; with `--write` also into the page."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rules", type=int, default=RULES)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--only", choices=("load", "reload"))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], str]] = {
        "load": lambda: run(arguments.rules),
        "reload": lambda: asyncio.run(many_reloads.run(arguments.folder, arguments.rules, arguments.reloads)),
    }
    for name, section in (("load", "many rules"), ("reload", "many reloads")):
        if arguments.only not in (None, name):
            continue
        text = parts[name]()
        print(text)
        if arguments.write:
            write_section(section, text)


if __name__ == "__main__":
    main()
