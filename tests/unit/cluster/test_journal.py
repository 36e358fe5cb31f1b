"""A node in trouble: what it refuses, how soon, and how it goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.cluster import sealer
from gateway.cluster.journal import ANSWER_LIMIT_S
from gateway.cluster.payload_cache import FILE_BYTES
from gateway.cluster.sealer import Sealer
from gateway.ports.errors import ConfigurationError, GatewayError, SpoolFull
from gateway.ports.shared_payloads import UnsealedPayloads
from gateway.spool.body import InMemoryDataSet
from gateway.spool.spool_threads import WORKERS
from tests.support.cluster import Node, kept
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.processes import GUARD_S
from tests.support.samples import NOON, TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_another_node_reads_what_one_acknowledged(tmp_path: Path, clock: Clock) -> None:
    """They follow each other here: two at a time are one schema's matter."""
    first = Node(tmp_path / "first", clock)
    async with first as journal:
        small, large = await kept(journal, b"small"), await kept(journal, b"x" * 300_000, 2)
    second = first.beside("second")
    async with second as journal:
        for stored, data in ((small, b"small"), (large, b"x" * 300_000)):
            assert journal.open_now(stored.payload) is None
            body = await journal.fetch(stored.payload)
            assert bytes(body.view()) == data
            body.close()
        assert len(await journal.claim("pacs", 10, 60.0)) == 2


async def test_first_nodes_that_start_at_once_are_one_cluster(tmp_path: Path, clock: Clock) -> None:
    first = Node(tmp_path / "0", clock)
    nodes = [first, *(first.beside(str(number)) for number in range(1, 4))]
    await asyncio.gather(*(node.start() for node in nodes))
    identities = {node.journal.spool_id for node in nodes}
    for node in nodes:
        await node.close()
    assert len(identities) == 1
    async with first as journal:
        assert {journal.spool_id} == identities


async def test_an_object_store_of_another_cluster_is_refused(tmp_path: Path, clock: Clock) -> None:
    async with Node(tmp_path / "first", clock) as journal:
        identity = journal.spool_id
    first = Node(tmp_path / "first", clock)
    async with first:
        pass
    stranger = Node(tmp_path / "second", clock, objects=first.objects)
    with pytest.raises(ConfigurationError, match="belongs to another cluster"):
        await stranger.start()
    assert identity
    async with first as journal:
        await kept(journal, b"data")


async def test_a_start_that_is_refused_leaves_nothing_behind(tmp_path: Path, clock: Clock) -> None:
    node = Node(tmp_path, clock)
    fails: list[GatewayError] = [SpoolFull("the object store is gone")]
    check = node.objects.check

    def failing(cluster_id: str, version: str) -> None:
        if fails:
            raise fails.pop()
        check(cluster_id, version)

    node.objects.check = failing  # type: ignore[method-assign]
    with pytest.raises(SpoolFull, match="is gone"):
        await node.start()
    async with node as journal:
        await kept(journal, b"data")


@pytest.fixture
def server() -> PostgreSQLServer:
    """One that the test may end."""
    return PostgreSQLServer()


async def test_a_database_that_is_gone_refuses_and_comes_back(
    tmp_path: Path, clock: Clock, server: PostgreSQLServer
) -> None:
    server.start()
    node = Node(tmp_path, clock, url=server.new_schema())
    try:
        async with node as journal:
            await kept(journal, b"before")
            with capture_logs() as logs:
                await asyncio.to_thread(server.kill)
                await until(lambda: bool(journal.write_problems()))
                for number in (2, 3):
                    with pytest.raises(SpoolFull):
                        await kept(journal, b"refused", number)
                with pytest.raises(SpoolFull):
                    journal.receiver()
                await asyncio.to_thread(server.start)
                await until(lambda: not journal.write_problems())
            await kept(journal, b"after", 4)
            claimed = await journal.claim("pacs", 10, 60.0)
            assert [each.instance.sop_instance_uid for each in claimed] == ["1.2.3.4.5.1", "1.2.3.4.5.4"]
        events = [each["event"] for each in logs]
        assert "storage_writing_failed" in events
        assert "storage_writing_recovered" in events
    finally:
        server.stop()


async def test_a_database_that_is_frozen_is_noticed_without_an_answer(
    tmp_path: Path, clock: Clock, server: PostgreSQLServer
) -> None:
    server.start()
    node = Node(tmp_path, clock, url=server.new_schema(), answer_limit_s=ANSWER_LIMIT_S)
    try:
        async with node as journal:
            await kept(journal, b"before")
            with server.frozen():
                await until(
                    lambda: f"has not answered for {ANSWER_LIMIT_S} s" in journal.write_problems().get("database", "")
                )
                with pytest.raises(SpoolFull, match="has not answered"):
                    await kept(journal, b"refused", 2)
            await until(lambda: not journal.write_problems())
            await kept(journal, b"after", 3)
    finally:
        server.stop()


async def test_the_database_does_not_fill_up_while_the_object_store_is_away(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nodes refuse objects at the limit, and take them again once enough is sealed."""
    monkeypatch.setattr(Sealer, "start", lambda self: None)
    monkeypatch.setattr(Sealer, "join", lambda self: None)
    node = Node(tmp_path / "first", clock, unsealed_limit_bytes=1000)
    async with node as journal, node.beside("second") as other:
        keeper, seals = node.open_store("keeping"), node.sealer(lambda: NOON)
        seals._round_s = 0.0
        with monkeypatch.context() as patched:
            patched.setattr(MemoryObjectStore, "put", refuses)
            taken = []
            for number in range(4):
                taken.append(await kept(journal, b"x" * 300, number))
                clock.advance(sealer.SEALED_AFTER_S)
                with pytest.raises(SpoolFull, match="is away"):
                    seals.do_round(keeper)
                seals._report("it is away")
                seals._count(keeper)
                await until(lambda: is_told(journal.unsealed()[0], len(taken)))
                assert ("it is away; at the limit" in journal.backlog()) == (number < 3)
            with pytest.raises(SpoolFull, match="in 4 groups"):
                await kept(journal, b"x" * 300, 5)
            await until(lambda: "it is away; mend" in other.shortages().get("journal", ""))
            with pytest.raises(SpoolFull, match="it is away"):
                other.receiver()
            assert journal.backlog() == ""
        seals.do_round(keeper)
        seals._report("")
        seals._count(keeper)
        await until(lambda: not journal.shortages() and not other.shortages())
        await kept(other, b"y" * 300, 30)
        for stored in taken:
            journal._folder.cache.drop(stored.payload.name)
            assert bytes((await journal.fetch(stored.payload)).view()) == b"x" * 300
        keeper.close()


async def test_the_limit_holds_when_the_node_that_seals_stands_still(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sealer, "start", lambda self: None)
    monkeypatch.setattr(Sealer, "join", lambda self: None)
    node = Node(tmp_path / "first", clock, unsealed_limit_bytes=1000)
    async with node as journal:
        keeper = node.open_store("keeping")
        await kept(journal, b"x" * 300, 1)
        node.sealer().do_round(keeper)  # the last round before it stands still
        await until(lambda: journal.unsealed()[0].length_bytes == 300)
        clock.advance(61.0)
        for number in (2, 3, 4):
            await kept(journal, b"x" * 300, number)
            clock.advance(5.0)
            await until(lambda groups=number: journal.unsealed()[0].groups == groups)  # type: ignore[misc]
        with pytest.raises(SpoolFull, match="each counts for itself"):
            journal.receiver()
        keeper.close()


def refuses(*_: object) -> None:
    raise SpoolFull("it is away")


def is_told(unsealed: UnsealedPayloads, groups: int) -> bool:
    return (unsealed.groups, unsealed.problem) == (groups, "it is away")


async def test_objects_that_wait_for_a_frozen_database_are_refused_and_come_again(
    tmp_path: Path, clock: Clock, server: PostgreSQLServer
) -> None:
    server.start()
    node = Node(tmp_path, clock, url=server.new_schema(), answer_limit_s=ANSWER_LIMIT_S)
    try:
        async with node as journal:
            await kept(journal, b"before")
            with server.frozen():
                waiting = [asyncio.create_task(kept(journal, b"waits", number)) for number in range(2, 6)]
                for each in waiting:
                    with pytest.raises(SpoolFull, match=f"has not answered for {ANSWER_LIMIT_S} s"):
                        await each
            await until(lambda: not journal.write_problems())
            for number in range(2, 6):
                await kept(journal, b"waits", number)
            owed = await journal.claim("pacs", 100, 60.0)
            assert sorted(each.instance.sop_instance_uid for each in owed) == [
                instance(number).sop_instance_uid for number in range(1, 6)
            ]
    finally:
        server.stop()


async def test_what_waits_at_the_end_is_committed(tmp_path: Path, clock: Clock) -> None:
    node = Node(tmp_path, clock)
    await node.start()
    committing = [
        asyncio.create_task(node.journal.commit(instance(number), InMemoryDataSet([b"data"]), None, [TO_PACS]))
        for number in range(1, 20)
    ]
    await asyncio.sleep(0)
    await node.close()
    done = await asyncio.gather(*committing, return_exceptions=True)
    acknowledged = [each for each in done if not isinstance(each, BaseException)]
    async with node as journal:
        assert len(await journal.claim("pacs", 100, 60.0)) == len(acknowledged)


async def test_nodes_take_and_claim_side_by_side(tmp_path: Path, clock: Clock) -> None:
    """Each object is one delivery, whichever node took it, and each node reads what the other took."""
    first = Node(tmp_path / "north", clock)
    second = first.beside("south")
    async with first as north, second as south:
        await asyncio.gather(
            *(kept(north, f"north {number}".encode(), 2 * number) for number in range(40)),
            *(kept(south, f"south {number}".encode(), 2 * number + 1) for number in range(40)),
            *(kept(north, b"x" * 150_000, 100 + number) for number in range(3)),
            *(kept(south, b"y" * 150_000, 200 + number) for number in range(3)),
        )
        claims = await asyncio.gather(*(each.claim("pacs", 10, 60.0) for each in [north, south] * 6))
        claimed = [delivery for claim in claims for delivery in claim]
        assert len({each.delivery_id for each in claimed}) == len(claimed) == 86
        for journal in (north, south):
            for each in claimed:
                body = await journal.fetch(each.instance.payload)
                assert body.length_bytes == each.instance.payload.length_bytes
                assert b"".join(body.chunks(100_000))
                body.close()


async def test_groups_are_at_hand_before_the_cache_is_written(tmp_path: Path, clock: Clock) -> None:
    """The threads that write it wait for an object store."""
    node = Node(tmp_path, clock, large_object_bytes=1024**2)
    may_go_on = threading.Event()
    async with node as journal:
        waiting = [journal._threads.workers.submit(may_go_on.wait, GUARD_S) for _ in range(WORKERS)]
        datas = [bytes([number]) * (FILE_BYTES // 4) for number in range(6)]
        stored = [await kept(journal, data, number) for number, data in enumerate(datas)]
        assert journal._threads.workers._work_queue.qsize() == 1
        assert not any((tmp_path / "spool" / "cache").iterdir())
        may_go_on.set()
        await asyncio.gather(*map(asyncio.wrap_future, waiting))
        await journal._loop.run_in_executor(None, journal._threads.workers.shutdown)
        assert any((tmp_path / "spool" / "cache").iterdir())
        for each, data in zip(stored, datas, strict=True):
            body = journal.open_cached(each.payload)
            assert body is not None
            assert bytes(body.view()) == data
