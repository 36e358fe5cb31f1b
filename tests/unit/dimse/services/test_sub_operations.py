"""Sub-operations over associations that are shared with others: what waits goes on, whenever it was held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.associate_keywords import Target
from gateway.dimse.pynetdicom_contract.sendable import SendableBytes
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.dimse.services.sub_operations import MoveTarget
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.sending.store_outcome import SubOperationResult
from gateway.sending.store_sender import StoreResponse

CT, SYNTAX = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


class Association:
    """Stores when `go` is set."""

    is_open = True
    is_busy = False

    def __init__(self) -> None:
        self.accepted = {(CT, SYNTAX): 1}
        self.go = asyncio.Event()
        self.began = asyncio.Event()

    def has_proposed(self, contexts: Sequence[ProposedContext]) -> bool:
        return True

    async def c_store(self, **_: Any) -> StoreResponse:
        self.began.set()
        await self.go.wait()
        return StoreResponse(0x0000)


class Pool:
    """Lends what is put into `ready`; everything else waits."""

    def __init__(self) -> None:
        self.ready: asyncio.Queue[Association] = asyncio.Queue()
        self.given: list[Association] = []
        self.wanted: set[Association] = set()

    def add_idle_holder(self, release_idle: Callable[[], None]) -> None: ...
    def remove_idle_holder(self, release_idle: Callable[[], None]) -> None: ...

    async def acquire(self, *_: Any, **__: Any) -> Association:
        return await self.ready.get()

    def release(self, association: Association) -> None:
        self.given.append(association)
        self.wanted.discard(association)

    def is_awaited(self, association: Association) -> bool:
        return association in self.wanted


def instance(number: int) -> SendableBytes:
    return SendableBytes(EncodedInstance(CT, f"1.2.{number}", SYNTAX, MemoryDataSet(b"")))


async def test_an_association_that_is_lent_before_another_one_was_asked_for() -> None:
    """The task that was to open one more is cancelled before it could begin."""
    pool, first, second = Pool(), Association(), Association()
    peer = Peer("ws1", "WS1", "127.0.0.1", 104)
    line = MoveTarget(Target(peer), pool, width=2, priority=0, originator=("X", 1))  # type: ignore[arg-type]
    pool.ready.put_nowait(first)
    one = asyncio.create_task(line.send(instance(1)))
    async with asyncio.timeout(60):
        await first.began.wait()
        pool.wanted.add(first)  # somebody else waits for it
        two = asyncio.create_task(line.send(instance(2)))
        first.go.set()  # `two` asks for an association, and in the same step `one` lends the only one
        assert await one is SubOperationResult.COMPLETED
        assert pool.given == [first]
        second.go.set()
        pool.ready.put_nowait(second)
        assert await two is SubOperationResult.COMPLETED
    line.close()
    assert pool.given == [first, second]


async def test_an_association_is_looked_at_for_each_kind_of_instance() -> None:
    """Instances of two kinds by turns, twice in a row each."""

    class Noting(Association):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[set[str]] = []

        def has_proposed(self, contexts: Sequence[ProposedContext]) -> bool:
            self.asked.append({context.abstract_syntax for context in contexts})
            return True

    mr = "1.2.840.10008.5.1.4.1.1.4"
    pool, only = Pool(), Noting()
    only.accepted[mr, SYNTAX] = 3
    only.go.set()
    pool.ready.put_nowait(only)
    peer = Peer("ws1", "WS1", "127.0.0.1", 104)
    line = MoveTarget(Target(peer), pool, width=1, priority=0, originator=("X", 1))  # type: ignore[arg-type]
    kinds = [CT, CT, mr, mr, CT]
    for number, kind in enumerate(kinds):
        sendable = SendableBytes(EncodedInstance(kind, f"1.2.{number}", SYNTAX, MemoryDataSet(b"")))
        async with asyncio.timeout(60):
            assert await line.send(sendable) is SubOperationResult.COMPLETED
    line.close()
    assert only.asked == [{kind} for kind in kinds]
