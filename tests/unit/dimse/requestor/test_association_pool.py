"""The contract of the association pool: who gets an association, who waits, who releases."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.dimse.requestor import association_pool
from gateway.dimse.requestor.association_pool import MOST_REMEMBERED, AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, PeerFailure

PACS = Peer("pacs", "PACS", "127.0.0.1", 104)
VERIFICATION = [ProposedContext("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]
FIND = [ProposedContext("1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",))]
GUARD_S = 60.0


class Association:
    """One at the peer `One`."""

    is_busy = False

    def __init__(self, peer: One, contexts: Sequence[ProposedContext]) -> None:
        self.is_open = True
        self._peer, self._contexts = peer, contexts

    def has_proposed(self, contexts: Iterable[ProposedContext]) -> bool:
        return set(contexts) <= set(self._contexts)

    async def release(self) -> None:
        if self.is_open:
            self.is_open = False
            self._peer.open -= 1

    def close_now(self) -> None:
        self.is_open = False

    def abort(self, reason: str) -> None:
        self.is_open = False
        self._peer.open -= 1


class One:
    """A peer that serves `room` associations and turns others away."""

    def __init__(self, room: int = 1, step: Any = "rejected") -> None:
        self.room, self.open, self.tries = room, 0, 0
        self._step = step

    async def __call__(self, peer: Peer, *, contexts: Sequence[ProposedContext], **_: Any) -> Any:
        self.tries += 1
        await asyncio.sleep(0)
        if self.open >= self.room:
            raise DestinationDown("local limit exceeded", PeerFailure(self._step))
        self.open += 1
        return Association(self, contexts)


class Opened:
    """An association that is lost as soon as it is given back."""

    is_open = False


def held_by(pool: AssociationPool) -> int:
    """Entries of all its tables."""
    tables = (value for value in vars(pool).values() if isinstance(value, dict | list | set))
    return sum(map(len, tables))


async def test_requestors_with_ever_new_titles_take_no_more_memory() -> None:
    proposed: list[int] = []

    async def associate(peer: Peer, *, contexts: Any, **more: Any) -> RequestorAssociation:
        proposed.append(len(contexts))
        return cast(RequestorAssociation, Opened())

    pool = AssociationPool("GATEWAY", associate=associate)
    for number in range(MOST_REMEMBERED + 50):
        peer = Peer("pacs", "PACS", "127.0.0.1", 104, calling_ae_title=f"V{number}")
        pool.release(await pool.acquire(peer, [ProposedContext("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]))
    assert held_by(pool) == MOST_REMEMBERED
    more = [ProposedContext("1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",))]
    pool.release(await pool.acquire(peer, more))
    assert proposed[-1] == 2  # the newest is remembered
    pool.release(await pool.acquire(Peer("pacs", "PACS", "127.0.0.1", 104, calling_ae_title="V0"), more))
    assert proposed[-1] == 1  # the oldest is not
    await pool.close()


async def test_what_is_released_goes_to_the_next_user_with_the_same_needs() -> None:
    pool = AssociationPool("GATEWAY", associate=One(9))
    first = await pool.acquire(PACS, VERIFICATION, use="query")
    pool.release(first)
    assert await pool.acquire(PACS, VERIFICATION, use="query") is first
    pool.release(first)
    await pool.close()


OTHER = {
    "another kind of user": (PACS, {"use": "deliveries"}),
    "another number of gateways": (replace(PACS, associate=AssociateKeywords(hops=3)), {}),
    "another calling AE title": (replace(PACS, calling_ae_title="OTHER"), {}),
    "listed contexts": (replace(PACS, associate=AssociateKeywords(contexts=tuple(VERIFICATION))), {}),
    "an association of its own": (PACS, {"made": print}),
}


@pytest.mark.parametrize(("peer", "more"), OTHER.values(), ids=OTHER)
async def test_no_association_is_handed_to_a_user_that_asks_in_another_way(peer: Peer, more: dict[str, Any]) -> None:
    pool = AssociationPool("GATEWAY", associate=One(9))
    idle, in_use = [await pool.acquire(PACS, VERIFICATION, use="query") for _ in range(2)]
    pool.release(idle)
    got = await pool.acquire(peer, VERIFICATION, **{"use": "query", **more})
    assert got not in (idle, in_use)
    waiting = asyncio.create_task(pool.acquire(peer, FIND, **{"use": "query", **more}))
    await asyncio.sleep(0)
    pool.release(in_use)  # while one is being opened
    assert await waiting not in (idle, in_use)
    await pool.close()


async def test_a_user_with_exact_contexts_shares_the_memory_of_its_kind_of_users() -> None:
    proposed: list[Sequence[ProposedContext]] = []

    async def associate(peer: Peer, *, contexts: Sequence[ProposedContext], **_: Any) -> Any:
        proposed.append(tuple(contexts))
        return Opened()

    pool = AssociationPool("GATEWAY", associate=associate)
    assert pool.recent_contexts("query", PACS).proposal(FIND) == tuple(FIND)
    pool.release(await pool.acquire(PACS, VERIFICATION, use="query"))
    assert pool.recent_contexts("query", PACS).proposal(FIND) == (*FIND, *VERIFICATION)
    pool.release(await pool.acquire(PACS, VERIFICATION, use="sub-operations"))
    assert proposed == [(*VERIFICATION, *FIND), tuple(VERIFICATION)]


async def test_contexts_that_are_exact_are_proposed_alone() -> None:
    proposed: list[Sequence[ProposedContext]] = []

    async def associate(peer: Peer, *, contexts: Sequence[ProposedContext], **_: Any) -> Any:
        proposed.append(contexts)
        return Opened()

    pool = AssociationPool("GATEWAY", associate=associate)
    for contexts in (VERIFICATION, FIND):
        pool.release(await pool.acquire(PACS, contexts, use="deliveries", is_exact=True))
    assert proposed == [VERIFICATION, FIND]


async def test_a_user_that_is_asked_releases_between_two_requests_and_has_its_turn_again() -> None:
    there = One()
    pool = AssociationPool("GATEWAY", associate=there)
    got: list[str] = []

    async def deliver() -> None:
        for number in range(3):
            association = await pool.acquire(PACS, VERIFICATION, use="deliveries", is_exact=True)
            got.append(f"delivery {number}")
            while not (pool.is_awaited(association) or number == 2):
                await asyncio.sleep(0.01)  # one object after the other
            pool.release(association)  # and asks again at once

    async def query() -> None:
        while "delivery 0" not in got:
            await asyncio.sleep(0)
        for number in range(2):
            association = await pool.acquire(PACS, FIND, use="query")
            got.append(f"query {number}")
            while not (pool.is_awaited(association) or number == 1):
                await asyncio.sleep(0.01)
            pool.release(association)

    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(deliver())
        tasks.create_task(query())
    assert got == ["delivery 0", "query 0", "delivery 1", "query 1", "delivery 2"]
    await pool.close()


async def test_a_user_that_holds_one_without_a_request_is_asked_for_it() -> None:
    pool = AssociationPool("GATEWAY", associate=One())
    held = await pool.acquire(PACS, VERIFICATION, use="deliveries")
    asked: list[bool] = []

    def release_idle() -> None:
        asked.append(pool.is_awaited(held))
        pool.release(held)

    pool.add_idle_holder(release_idle)
    async with asyncio.timeout(GUARD_S):
        pool.release(await pool.acquire(PACS, FIND, use="query"))
    assert asked == [True]
    pool.remove_idle_holder(release_idle)
    await pool.close()


async def test_a_further_association_waits_for_nobody() -> None:
    there = One()
    pool = AssociationPool("GATEWAY", associate=there)
    first = await pool.acquire(PACS, VERIFICATION, use="deliveries")
    with pytest.raises(DestinationDown, match="local limit"):
        await pool.acquire(PACS, VERIFICATION, use="deliveries", is_further=True)
    assert there.tries == 2
    assert not pool.is_awaited(first)
    await pool.close()


async def test_another_kind_of_user_is_waited_for_as_long_as_an_answer_may_take() -> None:
    pool = AssociationPool("GATEWAY", associate=One())
    held = await pool.acquire(PACS, VERIFICATION, use="query")
    hurried = replace(PACS, timers=Timers(association_s=0.6))
    async with asyncio.timeout(GUARD_S):
        with pytest.raises(DestinationDown, match="local limit"):
            await pool.acquire(hurried, FIND, use="deliveries")
    assert held.is_open
    await pool.close()


async def test_a_host_that_does_not_answer_is_not_taken_for_a_busy_one() -> None:
    there = One(step="connect_timeout")
    pool = AssociationPool("GATEWAY", associate=there)
    await pool.acquire(PACS, VERIFICATION, use="query")
    with pytest.raises(DestinationDown):
        await pool.acquire(PACS, FIND, use="deliveries")
    assert there.tries == 2
    await pool.close()


class ServesNone:
    """A peer that ends every connection. Each one that a query asks for is ended while a delivery asks for another."""

    def __init__(self) -> None:
        self.queries = 0
        self._is_delivering, self._has_refused = asyncio.Event(), asyncio.Event()

    async def __call__(self, peer: Peer, *, contexts: Sequence[ProposedContext], **_: Any) -> Any:
        if VERIFICATION[0] in contexts:
            self._is_delivering.set()
            await self._has_refused.wait()
            self._has_refused.clear()
        else:
            self.queries += 1
            assert self.queries < 5, "it is not asked over and over again"
            await self._is_delivering.wait()
            self._is_delivering.clear()
            self._has_refused.set()
        raise DestinationDown("the peer closed the connection", PeerFailure("ended"))


async def test_a_peer_that_serves_none_is_not_taken_for_one_that_serves_others_first() -> None:
    there = ServesNone()
    pool = AssociationPool("GATEWAY", associate=there)

    async def deliver() -> None:
        while True:
            with contextlib.suppress(DestinationDown):
                await pool.acquire(PACS, VERIFICATION, use="deliveries")

    delivering = asyncio.create_task(deliver())
    async with asyncio.timeout(GUARD_S):
        with pytest.raises(DestinationDown, match="closed the connection"):
            await pool.acquire(PACS, FIND, use="query")
    assert there.queries == 2
    delivering.cancel()
    await asyncio.wait({delivering})
    await pool.close()


async def test_users_that_try_at_once_do_not_keep_up_each_others_hope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer ends every connection, after a while that is longer than the pause before the next try."""
    monkeypatch.setattr(association_pool, "SOON_S", 0.01)
    tries: Counter[str] = Counter()

    async def associate(peer: Peer, *, contexts: Sequence[ProposedContext], **_: Any) -> Any:
        use = "delivery" if VERIFICATION[0] in contexts else "query"
        tries[use] += 1
        assert tries[use] < 5, "it is not tried over and over again"
        await asyncio.sleep(0.015)
        raise DestinationDown("the peer closed the connection", PeerFailure("ended"))

    pool = AssociationPool("GATEWAY", associate=associate)
    async with asyncio.timeout(GUARD_S):
        ends = await asyncio.gather(
            pool.acquire(PACS, VERIFICATION, use="deliveries"),
            pool.acquire(PACS, FIND, use="query"),
            return_exceptions=True,
        )
    assert [type(end) for end in ends] == [DestinationDown, DestinationDown]
    await pool.close()


async def test_a_fault_while_a_pause_is_chosen_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> float:
        raise AttributeError("a fault of ours")

    monkeypatch.setattr(AssociationPool, "_pause_before_next", broken)
    pool = AssociationPool("GATEWAY", associate=One(room=0))
    async with asyncio.timeout(GUARD_S):
        with pytest.raises(AttributeError, match="a fault of ours"):
            await pool.acquire(PACS, FIND)
    await pool.close()


async def test_what_is_discarded_is_gone_when_its_task_is_done() -> None:
    there = One()
    pool = AssociationPool("GATEWAY", associate=there)
    await pool.discard(await pool.acquire(PACS, VERIFICATION, use="deliveries"))
    assert there.open == 0
    await pool.close()
