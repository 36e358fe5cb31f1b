"""Questions to sources about the whole of collections: each waits for its answer on its own, so that none holds up
another collection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from gateway.delivery.collection_steps import SourceAnswer
from gateway.model.collection import Collection
from gateway.ports.errors import GatewayError

log = structlog.get_logger()

MOST_QUERIES = 16
"""Questions to one source that wait for their answers at the same time."""
TRIES = 100
"""An acceptance holds a collection for milliseconds; then its answer is taken."""
PAUSE_S = 0.05

UIDsOfSource = Callable[[str, str, str, float], Awaitable[Mapping[str, str]]]
"""Name of the source, Study Instance UID, Series Instance UID or nothing, limit in seconds → keys of SOP Instance UIDs
and these, of all its instances. Raises GatewayError."""


class SourceQuestions:
    """Asks, and hands each answer on.

    Args:
        query_source: a source has instances of a study or series.
        answered: takes an answer about the collection of this key; False when it could not be taken yet.
    """

    def __init__(self, query_source: UIDsOfSource, answered: Callable[[int, SourceAnswer], Awaitable[bool]]) -> None:
        self._query_source = query_source
        self._answered = answered
        self._running: dict[asyncio.Task[None], str] = {}
        """Questions that wait for their answers → their sources."""
        self._faults: dict[str, str] = {}
        """Sources that did not answer the last question → why; logged."""

    def waiting(self, source: str) -> int:
        """The number of questions to the source that wait for their answers."""
        return sum(name == source and not task.done() for task, name in self._running.items())

    def has_room(self, source: str) -> bool:
        """One more may wait."""
        return self.waiting(source) < MOST_QUERIES

    def begin(self, collection: Collection) -> None:
        """Ask the question of `collection.expectation`."""
        expect = collection.terms.expect
        assert expect is not None, "of one that is asked about"
        task = asyncio.create_task(self._run(collection, expect.source, expect.timeout_s))
        self._running[task] = expect.source

    def check(self) -> None:
        """Forget those that have their answers. Raises what one of them died of."""
        for task in [task for task in self._running if task.done()]:
            del self._running[task]
            task.result()

    async def close(self) -> None:
        """Give up those that wait for their answers: whoever looks next asks again."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def _run(self, collection: Collection, source: str, limit_s: float) -> None:
        number, question = collection.collection_id, collection.expectation.question
        try:
            uids = await self._query_source(
                source, collection.study_instance_uid, collection.series_instance_uid, limit_s
            )
            answer = SourceAnswer(question, uids)
        except GatewayError as error:
            answer = SourceAnswer(question, fault=str(error).removeprefix(f"{source}: "))
        except Exception as error:  # whatever is wrong with it is the trouble of this collection alone
            answer = SourceAnswer(question, fault=f"{type(error).__name__}: {error}")
        self._log(source, answer.fault)
        for _ in range(TRIES):
            if await self._answered(number, answer):
                return
            await asyncio.sleep(PAUSE_S)

    def _log(self, source: str, fault: str) -> None:
        """Say that a source cannot be asked, once for each reason, and that it can be again."""
        before = self._faults.pop(source, "")
        if fault:
            self._faults[source] = fault
        if fault and fault != before:
            log.warning("collection_source_not_queried", source=source, reason=fault, consequence="it is asked again")
        elif before and not fault:
            log.info("collection_source_recovered", source=source)
