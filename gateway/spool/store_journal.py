"""The part of a journal that a store does: claims, settlements, counts, and access of operators, as coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from gateway.common.buffer import Buffer
from gateway.common.completion import Completion
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.affinities import AffinityWish
from gateway.ports.collections import CollectionCount
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder, GroupPlace, QueueDepth
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import Temporary
from gateway.ports.kept_copies import KeptTotal
from gateway.ports.shared_payloads import UnsealedPayloads
from gateway.ports.store import Store
from gateway.spool.arriving import ArrivingObjects
from gateway.spool.commit_requests import Acceptance, Call, ClaimRequest, Settling
from gateway.spool.commits import Commits
from gateway.spool.journal_state import JournalState
from gateway.spool.spool_threads import SpoolThreads
from gateway.spool.writing import Writing


class HasDestinations(Protocol):
    """Says for which destinations deliveries are due now."""

    @property
    def destinations(self) -> Collection[str]: ...


T = TypeVar("T")
MadeDue = TypeVar("MadeDue", bound=HasDestinations)

OnDestination = Callable[[str], None]

READ_AFTER_S = 1.0
"""An operator's question waits so long for what was acknowledged before it; then the store takes nothing now."""
KEPT_COUNTED = 200_000
"""Kept copies that a total counts one by one; then it stops, and says so."""


class Acceptances(Protocol):
    """Makes requests for the committer (`gateway.spool.acceptance_payloads`)."""

    def small(self, body: EncodedDataSet, edited: Sequence[Buffer] | None) -> tuple[Sequence[Buffer], int] | None: ...

    async def of_large(
        self, instance: Instance, dispatches: Sequence[Dispatch], body: EncodedDataSet, edited: Sequence[Buffer] | None
    ) -> Acceptance: ...


class StoreJournal(ABC):
    """One committer thread, one reader thread. A journal of its own kind sets `_loop`, `_threads`, `_commits`,
    `_acceptances` and `_reader` when it starts."""

    _loop: asyncio.AbstractEventLoop
    _threads: SpoolThreads
    _commits: Commits
    _acceptances: Acceptances
    _reader: Store
    writing: Writing

    def __init__(self, path: str) -> None:
        self._state = JournalState(path)
        self.arriving = ArrivingObjects()
        """Objects on their way in."""
        self._listeners: list[OnDestination] = []
        self._operator_listeners: list[OnDestination] = []

    # --- its kind -----------------------------------------------------------------------------------------------

    @abstractmethod
    async def start(self) -> None:
        """Take what it is on, and begin to commit. Raises ConfigurationError, SpoolFull, Temporary."""

    @abstractmethod
    async def close(self) -> None:
        """Commit what waits, then give everything back. Later calls raise JournalClosed."""

    @property
    @abstractmethod
    def spool_id(self) -> str:
        """The identity of the place of payloads; empty before the start."""

    @property
    @abstractmethod
    def forgotten_early(self) -> int:
        """Instances that went before their retention was over, for want of room, since the start."""

    @property
    def kept_copies_dropped(self) -> int:
        """Kept copies that were given up before their time was over, for want of room, since the start."""
        return 0

    @abstractmethod
    def refusal(self) -> str:
        """The reason why no objects are taken though the journal works; empty when they are."""

    @abstractmethod
    def shortages(self) -> Mapping[str, str]:
        """Place → why there is no room for objects; empty when there is."""

    @abstractmethod
    def moved_queue(self) -> str:
        """The reason why the store is not the one that was opened at the start; empty when it is. Any thread."""

    @abstractmethod
    def receiver(self) -> DataSetReceiver:
        """A receiver for one incoming data set. Raises SpoolFull while nothing is taken."""

    @abstractmethod
    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes, in a thread that may wait for them. Raises PayloadLost, Temporary."""

    @abstractmethod
    def open_now(self, payload: PayloadRef) -> EncodedDataSet | None:
        """The same without waiting for another machine; None for what has to be fetched (`fetch`)."""

    @abstractmethod
    async def fetch(self, payload: PayloadRef) -> EncodedDataSet:
        """As `open`, for the event loop."""

    @abstractmethod
    def open_cached(self, payload: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for anything; else None. Raises PayloadLost."""

    def write_problems(self) -> Mapping[str, str]:
        """Place → why writing to it failed last; empty while all goes well."""
        return {str(place): reason for place, reason in self.writing.problems.items()}

    def unsealed(self) -> tuple[UnsealedPayloads, int] | None:
        """The part of the journal that the object store does not have yet, and its limit; None of a gateway alone."""
        return None

    def backlog(self) -> str:
        """The reason why much of it waits for the object store; empty when all goes well."""
        return ""

    def health(self) -> str:
        """Empty when commits go on; else what is wrong."""
        return self._state.problem

    async def failed(self) -> None:
        """Wait until the journal breaks, and raise why: the process must end then, nothing more can be promised.

        Returns when the journal was closed in order.
        """
        await self._state.failed()

    # --- acceptance ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _check_room(self) -> None:
        """Raises SpoolFull when nothing is taken."""

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        """Return only when payload, instance and deliveries are on disk. Raises SpoolFull."""
        self._check_room()
        small = self._acceptances.small(body, edited)
        if small is not None:
            request = _of_small(instance, dispatches, self._loop.create_future(), *small)
        else:
            request = await self._acceptances.of_large(instance, dispatches, body, edited)
        stored: Instance = await self._commits.submit(request)
        return stored

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Completion[Instance] | None:
        """As `commit`, begun at once and without a task; None for what goes into a file. Raises SpoolFull."""
        self._check_room()
        small = self._acceptances.small(body, edited)
        if small is None:
            return None
        completion: Completion[Instance] = Completion()
        self._commits.hand_in_soon(_of_small(instance, dispatches, completion, *small))
        return completion

    # --- deliveries ---------------------------------------------------------------------------------------------

    async def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        future = self._loop.create_future()
        request = ClaimRequest(future, destination=destination, limit=limit, lease_s=lease_s, apart=apart, order=order)
        claimed: list[Delivery] = await self._commits.submit(request)
        return claimed

    async def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float) -> list[Delivery]:
        answer = self._loop.create_future()
        request = ClaimRequest(answer, destination=destination, limit=limit, lease_s=lease_s, bundle=bundle)
        claimed: list[Delivery] = await self._commits.submit(request)
        return claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        held: list[bool] = await self._commits.submit(Settling(self._loop.create_future(), settlements=settlements))
        return held

    async def next_due(self, destination: str) -> datetime | None:
        return await self._read(lambda store: store.deliveries.next_due(destination))

    async def depths(self) -> list[QueueDepth]:
        return await self.read(lambda store: store.deliveries.depths())

    async def collection_counts(self) -> list[CollectionCount]:
        return await self.read(lambda store: store.collections.counts(store.administration.now()))

    async def kept_total(self) -> KeptTotal:
        return await self.read(lambda store: store.kept.kept_total(KEPT_COUNTED))

    async def group_places(self) -> list[GroupPlace]:
        return await self._read(lambda store: store.deliveries.group_places())

    async def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, *, are_doubtful: bool = False
    ) -> int:
        def move(store: Store) -> int:
            now = store.administration.now()
            return store.deliveries.move_in_group(group_name, source, target, limit, now, are_doubtful=are_doubtful)

        moved = await self._call(move)
        if moved:
            self._due({target})
        return moved

    async def release_held(self, which: DeliveryFilter, after: int, limit: int) -> tuple[int, int]:
        def found(store: Store) -> Sequence[int]:
            some, states = store.administration, (DeliveryState.HELD,)
            if not some.count(DeliveryFilter(destination=which.destination), states):
                return ()  # an index says so; all deliveries are looked at for the rest
            return some.page(which, states, after=after, last=some.last(), limit=limit)

        ids = await self.read(found)
        if not ids:
            return 0, 0
        those = dataclasses.replace(which, ids=tuple(ids))
        released = await self._call(lambda store: store.administration.release(those, store.administration.now()))
        self._due({which.destination or ""})
        return released, ids[-1]

    async def movable_in_group(self, group_name: str, source: str, limit: int) -> list[tuple[int, str]]:
        return await self._read(lambda store: store.deliveries.movable_in_group(group_name, source, limit))

    async def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]]) -> int:
        def move(store: Store) -> int:
            now = store.administration.now()
            return store.deliveries.move_each_in_group(group_name, source, moves, now)

        moved = await self._call(move)
        if moved:
            self._due({target for _, target in moves})
        return moved

    async def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        return await self.read(lambda store: store.deliveries.pending_at(destinations, most))

    async def keep_affinities(self, wishes: Sequence[AffinityWish]) -> list[str]:
        return await self._call(lambda store: store.affinities.keep_affinities(wishes, store.administration.now()))

    async def forget_affinities(self, limit: int) -> int:
        return await self._call(lambda store: store.affinities.forget_affinities(store.administration.now(), limit))

    def subscribe(self, listener: OnDestination) -> None:
        self._listeners.append(listener)

    def subscribe_to_operators(self, listener: OnDestination) -> None:
        self._operator_listeners.append(listener)

    # --- the store, for operators -------------------------------------------------------------------------------

    async def until_recorded(self) -> None:
        """Return when the store knows every instance that was acknowledged before now.

        Raises Temporary when it takes nothing; JournalClosed.
        """
        await self._commits.until_recorded()

    async def read(self, function: Callable[[Store], T]) -> T:
        """The answer of `function` to the reading connection in its own thread: no commit waits for it.

        It knows all instances that were acknowledged before, unless the store takes nothing (`write_problems`), or
        another process has held it for `READ_AFTER_S`.
        """
        self._state.check()
        with contextlib.suppress(Temporary, TimeoutError):
            async with asyncio.timeout(READ_AFTER_S):
                await self._commits.until_recorded()
        return await self._read(function)

    async def _read(self, function: Callable[[Store], T]) -> T:
        self._state.check()
        return await self._loop.run_in_executor(self._threads.reading, function, self._reader)

    async def write(self, function: Callable[[Store], T]) -> T:
        """The answer of `function` in the next group's transaction. Couriers hear of it as of another process's."""
        answer = await self._call(function)
        _notify(self._operator_listeners, set(await self.read(lambda store: store.deliveries.pending_destinations())))
        return answer

    async def write_due(self, function: Callable[[Store], MadeDue]) -> MadeDue:
        """The answer of `function` in the next group's transaction. Couriers hear for which destinations deliveries are
        due."""
        answer = await self._call(function)
        self._due({*answer.destinations})
        return answer

    async def sync(self) -> None:
        """All that was committed before is on disk."""
        await self._call(lambda store: store.sync())

    async def _call(self, function: Callable[[Store], T]) -> T:
        """Run `function` in the committer's thread, inside its transaction."""
        answer: T = await self._commits.submit(Call(self._loop.create_future(), function=function))
        return answer

    # --- inside ------------------------------------------------------------------------------------------------

    def _due(self, destinations: set[str]) -> None:
        _notify(self._listeners, destinations)

    def _changed(self, destinations: set[str]) -> None:
        _notify(self._operator_listeners, destinations)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        if keeper.cancelled() or self._state.problem:
            return
        error = keeper.exception()
        self._state.break_(error or RuntimeError("housekeeping ended"))


def _of_small(
    instance: Instance,
    dispatches: Sequence[Dispatch],
    done: asyncio.Future[Any] | Completion[Any],
    pieces: Sequence[Buffer],
    size_bytes: int,
) -> Acceptance:
    """The request for a small payload, from the result of `small`."""
    return Acceptance(done, instance=instance, dispatches=dispatches, pieces=pieces, size_bytes=size_bytes)


def _notify(listeners: Sequence[OnDestination], destinations: set[str]) -> None:
    for destination in destinations:
        for listener in listeners:
            listener(destination)
