"""Kill -9 at random times while studies are collected: each one is complete once, with all that was acknowledged of it.

GATEWAY_KILLS=500 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.objects import of_study, study_uid
from tests.support.load.sink import Sink
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.processes import GUARD_S, run

KILLS = int(os.environ.get("GATEWAY_KILLS", "3"))
SENDERS, OBJECTS = 3, 4
"""Senders side by side, and objects of each study."""
STORES = (
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("node", marks=pytest.mark.postgresql),
)


def rules(sink: Sink) -> dict[str, Any]:
    """Studies are whole when nothing came for a moment; what comes after a kill that was long is a supplement."""
    retry = {"first": "100 ms", "max": "1 s", "give_up_after": "10 min"}
    address = f"127.0.0.1:{sink.port}"
    return {
        "peers": {"sink": {"ae_title": sink.ae_title, "address": address, "delivery": {"retry": retry}}},
        "collections": {"wholes": {"level": "study", "quiet": "1 s", "at_most": "1 h", "late": "supplement"}},
        "routes": [{"name": "studies", "collection": "wholes", "to": ["sink"]}],
        "unmatched": "reject",
    }


class Studies:
    """Sends study after study, each until all of it is stored, from several threads."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._under_way: dict[int, Load] = {}
        self.sent: dict[str, Load] = {}
        """Study Instance UID → what was sent of it, whole."""

    def run(self, sender: int) -> None:
        number = 0
        while not self._is_over.is_set():
            number += 1
            run_number = sender * 10**9 + number
            target = Target(self._port, timeout_s=GUARD_S)
            load = Load(target, what=of_study(run_number), objects=OBJECTS, reconnect=True, again=True, run=run_number)
            with self._lock:
                self._under_way[sender] = load
            load.run()
            with self._lock:
                self.sent[study_uid(run_number)] = load

    def stop(self) -> None:
        """Begin no further study."""
        self._is_over.set()

    def abandon(self) -> None:
        """End at once, also in the middle of a study: nobody answers any more."""
        self.stop()
        with self._lock:
            for load in self._under_way.values():
                load.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PostgreSQLServer | None]:
    if request.node.callspec.params["store"] == "sqlite":
        yield None
        return
    made = PostgreSQLServer(fsync="off")
    made.start()
    yield made
    made.stop()


def settings(store: str, server: PostgreSQLServer | None, folder: Path) -> dict[str, Any]:
    if server is None:
        return {}
    made: dict[str, Any] = {"postgresql": server.new_database()}
    if store == "node":
        (folder / "objects").mkdir()
        made |= {"objects": {"folder": str(folder / "objects")}, "node": "north"}
    return {"store": made}


async def listed(gateway: GatewayProcess, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "gateway", "collection", "list", *arguments, "--format", "json"]
    ended = await run([*command, "--rules", str(gateway.rules_folder)], timeout_s=GUARD_S)
    assert ended.returncode == 0, ended.output
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(ended.output)[0]
    return found


@pytest.mark.parametrize("store", STORES)
@pytest.mark.timeout(600 + 30 * KILLS)
async def test_each_study_is_complete_once(tmp_path: Path, store: str, server: PostgreSQLServer | None) -> None:
    chance = random.Random(20261201)
    async with Sink(tmp_path / "sink.log") as sink:
        gateway = GatewayProcess(tmp_path / "gateway", rules(sink), settings=settings(store, server, tmp_path))
        threads, studies = ThreadPoolExecutor(SENDERS), Studies(gateway.port)
        try:
            await gateway.start()
            senders = [
                asyncio.get_running_loop().run_in_executor(threads, studies.run, sender)
                for sender in range(1, SENDERS + 1)
            ]
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.05, 1.5))  # when it dies is what this is about
                gateway.kill()
                gateway.launch()
                await gateway.wait_ready()
            studies.stop()
            await asyncio.gather(*senders)
            await gateway.idle()
            await check(gateway, studies, sink)
        finally:
            studies.abandon()
            gateway.stop()
            await asyncio.to_thread(threads.shutdown)


async def check(gateway: GatewayProcess, studies: Studies, sink: Sink) -> None:
    """Prints the counts. Raises AssertionError when a study is not one collection with all its objects, or one of them
    is not at the sink."""
    found = await listed(gateway, "--limit", "1000000")
    by_study: dict[str, list[tuple[int, str, int]]] = {}
    for each in found:
        row = (each["generation"], each["state"], each["instances"])
        by_study.setdefault(each["study_instance_uid"], []).append(row)
    ended = Counter(
        event["collection_id"] for event in gateway.events() if event.get("event") == "collection_completed"
    )
    arrived = sink.ask("objects")["objects"]
    acknowledged = [uid for load in studies.sent.values() for uid in load.report.acknowledged]
    lost = [uid for uid in acknowledged if uid not in arrived]
    twice = sum(len(digests) > 1 for digests in arrived.values())
    print(
        f"kills {KILLS}, studies {len(studies.sent)}, collections {len(found)}, ends told {sum(ended.values())}, "
        f"acknowledged {len(acknowledged)}, twice {twice}, lost {len(lost)}"
    )
    assert not lost, lost[:20]
    wrong = {uid: rows for uid, rows in by_study.items() if rows != [(1, "complete", OBJECTS)]}
    assert not wrong, list(wrong.items())[:20]
    assert by_study.keys() == studies.sent.keys()
    assert max(ended.values()) == 1
