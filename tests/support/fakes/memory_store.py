"""The `Store` port in a few dictionaries: the model that other implementations are compared with. Not durable."""

from __future__ import annotations

import base64
import builtins
import copy
import dataclasses
import functools
import pickle
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from collections.abc import Collection as AnyNumber
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from gateway.model.association import AssociationFacts
from gateway.model.collection import Collection
from gateway.model.delivery import NEVER, RULE_PAUSED, Attempt, Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses, likeness_of
from gateway.model.migration import MigrationMark
from gateway.model.priority import Priority
from gateway.model.query import Attributes, Query
from gateway.ports.affinities import AffinityWish
from gateway.ports.delivery_administration import (
    CorrectedDelivery,
    DeliveryFilter,
    DeliveryOrder,
    DeliveryTotal,
    StudyDeliveries,
)
from gateway.ports.delivery_queue import (
    IN_ORDER,
    URGENT_LOOKED_AT,
    AcceptedInstance,
    ClaimOrder,
    GroupPlace,
    QueueDepth,
)
from gateway.ports.kept_copies import NOTHING_KEPT, EndedCopies, KeptTotal
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.trace_entries import TraceEntry
from gateway.ports.undo_log import DeliveryChange, UndoCount, mark_of
from tests.support.fakes.memory_collections import MemoryCollections
from tests.support.fakes.memory_index import MemoryIndex
from tests.support.fakes.memory_traces import MemoryTraces, of_delivery, of_sender

OWED = (DeliveryState.PENDING, DeliveryState.HELD)
KEPT = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD)


ORDERS: dict[DeliveryOrder, Callable[[Delivery], tuple[int, ...]]] = {
    "oldest": lambda row: (row.delivery_id,),
    "newest": lambda row: (-row.delivery_id,),
    "size": lambda row: (-row.instance.payload.length_bytes, row.delivery_id),
    "attempts": lambda row: (-row.attempts, row.delivery_id),
}


def _study_of(row: Delivery) -> tuple[str, str]:
    return row.instance.study_instance_uid, row.destination


def _summed(rows: list[Delivery]) -> StudyDeliveries:
    """Those of one study to one destination."""
    received = [row.instance.received_at for row in rows]
    size_bytes = sum(row.instance.payload.length_bytes for row in rows)
    tried = max(row.attempts for row in rows)
    numbers = Counter(row.state for row in rows)
    return StudyDeliveries(*_study_of(rows[0]), numbers, size_bytes, min(received), max(received), tried)


@dataclasses.dataclass
class Row:
    delivery: Delivery
    leased_until: datetime | None = None
    attempts: builtins.list[Attempt] = dataclasses.field(default_factory=builtins.list)

    @functools.cached_property
    def likeness(self) -> int:
        return likeness_of(self.delivery.instance)

    @property
    def due_at(self) -> datetime:
        return self.leased_until or self.delivery.due_at

    def change(self, **values: Any) -> None:
        self.delivery = dataclasses.replace(self.delivery, **values)

    def end_lease(self) -> None:
        """Nobody settled it: it may have been sent."""
        self.change(is_doubtful=self.delivery.is_doubtful or self.leased_until is not None)
        self.leased_until = None


SENDER = tuple(
    field.name
    for field in dataclasses.fields(AssociationFacts)
    if not field.name.startswith("implementation_")
    and field.name not in ("remote_port", "tls_fingerprint", "association_id")
)
"""Of somebody who sends again."""


class MemoryStore:
    """As the ports say, and slow; one object is all parts of the store."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._instances: dict[int, Instance] = {}
        self._settled: dict[int, datetime] = {}
        self._kept_until: dict[int, datetime] = {}
        self._kept_since: dict[int, datetime] = {}
        self.rows: dict[int, Row] = {}
        self._by_uid: dict[str, builtins.list[int]] = {}
        """SOP Instance UID → deliveries, those that are gone among them."""
        self._by_instance: dict[int, builtins.list[int]] = {}
        """Instance ID → deliveries, those that are gone among them."""
        self._last_instance = 0
        self._last_delivery = 0
        self._spool_id = ""
        self._mark: MigrationMark | None = None
        self._known = ("", 0)
        self._affinities: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._pauses: dict[tuple[str, str], Pause] = {}
        self._traces = MemoryTraces()
        self._operations: builtins.list[OperationRecord] = []
        self._changes: dict[tuple[int, int], DeliveryChange] = {}
        self._index = MemoryIndex()
        self.collection_rows: dict[int, Collection] = {}
        self.collection_members: dict[int, dict[str, tuple[str, int, str]]] = {}
        """Collection → key of the SOP Instance UID → digest, instance, matches."""
        self.given_up: set[tuple[int, str]] = set()
        """Collections and keys of SOP Instance UIDs of which an operator gave a delivery up."""

    @property
    def deliveries(self) -> MemoryStore:
        return self

    @property
    def collections(self) -> MemoryCollections:
        return MemoryCollections(self)

    @property
    def administration(self) -> MemoryStore:
        return self

    @property
    def operations(self) -> MemoryStore:
        return self

    @property
    def undo(self) -> MemoryStore:
        return self

    @property
    def traces(self) -> MemoryStore:
        return self

    @property
    def pauses(self) -> MemoryStore:
        return self

    @property
    def affinities(self) -> MemoryStore:
        return self

    @property
    def kept(self) -> MemoryStore:
        return self

    @property
    def index(self) -> MemoryStore:
        return self

    @property
    def spool(self) -> MemoryStore:
        return self

    def stored_instances(self) -> Sequence[Instance]:
        return [*self._instances.values()]

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Generator[MemoryStore]:
        before = copy.deepcopy(self.__dict__ | {"_now": None})
        try:
            yield self
        except BaseException:
            self.__dict__.update(before | {"_now": self._now})
            raise

    def _accept(
        self,
        instance: Instance,
        dispatches: Sequence[Dispatch],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool],
    ) -> AcceptedInstance:
        fresh: dict[tuple[str, str], Dispatch] = {}
        same: Instance | None = None
        for dispatch in dispatches:
            found = self._owed(instance, dispatch, is_readable)
            same = same or found
            if found is None:
                fresh.setdefault(dispatch.duty, dispatch)
        if dispatches and not fresh:
            assert same is not None
            if instance.index is not None and same.instance_id not in self._index.images:
                self._index.add(same, instance.index)
            return AcceptedInstance(same.instance_id, 0, same.payload)
        self._last_instance += 1
        stored = dataclasses.replace(instance, instance_id=self._last_instance, index=None)
        if instance.index is not None:
            self._index.add(stored, instance.index)
        self._instances[stored.instance_id] = stored
        for dispatch in fresh.values():
            self._last_delivery += 1
            self._by_uid.setdefault(stored.sop_instance_uid, []).append(self._last_delivery)
            self._by_instance.setdefault(stored.instance_id, []).append(self._last_delivery)
            self.rows[self._last_delivery] = Row(
                Delivery(
                    self._last_delivery,
                    stored,
                    dispatch.destination,
                    dispatch.rule,
                    dispatch.actions_json,
                    dispatch.state,
                    attempts=0,
                    created_at=now,
                    due_at=NEVER if dispatch.is_waiting else now,
                    group_name=dispatch.group_name,
                    reason=dispatch.reason,
                    priority=dispatch.priority,
                    passes_window=dispatch.passes_window,
                    bundle=dispatch.bundle,
                    bundle_place=dispatch.bundle_place,
                    collection_id=None if dispatch.collection is None else dispatch.collection.collection_id,
                )
            )
        if not dispatches:
            self._settled[stored.instance_id] = now
        return AcceptedInstance(stored.instance_id, len(fresh))

    def _owed(
        self, instance: Instance, dispatch: Dispatch, is_readable: Callable[[PayloadRef], bool]
    ) -> Instance | None:
        numbers = self._by_uid.get(instance.sop_instance_uid, ())
        for row in (self.rows[number] for number in numbers if number in self.rows):
            kept = row.delivery
            if (
                kept.state in OWED
                and kept.instance.payload.digest == instance.payload.digest
                and kept.instance.transfer_syntax_uid == instance.transfer_syntax_uid
                and kept.instance.sop_class_uid == instance.sop_class_uid
                and all(
                    getattr(kept.instance.association, name) == getattr(instance.association, name) for name in SENDER
                )
                and is_readable(kept.instance.payload)
                and _duty(kept) == dispatch.duty
            ):
                return kept.instance
        return None

    def accept(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool] = lambda _: True,
    ) -> builtins.list[AcceptedInstance]:
        joining = self.collections.joining(arrivals, now, is_readable)
        joined = [joining.dispatches(place, *arrival) for place, arrival in enumerate(arrivals)]
        answers = [
            self._accept(instance, dispatches, now, is_readable)
            for (instance, _), dispatches in zip(arrivals, joined, strict=True)
        ]
        self.collections.note(joining, [answer.instance_id for answer in answers], now)
        return [
            dataclasses.replace(answer, left_out=tuple(joining.left_out.get(place, ())))
            for place, answer in enumerate(answers)
        ]

    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> builtins.list[Delivery]:
        due = [row for row in self._pending(destination) if row.due_at <= now]
        if order.only:
            due = _urgent(due, apart, order)
        elif apart is not None:
            due = _apart(due, apart)
        else:
            due = _by_priority(due, limit, order.lower)
        return self._lease(due[:limit], lease_s, now)

    def claim_bundle(
        self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime
    ) -> builtins.list[Delivery]:
        due = [row for row in self._pending(destination) if row.due_at <= now and row.delivery.bundle == bundle]
        due.sort(key=lambda row: (row.delivery.bundle_place, row.delivery.delivery_id))
        return self._lease(due[:limit], lease_s, now)

    @staticmethod
    def _lease(due: Sequence[Row], lease_s: float, now: datetime) -> builtins.list[Delivery]:
        for row in due:
            row.change(lease=row.delivery.lease + 1)
            row.leased_until = now + timedelta(seconds=lease_s)
        return [row.delivery for row in due]

    def _pending(self, destination: str) -> builtins.list[Row]:
        rows = [
            row
            for row in self.rows.values()
            if (row.delivery.destination, row.delivery.state) == (destination, DeliveryState.PENDING)
        ]
        return sorted(rows, key=lambda row: (row.due_at, row.delivery.delivery_id))

    def settle(self, settlements: Sequence[Settlement]) -> builtins.list[bool]:
        before = [self._is_written(settlement) for settlement in settlements]
        return [self._settle_one(each) or is_written for each, is_written in zip(settlements, before, strict=True)]

    def _is_written(self, settlement: Settlement) -> bool:
        """True when this attempt ended before, and nobody claimed the delivery since."""
        row = self.rows.get(settlement.delivery_id)
        if row is None or row.leased_until is not None or row.delivery.lease != settlement.lease or not row.attempts:
            return False
        last = row.attempts[-1]
        written = (last.started_at, last.duration_s, last.state, last.status)
        given = (settlement.started_at, settlement.duration_s, settlement.state, settlement.status)
        return settlement.is_attempt and last.number == row.delivery.attempts and written == given

    def _settle_one(self, settlement: Settlement) -> bool:
        row = self.rows.get(settlement.delivery_id)
        if row is None or row.leased_until is None or row.delivery.lease != settlement.lease:
            return False
        number = row.delivery.attempts + settlement.is_attempt
        if settlement.is_attempt:
            attempt = Attempt(
                number,
                settlement.started_at,
                settlement.duration_s,
                settlement.state,
                settlement.status,
                settlement.reason,
            )
            row.attempts = [*row.attempts, attempt][-20:]
        is_back_in_place = not settlement.is_attempt and settlement.due_at <= self._now()
        row.change(
            state=settlement.state,
            due_at=row.delivery.due_at if is_back_in_place else settlement.due_at,
            attempts=number,
            reason=settlement.reason if settlement.is_attempt or settlement.reason else row.delivery.reason,
            is_doubtful=settlement.state is not DeliveryState.DELIVERED
            and (row.delivery.is_doubtful or settlement.is_doubtful),
        )
        row.leased_until = None
        if settlement.kept_until is not None and settlement.state is DeliveryState.DELIVERED:
            key = row.delivery.instance.instance_id
            self._kept_until[key] = max(settlement.kept_until, self._kept_until.get(key, settlement.kept_until))
        self.mark_settled(row.delivery.instance.instance_id)
        return True

    def mark_settled(self, instance_id: int, at: datetime | None = None) -> None:
        numbers = self._by_instance.get(instance_id, ())
        states = {self.rows[number].delivery.state for number in numbers if number in self.rows}
        if not states <= {DeliveryState.DELIVERED}:
            return
        if instance_id in self._kept_until and self._kept_until[instance_id] > (at or self._now()):
            self._kept_since.setdefault(instance_id, at or self._now())
            self._settled.pop(instance_id, None)
        else:
            self._settled[instance_id] = at or self._now()

    def next_due(self, destination: str) -> datetime | None:
        rows = [row for row in self._pending(destination) if not row.delivery.is_waiting]
        if not rows:
            return None
        first = rows[0]
        if first.due_at == first.delivery.counted_from:
            return min(first.due_at, self._now())
        return first.due_at

    def pending_destinations(self) -> builtins.list[str]:
        return sorted(
            {row.delivery.destination for row in self.rows.values() if row.delivery.state is DeliveryState.PENDING}
        )

    def attempts(self, delivery_id: int) -> builtins.list[Attempt]:
        row = self.rows.get(delivery_id)
        return builtins.list(row.attempts) if row else []

    def depths(self) -> builtins.list[QueueDepth]:
        groups: dict[tuple[str, DeliveryState], builtins.list[Delivery]] = {}
        for row in self.rows.values():
            if row.delivery.state in KEPT:
                groups.setdefault((row.delivery.destination, row.delivery.state), []).append(row.delivery)
        return [
            QueueDepth(
                destination,
                state,
                len(kept),
                sum(each.instance.payload.length_bytes for each in kept),
                min(each.created_at for each in kept),
            )
            for (destination, state), kept in sorted(groups.items())
        ]

    def _is_idle(self, row: Row) -> bool:
        return not row.delivery.is_waiting and (row.leased_until is None or row.leased_until <= self._now())

    def _matching(self, which: DeliveryFilter) -> builtins.list[Row]:
        return [row for row in self.rows.values() if _fits(row.delivery, which)]

    def list(self, which: DeliveryFilter, limit: int, *, order: DeliveryOrder = "oldest") -> builtins.list[Delivery]:
        return sorted((row.delivery for row in self._matching(which)), key=ORDERS[order])[:limit]

    def studies(
        self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False
    ) -> builtins.list[StudyDeliveries]:
        rows = self.list(which, len(self.rows), order="newest" if is_newest_first else "oldest")
        wanted = [*dict.fromkeys(row.instance.study_instance_uid for row in rows)][:limit]
        keys = dict.fromkeys(sorted((wanted.index(uid), name) for uid, name in map(_study_of, rows) if uid in wanted))
        return [_summed([row for row in rows if _study_of(row) == (wanted[place], name)]) for place, name in keys]

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        return self._move(which, (DeliveryState.DEAD, DeliveryState.PENDING), now)

    def _move(self, which: DeliveryFilter, states: tuple[DeliveryState, ...], now: datetime) -> int:
        rows = [row for row in self._matching(which) if row.delivery.state in states and self._is_idle(row)]
        for row in rows:
            row.end_lease()
            row.change(state=DeliveryState.PENDING, due_at=now, renewed_at=now, lease=row.delivery.lease + 1)
        return len(rows)

    def hold(self, which: DeliveryFilter) -> int:
        states = (DeliveryState.DEAD, DeliveryState.PENDING)
        rows = [row for row in self._matching(which) if row.delivery.state in states and self._is_idle(row)]
        for row in rows:
            row.end_lease()
            row.change(state=DeliveryState.HELD, lease=row.delivery.lease + 1)
        return len(rows)

    def release(
        self, which: DeliveryFilter, now: datetime, destination: str | None = None, *, even_if_doubtful: bool = False
    ) -> int:
        rows = [
            row
            for row in self._matching(which)
            if row.delivery.state is DeliveryState.HELD
            and (row.delivery.destination or destination)
            and (even_if_doubtful or not row.delivery.is_doubtful or destination in (None, row.delivery.destination))
        ]
        for row in rows:
            row.change(
                state=DeliveryState.PENDING,
                due_at=now,
                renewed_at=now,
                destination=destination or row.delivery.destination,
                group_name="" if destination else row.delivery.group_name,
                is_doubtful=row.delivery.is_doubtful and destination in (None, row.delivery.destination),
                reason=_reason_of_attempt(row.delivery),
            )
        return len(rows)

    def retarget(
        self, which: DeliveryFilter, now: datetime, destination: str, *, even_if_doubtful: bool = False
    ) -> int:
        rows = [
            row
            for row in self._matching(which)
            if row.delivery.state in KEPT
            and self._is_idle(row)
            and (even_if_doubtful or not (row.delivery.is_doubtful or row.leased_until))
        ]
        for row in rows:
            row.end_lease()
            is_of_paused_rule = row.delivery.reason == RULE_PAUSED
            is_held = row.delivery.state is DeliveryState.HELD and not is_of_paused_rule
            state = DeliveryState.HELD if is_held else DeliveryState.PENDING
            reason = "" if is_of_paused_rule else row.delivery.reason
            moved = {"destination": destination, "due_at": now, "renewed_at": now, "lease": row.delivery.lease + 1}
            is_doubtful = row.delivery.is_doubtful and row.delivery.destination == destination
            row.change(state=state, reason=reason, group_name="", is_doubtful=is_doubtful, **moved)
        return len(rows)

    def correct(self, correction: CorrectedDelivery, now: datetime, *, even_if_doubtful: bool = False) -> bool:
        row = self.rows.get(correction.delivery_id)
        if (
            row is None
            or row.delivery.state not in (DeliveryState.HELD, DeliveryState.DEAD)
            or not row.delivery.destination
            or row.delivery.actions_json != correction.former_json
            or (row.delivery.is_doubtful and not even_if_doubtful)
        ):
            return False
        row.change(
            actions_json=correction.actions_json,
            corrected_by=correction.operation_id,
            reason=_reason_of_attempt(row.delivery),
            state=DeliveryState.PENDING,
            due_at=now,
            renewed_at=now,
            lease=row.delivery.lease + 1,
        )
        return True

    def send_again(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        before = len(self.rows)
        for sent in [row.delivery for row in self._matching(which) if row.delivery.state is DeliveryState.DELIVERED]:
            to, instance_id = destination or sent.destination, sent.instance.instance_id
            self._settled.pop(instance_id, None)
            self._kept_since.pop(instance_id, None)
            of_instance = [self.rows[key].delivery for key in self._by_instance[instance_id] if key in self.rows]
            if any(
                (each.destination, each.actions_json) == (to, sent.actions_json)
                and each.state in OWED
                and not each.is_waiting
                for each in of_instance
            ):
                continue
            self._last_delivery += 1
            number = self._last_delivery
            self._by_uid[sent.instance.sop_instance_uid].append(number)
            self._by_instance[instance_id].append(number)
            fresh = Delivery(
                *(
                    number,
                    sent.instance,
                    to,
                    sent.rule,
                    sent.actions_json,
                    DeliveryState.PENDING,
                    0,
                    sent.created_at,
                    now,
                )
            )
            like = dataclasses.replace(fresh, priority=sent.priority, passes_window=sent.passes_window)
            like = dataclasses.replace(like, bundle=sent.bundle, bundle_place=sent.bundle_place)
            self.rows[number] = Row(dataclasses.replace(like, renewed_at=now, corrected_by=sent.corrected_by))
        return len(self.rows) - before

    def set_priority(self, which: DeliveryFilter, priority: Priority) -> int:
        rows = [row for row in self._matching(which) if row.delivery.state in KEPT and self._is_idle(row)]
        for row in rows:
            row.change(priority=priority)
        return len(rows)

    def discard(self, which: DeliveryFilter, settled_at: datetime | None = None) -> int:
        rows = [row for row in self._matching(which) if row.delivery.state in KEPT and self._is_idle(row)]
        for row in rows:
            del self.rows[row.delivery.delivery_id]
            self.collections.give_up(row.delivery.collection_id, row.delivery.instance)
        for row in rows:
            if row.delivery.instance.instance_id not in self._settled:
                self.mark_settled(row.delivery.instance.instance_id, settled_at)
        return len(rows)

    def page(
        self, which: DeliveryFilter, states: AnyNumber[DeliveryState], *, after: int, last: int, limit: int
    ) -> builtins.list[int]:
        return [key for key in self._fitting(which, states) if after < key <= last][:limit]

    def count(self, which: DeliveryFilter, states: AnyNumber[DeliveryState]) -> int:
        return len(self._fitting(which, states))

    def total(self, which: DeliveryFilter, looked_at: int) -> DeliveryTotal:
        is_counted = which == DeliveryFilter(destination=which.destination, state=which.state)
        fitting = {*self._fitting(which, tuple(DeliveryState))}
        owed = {*self._fitting(which, KEPT)} if is_counted else set()
        if is_counted and which.state in KEPT:
            return DeliveryTotal(len(owed), is_exact=True)
        objects = DeliveryFilter(which.ids, which.instance_ids, sop_instance_uid=which.sop_instance_uid)
        found = self._fitting(objects, tuple(DeliveryState))
        return DeliveryTotal(len(owed | fitting.intersection(found[:looked_at])), is_exact=len(found) < looked_at)

    def _fitting(self, which: DeliveryFilter, states: AnyNumber[DeliveryState]) -> builtins.list[int]:
        return sorted(row.delivery.delivery_id for row in self._matching(which) if row.delivery.state in states)

    def last(self) -> int:
        return max(self.rows, default=0)

    def missing(self, ids: Sequence[int]) -> builtins.list[int]:
        return [key for key in ids if key not in self.rows]

    def held_for(self, ids: Sequence[int]) -> dict[str, int]:
        rows = [self.rows[key].delivery for key in ids if key in self.rows]
        return dict(Counter(row.destination for row in rows if row.state is DeliveryState.HELD))

    def has_destination(self, destination: str) -> bool:
        return any(row.delivery.destination == destination for row in self.rows.values())

    def begin_operation(self, operation: OperationRecord) -> int:
        operation_id = self._operations[-1].operation_id + 1 if self._operations else 1
        self._operations.append(dataclasses.replace(operation, operation_id=operation_id))
        return operation_id

    def note_operation(self, operation_id: int, done: int, stayed: int, state: OperationState, now: datetime) -> None:
        place = next(place for place, each in enumerate(self._operations) if each.operation_id == operation_id)
        was = self._operations[place]
        self._operations[place] = dataclasses.replace(
            was, done=was.done + done, stayed=was.stayed + stayed, state=state, changed_at=now
        )

    def last_operations(self, limit: int) -> Sequence[OperationRecord]:
        return self._operations[::-1][:limit]

    def take(self, ids: Sequence[int], instances: Sequence[int]) -> Sequence[int]:
        return ids

    def delivery_images(self, ids: Sequence[int]) -> dict[int, str]:
        idle = [key for key in sorted(ids) if key in self.rows and self.rows[key].leased_until is None]
        return {key: _image(self.rows[key].delivery) for key in idle}

    def keep_changes(self, operation_id: int, changes: Sequence[DeliveryChange]) -> None:
        self._changes |= {(operation_id, each.delivery_id): each for each in changes}

    def changes_of(self, operation_id: int, after: int, limit: int) -> Sequence[DeliveryChange]:
        keys = sorted(key for key in self._changes if key[0] == operation_id and key[1] > after)
        return [self._changes[key] for key in keys[:limit]]

    def undoable(self, changes: Sequence[DeliveryChange]) -> UndoCount:
        same = [each for each in changes if self._is_as_left(each)]
        fit = [each for each in same if not each.before or _former(each).instance.instance_id in self._instances]
        return UndoCount(len(fit), len(changes) - len(same), len(same) - len(fit))

    def _is_as_left(self, change: DeliveryChange) -> bool:
        if not change.after:
            return change.delivery_id not in self.rows
        image = self.delivery_images([change.delivery_id]).get(change.delivery_id)
        return image is not None and mark_of(image) == change.after

    def put_back(self, operation_id: int, changes: Sequence[DeliveryChange]) -> UndoCount:
        counted = self.undoable(changes)
        for each in [each for each in changes if self.undoable([each]).done]:
            now = self.rows.pop(each.delivery_id, None)
            if each.before:
                former = _former(each)
                if (former.state, former.reason) == (DeliveryState.HELD, RULE_PAUSED):
                    former = dataclasses.replace(former, state=DeliveryState.PENDING, reason="")
                lease = 1 + max(former.lease, now.delivery.lease if now else 0)
                attempts = now.attempts if now else []
                self.rows[each.delivery_id] = Row(dataclasses.replace(former, lease=lease), None, attempts)
                if former.state is not DeliveryState.DELIVERED:
                    self._settled.pop(former.instance.instance_id, None)
                    self._kept_since.pop(former.instance.instance_id, None)
            elif now:
                self.mark_settled(now.delivery.instance.instance_id)
        self.rows = dict(sorted(self.rows.items()))
        self._changes = {
            key: change for key, change in self._changes.items() if key[0] != operation_id or change not in changes
        }
        return counted

    def drop_changes(self, up_to: int, limit: int) -> int:
        gone = sorted(key for key in self._changes if key[0] <= up_to)[:limit]
        for key in gone:
            del self._changes[key]
        return len(gone)

    def all_pauses(self) -> Sequence[Pause]:
        return [self._pauses[key] for key in sorted(self._pauses)]

    def begin_pause(self, pause: Pause) -> bool:
        before = self._pauses.get((pause.kind, pause.name))
        if before is not None and before.goes_on:
            return False
        self._pauses[pause.kind, pause.name] = pause
        return True

    def end_pause(self, kind: PausedKind, name: str, now: datetime) -> bool:
        before = self._pauses.get((kind, name))
        if before is None or not before.goes_on:
            return False
        self._pauses[kind, name] = dataclasses.replace(before, resumed_at=now)
        return True

    def now(self) -> datetime:
        return self._now()

    def on_the_wall(self, moment: datetime) -> datetime:
        return moment

    def expire_leases(self) -> int:
        rows = [
            row
            for row in self.rows.values()
            if row.leased_until is not None and row.delivery.state is DeliveryState.PENDING
        ]
        for row in rows:
            row.end_lease()
            row.change(lease=row.delivery.lease + 1)
        return len(rows)

    def group_places(self) -> builtins.list[GroupPlace]:
        found: dict[tuple[str, str], builtins.list[bool]] = {}
        for row in self.rows.values():
            delivery = row.delivery
            if delivery.group_name and delivery.state is DeliveryState.PENDING:
                found.setdefault((delivery.group_name, delivery.destination), []).append(delivery.is_doubtful)
        return [GroupPlace(*key, not all(doubts), sum(doubts)) for key, doubts in sorted(found.items())]

    def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, now: datetime, *, are_doubtful: bool = False
    ) -> int:
        rows = [
            row
            for row in self._pending(source)
            if (row.delivery.group_name, row.delivery.is_doubtful) == (group_name, are_doubtful)
            and row.leased_until is None
        ]
        rows.sort(key=lambda row: row.delivery.delivery_id)
        for row in rows[:limit]:
            row.change(destination=target, due_at=NEVER if row.delivery.is_waiting else now, is_doubtful=False)
        return len(rows[:limit])

    def movable_in_group(self, group_name: str, source: str, limit: int) -> builtins.list[tuple[int, str]]:
        found = [
            (row.delivery.delivery_id, row.delivery.instance.study_instance_uid)
            for row in self._pending(source)
            if row.delivery.group_name == group_name and not row.delivery.is_doubtful and row.leased_until is None
        ]
        return sorted(found)[:limit]

    def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]], now: datetime) -> int:
        movable = dict(self.movable_in_group(group_name, source, len(self.rows)))
        moved = [(key, target) for key, target in moves if key in movable]
        for key, target in moved:
            row = self.rows[key]
            row.change(destination=target, due_at=NEVER if row.delivery.is_waiting else now)
        return len(moved)

    def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        return {name: min(most, len(self._pending(name))) for name in destinations}

    def keep_affinities(self, wishes: Sequence[AffinityWish], now: datetime) -> builtins.list[str]:
        for wish in wishes:
            member, forget_at = self._affinities.get(wish.key, ("", now))
            later = max(forget_at, now + timedelta(seconds=wish.keep_s))
            self._affinities[wish.key] = (member if member in wish.fit else wish.member, later)
        return [self._affinities[wish.key][0] for wish in wishes]

    def forget_affinities(self, now: datetime, limit: int) -> int:
        gone = sorted((at, key) for key, (_, at) in self._affinities.items() if at < now)[:limit]
        for _, key in gone:
            del self._affinities[key]
        return len(gone)

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        settled = sorted((settled_at, instance_id) for instance_id, settled_at in self._settled.items())
        plain = [key for settled_at, key in settled if key not in self._index.images and settled_at < settled_before]
        before = indexed_before or settled_before
        indexed = [key for settled_at, key in settled if key in self._index.images and settled_at < before]
        gone = [*plain, *indexed][:limit]
        self._note_forgotten(gone)
        for instance_id in gone:
            del self._settled[instance_id], self._instances[instance_id]
            self._kept_until.pop(instance_id, None)
            self._index.remove(instance_id)
        self.rows = {key: row for key, row in self.rows.items() if row.delivery.instance.instance_id in self._instances}
        return len(gone)

    # --- kept copies ----------------------------------------------------------------------------------------------

    def end_kept(self, now: datetime, limit: int) -> int:
        over = sorted((self._kept_until[key], key) for key in self._kept_since if self._kept_until[key] <= now)
        return self._end_kept([key for _, key in over][:limit])

    def end_oldest_kept(self, limit: int) -> EndedCopies:
        oldest = [key for _, key in sorted((since, key) for key, since in self._kept_since.items())][:limit]
        size_bytes = sum(self._instances[key].payload.length_bytes for key in oldest)
        return EndedCopies(self._end_kept(oldest), size_bytes)

    def _end_kept(self, instance_ids: builtins.list[int]) -> int:
        for key in instance_ids:
            del self._kept_until[key]
            self._settled[key] = self._kept_since.pop(key)
        return len(instance_ids)

    def kept_total(self, looked_at: int) -> KeptTotal:
        ends = sorted((self._kept_until[key], key) for key in self._kept_since)
        if not ends:
            return NOTHING_KEPT
        sizes = [self._instances[key].payload.length_bytes for _, key in ends][:looked_at]
        return KeptTotal(len(sizes), sum(sizes), len(sizes) < looked_at, ends[0][0], ends[-1][0])

    def kept_until(self, instance_id: int) -> datetime | None:
        return self._kept_until[instance_id] if instance_id in self._kept_since else None

    def _note_forgotten(self, instance_ids: builtins.list[int]) -> None:
        for instance_id in instance_ids:
            self._traces.add(of_sender(self._instances[instance_id]), self._now())
        for row in self.rows.values():
            if row.delivery.instance.instance_id in instance_ids:
                ended = [each for each in row.attempts if each.state is DeliveryState.DELIVERED]
                self._traces.add(of_delivery(row.delivery, ended), self._now())

    def one_state(self) -> AbstractContextManager[object]:
        return nullcontext()

    def entries(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        return self._traces.of(study_instance_uids)

    def senders(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        there = MemoryTraces()
        for instance in self._instances.values():
            there.add(of_sender(instance), self._now())
        return there.of(study_instance_uids)

    def forget_entries(self, before: datetime, limit: int) -> int:
        return self._traces.forget(before, limit)

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        return self._index.find(query, limit)

    def matches(self, query: Query, keys: Sequence[int]) -> builtins.list[Attributes]:
        return self._index.matches(query, keys)

    def find_instances(self, query: Query) -> Sequence[int]:
        return self._index.find_instances(query)

    def instances(self, instance_ids: Sequence[int]) -> builtins.list[Instance]:
        return [self._instances[key] for key in instance_ids if key in self._instances]

    def interrupt(self) -> None:
        pass

    def payload_names(self) -> dict[str, int]:
        ends: dict[str, int] = {}
        for instance in self._instances.values():
            payload = instance.payload
            ends[payload.name] = max(ends.get(payload.name, 0), payload.offset_bytes + payload.length_bytes)
        return ends

    def which_are_named(self, payloads: Sequence[PayloadRef]) -> set[tuple[str, int]]:
        named = {(instance.payload.name, instance.payload.offset_bytes) for instance in self._instances.values()}
        return named & {(payload.name, payload.offset_bytes) for payload in payloads}

    def spool_id(self) -> str:
        return self._spool_id

    def replayed_position(self) -> tuple[str, int]:
        return self._known

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        self._known = (name, end_bytes)

    def sync(self) -> None:
        pass

    def bind_spool(self, spool_id: str) -> None:
        self._spool_id = spool_id

    def migration(self) -> MigrationMark | None:
        return self._mark

    def set_migration(self, mark: MigrationMark | None) -> None:
        self._mark = mark

    def consolidate(self) -> None:
        pass

    def surplus_blocks(self) -> int | None:
        return 0

    def release_blocks(self, most_blocks: int) -> None:
        pass

    def moved(self, *, is_quick: bool = False) -> str:
        return ""

    def changed_elsewhere(self) -> bool:
        return False

    def close(self) -> None:
        pass


def _reason_of_attempt(delivery: Delivery) -> str:
    """Its reason, where that is not of being held."""
    return delivery.reason if delivery.attempts and delivery.reason != RULE_PAUSED else ""


def _image(delivery: Delivery) -> str:
    return base64.b64encode(pickle.dumps(delivery)).decode()


def _former(change: DeliveryChange) -> Delivery:
    former: Delivery = pickle.loads(base64.b64decode(change.before))
    return former


def _duty(delivery: Delivery) -> tuple[str, str]:
    dispatch = Dispatch(delivery.rule, delivery.destination, delivery.actions_json, group_name=delivery.group_name)
    place, actions_json = dispatch.duty
    return (place if delivery.collection_id is None else f"collection {delivery.collection_id} {place}"), actions_json


def _apart(due: builtins.list[Row], apart: ExcludedLikenesses) -> builtins.list[Row]:
    others = [row for row in due if not _is_in(row, apart)]
    others.sort(key=lambda row: (row.likeness, row.delivery.delivery_id))
    return [row for row in others if row.likeness >= apart.start] or others


def _by_priority(due: builtins.list[Row], limit: int, lower: int) -> builtins.list[Row]:
    """Place by place: the highest priority's, but for the last `lower` places, which are the oldest one's of the
    others."""
    left, taken = builtins.list(due), []
    for place in range(min(limit, len(due))):
        highest = min(row.delivery.priority for row in left)
        others = [row for row in left if row.delivery.priority != highest]
        is_left = place >= limit - lower and bool(others)
        taken.append(others[0] if is_left else next(row for row in left if row.delivery.priority == highest))
        left.remove(taken[-1])
    return taken


def _urgent(due: builtins.list[Row], apart: ExcludedLikenesses | None, order: ClaimOrder) -> builtins.list[Row]:
    rows = [row for row in due if row.delivery.priority is Priority.URGENT]
    rows = [row for row in rows if order.only == "urgent" or row.delivery.passes_window][:URGENT_LOOKED_AT]
    return rows if apart is None else [row for row in rows if not _is_in(row, apart)]


def _is_in(row: Row, apart: ExcludedLikenesses) -> bool:
    return any(first <= row.likeness <= last for first, last in apart.ranges)


def _fits(delivery: Delivery, which: DeliveryFilter) -> bool:
    return (
        (not which.ids or delivery.delivery_id in which.ids)
        and (not which.instance_ids or delivery.instance.instance_id in which.instance_ids)
        and (which.destination is None or delivery.destination == which.destination)
        and (which.state is None or delivery.state is which.state)
        and which.sop_instance_uid in ("", delivery.instance.sop_instance_uid)
        and which.study_instance_uid in ("", delivery.instance.study_instance_uid)
        and which.rule in ("", delivery.rule)
        and which.reason in ("", delivery.reason)
        and (which.priority is None or delivery.priority is which.priority)
        and (which.created_before is None or delivery.created_at < which.created_before)
        and (which.created_after is None or delivery.created_at > which.created_after)
    )
