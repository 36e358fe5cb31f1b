"""A gateway that runs out of file descriptors: nothing acknowledged is lost, and the log stays short."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from tests.support.caller import EXPLICIT, MR, call, data_set, new_uid
from tests.support.gateway_process import GatewayProcess
from tests.support.load.sink import Sink
from tests.support.processes import until

SIZES = (1000, 3_000_000)
"""In a segment, and in a file of its own."""
ROUNDS = 6


def descriptors(gateway: GatewayProcess, more: int | None) -> None:
    """Let it open `more` files than it has open now; None: as many as the system allows."""
    _, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    now = len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (hard if more is None else now + more, hard))


async def store(association: RequestorAssociation, size_bytes: int) -> tuple[str, int]:
    uid = new_uid()
    answer = await association.c_store(
        sop_class_uid=MR,
        sop_instance_uid=uid,
        transfer_syntax_uid=EXPLICIT,
        body=MemoryDataSet(data_set(uid, size_bytes)),
    )
    return uid, answer.status


async def store_many(association: RequestorAssociation) -> dict[str, int]:
    """UID → status."""
    return dict([await store(association, size) for _ in range(ROUNDS) for size in SIZES])


async def test_nothing_is_lost_without_descriptors(running: AsyncExitStack, tmp_path: Path) -> None:
    sink = await running.enter_async_context(Sink(tmp_path / "sink.log"))
    folder = tmp_path / "out"
    retry = {"delivery": {"retry": {"first": "200 ms", "max": "1 s"}}}
    rules = {
        "peers": {
            "sink": {"ae_title": sink.ae_title, "address": f"127.0.0.1:{sink.port}", **retry},
            "folder": {"folder": {"path": f"{folder}/{{{{ SOPInstanceUID }}}}.dcm"}, **retry},
        },
        "routes": [{"name": "everywhere", "to": ["sink", "folder"]}],
        "unmatched": "reject",
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules))
    association = await call(gateway.port)
    answers = await store_many(association)
    assert set(answers.values()) == {0x0000}
    for more in (0, 1, 3):
        descriptors(gateway, more)
        waiting = [asyncio.create_task(asyncio.open_connection("127.0.0.1", gateway.port)) for _ in range(8)]
        answers |= await store_many(association)
        for _, writer in await asyncio.gather(*waiting):
            writer.close()
        descriptors(gateway, None)
        answers |= await store_many(association)
        other = await call(gateway.port)
        assert (await store(other, 1000))[1] == 0x0000
        await other.release()
    assert set(answers.values()) == {0x0000, 0xA700}, answers  # there was a shortage, and it was told
    assert await gateway.metric("gateway_accept_failures_total") > 0
    acknowledged = {uid for uid, status in answers.items() if status == 0x0000}

    async def all_there() -> bool:
        assert await gateway.metric("gateway_queue_deliveries", state="dead") == 0
        found = await asyncio.to_thread(lambda: sink.ask("objects")["objects"])
        return acknowledged <= set(found) and acknowledged <= {path.stem for path in folder.glob("*.dcm")}

    await until(all_there, 200.0, "every acknowledged object at both destinations")
    await association.release()
    assert "Traceback" not in gateway.log
    assert not [event for event in gateway.events() if "exception" in event]
    assert len(gateway.log.splitlines()) < 300
