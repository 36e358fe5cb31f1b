"""A gateway whose wall clock is set while it runs and while it is down: nothing dies of it, nothing is deleted."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite.store import SQLiteStore
from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StoreSCP
from tests.support.processes import REPOSITORY, free_port, until

STORED = 5
DAY_S = 86400.0


class Stepped(GatewayProcess):
    """On a machine whose wall clock is set by `set_clock`."""

    def __init__(self, folder: Path, port_of_peer: int) -> None:
        retry = {"first": "100 ms", "max": "300 ms", "give_up_after": "1 h"}
        peers = {
            "pacs": {"ae_title": "PACS", "address": f"127.0.0.1:{port_of_peer}", "delivery": {"retry": retry}},
            "files": {"folder": {"path": str(folder / "out" / "{{ SOPInstanceUID }}.dcm")}},
        }
        rules = {"peers": peers, "routes": [{"name": "all", "to": ["pacs", "files"]}], "unmatched": "reject"}
        settings = {"spool": {"path": str(folder / "spool"), "min_free": "64 MiB", "retention": "1 h"}}
        command = [sys.executable, "-m", "tests.support.stepped_gateway", "run", "--log-format", "json"]
        self.step_file = folder / "step"
        super().__init__(
            folder,
            rules,
            settings=settings,
            command=command,
            variables={"STEP_FILE": str(self.step_file), "PYTHONPATH": os.fspath(REPOSITORY)},
        )
        self.set_clock(0)

    def set_clock(self, ahead_s: float) -> None:
        before = self.step_file.with_suffix(".new")
        before.write_text(str(ahead_s))
        before.replace(self.step_file)

    def states(self) -> Counter[tuple[str, str]]:
        queue = SQLiteStore(self.folder / "gateway.db", must_exist=True)
        try:
            return Counter(
                (row.destination, row.state.value) for row in queue.administration.list(DeliveryFilter(), 100)
            )
        finally:
            queue.close()

    async def tried_again(self, times: int = 10) -> None:
        """Wait for further attempts, and so for some rounds of housekeeping."""
        before = await self.metric("gateway_delivery_attempts_total", destination="pacs")

        async def is_reached() -> bool:
            return await self.metric("gateway_delivery_attempts_total", destination="pacs") >= before + times

        await until(is_reached, 60.0, "further attempts")


WAITING = Counter({("pacs", "pending"): STORED, ("files", "delivered"): STORED})


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
async def test_a_clock_that_is_set(running: AsyncExitStack, tmp_path: Path, is_restarted: bool) -> None:
    port = free_port()
    gateway = await running.enter_async_context(Stepped(tmp_path, port))
    association = await call(gateway.port)
    for _ in range(STORED):
        assert (await store_new(association)).status == 0
    await association.release()
    await until(lambda: gateway.states() == WAITING, 60.0, "the folder's deliveries")
    for ahead_s in (400 * DAY_S, -400 * DAY_S, 0.0):
        if is_restarted:
            assert await gateway.drain() == 0
        gateway.set_clock(ahead_s)
        if is_restarted:
            await gateway.restart()
        await gateway.tried_again()
        assert gateway.states() == WAITING, ahead_s
    async with StoreSCP(tmp_path / "pacs", port=port, ae_title="PACS") as pacs:
        await pacs.received(STORED)
    delivered = DeliveryState.DELIVERED.value
    everything = Counter({("pacs", delivered): STORED, ("files", delivered): STORED})
    await until(lambda: gateway.states() == everything, 60.0, "all deliveries")
