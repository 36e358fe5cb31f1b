"""A full file system below the database is no dead end: what was accepted is delivered, operators can act, a restart
works, and objects are taken again once there is room.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.mounts import CAN_MOUNT, GatewayInNamespace, MountNamespace
from tests.support.processes import Finished, is_listening, until

pytestmark = pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and mount namespaces")

SMALL = sample(2048)
OBJECTS = 300
RESERVE_BYTES = 4 * 1024**2


@dataclass
class Site:
    gateway: GatewayInNamespace
    namespace: MountNamespace
    sink: Sink
    database: Path

    async def send(self, number: int) -> dict[int, int]:
        load = Load(Target(self.gateway.port), what=SMALL, objects=number)
        report = await asyncio.to_thread(load.run)
        assert not report.unanswered
        return dict(report.statuses)

    async def queue(self, *arguments: str) -> Finished:
        command = (sys.executable, "-m", "gateway", "queue", *arguments, "--rules", str(self.gateway.rules_folder))
        return await self.namespace.run(*command)

    async def readiness(self) -> tuple[int, str]:
        return await self.gateway.http("GET", "/readyz")

    async def is_full(self) -> bool:
        return "database_full" in (await self.readiness())[1]

    async def is_ready(self) -> bool:
        return (await self.readiness())[0] == 200

    async def is_up(self) -> bool:
        return self.gateway.is_running and is_listening(self.gateway.http_port)

    async def is_reserved(self) -> bool:
        return await self.gateway.metric("gateway_queue_reserved_bytes") == RESERVE_BYTES

    def fill(self) -> None:
        self.namespace.fill(self.database.parent)

    async def all_arrive(self) -> None:
        await self.sink.start()
        await self.gateway.idle()


@asynccontextmanager
async def site(folder: Path, *, is_shared: bool = False) -> AsyncIterator[Site]:
    """With a database on a file system of 24 MiB, and a destination that is down; `is_shared`: the spool lies there
    too."""
    async with AsyncExitStack() as stack:
        namespace = await stack.enter_async_context(MountNamespace())
        volume = folder / "volume"
        namespace.mount(volume, "24m")
        sink = Sink(folder / "sink")
        stack.callback(sink.stop)
        retry = {"first": "100 ms", "max": "500 ms", "give_up_after": "1 h"}
        peer = {"ae_title": "SINK", "address": f"127.0.0.1:{sink.port}", "delivery": {"retry": retry}}
        gateway = GatewayInNamespace(
            folder,
            {"peers": {"sink": peer}, "routes": [{"name": "all", "to": ["sink"]}], "unmatched": "reject"},
            settings={
                "queue": {"sqlite": str(volume / "gateway.db"), "min_free": "4 MiB", "reserve": "4 MiB"},
                "spool": {"path": str((volume if is_shared else folder) / "spool"), "min_free": "4 MiB"},
                "pid_file": str(volume / "gateway.pid"),
            },
        )
        gateway.namespace = namespace
        stack.callback(gateway.stop)
        await gateway.start()
        yield Site(gateway, namespace, sink, volume / "gateway.db")


async def full(here: Site) -> None:
    """Objects wait, and then somebody takes all the room."""
    await until(here.is_reserved, what="the reserve")
    assert await here.send(OBJECTS) == {0x0000: OBJECTS}
    here.fill()
    await until(here.is_full, what="database_full")
    assert await here.send(5) == {0xA700: 5}
    status, text = await here.readiness()
    assert status == 503
    assert "queue.min_free" in text


async def test_what_was_accepted_is_delivered_without_any_room(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await full(here)
        await here.all_arrive()
        assert len(here.sink.ask("objects")["objects"]) == OBJECTS
        assert await here.send(5) == {0xA700: 5}, "there is still no room"
        here.namespace.free(here.database.parent)
        await until(here.is_ready, what="ready again")
        assert await here.send(5) == {0x0000: 5}
        await until(here.is_reserved, what="the reserve")
        assert await here.gateway.drain() == 0


def changed(done: Finished) -> int:
    """How many deliveries a command changed, as it says."""
    said = re.search(r"^(\d+) deliver(?:y|ies)", done.output, re.MULTILINE)
    return int(said[1]) if said else 0


async def change_all(here: Site, verb: str, *options: str) -> None:
    """Give the command until it has changed each delivery once: the one that is being tried is not changed then."""
    total = 0

    async def is_done() -> bool:
        nonlocal total
        done = await here.queue(verb, "--destination", "sink", *options)
        assert done.returncode == 0, done.output
        total += changed(done)
        return total >= OBJECTS

    await until(is_done, what=f"{verb} of all deliveries")
    assert total == OBJECTS


async def test_operators_can_act_without_any_room(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await full(here)
        for verb in ("hold", "release"):
            await change_all(here, verb)
        done = await here.queue("retry", "--destination", "sink")
        assert done.returncode == 0, done.output
        assert changed(done) >= OBJECTS - 1, done.output  # one may be tried just now
        await change_all(here, "discard", "--yes")

        async def is_empty() -> bool:
            return await here.gateway.metric("gateway_queue_deliveries") == 0

        await until(is_empty, what="an empty queue")


@pytest.mark.parametrize("is_shared", [False, True], ids=["database alone", "with the spool"])
@pytest.mark.parametrize("end", ["drain", "kill"])
async def test_a_restart_works_without_any_room(tmp_path: Path, end: str, is_shared: bool) -> None:
    async with site(tmp_path, is_shared=is_shared) as here:
        await full(here)
        if end == "kill":
            here.gateway.kill()
        else:
            assert await here.gateway.drain() == 0, here.gateway.log
        here.fill()  # nothing of what the end gave back is left
        here.gateway.launch()
        await until(here.is_up, what="its HTTP listener")
        await until(here.is_full, what="database_full")
        assert await here.send(5) == {0xA700: 5}
        await here.all_arrive()
        assert len(here.sink.ask("objects")["objects"]) == OBJECTS


async def test_the_reserve_is_used_once_and_taken_again(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await full(here)
        await here.all_arrive()
        here.namespace.free(here.database.parent)

        def is_taken_again() -> bool:
            """As often as it was given up, and once at the start."""
            names = Counter(event["event"] for event in here.gateway.events())
            return names["reserve_taken"] == 1 + names["reserve_released"]

        await until(is_taken_again, what="the reserve")
        await until(here.is_reserved, what="the reserve")
        assert len([event for event in here.gateway.events() if event["event"] == "reserve_released"]) <= 1
