"""Instances and deliveries are added: duplicates of what is still owed, identifiers, the order of arrival."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import IndexEntry, Instance, PayloadRef
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.postgresql.due_notices import Announce
from gateway.postgresql.shared_index import SharedIndexTables
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational import rows
from gateway.relational.arrival_order import horizon
from gateway.relational.collection_arrivals import Arrivals
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import ASSOCIATIONS_CACHED
from gateway.relational.rows import NOT_INDEXED, batch, microseconds

Duties = dict[tuple[str, str], Dispatch]
"""Destination and actions → the first dispatch that has them."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Same:
    """The things that a duplicate has in common with what is owed; paths and edits may depend on the sender."""

    sop_instance_uid: str
    digest: bytes
    transfer_syntax_uid: str
    sop_class_uid: str
    sender: tuple[object, ...]


@dataclasses.dataclass(slots=True)
class _Taken:
    """One arrival, once it is decided what of it is new."""

    instance: Instance
    fresh: Duties
    is_settled: bool
    """True when no route wanted it: it owes nothing."""
    instance_id: int = 0
    same_as: _Taken | None = None
    """Everything that it is to bring is owed already: by this one, which arrived before in the same call."""
    owed_by: tuple[int, PayloadRef] | None = None
    """The same, by an instance that was there before."""

    @property
    def is_new(self) -> bool:
        return self.same_as is None and self.owed_by is None


Owed = dict[_Same, dict[tuple[str, str], tuple[int, PayloadRef] | _Taken]]
"""Object → destination and actions → the instance, or the arrival of the same call, that owes it."""


def _same(instance: Instance) -> _Same:
    return _Same(
        instance.sop_instance_uid,
        instance.payload.digest,
        instance.transfer_syntax_uid,
        instance.sop_class_uid,
        rows.sender(instance.association),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Preparation:
    """Answers that are waited for when they are needed."""

    same: Sequence[_Same]
    gone_associations: Callable[[], Collection[int]]
    duplicates: Callable[[], Any]
    """Rows of what is owed; identifiers of instances and of deliveries when there are none."""

    def is_about(self, arrivals: Arrivals) -> bool:
        """True when it was made for these."""
        return [(each.sop_instance_uid, each.digest) for each in self.same] == [
            (instance.sop_instance_uid, instance.payload.digest) for instance, _ in arrivals
        ]


class PostgreSQLAcceptor:
    """Accepts on one connection; beside other nodes when its index is a shared one. `announce` gets the destinations
    that deliveries are due for now."""

    def __init__(self, transactions: PostgreSQLTransactions, index: IndexTables, announce: Announce) -> None:
        self._transactions = transactions
        self._announce = announce
        self._index = index
        self._associations: dict[AssociationFacts, int] = {}
        self._newest_at: int | None = None
        """When the newest delivery was created; None when it has to be looked up."""
        self._expected: _Preparation | None = None
        transactions.on_roll_back.append(self._forget)
        transactions.on_commit.append(self._expect_nothing)

    def _expect_nothing(self) -> None:
        self._expected = None

    def _forget(self) -> None:
        self._expect_nothing()
        self._associations.clear()
        self._newest_at = None

    def accept(
        self,
        arrivals: Arrivals,
        now: datetime,
        is_readable: Callable[[PayloadRef], bool],
    ) -> list[AcceptedInstance]:
        """Add instances with a delivery a dispatch, except what is still owed already and can be read. They may have
        been expected in this transaction."""
        preparation, self._expected = self._expected, None
        if preparation is None or not preparation.is_about(arrivals):
            preparation = self._prepare(arrivals)
        self._drop_associations(preparation.gone_associations())
        owed, instance_ids, delivery_ids = preparation.duplicates()
        taken = self._decide(arrivals, preparation.same, self._owed(preparation.same, owed, is_readable))
        new = [each for each in taken if each.is_new]
        deliveries = sum(len(each.fresh) for each in new)
        if owed:
            instance_ids, delivery_ids = self._transactions.json(
                "take_identifiers", instances=len(new), deliveries=deliveries
            )
        for each, instance_id in zip(new, instance_ids, strict=True):
            each.instance_id = instance_id
        entries = [*self._entries(taken)]
        placed = self._index.place(entries, {each.instance_id for each in new}) if entries else {}
        now_us = microseconds(now)
        if new:
            self._insert_instances(new, placed, now_us)
        if deliveries:
            self._insert_deliveries(new, iter(delivery_ids), now_us)
        return [_answer(each) for each in taken]

    def expect(self, arrivals: Arrivals) -> None:
        """`accept` gets these in this transaction; their payloads need no name yet. The questions about them are sent
        with the next statement, unless it depends on collections what they owe."""
        if not any(dispatch.collection for _, dispatches in arrivals for dispatch in dispatches):
            self._expected = self._prepare(arrivals)

    def _prepare(self, arrivals: Arrivals) -> _Preparation:
        """Questions that come before anything is added."""
        same = [_same(instance) for instance, _ in arrivals]
        hold = self._hold([instance for instance, _ in arrivals])
        new = [each for each in self._decide(arrivals, same, {}) if each.is_new]
        return _Preparation(same, hold, self._find_duplicates(same, len(new), sum(len(each.fresh) for each in new)))

    def _hold(self, instances: Sequence[Instance]) -> Callable[[], Collection[int]]:
        """Lock the rows that these instances are about to name, where there are other nodes. The same object that
        another one takes at this moment is a duplicate then. The answer: the associations that are gone."""
        if not isinstance(self._index, SharedIndexTables):
            return tuple
        known = {self._associations.get(instance.association) for instance in instances}
        return self._index.hold(
            [instance.sop_instance_uid for instance in instances],
            [instance.index for instance in instances if instance.index is not None],
            [association_id for association_id in known if association_id is not None],
        )

    # --- what is new --------------------------------------------------------------------------------------------

    def _decide(self, arrivals: Arrivals, same: Sequence[_Same], owed: Owed) -> list[_Taken]:
        decided: list[_Taken] = []
        for (instance, dispatches), identity in zip(arrivals, same, strict=True):
            there = owed.setdefault(identity, {})
            fresh: Duties = {}
            for dispatch in dispatches:
                if (duty := dispatch.duty) not in there:
                    fresh.setdefault(duty, dispatch)
            taken = _Taken(instance, fresh, is_settled=not dispatches)
            if dispatches and not fresh:
                by = there[dispatches[0].duty]
                taken.same_as, taken.owed_by = (by, None) if isinstance(by, _Taken) else (None, by)
            there |= dict.fromkeys(fresh, taken)
            decided.append(taken)
        return decided

    def _find_duplicates(self, same: Sequence[_Same], instances: int, deliveries: int) -> Callable[[], Any]:
        """With identifiers for so many that are added when there are none."""
        keys = [
            (each.sop_instance_uid, each.digest.hex(), each.transfer_syntax_uid, each.sop_class_uid) for each in same
        ]
        return self._transactions.send(
            "find_duplicates", arrivals=batch(keys), instances=instances, deliveries=deliveries
        )

    def _owed(self, same: Sequence[_Same], rows_found: Any, is_readable: Callable[[PayloadRef], bool]) -> Owed:
        """The deliveries that are still owed of the same objects."""
        found: Owed = {}
        readable: dict[int, bool] = {}
        for index, instance_id, destination, actions, name, offset, length, facts in rows_found:
            if rows.sender(rows.association_facts(facts)) != same[index].sender:
                continue
            payload = PayloadRef(name, offset, length, same[index].digest)
            if instance_id not in readable:
                readable[instance_id] = is_readable(payload)
            if readable[instance_id]:
                found.setdefault(same[index], {}).setdefault((destination, actions), (instance_id, payload))
        return found

    # --- adding it ----------------------------------------------------------------------------------------------

    def _entries(self, taken: Sequence[_Taken]) -> Iterator[tuple[int, str, IndexEntry]]:
        """The entries that join the index, in order of arrival."""
        for each in taken:
            if each.instance.index is not None:
                yield _instance_id(each), each.instance.sop_instance_uid, each.instance.index

    def _insert_instances(self, new: Sequence[_Taken], placed: dict[int, tuple[int, str, int]], now_us: int) -> None:
        made = []
        for each in new:
            association_id = self._association_id(each.instance.association)
            settled_at = now_us if each.is_settled else None
            row = rows.instance_row(each.instance_id, each.instance, association_id, settled_at)
            made.append((*row, *placed.get(each.instance_id, NOT_INDEXED), each.instance.kept_facts))
        self._transactions.post("insert_instances", instances=batch(made))

    def _insert_deliveries(self, new: Sequence[_Taken], delivery_ids: Iterator[int], now_us: int) -> None:
        self._newest_at = at = self.horizon(now_us)
        made = [
            (
                *rows.delivery_row(next(delivery_ids), each.instance_id, each.instance, dispatch),
                *(at, dispatch.is_waiting),
            )
            for each in new
            for dispatch in each.fresh.values()
        ]
        self._transactions.post("insert_deliveries", deliveries=batch(made))
        dispatches = (dispatch for each in new for dispatch in each.fresh.values())
        due = (each for each in dispatches if each.state is DeliveryState.PENDING and not each.is_waiting)
        self._announce({each.destination for each in due})

    def _association_id(self, facts: AssociationFacts) -> int:
        known = self._associations.get(facts)
        if known is not None:
            return known
        if len(self._associations) >= ASSOCIATIONS_CACHED:
            self._associations.clear()
        (text,) = rows.cleaned([rows.association_text(facts)])
        association_id = int(self._transactions.single("insert_association", facts=text))
        self._associations[facts] = association_id
        return association_id

    def forget_associations(self, association_ids: Sequence[int]) -> None:
        """Delete the associations among these that no instance names any more."""
        orphans = set(self._transactions.json("find_orphan_associations", ids=batch([*association_ids])))
        if not orphans:
            return
        self._transactions.do("forget_associations", ids=batch(sorted(orphans)))
        self._drop_associations(orphans)

    def _drop_associations(self, gone: Collection[int]) -> None:
        if gone:
            self._associations = {facts: key for facts, key in self._associations.items() if key not in gone}

    # --- time ---------------------------------------------------------------------------------------------------

    def horizon(self, now_us: int) -> int:
        """The present, or the newest arrival when the clock was set back a little."""
        newest = self._newest_at
        if newest is None:
            newest = self._transactions.single("newest_arrival") or 0
        at = horizon(self._transactions, self._transactions.place.shown, newest, now_us)
        self._newest_at = min(newest, at)
        return at


def _instance_id(taken: _Taken) -> int:
    """The identifier of the instance that an arrival is, or is a duplicate of."""
    if taken.owed_by is not None:
        return taken.owed_by[0]
    return taken.instance_id if taken.same_as is None else taken.same_as.instance_id


def _answer(taken: _Taken) -> AcceptedInstance:
    if taken.is_new:
        return AcceptedInstance(taken.instance_id, len(taken.fresh))
    payload = taken.owed_by[1] if taken.owed_by is not None else taken.same_as.instance.payload  # type: ignore[union-attr]
    return AcceptedInstance(_instance_id(taken), 0, payload)
