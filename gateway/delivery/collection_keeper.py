"""Collections end when their time has come: one task looks for the next deadline, and takes the steps that are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

import structlog

from gateway.delivery.collection_steps import CollectionStep, SourceAnswer, advance, answered
from gateway.delivery.source_questions import SourceQuestions, UIDsOfSource
from gateway.model.collection import Collection
from gateway.ports.errors import GatewayError
from gateway.ports.meter import Meter
from gateway.ports.store import Store

log = structlog.get_logger()

T = TypeVar("T")

LOOK_S = 0.5
"""The time between two looks."""
LOOKS_PASSED_OVER = 20
"""While no rule collects and nothing is there, one look in so many reads: a reload may have taken the rule away behind
an object that began a collection since the last look, and other nodes begin some by their own rules."""
AT_ONCE = 100
"""Collections of one look at what is due."""
TRIED_AGAIN_AFTER = 10
"""Looks that pass over a collection with a problem of its own, before it is tried again."""


class CollectionJournal(Protocol):
    """The part of a journal that the keeper needs."""

    async def read(self, function: Callable[[Store], T]) -> T:
        """The answer of `function` to a connection that reads."""
        ...

    async def write_due(self, function: Callable[[Store], CollectionStep]) -> CollectionStep:
        """The answer of `function` in a transaction; couriers hear for which destinations deliveries are due."""
        ...


class CollectionKeeper:
    """Looks twice a second whether a deadline has come.

    Any number of nodes may look: a step is taken in one transaction that holds the collection, and one that somebody
    else holds is left to him.

    Args:
        journal: has the collections.
        arriving: gives the Study Instance UIDs of objects on their way in.
        meter: counts those that are complete.
        query_source: a source has instances of a study or series. Nothing waits for its answer but that collection.
        is_wanted: False while no rule collects: then only what is there is looked after, and it is rarely asked whether
            anything is.
        look_s: the time between two looks.
    """

    def __init__(
        self,
        journal: CollectionJournal,
        arriving: Callable[[], frozenset[str]],
        meter: Meter,
        query_source: UIDsOfSource,
        is_wanted: Callable[[], bool],
        look_s: float = LOOK_S,
    ) -> None:
        self._journal = journal
        self._arriving = arriving
        self._meter = meter
        self.questions = SourceQuestions(query_source, self._take_answer)
        self._is_wanted = is_wanted
        self._look_s = look_s
        self._deadline: datetime | None = None
        self._passed_over = LOOKS_PASSED_OVER
        self._problem = ""
        self._problems: dict[int, str] = {}
        """Collections that are due and have a problem of their own, which was logged."""
        self._passed_by: dict[int, int] = {}
        """Those of them that are passed over now → the looks that are left."""

    async def run(self) -> None:
        """Look until cancelled. A question that waits for its answer then is asked again by whoever looks next."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(self._look_s)
        finally:
            await self.questions.close()

    async def look(self) -> None:
        """Take all steps that are due. While the store takes nothing, what waits goes on waiting."""
        self.questions.check()
        if self._deadline is None and not self._is_wanted() and self._passed_over < LOOKS_PASSED_OVER - 1:
            self._passed_over += 1
            return
        try:
            await self._look()
        except GatewayError as error:
            if not self._problem:
                log.warning("collections_not_looked_at", error=str(error), consequence="what waits goes on waiting")
            self._problem = str(error)
        else:
            self._problem = ""

    async def _look(self) -> None:
        arriving = sorted(self._arriving()) if self._is_wanted() or self._deadline is not None else []
        if arriving and self._deadline is not None:
            await self._journal.write_due(lambda store: _put_off(store, arriving))
        self._passed_by = {number: looks - 1 for number, looks in self._passed_by.items() if looks > 1}
        is_more = True
        while is_more:
            limit = AT_ONCE + len(self._passed_by)
            self._deadline, due = await self._journal.read(partial(_due, limit=limit))
            self._passed_over = 0
            for collection_id in due:
                if collection_id not in self._passed_by:
                    await self._advance(collection_id)
            is_more = len(due) == limit

    async def _advance(self, collection_id: int) -> None:
        """All steps of one that are due now. Its trouble is its own: others go on."""
        arriving = self._arriving()
        step = CollectionStep(goes_on=True)
        try:
            while step.goes_on:
                step = await self._journal.write_due(
                    lambda store: advance(store, collection_id, arriving.__contains__, self.questions.has_room)
                )
                self._log_completed(step)
                if step.is_querying and step.collection is not None:
                    self.questions.begin(step.collection)
        except GatewayError:  # likely true of all: the store takes nothing now. The next look begins with others.
            self._passed_by[collection_id] = TRIED_AGAIN_AFTER
            raise
        except Exception as error:
            self._trouble(collection_id, f"{type(error).__name__}: {error}", None)
            return
        if step.problem:
            self._trouble(collection_id, step.problem, step.collection)
        else:
            self._problems.pop(collection_id, None)

    async def _take_answer(self, collection_id: int, answer: SourceAnswer) -> bool:
        """Take the step that an answer makes; False while somebody else holds the collection. While the store takes
        nothing, the answer is lost, and the source is asked again."""
        arriving = self._arriving()
        try:
            step = await self._journal.write_due(
                lambda store: answered(store, collection_id, answer, arriving.__contains__)
            )
        except GatewayError as error:
            log.warning("collection_answer_lost", collection_id=collection_id, error=str(error))
            return True
        except Exception as error:  # the trouble of this collection alone, also when the gateway starts again
            self._trouble(collection_id, f"{type(error).__name__}: {error}", None)
            return True
        self._log_completed(step)
        return not step.is_held

    def _trouble(self, collection_id: int, problem: str, collection: Collection | None) -> None:
        """One stays as it is, and is tried again. The same problem is logged once."""
        self._passed_by[collection_id] = TRIED_AGAIN_AFTER
        if self._problems.get(collection_id) == problem:
            return
        self._problems[collection_id] = problem
        name = "" if collection is None else collection.terms.name
        self._meter.count("gateway_collection_problems_total", collection=name)
        log.error(
            "collection_not_decided",
            collection=name,
            collection_id=collection_id,
            error=problem,
            consequence="what waits for it goes on waiting",
        )

    def _log_completed(self, step: CollectionStep) -> None:
        collection = step.collection
        if collection is None or not step.is_completed:
            return
        terms = collection.terms
        self._meter.count("gateway_collections_completed_total", collection=terms.name, result=collection.result)
        completed_at = collection.completed_at or collection.opened_at
        log.info(
            "collection_completed",
            collection=terms.name,
            collection_id=collection.collection_id,
            study_instance_uid=collection.study_instance_uid,
            series_instance_uid=collection.series_instance_uid,
            generation=collection.generation,
            instances=collection.instances,
            result=collection.result,
            outcome=collection.outcome,
            expected=collection.expectation.expected,
            missing=collection.expectation.missing,
            why=collection.expectation.why,
            waited_s=round((completed_at - collection.opened_at).total_seconds(), 1),
            flag=collection.flag,
        )


def _due(store: Store, limit: int) -> tuple[datetime | None, list[int]]:
    """The next deadline, and up to `limit` collections whose deadline has come."""
    deadline, now = store.collections.next_deadline(), store.administration.now()
    is_due = deadline is not None and deadline <= now
    return deadline, store.collections.due(now, limit) if is_due else []


def _put_off(store: Store, study_instance_uids: Sequence[str]) -> CollectionStep:
    """Objects of these are on their way in."""
    store.collections.arriving(study_instance_uids, store.administration.now())
    return CollectionStep()
