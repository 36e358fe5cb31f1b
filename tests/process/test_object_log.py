"""The log of a running gateway has every object that was acknowledged, and every one that was delivered."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from tests.support.caller import call, data_set, new_uid, store
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StoreSCP
from tests.support.processes import until

OTHER_STUDY = "1.2.3.9"


def rules(port: int) -> dict[str, Any]:
    """MR images are stored, CT images refused, and US images dropped."""
    return {
        "peers": {"pacs": {"ae_title": "STORESCP", "address": f"127.0.0.1:{port}"}},
        "routes": [
            {"name": "no CT", "when": {"modality": ["CT"]}, "then": [{"reject": {"status": "0xC123", "reason": "no"}}]},
            {"name": "no US", "when": {"modality": ["US"]}, "then": ["drop"]},
            {"name": "all", "to": ["pacs"]},
        ],
        "unmatched": "hold",
    }


async def send(port: int) -> tuple[list[str], int]:
    """Two studies with refused and dropped objects between them; the UIDs of what is to be kept, and its bytes."""
    association = await call(port, calling="CT1")
    kept, size_bytes = [], 0
    for study, modality, expected in (
        ("1.2.3.1", "MR", 0x0000),
        ("1.2.3.1", "CT", 0xC123),
        ("1.2.3.1", "MR", 0x0000),
        (OTHER_STUDY, "MR", 0x0000),
        (OTHER_STUDY, "US", 0x0000),
        ("1.2.3.1", "MR", 0x0000),
    ):
        uid = new_uid()
        data = data_set(uid, modality=modality).replace(b"1.2.3.1\0", study.encode() + b"\0")
        assert (await store(association, MemoryDataSet(data), uid)).status == expected
        if modality == "MR":
            kept.append(uid)
            size_bytes += len(data)
    await association.release()
    return kept, size_bytes


def named(gateway: GatewayProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in gateway.events() if line["event"] == event]


@pytest.mark.peers
async def test_a_line_for_each_association_and_study_and_for_each_destination_and_study(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    pacs = await running.enter_async_context(StoreSCP(tmp_path / "storescp", ae_title="STORESCP"))
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules(pacs.port)))
    pacs.pause()  # it gets all in one go, however long they take to be sent
    try:
        kept, size_bytes = await send(gateway.port)
    finally:
        pacs.resume()
    await until(lambda: len(named(gateway, "objects_stored")) == 2)
    first, second = named(gateway, "objects_stored")
    assert (first["study_instance_uid"], first["count"], first.get("dropped")) == ("1.2.3.1", 3, None)
    assert (second["study_instance_uid"], second["count"], second.get("dropped")) == (OTHER_STUDY, 1, 1)
    assert first["bytes"] + second["bytes"] == size_bytes
    assert (first["calling_ae_title"], first["called_ae_title"], first["modality"]) == ("CT1", "GATEWAY", "MR")
    assert first["association"] == second["association"] == named(gateway, "association_accepted")[0]["association"]
    await until(lambda: len(named(gateway, "objects_delivered")) == 2)  # when the destination has been idle
    delivered = named(gateway, "objects_delivered")
    assert {(line["destination"], line["study_instance_uid"], line["count"]) for line in delivered} == {
        ("pacs", "1.2.3.1", 3),
        ("pacs", OTHER_STUDY, 1),
    }
    assert sum(line["bytes"] for line in delivered) == size_bytes
    (ended,) = named(gateway, "association_ended")
    assert (ended["calling_ae_title"], ended["c_store"]) == ("CT1", {"0x0000": 5, "0xC123": 1})
    assert len(pacs.files()) == len(kept)
    assert await gateway.drain() == 0
    assert len(named(gateway, "objects_stored")) == len(named(gateway, "objects_delivered")) == 2
    assert "Nobody" not in gateway.log


@pytest.mark.quick
@pytest.mark.peers
async def test_a_line_for_each_object(running: AsyncExitStack, tmp_path: Path) -> None:
    pacs = await running.enter_async_context(StoreSCP(tmp_path / "storescp", ae_title="STORESCP"))
    settings = {"log": {"objects": "object"}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules(pacs.port), settings=settings))
    kept = [uid for uids, _ in await asyncio.gather(*(send(gateway.port) for _ in range(8))) for uid in uids]
    await gateway.idle()
    assert await gateway.drain() == 0
    for event in ("object_stored", "object_delivered"):
        assert sorted(line["sop_instance_uid"] for line in named(gateway, event)) == sorted(kept)
    assert len(named(gateway, "object_dropped")) == 8
    assert len(kept) > 20  # more than the summary leaves of routine lines
    stored, delivered = named(gateway, "object_stored")[0], named(gateway, "object_delivered")[0]
    assert (stored["destinations"], stored["series_instance_uid"]) == (["pacs"], "1.2.3.2")
    assert (delivered["destination"], delivered["tries"], delivered["status"]) == ("pacs", 1, "0x0000")
    assert "Nobody" not in gateway.log


async def test_none(running: AsyncExitStack, tmp_path: Path) -> None:
    settings = {"log": {"objects": "none"}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules(9), settings=settings))
    await send(gateway.port)
    assert await gateway.drain() == 0
    assert {line["event"] for line in gateway.events()} & {"objects_stored", "object_stored", "object_dropped"} == set()


async def test_what_is_not_reported_yet_is_reported_at_the_end(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "hold"}))
    association = await call(gateway.port)
    uid = new_uid()
    assert (await store(association, MemoryDataSet(data_set(uid)), uid)).status == 0x0000
    assert await gateway.drain() == 0
    (line,) = named(gateway, "objects_stored")
    assert (line["count"], line["study_instance_uid"]) == (1, "1.2.3.1")
