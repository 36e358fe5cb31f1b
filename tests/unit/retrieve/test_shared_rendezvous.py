"""Instances that arrive at another node than the one that waits. Nodes are given no notice here: they look."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.ports.errors import Refusal, SpoolFull, Temporary
from gateway.ports.expected_instances import ExpectedView, SharedMove
from gateway.retrieve import shared_rendezvous
from gateway.retrieve.handed_bytes import HandedBytes
from gateway.retrieve.look_record import FRESH_S, STEADY_S
from gateway.retrieve.move_rendezvous import RefusedByRetrieve
from gateway.retrieve.rendezvous_table import RendezvousTable
from gateway.retrieve.shared_rendezvous import KNOWN_AFTER_S, LOST_S, SharedRendezvous
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

    async def go_on(self, duration_s: float) -> None:
        """Time goes on, while nodes look again and again."""
        for _ in range(round(duration_s)):
            self.now_s += 1.0
            for name in self.running:
                await self.nodes[name].look()

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


async def test_a_failed_look_is_the_answer_for_all_that_waited_for_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = await cluster.node("two")
    await cluster.stop("two")
    cluster.now_s += FRESH_S
    begun, go_on, tries = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def fail(node: str) -> ExpectedView:
        tries.append(node)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(GUARD_S)
        raise SpoolFull("it hangs")

    monkeypatch.setattr(cluster.shared, "look", fail)
    giving = [asyncio.create_task(give(two)) for _ in range(20)]
    async with asyncio.timeout(GUARD_S):
        await begun.wait()
    go_on.set()
    errors = await asyncio.gather(*giving, return_exceptions=True)
    assert {(type(error), str(error)) for error in errors} == {(SpoolFull, "it hangs"), (Temporary, "it hangs")}
    assert tries == ["two"]
    with pytest.raises(SpoolFull, match="hangs"):
        await give(two)
    assert tries == ["two", "two"], "whoever comes later asks again"


async def test_nothing_waits_long_for_a_database_that_hangs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    two = await cluster.node("two")
    await cluster.stop("two")
    cluster.now_s += FRESH_S
    go_on = threading.Event()
    monkeypatch.setattr(shared_rendezvous, "REFRESH_LIMIT_S", 0.02)
    monkeypatch.setattr(cluster.shared, "look", lambda node: go_on.wait(GUARD_S))
    try:
        async with asyncio.timeout(GUARD_S):
            errors = await asyncio.gather(*(give(two) for _ in range(20)), return_exceptions=True)
        assert {type(error) for error in errors} == {Temporary}
        assert not go_on.is_set()
    finally:
        go_on.set()
    monkeypatch.undo()
    assert await give(two) is None


async def test_what_a_node_knows_is_written_again_when_that_failed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    await cluster.stop("two")

    def fail(node: str, move_ids: Any) -> None:
        raise SpoolFull("cut off")

    with one.expecting(expected := expectation(Taker())):
        announcing = asyncio.create_task(one.announce(expected))
        await cluster.until(lambda: cluster.shared.moves)
        with monkeypatch.context() as patched:
            patched.setattr(cluster.shared, "know", fail)
            with pytest.raises(SpoolFull):
                await two.look()
        await two.look()
        await announcing
        assert cluster.now_s == 100.0, "it waited for no time"


async def test_no_c_move_is_sent_that_the_database_does_not_know(cluster: Cluster) -> None:
    one = await cluster.node("one")
    cluster.shared.is_cut = True
    with one.expecting(expected := expectation(Taker())), pytest.raises(SpoolFull):
        await one.announce(expected)
    cluster.shared.is_cut = False
    await cluster.until(lambda: not cluster.shared.moves)


async def test_a_node_whose_row_went_is_waited_for_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    await cluster.stop("two")
    cluster.shared.leave("two")
    assert not two.is_expected("1.3.1")
    join = cluster.shared.join

    def cut(node: str) -> None:
        raise SpoolFull("cut off")

    monkeypatch.setattr(cluster.shared, "join", cut)
    with pytest.raises(SpoolFull):
        await two.look()
    assert two.is_expected("1.3.1"), "nobody waited for it: what it saw does not count"
    monkeypatch.setattr(cluster.shared, "join", join)
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        giving = asyncio.create_task(give(two))
        cluster.running["two"] = asyncio.create_task(two.run())
        assert await giving == 0x0000
        assert len(cluster.shared.known["two"]) == 1


async def test_what_is_seen_counts_from_after_others_wait(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A C-MOVE is written between the look that finds the row gone and the row: nobody waited for this node."""
    one, two = await cluster.node("one"), await cluster.node("two")
    await cluster.stop("one")
    await cluster.stop("two")
    cluster.shared.leave("two")
    join = cluster.shared.join
    with one.expecting(expected := expectation(Taker())):
        move = SharedMove("m1", "one", "pacs", ("10.1.0.5",), "GATEWAY", 7, expected.sop_instance_uids)

        def join_late(node: str) -> None:
            cluster.shared.expect(move)
            join(node)

        monkeypatch.setattr(cluster.shared, "join", join_late)
        await two.look()
        assert two.is_expected("1.3.1")


# --- nodes that are gone --------------------------------------------------------------------------------------------


async def test_a_giver_hears_that_the_node_that_waits_is_gone(cluster: Cluster) -> None:
    one, two = await cluster.node("one"), await cluster.node("two")
    with one.expecting(expected := expectation(Taker())):
        await one.announce(expected)
        await cluster.stop("one")
        giving = asyncio.create_task(give(two))
        await cluster.until(lambda: cluster.shared.handed)
        cluster.shared.gone.add("one")
        await cluster.go_on(STEADY_S)
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


async def test_a_retrieve_that_ends_while_another_is_written_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await cluster.node("one")
    await cluster.stop("one")
    begun, go_on, expect = asyncio.Event(), threading.Event(), cluster.shared.expect
    loop = asyncio.get_running_loop()

    def slow(move: SharedMove) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(GUARD_S)
        expect(move)

    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(one.expecting(expected := expectation(Taker())))
            await one.announce(expected)
        cluster.shared.moves = {}
        monkeypatch.setattr(cluster.shared, "expect", slow)
        looking = asyncio.create_task(one.look())
        async with asyncio.timeout(GUARD_S):
            await begun.wait()
    go_on.set()
    await looking
    assert len(cluster.shared.moves) == 1
    await one.look()
    assert cluster.shared.moves == {}


async def test_a_node_judges_others_once_it_was_not_cut_off_for_a_while(cluster: Cluster) -> None:
    await cluster.node("one")
    cluster.shared.gone.add("two")
    cluster.shared.known["two"] = ()
    for _ in range(2):
        await cluster.go_on(STEADY_S - 1)
        cluster.now_s += FRESH_S
    await cluster.nodes["one"].look()
    assert cluster.shared.tidied == 0
    await cluster.go_on(STEADY_S)
    await cluster.until(lambda: cluster.shared.tidied)
    assert "two" not in cluster.shared.known


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
