"""Groups leave the journal for the object store, and what nothing names is deleted: nothing else is."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.cluster import sealer
from gateway.cluster.sealer import ORPHAN_AGE, PART_BYTES, SEALED_AFTER_S, Sealer
from gateway.common.buffer import Buffer
from gateway.model.delivery import DeliveryState
from gateway.model.instance import PayloadRef
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import QueueBroken, SpoolFull, Temporary
from gateway.postgresql.shared_payloads import HOUR_US
from gateway.postgresql.store import PostgreSQLStore
from gateway.spool.digest import digest_of
from tests.support.cluster import Node, kept
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.processes import GUARD_S
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.unit.cluster.test_journal import until

pytestmark = pytest.mark.postgresql


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Its own sealer does nothing."""
    monkeypatch.setattr(sealer, "ROUND_S", 3600.0)
    monkeypatch.setattr(Sealer, "start", lambda self: None)
    monkeypatch.setattr(Sealer, "join", lambda self: None)
    return Node(tmp_path, Clock())


def objects(node: Node, prefix: str = "segments/") -> list[str]:
    return [each.name for each in node.objects.list(prefix)]


def hours(store: PostgreSQLStore) -> list[int]:
    return [hour for (hour,) in store._transactions.rows("journal_hours")]


def adder(store: PostgreSQLStore) -> Callable[[int], None]:
    """Adds a group with an instance."""

    def add(number: int) -> None:
        store.payloads.prepare()
        with store.transaction():
            name = store.payloads.add_group([b"data"])
            arrived = instance(number).stored(PayloadRef(name, 0, 4, digest_of([b"data"])))
            store.deliveries.accept([(arrived, [TO_PACS])], NOON, lambda payload: True)

    return add


async def deliver_all(journal: object, node: Node) -> None:
    store = node.open_store()
    with store.transaction():
        claimed = store.deliveries.claim("pacs", 100, 60.0, node.clock())
        store.deliveries.settle([settlement(each) for each in claimed])
    store.close()


async def test_a_group_is_read_before_while_and_after_it_is_sealed(node: Node) -> None:
    async with node as journal:
        stored = [await kept(journal, f"data {number}".encode(), number) for number in range(1, 4)]
        store = node.open_store("keeping")
        seals = node.sealer(lambda: NOON - timedelta(days=1))
        seals.do_round(store)
        assert objects(node) == [], "it waits for others"
        node.clock.advance(SEALED_AFTER_S)
        seals.do_round(store)
        (name,) = objects(node)
        assert len({each.payload.name for each in stored}) == 3
        for _ in range(2):
            node.clock.advance(3 * 3600)
            for number, each in enumerate(stored, start=1):
                journal._folder.cache.drop(each.payload.name)
                body = await journal.fetch(each.payload)
                assert bytes(body.view()) == f"data {number}".encode()
            seals.do_round(store)
            assert objects(node) == [name], "nothing is sealed twice"
        assert hours(store) == [], "the table of that hour is not needed any more"
        store.close()


async def test_a_table_goes_when_all_its_groups_are_sealed(node: Node) -> None:
    async with node as journal:
        stored = await kept(journal, b"data")
        store = node.open_store("keeping")
        node.clock.advance(3 * 3600)
        assert store.sealing.drop_sealed() == 0, "its group lies nowhere else"
        await kept(journal, b"other", 2)
        assert len(hours(store)) == 2
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert hours(store) == [node.clock().timestamp() * 1_000_000 // HOUR_US]
        journal._folder.cache.drop(stored.payload.name)
        assert bytes((await journal.fetch(stored.payload)).view()) == b"data"
        store.close()


async def test_objects_hold_so_many_bytes(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "SEGMENT_BYTES", 25)
    async with node as journal:
        for number in range(1, 8):
            await kept(journal, b"x" * 10, number)
        store = node.open_store("keeping")
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert [each.length_bytes for each in node.objects.list("segments/")] == [30, 30], "full ones go at once"
        node.clock.advance(SEALED_AFTER_S)
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert [each.length_bytes for each in node.objects.list("segments/")] == [30, 30, 10]
        store.close()


async def test_entries_of_traces_go_when_nothing_came_to_them_for_long(node: Node) -> None:
    async with node as journal:
        stored = await kept(journal, b"small", 1, [])
        store, studies = node.open_store("keeping"), [stored.study_instance_uid]
        node.clock.advance(1)
        node.sealer().do_round(store)
        assert [each.role for each in store.traces.entries(studies)] == ["sender"], "forgotten in this round"
        node.sealer().do_round(store)
        assert len(store.traces.entries(studies)) == 1
        node.clock.advance(1)
        node.sealer().do_round(store)
        assert store.traces.entries(studies) == []
        store.close()


async def test_what_nothing_names_any_more_is_deleted(node: Node) -> None:
    async with node as journal:
        await kept(journal, b"small")
        await kept(journal, b"x" * 200_000, 2)
        await kept(journal, b"y" * 200_000, 3, [])
        node.clock.advance(SEALED_AFTER_S)
        store = node.open_store("keeping")
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert (len(objects(node)), len(objects(node, "large/"))) == (1, 2)
        await deliver_all(journal, node)
        node.sealer(lambda: NOON).do_round(store)
        assert (len(objects(node)), len(objects(node, "large/"))) == (1, 2), "retention goes on"
        node.clock.advance(1)
        node.sealer().do_round(store)
        assert (objects(node), objects(node, "large/")) == ([], [])
        assert store.spool.payload_names() == {}
        store.close()


async def test_what_is_still_owed_is_never_deleted(node: Node) -> None:
    async with node as journal:
        stored = await kept(journal, b"small")
        node.clock.advance(30 * 86400)
        store = node.open_store("keeping")
        for _ in range(3):
            node.sealer().do_round(store)
        assert len(objects(node)) == 1
        journal._folder.cache.drop(stored.payload.name)
        assert bytes((await journal.fetch(stored.payload)).view()) == b"small"
        (claimed,) = await journal.claim("pacs", 10, 60.0)
        assert claimed.state is DeliveryState.PENDING
        store.close()


async def test_old_objects_that_nothing_leads_to_are_deleted(node: Node) -> None:
    async with node as journal:
        node.objects.put("segments/old", [b"a"], 1)
        node.objects.put("large/old", [b"b"], 1)
        stored = await kept(journal, b"x" * 200_000, 1)
        node.clock.advance(ORPHAN_AGE.total_seconds() + 1)
        node.objects.put("segments/young", [b"c"], 1)
        store = node.open_store("keeping")
        seals = node.sealer()
        assert seals.delete_orphans(store) == 0, "the clocks may differ: the next search decides"
        assert seals.delete_orphans(store) == 2
        assert (objects(node), objects(node, "large/")) == (["segments/young"], [stored.payload.name])
        assert seals.delete_orphans(store) == 0
        store.close()


async def test_an_object_that_is_about_to_be_committed_is_no_orphan_whatever_the_clocks_say(node: Node) -> None:
    """The object store's clock is two days behind."""
    async with node as journal:
        store, seals = node.open_store("keeping"), node.sealer()
        stored = await kept(journal, b"x" * 200_000)
        node.clock.advance(2 * ORPHAN_AGE.total_seconds())
        with store.transaction():
            store.sealing.forget_objects([stored.payload.name])
        assert seals.delete_orphans(store) == 0, "its transaction is not over"
        with store.transaction():
            store.payloads.add_objects([(stored.payload.name, stored.payload.length_bytes)])
        assert seals.delete_orphans(store) == 0
        assert seals.delete_orphans(store) == 0
        assert objects(node, "large/") == [stored.payload.name]
        store.close()


async def test_a_group_that_the_database_cannot_read_stops_no_other(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node as journal:
        bad, *good = [await kept(journal, b"data", number) for number in range(1, 5)]
        node.clock.advance(SEALED_AFTER_S)
        store, seals = node.open_store("keeping"), node.sealer(lambda: NOON - timedelta(days=1))
        read_groups = store.sealing.read_groups
        asked: list[int] = []

        def reading(names: Sequence[str]) -> Mapping[str, bytes]:
            asked.append(len(names))
            if bad.payload.name in names:
                raise QueueBroken("invalid page")
            return read_groups(names)

        monkeypatch.setattr(store.sealing, "read_groups", reading)
        with capture_logs() as logs:
            with pytest.raises(Temporary, match="cannot read the group"):
                seals.do_round(store)
            seals.do_round(store)
            seals.do_round(store)
        assert [each["group"] for each in logs if each["event"] == "journal_group_not_read"] == [bad.payload.name]
        assert all(store.payloads.place(each.payload.name) for each in good)
        assert store.payloads.place(bad.payload.name) is None
        assert asked == [4, 1, 3], "one by one only where all together cannot be read"
        store.close()


async def test_an_object_store_that_fails_changes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise SpoolFull("the object store is gone")

    async with node as journal:
        stored = await kept(journal, b"data")
        node.clock.advance(3 * 3600)
        store = node.open_store("keeping")
        with monkeypatch.context() as patched:
            patched.setattr(MemoryObjectStore, "put", refuses)
            with pytest.raises(SpoolFull):
                node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert len(hours(store)) == 1
        journal._folder.cache.drop(stored.payload.name)
        assert bytes((await journal.fetch(stored.payload)).view()) == b"data"
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(store)
        assert len(objects(node)) == 1
        store.close()


async def test_a_group_is_not_dropped_under_a_node_that_commits_late(node: Node) -> None:
    """A node that froze within its transaction commits into an old hour."""
    async with node as journal:
        await kept(journal, b"first")
        late, keeper = node.open_store(), node.open_store("keeping")
        node.sealer().do_round(keeper)
        late.payloads.prepare()
        with late.transaction():
            name = late.payloads.add_group([b"late"])
            node.clock.advance(5 * 3600)
            assert await asyncio.to_thread(keeper.sealing.drop_sealed) == 0, "somebody writes into it"
        assert late.payloads.read(name, 0, 4) == b"late"
        late.close()
        keeper.close()


async def test_one_does_it_at_a_time_and_the_next_one_follows(node: Node) -> None:
    async with node:
        first, second = node.open_store("keeping"), node.open_store("keeping")
        assert node.sealer().do_round(first)
        assert not node.sealer().do_round(second)
        first.close()
        async with asyncio.timeout(60):
            while not node.sealer().do_round(second):
                await asyncio.sleep(0.01)  # the server notices the end of the session
        second.close()


async def test_the_thread_goes_on_after_an_error(tmp_path: Path) -> None:
    node = Node(tmp_path, Clock())
    tries = asyncio.Event()
    loop = asyncio.get_running_loop()
    number = 0

    def opening() -> PostgreSQLStore:
        nonlocal number
        number += 1
        if number < 3:
            raise SpoolFull("the database is gone")
        loop.call_soon_threadsafe(tries.set)
        return node.open_store("keeping")

    node.open_store().close()
    thread = node.sealer()
    thread._open_store, thread._round_s = opening, 0.01
    with capture_logs() as logs:
        thread.start()
        async with asyncio.timeout(60):
            await tries.wait()
        thread.end()
        await asyncio.to_thread(thread.join)
    assert [each["event"] for each in logs][:1] == ["sealing_interrupted"]
    assert [each["event"] for each in logs].count("sealing_interrupted") == 1


async def test_an_object_store_that_is_full_gets_room(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be sealed does not keep what is over from being deleted."""

    def is_full(*_: object) -> None:
        raise SpoolFull("the object store is full")

    async with node as journal:
        await kept(journal, b"x" * 200_000)
        await deliver_all(journal, node)
        await kept(journal, b"waits", 2)
        node.clock.advance(SEALED_AFTER_S + 1)
        store = node.open_store("keeping")
        with monkeypatch.context() as patched:
            patched.setattr(MemoryObjectStore, "put", is_full)
            with pytest.raises(SpoolFull, match="is full"):
                node.sealer().do_round(store)
        assert objects(node, "large/") == []
        node.sealer().do_round(store)
        assert len(objects(node)) == 1
        store.close()


class FrozenStore(MemoryObjectStore):
    """Answers nothing until it is thawed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.thawed = threading.Event()
        self.is_asked = threading.Event()

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        self.is_asked.set()
        self.thawed.wait()
        super().put(name, chunks, length_bytes)


class RecordedParts(MemoryObjectStore):
    """Keeps the lengths of requests that were wanted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.parts: list[int] = []

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        self.parts.append(part_bytes)
        super().put(name, chunks, length_bytes)


def test_requests_are_long_unless_the_round_before_failed(tmp_path: Path) -> None:
    clock = Clock()
    recorded = RecordedParts(clock)
    node = Node(tmp_path, clock, objects=recorded)
    with closing(node.open_store()) as store:
        add, thread = adder(store), node.sealer()
        for number, problem in enumerate(("", "it did not answer in time", "")):
            add(number)
            clock.advance(SEALED_AFTER_S)
            thread._report(problem)
            thread.do_round(store)
    assert recorded.parts == [PART_BYTES, 0, PART_BYTES]


async def test_what_waits_is_told_while_the_object_store_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    frozen = FrozenStore(clock)
    node = Node(tmp_path, clock, objects=frozen)
    monkeypatch.setattr(sealer, "SLOW_S", 0.0)
    store = node.open_store()
    add = adder(store)
    add(1)
    clock.advance(SEALED_AFTER_S)
    thread = node.sealer()
    thread._round_s = 0.01
    thread.start()
    try:
        assert await asyncio.to_thread(frozen.is_asked.wait, GUARD_S)
        add(2)
        await until(lambda: store.payloads.unsealed().groups == 2)
        await until(lambda: "has not answered for 0 s" in store.payloads.unsealed().problem)
        frozen.thawed.set()
        await until(lambda: len(node.files("segments")) == 0 and store.payloads.unsealed().groups == 1)
        await until(lambda: store.payloads.unsealed().problem == "")
    finally:
        frozen.thawed.set()
        thread.end()
        await asyncio.to_thread(thread.join)
    store.close()


async def test_it_ends_while_the_object_store_hangs(tmp_path: Path) -> None:
    clock = Clock()
    frozen = FrozenStore(clock)
    node = Node(tmp_path, clock, objects=frozen)
    store = node.open_store()
    adder(store)(1)
    clock.advance(SEALED_AFTER_S)
    thread = node.sealer()
    thread._round_s = 0.01
    thread.start()
    assert await asyncio.to_thread(frozen.is_asked.wait, GUARD_S)
    thread.end()
    await asyncio.to_thread(thread.join)
    assert store.sealing.unsealed(10), "nothing says that it is sealed"
    frozen.thawed.set()
    store.close()


async def test_a_store_that_is_back_gets_one_object_after_the_other(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other steps have their turns meanwhile, and what waits is counted."""
    monkeypatch.setattr(sealer, "SEGMENT_BYTES", 10)
    monkeypatch.setattr(sealer, "SEALING_S", 0.0)
    async with node as journal:
        for number in range(1, 8):
            await kept(journal, b"x" * 10, number)
        store = node.open_store("keeping")
        seals = node.sealer(lambda: NOON - timedelta(days=1))
        seals._round_s = 0.0
        counted = []
        for _ in range(4):
            seals.do_round(store)
            counted.append((len(objects(node)), store.payloads.unsealed().groups))
        assert counted == [(1, 7), (2, 6), (3, 5), (4, 4)]
        store.close()


@pytest.mark.parametrize("failing", ["_forget", "delete_unnamed", "_drop_sealed", "_look_for_orphans"])
async def test_whatever_fails_groups_are_sealed(node: Node, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    async with node as journal:
        await kept(journal, b"data")
        node.clock.advance(SEALED_AFTER_S)
        store = node.open_store("keeping")
        seals = node.sealer()
        monkeypatch.setattr(seals, failing, lambda store: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            seals.do_round(store)
        assert len(objects(node)) == 1
        store.close()


async def test_rounds_look_at_all_objects_a_few_at_a_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "OBJECTS_AT_ONCE", 2)
    async with node as journal:
        for number in range(1, 8):
            await kept(journal, b"x" * 200_000, number)
        names = sorted(objects(node, "large/"))
        store = node.open_store("keeping")
        for name in (names[2], names[6]):
            store._transactions.change(("DELETE FROM instance WHERE payload_name = %(name)s", {"name": name}))
        seals = node.sealer(lambda: NOON - timedelta(days=1))
        left = []
        for _ in range(6):
            seals.do_round(store)
            left.append(len(objects(node, "large/")))
        assert left == [7, 6, 5, 5, 5, 5], "one page each, and one more behind one with something to delete"
        assert sorted(objects(node, "large/")) == [name for name in names if name not in (names[2], names[6])]
        store.close()


async def test_what_is_committed_while_a_table_is_about_to_go_stays(node: Node) -> None:
    """The look for groups that wait comes after the lock."""
    async with node as journal:
        await kept(journal, b"first")
        late, keeper, watch = node.open_store(), node.open_store("keeping"), node.open_store()
        node.clock.advance(SEALED_AFTER_S)
        node.sealer(lambda: NOON - timedelta(days=1)).do_round(keeper)
        late.payloads.prepare()
        with late.transaction():
            name = late.payloads.add_group([b"late"])
            arrived = instance(2).stored(PayloadRef(name, 0, 4, digest_of([b"late"])))
            late.deliveries.accept([(arrived, [TO_PACS])], NOON, lambda payload: True)
            node.clock.advance(5 * 3600)
            dropping = asyncio.create_task(asyncio.to_thread(keeper.sealing.drop_sealed))
            table = {"table": f"journal_{hours(watch)[0]}"}
            waits = "SELECT 1 FROM pg_locks WHERE relation = %(table)s::regclass AND NOT granted"
            while not dropping.done() and not watch._transactions.made((waits, table)):
                await asyncio.sleep(0)
        assert await dropping == 0
        assert late.payloads.read(name, 0, 4) == b"late"
        for store in (late, keeper, watch):
            store.close()


async def test_a_kept_copy_is_forgotten_when_its_time_is_over(node: Node) -> None:
    async with node as journal:
        await kept(journal, b"data", 1)
        store = node.open_store("keeping")
        with store.transaction():
            (claimed,) = store.deliveries.claim("pacs", 1, 60.0, node.clock())
            until_then = dataclasses.replace(settlement(claimed), kept_until=node.clock() + timedelta(days=7))
            assert store.deliveries.settle([until_then]) == [True]
        seals = node.sealer(lambda: node.clock() + timedelta(seconds=1))
        node.clock.advance(7 * 86400 - 1)
        seals.do_round(store)
        assert store.kept.kept_total(10).number == len(store.administration.list(DeliveryFilter(), 10)) == 1
        node.clock.advance(1)
        seals.do_round(store)
        assert store.administration.list(DeliveryFilter(), 10) == []
        store.close()
