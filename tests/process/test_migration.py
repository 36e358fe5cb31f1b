"""A killed gateway is migrated by a command that is killed as well; the new side delivers what was owed, once each.

GATEWAY_KILLS=50 makes it a campaign.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from tests.support.campaigns.kills import LARGE, SMALL, rules
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.sink import Sink
from tests.support.postgresql_server import shared_server
from tests.support.processes import GUARD_S, Finished, run

KILLS = int(os.environ.get("GATEWAY_KILLS", "3"))

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(300 + 30 * KILLS)]


async def command(*words: object) -> Finished:
    return await run([sys.executable, "-m", "gateway", *map(str, words)])


async def test_what_a_killed_gateway_owed_is_delivered_once_by_the_side_that_it_was_migrated_to(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    sink = Sink(tmp_path / "sink.log", digest=True)
    site = rules(sink)
    old = await running.enter_async_context(GatewayProcess(tmp_path / "old", site))
    (tmp_path / "objects").mkdir()
    store = {
        "postgresql": shared_server().new_database(),
        "objects": {"folder": str(tmp_path / "objects")},
        "node": "north",
    }
    new = GatewayProcess(tmp_path / "new", site, settings={"store": store})
    loads = [
        Load(Target(old.port, timeout_s=GUARD_S), what=what, associations=2, objects=number)
        for what, number in ((SMALL, 60), (LARGE, 4))
    ]
    for load in loads:
        await asyncio.to_thread(load.run)
    sides = ("--from", old.rules_folder, "--to", new.rules_folder)
    refused = await command("store", "migrate", *sides)
    assert (refused.returncode, "a gateway uses it" in refused.output) == (78, True), refused.output
    old.kill()
    chance = Random(20261130)
    killed = 0
    while killed < KILLS:
        script = [sys.executable, "-m", "tests.support.killed_migration", str(old.rules_folder), str(new.rules_folder)]
        done = await run([*script, str(chance.randint(1, 6) if killed < 3 else chance.randint(3, 6))])
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.output
        killed += 1
    assert killed >= 3
    done = await command("store", "migrate", *sides)
    assert (done.returncode, "the same, compared" in done.output) == (0, True), done.output
    again = await command("run", old.rules_folder)
    assert (again.returncode, "it was migrated to" in again.output) == (78, True), again.output

    await running.enter_async_context(sink)
    await running.enter_async_context(new)
    digests = {uid: [load.what.digest(uid)] for load in loads for uid in load.report.acknowledged}
    assert len(digests) == 64
    await sink.received(64)
    await new.idle()
    assert sink.ask("objects")["objects"] == digests
