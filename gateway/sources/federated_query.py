"""One query to the index and to sources at once: merged answers as they become ready, and failed sources."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TypeVar

from gateway.model.query import Attributes, QueryLevel
from gateway.ports.errors import GatewayError
from gateway.sources.answer_merge import MergedAnswer, Merger
from gateway.sources.fan_out import BackgroundTasks, FanOut, QueryAnswers
from gateway.sources.source_query import SourceFailed

T = TypeVar("T")

MatchFromPlace = tuple[Attributes, int]
"""One answer of a source, and its pending status."""


class FederatedQuery:
    """One query.

    Args:
        names: of the sources, by rank.
        background: where tasks end that are not needed any more.
    """

    def __init__(self, names: Mapping[int, str], background: BackgroundTasks) -> None:
        self._names = names
        self._background = background
        self.failures: list[SourceFailed] = []
        """Failures in the order in which they happened."""
        self.of_other_patients: Counter[str] = Counter()
        """Answers that name another patient for a thing than a source before them, by source."""
        self.late: Counter[str] = Counter()
        """Answers that would have added to a match that was given without them, by source."""
        self._is_stopped = asyncio.Event()

    def stop(self) -> None:
        """End the query: its stream of answers comes to an end."""
        self._is_stopped.set()

    async def matches(
        self, queries: Mapping[int, QueryAnswers[MatchFromPlace]], level: QueryLevel, patience_s: float
    ) -> AsyncGenerator[MergedAnswer]:
        """Merged answers. Close the generator when it is left early."""
        merger = Merger(level, queries, patience_s)
        loop = asyncio.get_running_loop()
        running = set(queries)
        async with FanOut(queries, self._background, self._is_stopped) as side:
            while running and not self._is_stopped.is_set():
                event = await side.next(merger.due_at_s)
                if event is None:
                    ready = merger.due(loop.time())
                elif event.has_ended:
                    running.discard(event.rank)
                    self._note(event.rank, event.error)
                    ready = merger.ended(event.rank)
                else:
                    ready = []
                    for attributes, status in event.answers:
                        ready += merger.add(event.rank, attributes, status, loop.time())
                for match in ready:
                    yield match
        self.of_other_patients.update({self._names[rank]: n for rank, n in merger.of_other_patients.items()})
        for rank, number in merger.late.items():
            self.late[self._names[rank]] += number
            self.failures.append(SourceFailed(self._names[rank], f"{number} of its answers came after `patience`"))

    async def everything(self, queries: Mapping[int, QueryAnswers[T]]) -> AsyncGenerator[tuple[int, T]]:
        """Answers as they come, with the rank of the source."""
        running = set(queries)
        async with FanOut(queries, self._background, self._is_stopped) as side:
            while running and not self._is_stopped.is_set():
                event = await side.next()
                if event is None:
                    continue
                if event.has_ended:
                    running.discard(event.rank)
                    self._note(event.rank, event.error)
                for answer in event.answers:
                    yield event.rank, answer

    def _note(self, rank: int, error: Exception | None) -> None:
        """Record a source's failure. An error that is no source's fault is raised."""
        if error is None:
            return
        if isinstance(error, SourceFailed):
            self.failures.append(error)
        elif isinstance(error, GatewayError):
            self.failures.append(SourceFailed(self._names[rank], str(error)))
        else:
            raise error


async def one_by_one(answers: AsyncGenerator[T]) -> AsyncGenerator[list[T]]:
    """Single answers as batches."""
    async with aclosing(answers):
        async for answer in answers:
            yield [answer]
