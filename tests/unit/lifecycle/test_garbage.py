"""When a running gateway looks through all of its memory, and what a load leaves to be looked through."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.lifecycle.garbage import MOST_LOADS, Garbage
from tests.support.load.rule_shapes import SHAPES, write
from tests.support.processes import GUARD_S, REPOSITORY

SETTLED = ["unfreeze", "collect", "freeze"]


@dataclass
class Collected:
    """A collector that notes what is asked of it."""

    calls: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def unfreeze(self) -> None:
        self.calls.append("unfreeze")

    def collect(self) -> int:
        self.calls.append("collect")
        return 0

    def freeze(self) -> None:
        self.calls.append("freeze")
        self.changed.set()


async def test_nothing_is_looked_through_while_somebody_is_connected() -> None:
    collector, looks = Collected(), asyncio.Queue[bool]()
    waiting = asyncio.Event()

    def is_quiet() -> bool:
        waiting.set()
        return not looks.empty() and looks.get_nowait()

    garbage = Garbage(is_quiet, collector, look_s=0.001)
    running = asyncio.create_task(garbage.run())
    garbage.loaded()
    for _ in range(3):
        waiting.clear()
        await asyncio.wait_for(waiting.wait(), GUARD_S)
    assert collector.calls == []

    looks.put_nowait(True)
    await asyncio.wait_for(collector.changed.wait(), GUARD_S)
    running.cancel()

    assert collector.calls == SETTLED


async def test_many_loads_are_settled_though_somebody_is_connected() -> None:
    collector = Collected()
    garbage = Garbage(lambda: False, collector, look_s=0.001)
    running = asyncio.create_task(garbage.run())
    for _ in range(MOST_LOADS - 1):
        garbage.loaded()
    await asyncio.sleep(0.01)
    assert collector.calls == []

    garbage.loaded()
    await asyncio.wait_for(collector.changed.wait(), GUARD_S)
    running.cancel()

    assert collector.calls == SETTLED


async def test_without_a_load_nothing_is_looked_through_again() -> None:
    collector = Collected()
    running = asyncio.create_task(Garbage(lambda: True, collector, look_s=0.001).run())
    await asyncio.sleep(0.01)
    running.cancel()

    assert collector.calls == []


LOADS = """
import gc, json, sys, weakref
from pathlib import Path

import pytest
from gateway.config import load
import gateway.config.compile

found = {"freed": []}
gc.collect()
gc.freeze()
path = Path(sys.argv[1])
for _ in range(3):
    before = gc.get_freeze_count()
    loaded = load(path, {})
    assert loaded.table is not None, loaded.problems
    found["frozen"] = gc.get_freeze_count() - before
    found["young"] = len(gc.get_objects())
    resources = weakref.ref(loaded.table.resources)
    frozen = gc.get_freeze_count()
    gc.disable()
    del loaded
    found["freed"].append(frozen - gc.get_freeze_count())
    found["is_alive"] = resources() is not None
    gc.enable()
print(json.dumps(found))
"""


@pytest.mark.campaign
@pytest.mark.process
def test_what_a_load_makes_is_frozen_in_a_gateway_that_runs_and_freed_without_a_collection(tmp_path: Path) -> None:
    """Else the next collections would look through all of it; a circle in it would never be freed."""
    for name in ("anonymised", "named condition", "a template of its own each", "any, all and not inside each other"):
        path = write(SHAPES[name], 100, tmp_path)
        process = subprocess.run(
            [sys.executable, "-c", LOADS, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        found = json.loads(process.stdout)

        assert found["frozen"] > 1000
        assert found["young"] < 200
        assert not found["is_alive"]
        assert min(found["freed"]) > found["frozen"] / 2
