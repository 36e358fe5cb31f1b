"""The instances of one C-GET or C-MOVE that are on their way: a task each, to every destination at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.pynetdicom_contract.sendable import Sendable
from gateway.dimse.services.counters import SubOperationCounters
from gateway.dimse.services.served import count_sub_operation
from gateway.dimse.services.sub_operations import StoreTarget, to_all
from gateway.sending.store_outcome import SubOperationResult


class SubOperationTasks:
    """Sends instances, and counts the result of each.

    Args:
        association: the requestor's, for the measures.
        service: "get" or "move".
        watch: waiting for room is cut short with the operation.
        counters: get each result.
        targets: all destinations; closed by `close`.
        width: instances that may be on their way side by side.
        counted: called after the results of an instance are counted.
    """

    def __init__(
        self,
        association: AcceptorAssociation,
        service: str,
        watch: OperationScope,
        counters: SubOperationCounters,
        targets: Sequence[StoreTarget],
        *,
        width: int,
        counted: Callable[[], None],
    ) -> None:
        self._association = association
        self._service = service
        self._watch = watch
        self._counters = counters
        self._targets = targets
        self._width = width
        self._counted = counted
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_less: asyncio.Future[None] | None = None
        """Done when fewer are on their way."""
        self._not_begun: dict[asyncio.Task[None], Sendable] = {}
        """Instances whose task has not run yet."""
        self.uncounted = 0
        """Instances on their way that the counters do not know of yet."""

    @property
    def has_room(self) -> bool:
        """False when those on their way use up the number that was announced."""
        remaining = self._counters.remaining
        return remaining is None or remaining > self.uncounted * self._counters.per_instance

    async def start(self, instance: Sendable, *, is_alone: bool) -> None:
        """Begin the sub-operations of `instance`; return when the next one may begin.

        `is_alone`: wait for their end, since what the instance is made of may change then. Raises Interrupted.
        """
        self.uncounted += 1
        task = asyncio.get_running_loop().create_task(self._send(instance))
        self._tasks.add(task)
        self._not_begun[task] = instance
        task.add_done_callback(self._ended)
        await self._until_at_most(0 if is_alone else self._width - 1)

    async def settle(self) -> None:
        """Return when none is on its way. Raises Interrupted."""
        await self._until_at_most(0)

    async def close(self) -> None:
        """Let those on their way end by themselves, or cut them off when the time of an interrupted operation is over;
        then let go of the destinations."""
        if self._tasks and self._watch.is_interrupted:
            await asyncio.wait(set(self._tasks), timeout=self._watch.grace_left_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        for target in self._targets:
            target.close()

    async def _until_at_most(self, most: int) -> None:
        while len(self._tasks) > most:
            with self._watch.guard():
                self._one_less = asyncio.get_running_loop().create_future()
                await self._one_less

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        instance = self._not_begun.pop(task, None)
        if instance is not None:  # cancelled before its own code could run
            self.uncounted -= 1
            instance.close()
        if self._one_less is not None and not self._one_less.done():
            self._one_less.set_result(None)

    async def _send(self, instance: Sendable) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._not_begun.pop(task, None)
        results = [SubOperationResult.FAILED] * len(self._targets)
        try:
            if len(self._targets) == 1:
                results = await to_all(self._targets, instance)
            else:
                await asyncio.gather(*(self._send_to(number, instance, results) for number in range(len(results))))
        finally:  # also when cut off: destinations that have not answered count as failed
            self.uncounted -= 1
            instance.close()
            self._counters.count(instance.sop_instance_uid, results)
            for target, result in zip(self._targets, results, strict=True):
                count_sub_operation(self._association, self._service, target.label, result.name.lower())
        self._counted()

    async def _send_to(self, number: int, instance: Sendable, results: list[SubOperationResult]) -> None:
        """Send to one of several destinations: its answer counts, also when the others are cut off."""
        (results[number],) = await to_all((self._targets[number],), instance)
