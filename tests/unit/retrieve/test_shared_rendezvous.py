"""Instances that arrive at another node than the one that waits. Nodes are given no notice here: they look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.ports.errors import Refusal, SpoolFull
from gateway.retrieve import shared_rendezvous
from gateway.retrieve.handed_bytes import HandedBytes
from gateway.retrieve.move_rendezvous import RefusedByRetrieve
from gateway.retrieve.rendezvous_table import RendezvousTable
from gateway.retrieve.shared_rendezvous import FRESH_S, KNOWN_AFTER_S, LOST_S, TIDY_S, SharedRendezvous
from tests.support.fakes.memory_expected_instances import MemoryExpectedInstances
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.processes import GUARD_S
from tests.unit.retrieve.test_move_rendezvous import DATA, Body, Taker, expectation, give

LARGE_BYTES = len(DATA)


class Cluster:
    """Nodes on the same tables, with one clock that stands."""

    def __init__(self) -> None:
        self.shared = MemoryExpectedInstances()
        self.objects = MemoryObjectStore()
        self.now_s = 100.0
        self.running: dict[str, asyncio.Task[None]] = {}
        self.nodes: dict[str, SharedRendezvous] = {}

    async def node(self, name: str) -> SharedRendezvous:
        made = SharedRendezvous(
            RendezvousTable(),
            lambda: self.shared,
            name,
            HandedBytes(self.objects, MemoryReceiver, LARGE_BYTES),
            clock_s=lambda: self.now_s,
        )
        self.nodes[name] = made
        await made.start()
        self.running[name] = asyncio.create_task(made.run())
        return made

    async def stop(self, name: str) -> None:
        """The node stands still, or is gone: it looks at nothing any more."""
        task = self.running.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def end(self, name: str) -> None:
        """The node ends in order."""
        if name in self.running:
            await self.stop(name)
        await self.nodes.pop(name).close()

    async def until(self, is_so: Any) -> None:
        async with asyncio.timeout(GUARD_S):
            while not is_so():
                await asyncio.sleep(0.005)


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    for pause in ("LOOK_S", "BUSY_LOOK_S", "AWARE_LOOK_S"):
        monkeypatch.setattr(shared_rendezvous, pause, 0.005)
    made = Cluster()
    yield made
    for name in [*made.nodes]:
        await made.end(name)


async def test_an_instance_goes_to_the_node_that_waits_and_its_answer_to_the_source(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    taker = Taker()
    with one.expecting(expected := expectation(taker)):
        await one.announce(expected)
        assert two.is_expected("1.3.1")
        body = Body(DATA)
        assert await give(two, body) == 0x0000
        assert await give(one, sop_instance_uid="1.3.2") == 0x0000
    assert [(each.sop_class_uid, each.sop_instance_uid, data) for each, data in taker.taken] == [
        ("1.2", "1.3.1", DATA),
        ("1.2", "1.3.2", DATA),
    ]
    assert taker.touched == 2
    assert body.closed == 1
    await cluster.until(lambda: not (cluster.shared.moves or cluster.shared.handed))


async def test_a_large_one_goes_by_way_of_the_object_store(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    taker, large = Taker(), DATA + b"and more"
    with one.expecting(expected := expectation(taker)):
        await one.announce(expected)
        assert await give(two, MemoryDataSet(large)) == 0x0000
    assert [data for _, data in taker.taken] == [large]
    assert cluster.objects.objects == {}


async def test_what_is_not_meant_is_an_object_like_any_other_on_each_node(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        assert await give(two, peer="ct") is None
        assert await give(two, remote_host="10.9.9.9") is None
        assert await give(two, sop_instance_uid="1.3.9") is None
        assert not two.is_expected("1.3.9")


async def test_the_refusal_of_the_retrieve_is_the_answer_of_the_other_node(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker(Refusal("not in this form")))):
        await one.announce(expected)
        with pytest.raises(RefusedByRetrieve, match="not in this form") as refused:
            await give(two)
    assert refused.value.dimse_status == Refusal.dimse_status


async def test_the_source_waits_while_the_retrieve_has_no_room(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    room = asyncio.Event()

    async def take(arrived: Any) -> int:
        await room.wait()
        return 0x0000

    expected = expectation(Taker())
    expected.take = take
    with one.expecting(expected):
        await one.announce(expected)
        giving = asyncio.create_task(give(two))
        await cluster.until(lambda: cluster.shared.handed)
        looks = cluster.shared.looks
        await cluster.until(lambda: cluster.shared.looks > looks + 10)
        assert not giving.done()
        room.set()
        assert await giving == 0x0000


async def test_the_end_of_the_retrieve_ends_what_is_on_its_way_and_what_still_comes(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    never = asyncio.Event()

    async def take(arrived: Any) -> int:
        await never.wait()
        return 0x0000

    expected = expectation(Taker())
    expected.take = take
    with one.expecting(expected):
        await one.announce(expected)
        giving = asyncio.create_task(give(two))
        await cluster.until(lambda: cluster.shared.handed)
    with pytest.raises(RefusedByRetrieve, match="has ended"):
        await giving
    with pytest.raises(RefusedByRetrieve, match="has ended"):
        await give(two, sop_instance_uid="1.3.2")
    assert await give(two, originator_ae_title="", originator_message_id=None) is None
    await cluster.until(lambda: not (cluster.shared.moves or cluster.shared.handed))


async def test_retrieves_of_several_nodes_each_get_the_instance_that_names_them(cluster: Cluster) -> None:
    one, two, three = [await cluster.node(name) for name in ("one", "two", "three")]
    takers = Taker(), Taker()
    async with AsyncExitStack() as stack:
        for node, taker, message_id in ((one, takers[0], 7), (two, takers[1], 8)):
            expected = expectation(taker)
            expected.message_id = message_id
            stack.enter_context(node.expecting(expected))
            await node.announce(expected)
        assert await give(three, originator_message_id=8) == 0x0000
        assert [len(taker.taken) for taker in takers] == [0, 1]
        assert await give(three, originator_ae_title="", originator_message_id=None) == 0x0000
        assert [len(taker.taken) for taker in takers] == [1, 2], "it names none: any copy is as good"


# --- the race of the C-MOVE with what other nodes know --------------------------------------------------------------


async def test_the_c_move_waits_until_all_nodes_know_of_it(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    await cluster.stop("two")
    with one.expecting(expected := expectation(Taker())):
        announcing = asyncio.create_task(one.announce(expected))
        looks = cluster.shared.looks
        await cluster.until(lambda: cluster.shared.looks > looks + 5)
        assert not announcing.done()
        await two.look()
        await announcing


async def test_a_node_that_does_not_look_is_waited_for_until_its_last_look_is_too_old(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    await cluster.stop("two")
    taker = Taker()
    with one.expecting(expected := expectation(taker)):
        announcing = asyncio.create_task(one.announce(expected))
        await cluster.until(lambda: cluster.shared.moves)
        assert not two.is_expected("1.3.1"), "nor does anything arrive: the C-MOVE was not sent"
        cluster.now_s += KNOWN_AFTER_S
        await announcing
        assert two.is_expected("1.3.1"), "it may be, and is asked for"
        assert two.is_expected("1.3.9")
        giving = asyncio.create_task(give(two))
        cluster.running["two"] = asyncio.create_task(two.run())
        assert await giving == 0x0000
    assert len(taker.taken) == 1


async def test_a_look_of_the_last_seconds_needs_no_question(cluster: Cluster) -> None:
    two = await cluster.node("two")
    await cluster.stop("two")
    cluster.now_s += FRESH_S / 2
    looks = cluster.shared.looks
    assert not two.is_expected("1.3.1")
    assert await give(two) is None
    assert cluster.shared.looks == looks
    cluster.now_s += FRESH_S
    assert await asyncio.gather(*(give(two) for _ in range(10))) == [None] * 10
    assert cluster.shared.looks == looks + 1, "one for all that wait"


async def test_nothing_is_taken_by_a_node_that_cannot_ask(cluster: Cluster) -> None:
    two = await cluster.node("two")
    await cluster.stop("two")
    cluster.shared.is_cut = True
    cluster.now_s += FRESH_S
    with pytest.raises(SpoolFull) as refused:
        await give(two)
    assert refused.value.dimse_status == 0xA700


async def test_no_c_move_is_sent_that_the_database_does_not_know(cluster: Cluster) -> None:
    one = await cluster.node("one")
    cluster.shared.is_cut = True
    with one.expecting(expected := expectation(Taker())), pytest.raises(SpoolFull):
        await one.announce(expected)
    cluster.shared.is_cut = False
    await cluster.until(lambda: not cluster.shared.moves)


# --- nodes that are gone --------------------------------------------------------------------------------------------


async def test_a_giver_hears_that_the_node_that_waits_is_gone(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        await cluster.stop("one")
        giving = asyncio.create_task(give(two))
        await cluster.until(lambda: cluster.shared.handed)
        cluster.shared.gone.add("one")
        cluster.now_s += TIDY_S
        with pytest.raises(RefusedByRetrieve, match="has ended"):
            await giving
    assert (cluster.shared.moves, cluster.shared.handed) == ({}, {})


async def test_rows_that_went_while_the_node_stood_still_are_written_again(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        before = cluster.shared.moves
        await cluster.stop("one")
        await cluster.stop("two")
        cluster.shared.moves = {}
        for node in (two, one, two):
            await node.look()
        assert cluster.shared.moves == before
        cluster.running |= {"one": asyncio.create_task(one.run()), "two": asyncio.create_task(two.run())}
        assert await give(two) == 0x0000


async def test_a_giver_does_not_wait_for_a_database_that_stays_away(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        await cluster.stop("one")
        giving = asyncio.create_task(give(two))
        await cluster.until(lambda: cluster.shared.handed)
        cluster.shared.is_cut = True
        cluster.now_s += LOST_S
        with pytest.raises(RefusedByRetrieve, match="cannot be reached") as refused:
            await giving
        assert refused.value.dimse_status == 0xA700
        cluster.shared.is_cut = False
    await cluster.until(lambda: not cluster.shared.handed)


async def test_a_node_that_ends_leaves_nothing(cluster: Cluster) -> None:
    one = await cluster.node("one")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        await cluster.end("one")
        assert (cluster.shared.moves, cluster.shared.known) == ({}, {})


async def test_a_node_is_woken_by_what_concerns_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_rendezvous, "LOOK_S", 2 * GUARD_S)
    two = await cluster.node("two")
    for concerned in ("two", ""):
        looks = cluster.shared.looks
        two.noticed(concerned)
        await cluster.until(lambda before=looks: cluster.shared.looks > before)
    looks = cluster.shared.looks
    two.noticed("one")
    await asyncio.sleep(0)
    assert cluster.shared.looks == looks
