"""Sources that end a C-MOVE before they send, and sources that never end one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import Command
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.leniency import EVENT
from gateway.model.query import QueryLevel
from gateway.retrieve.fetch_requests import FetchRequest
from gateway.retrieve.get_fetcher import GetFetcher
from gateway.retrieve.inactivity import FetchLimits
from gateway.retrieve.move_fetcher import MoveFetcher
from gateway.retrieve.rendezvous_table import RendezvousTable
from gateway.retrieve.source_instances import SourceInstance
from gateway.sources.source_query import SourceFailed
from gateway.sources.sources import Sources
from tests.support.dimse.acceptor_rig import accept, acceptor, read_message, response
from tests.support.dimse.rig import CT, message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.fakes.meter import MemoryMeter
from tests.support.peers import GatewayProcess, StoreSCP, free_port
from tests.support.retrieving import movescu
from tests.support.spread import WHOLE_STUDY, all_uids, give, orthanc, uids, write_study

# --- before they send ---------------------------------------------------------------------------------------------


def rules(archive: int, workstation: StoreSCP, **source: Any) -> dict[str, Any]:
    peer = {"ae_title": "LATE", "address": f"127.0.0.1:{archive}", "may": ["store"], "retrieve": "move", **source}
    return {
        "peers": {
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move"]},
            "late": peer,
            "ws1": {"ae_title": "WS1", "address": f"127.0.0.1:{workstation.port}"},
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": ["late"], "timeout": "60 s" if not source.get("strict") else "2 s"},
    }


@pytest.mark.peers
@pytest.mark.parametrize("is_strict", [False, True], ids=["lenient", "strict"])
async def test_an_orthanc_that_only_notes_what_it_is_to_send(
    running: AsyncExitStack, tmp_path: Path, is_strict: bool
) -> None:
    port, enter = free_port(), running.enter_async_context
    late = await enter(orthanc(tmp_path / "late", "LATE", {"GATEWAY": port}, SynchronousCMove=False))
    await give(late, [path for paths in write_study(tmp_path / "files", 100_000).values() for path in paths])
    workstation = await enter(StoreSCP(tmp_path / "ws1", ae_title="WS1"))
    settings = rules(late.port, workstation, strict=is_strict)
    gateway = await enter(GatewayProcess(tmp_path / "gateway", settings, port=port))
    moved = await movescu(port, "study", WHOLE_STUDY, destination="WS1")
    kinds = [line["kind"] for line in gateway.events() if line["event"] == EVENT]
    if is_strict:
        assert moved.status != 0x0000
        assert "late_move_instances" not in kinds
        return
    assert moved.is_success, moved.log + gateway.log
    assert (moved.counters, uids(workstation)) == ((20, 0, 0), sorted(all_uids()))
    assert "late_move_instances" in kinds
    assert await gateway.metric("gateway_leniencies_total", peer="late", kind="late_move_instances") >= 1
    assert await gateway.metric("gateway_queue_deliveries", state="held") == 0


# --- never ending -------------------------------------------------------------------------------------------------

REQUEST = FetchRequest(QueryLevel.STUDY, (SourceInstance("1.2.3.1.1", CT, "1.2.3.1", "1.2.3", ""),))
SOURCE_SERVICES = frozenset({"find", "move", "get", "store", "echo"})


def pending_for_ever(changes: bool) -> Any:
    """A source that answers Pending again and again; `changes`: with another counter each time."""

    async def script(peer: Bytes) -> None:
        await accept(peer, services=SOURCE_SERVICES)
        command, _, _ = await read_message(peer)
        turn = 0
        while not peer.reader.at_eof() and not peer.writer.is_closing():
            turn += changes
            counters: Command = {
                "NumberOfRemainingSuboperations": 60_000 - turn,
                "NumberOfCompletedSuboperations": turn,
            }
            peer.send(message(1, response(command, 0xFF00, **counters)))
            await asyncio.sleep(0.02)

    return script


async def take_nothing(arrived: Any) -> int:
    raise AssertionError("nothing is sent")


LIMITS = {
    "nothing new": (
        False,
        FetchLimits(120.0, 0.4, 240.0),
        r"brought nothing for 0\.4 s \(query_retrieve\.no_progress\)",
    ),
    "always something new": (
        True,
        FetchLimits(120.0, 120.0, 0.4),
        r"not come to an end in 0\.4 s \(query_retrieve\.longest\)",
    ),
}


@pytest.mark.parametrize(("changes", "limits", "reason"), LIMITS.values(), ids=LIMITS.keys())
@pytest.mark.parametrize("service", ["move", "get"])
async def test_a_source_that_is_pending_for_ever(
    tmp_path: Path, service: str, changes: bool, limits: FetchLimits, reason: str
) -> None:
    async with acceptor(pending_for_ever(changes)) as peer:
        sources, rendezvous = (
            Sources(AssociationPool("GATEWAY", MemoryMeter())),
            RendezvousTable(),
        )
        try:
            line: GetFetcher | MoveFetcher
            if service == "move":
                line = MoveFetcher(sources, rendezvous, peer, "GATEWAY", limits, MemoryMeter())
            else:
                line = GetFetcher(sources, peer, {CT}, MemoryReceiver, limits)
            with pytest.raises(SourceFailed, match=reason):
                await line.fetch(REQUEST, take_nothing)
        finally:
            await sources.pool.close()
            rendezvous.close()
