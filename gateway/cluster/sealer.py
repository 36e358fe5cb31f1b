"""Sealing: groups leave the journal for objects of the object store, and objects that nothing names are deleted.

One node at a time does it, in a thread of its own with a connection of its own. Another thread waits for the object
store meanwhile: all nodes know each second what is not sealed, and the gateway ends while the object store hangs.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TypeVar

import structlog

from gateway.cluster.node_committer import LARGE
from gateway.cluster.object_threads import ObjectThreads
from gateway.ports.errors import GatewayError, QueueBroken, Temporary
from gateway.ports.meter import Meter
from gateway.ports.object_store import ObjectStore, StoredObject
from gateway.ports.retrying import retried
from gateway.ports.shared_payloads import JournalGroup, SharedStore

log = structlog.get_logger()

SEGMENTS = "segments/"
SEGMENT_BYTES = 64 * 1024**2
"""The length of an object at which it gets no further group."""
PART_BYTES = 24 * 1024**2
"""The length of the requests in which it is written: one thread of a cluster has so much in memory."""
SEALED_AFTER_S = 5.0
"""A group waits so long for others to lie in one object with it."""
READ_BYTES = 8 * 1024**2
"""Groups that are read from the database by one statement: it costs as much as the writing of a small one."""
GROUPS_AT_ONCE = 1024
OBJECTS_AT_ONCE = 256
FORGET_AT_ONCE = 200
"""Instances that are forgotten in one transaction: their rows are locked meanwhile."""
ROUND_S = 1.0
ORPHANS_S = 3600.0
"""The interval between searches for objects that no database row leads to."""
ORPHAN_AGE = timedelta(days=1)
"""An object that nothing leads to is deleted after this time: its group may be about to be committed."""

MOST_SUSPECTS = 100_000
"""Objects that are remembered from one search to the next; further ones wait for a later search."""

SEALING_S = 10.0
"""A round seals for so long; the rest of it has its turn then, also while much waits."""
SLOW_S = 5.0
"""An object store that has not answered for so long is why nothing is sealed."""
LOOK_S = 0.05
"""The interval between looks whether the object store has answered."""

METRIC = "gateway_sealed_bytes_total"

T = TypeVar("T")


class Sealer(threading.Thread):
    """Seals, forgets what retention lets go, and deletes; begun by `start`, ended by `end`.

    `forget_before` gives the times before which instances must have settled to be forgotten: outside the index, and in
    it.
    """

    def __init__(
        self,
        open_store: Callable[[], SharedStore],
        objects: ObjectStore,
        *,
        now: Callable[[], datetime],
        forget_before: Callable[[], tuple[datetime, datetime, datetime]],
        monotonic: Callable[[], float] = time.monotonic,
        meter: Meter,
        round_s: float = ROUND_S,
    ) -> None:
        super().__init__(name="payload-sealer", daemon=True)
        self._open_store = open_store
        self._objects = objects
        self._now = now
        self._forget_before = forget_before
        self._monotonic = monotonic
        self._meter = meter
        self._round_s = round_s
        self._orphans_at_s = monotonic() + ORPHANS_S
        self._is_ending = threading.Event()
        self._object_thread = ObjectThreads(1, "sealer-objects")
        self._counted_at_s = float("-inf")
        self._problem = ""
        self._unreadable: set[str] = set()
        """Names of groups that the database cannot read."""
        self._found: Sequence[JournalGroup] | None = None
        """The groups that wait, as the count of this round found them; None once they may be others."""
        self._suspects: frozenset[str] = frozenset()
        """Objects that the last search found old and unknown."""
        self._looked_at = ""
        """The name of the object that was looked at last; empty at the beginning, and after the last one."""

    def end(self) -> None:
        """End after the step that is being done. Any thread."""
        self._is_ending.set()

    def run(self) -> None:
        store: SharedStore | None = None
        while not self._is_ending.wait(self._round_s):
            try:
                store = store or self._open_store()
                self.do_round(store)
                self._report("")
            except (GatewayError, OSError) as error:
                self._report(str(error))
            except Exception as error:  # it is tried again, and the gateway goes on: nothing is lost meanwhile
                log.exception("sealing_failed")
                self._report(f"{type(error).__name__}: {error}")
        if store is not None:
            store.close()
        self._object_thread.stop(0.0)

    def _report(self, problem: str) -> None:
        if bool(problem) != bool(self._problem):
            if problem:
                log.warning("sealing_interrupted", reason=problem, consequence="the journal in the database grows")
            else:
                log.info("sealing_resumed")
        self._problem = problem

    def do_round(self, store: SharedStore) -> bool:
        """All that is to be done now; False when another node does it.

        A step that fails leaves out no other one: an object store that is full takes nothing, and gets room by what is
        deleted. Raises the first error at the end.
        """
        if not store.sealing.take_turn():
            return False
        problems: list[Exception] = []
        steps = (self._count, self._forget, self._seal, self._drop_sealed, self.delete_unnamed, self._look_for_orphans)
        for step in steps:
            try:
                step(store)
            except Exception as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return True

    def _seal(self, store: SharedStore) -> None:
        """One object after the other: an object store that is back has no more to do than before."""
        until_s = self._monotonic() + SEALING_S
        while not self._is_ending.is_set() and self._seal_one(store) and self._monotonic() < until_s:
            self._count_in_time(store, self._problem)

    def _drop_sealed(self, store: SharedStore) -> None:
        store.sealing.drop_sealed()

    def _look_for_orphans(self, store: SharedStore) -> None:
        if self._monotonic() >= self._orphans_at_s and not self._is_ending.is_set():
            self._orphans_at_s = self._monotonic() + ORPHANS_S
            self.delete_orphans(store)

    # --- what waits ---------------------------------------------------------------------------------------------

    def _count(self, store: SharedStore) -> None:
        self._found = None
        with store.transaction():
            found = self._unsealed(store)
            self._count_in_time(store, self._problem)
        self._found = found

    def _unsealed(self, store: SharedStore) -> Sequence[JournalGroup]:
        return store.sealing.unsealed(GROUPS_AT_ONCE + len(self._unreadable))

    def _count_in_time(self, store: SharedStore, problem: str) -> None:
        """Tell all nodes what is not sealed, at most once a round."""
        if self._monotonic() - self._counted_at_s >= self._round_s:
            self._counted_at_s = self._monotonic()
            store.sealing.note_unsealed(problem)

    def _answer(self, store: SharedStore, future: concurrent.futures.Future[T]) -> T:
        """The answer of the object store; groups that wait are counted meanwhile. Raises Temporary at the end."""
        began_s = self._monotonic()
        while not concurrent.futures.wait([future], LOOK_S).done:
            self._while_waiting(store, began_s)
        return future.result()

    def _while_waiting(self, store: SharedStore, began_s: float) -> None:
        if self._is_ending.is_set():
            raise Temporary("the gateway ends while the object store has not answered")
        waited_s = self._monotonic() - began_s
        late = f"the object store has not answered for {waited_s:.0f} s" if waited_s >= SLOW_S else ""
        self._count_in_time(store, late or self._problem)

    # --- sealing ------------------------------------------------------------------------------------------------

    def _seal_one(self, store: SharedStore) -> bool:
        """Put one object into the object store, if it is time; True when more may wait."""
        found, self._found = self._found, None
        if found is None:
            found = self._unsealed(store)
        groups = [group for group in found if group.name not in self._unreadable]
        chosen = _first_of(groups)
        length_bytes = sum(group.length_bytes for group in chosen)
        if not chosen:
            return False
        age_s = self._now().timestamp() - min(group.added_at for group in chosen) / 1_000_000
        is_full = length_bytes >= SEGMENT_BYTES or len(chosen) == GROUPS_AT_ONCE
        if not is_full and age_s < SEALED_AFTER_S:
            return False
        name = f"{SEGMENTS}{uuid.uuid4().hex}"
        self._put(store, name, chosen, length_bytes)
        with store.transaction():
            store.sealing.seal(name, chosen)
        self._meter.count(METRIC, length_bytes)
        return len(chosen) < len(groups) or len(groups) >= GROUPS_AT_ONCE

    def _put(self, store: SharedStore, name: str, chosen: Sequence[JournalGroup], length_bytes: int) -> None:
        """This thread reads the database, the other one writes to the object store. After a failure it does so in short
        requests: a long one may take too long on a slow line."""
        handover, part_bytes = _Handover(), 0 if self._problem else PART_BYTES
        writing = self._object_thread.submit(self._objects.put, name, handover, length_bytes, part_bytes)
        try:
            for piece in chain(self._payloads(store, chosen), [None]):
                began_s = self._monotonic()
                while not handover.is_taken(piece) and not writing.done():
                    self._while_waiting(store, began_s)
        except BaseException:
            handover.break_off()
            raise
        self._answer(store, writing)

    def _payloads(self, store: SharedStore, groups: Sequence[JournalGroup]) -> Iterator[bytes]:
        """Raises Temporary: a group that cannot be read is left out from then on, and the others are sealed."""
        for names in _read_together(groups):
            try:
                found = store.sealing.read_groups(names)
            except QueueBroken:
                found = {}
                for name in names:
                    found |= self._read_alone(store, name)
            for name in names:
                payloads = found.get(name)
                if payloads is None:
                    raise Temporary(f"payload {name}: the group is not in the journal any more")
                yield payloads

    def _read_alone(self, store: SharedStore, name: str) -> Mapping[str, bytes]:
        """One of several, of which one cannot be read. Raises Temporary when it is this one."""
        try:
            return store.sealing.read_groups([name])
        except QueueBroken as error:
            self._unreadable.add(name)
            log.error(
                "journal_group_not_read",
                group=name,
                error=str(error),
                consequence="its objects are neither sealed nor sent; restore the database, or discard them",
            )
            raise Temporary(f"payload {name}: the database cannot read the group") from error

    # --- deleting -----------------------------------------------------------------------------------------------

    def _forget(self, store: SharedStore) -> None:
        """Forget instances whose retention is over; so is that of copies whose time is over."""
        while retried(lambda: _ended(store, self._now())) == FORGET_AT_ONCE and not self._is_ending.is_set():
            pass
        before, indexed_before, traced_before = self._forget_before()
        forgotten = FORGET_AT_ONCE
        while forgotten == FORGET_AT_ONCE and not self._is_ending.is_set():
            forgotten = retried(lambda: _forgotten(store, before, indexed_before, traced_before))
            if forgotten:  # perhaps the last ones that named a group
                self._found = None

    def delete_unnamed(self, store: SharedStore) -> None:
        """The rows go first: what leads to an object leads to one that is there. Each round looks at the next objects,
        and at further ones while it finds some to delete."""
        while not self._is_ending.is_set():
            names, self._looked_at = store.sealing.unnamed_objects(self._looked_at, OBJECTS_AT_ONCE)
            if names:
                with store.transaction():
                    store.sealing.forget_objects(names)
                self._answer(store, self._object_thread.submit(self._objects.delete, names))
            if not names or not self._looked_at:
                return

    def delete_orphans(self, store: SharedStore) -> int:
        """Delete old objects that the database does not know: of a put whose transaction failed, of a deletion that was
        interrupted. How many. Raises Temporary.

        The last search must have found them too: the clock of the object store may be days behind the database's, and a
        new object may be about to be committed. By the next search it is known.
        """
        deleted = 0
        suspects: set[str] = set()
        for old in self._old_objects(store):
            known = store.sealing.known_objects(old)
            unknown = [name for name in old if name not in known]
            gone = [name for name in unknown if name in self._suspects]
            if len(suspects) < MOST_SUSPECTS:
                suspects.update(unknown)
            if gone:
                log.info("orphaned_objects_deleted", objects=len(gone))
                self._answer(store, self._object_thread.submit(self._objects.delete, gone))
                deleted += len(gone)
        self._suspects = frozenset(suspects)
        return deleted

    def _old_objects(self, store: SharedStore) -> Iterator[list[str]]:
        """Names, some at a time."""
        before = self._now() - ORPHAN_AGE
        for prefix in (SEGMENTS, LARGE):
            objects = iter(self._objects.list(prefix))
            while page := self._answer(store, self._object_thread.submit(_some, objects)):
                yield [found.name for found in page if found.modified_at < before]


class _Handover(Iterator[bytes]):
    """Pieces that one thread gives and another one takes: one of them waits between."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(1)
        self._is_broken_off = threading.Event()

    def is_taken(self, piece: bytes | None) -> bool:
        """Give it, None behind the last one; False when there is no place for it yet."""
        with contextlib.suppress(queue.Full):
            self._pieces.put(piece, timeout=LOOK_S)
            return True
        return False

    def break_off(self) -> None:
        """The one that takes them gets an error in place of further ones."""
        self._is_broken_off.set()

    def __next__(self) -> bytes:
        while True:
            if self._is_broken_off.is_set():
                raise Temporary("the pieces of the object were broken off")
            with contextlib.suppress(queue.Empty):
                piece = self._pieces.get(timeout=LOOK_S)
                if piece is None:
                    raise StopIteration
                return piece


def _some(objects: Iterator[StoredObject]) -> list[StoredObject]:
    return list(islice(objects, OBJECTS_AT_ONCE))


def _ended(store: SharedStore, now: datetime) -> int:
    """Copies whose time is over are kept no longer: the number."""
    with store.transaction():
        return store.kept.end_kept(now, FORGET_AT_ONCE)


def _forgotten(store: SharedStore, before: datetime, indexed_before: datetime, traced_before: datetime) -> int:
    """The number of instances that are forgotten in one transaction, with what is known too long of others."""
    with store.transaction():
        store.traces.forget_entries(traced_before, FORGET_AT_ONCE)
        return store.deliveries.forget(before, FORGET_AT_ONCE, indexed_before)


def _read_together(groups: Sequence[JournalGroup]) -> Iterator[list[str]]:
    """Names of groups that one statement reads."""
    names: list[str] = []
    length_bytes = 0
    for group in groups:
        if names and length_bytes + group.length_bytes > READ_BYTES:
            yield names
            names, length_bytes = [], 0
        names.append(group.name)
        length_bytes += group.length_bytes
    if names:
        yield names


def _first_of(groups: Sequence[JournalGroup]) -> list[JournalGroup]:
    """The groups that fill one object."""
    chosen, length_bytes = [], 0
    for group in groups:
        if length_bytes >= SEGMENT_BYTES:
            break
        chosen.append(group)
        length_bytes += group.length_bytes
    return chosen
