"""Instances and deliveries are added: identifiers, duplicates of what is still owed, the order of arrival."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Dispatch
from gateway.model.instance import IndexEntry, Instance, PayloadRef
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.relational import rows
from gateway.relational.arrival_order import horizon
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import ASSOCIATIONS_CACHED
from gateway.relational.rows import NEVER_US, NOT_INDEXED, batch, microseconds
from gateway.sqlite.transactions import Transactions

Arrival = tuple[Instance, Sequence[Dispatch]]

_Identity = tuple[str, bytes, str, str, tuple[object, ...]]
"""SOP Instance UID, digest, transfer syntax UID, SOP class UID, sender: what a duplicate has in common. Paths and edits
of a delivery may depend on who sent it."""

_Duty = tuple[str, str]
"""Destination and actions."""

_Owed = dict[_Duty, tuple[int, PayloadRef]]


def _identity(instance: Instance) -> _Identity:
    return (
        instance.sop_instance_uid,
        instance.payload.digest,
        instance.transfer_syntax_uid,
        instance.sop_class_uid,
        rows.sender(instance.association),
    )


@dataclasses.dataclass(slots=True)
class _Known:
    """The state of the file after the last transaction; void as soon as another connection wrote."""

    instance_id: int = 0
    delivery_id: int = 0
    created_at: int = 0
    associations: dict[AssociationFacts, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class _Added:
    """Rows of one call."""

    instances: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    deliveries: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    waiting: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    """Deliveries that wait for their collection."""
    entries: list[tuple[int, str, IndexEntry]] = dataclasses.field(default_factory=list)
    kept: list[tuple[int, str]] = dataclasses.field(default_factory=list)


class Acceptor:
    """Accepts on one connection; knows the last identifiers, so that no statement asks for them."""

    def __init__(self, transactions: Transactions, index: IndexTables) -> None:
        self._transactions = transactions
        self._index = index
        self._known = _Known()
        transactions.on_foreign_write.append(self._refresh)

    def _refresh(self) -> None:
        """The last identifiers."""
        instance_id, delivery_id, created_at = self._transactions.single("last_identifiers")
        known = self._known
        self._known = _Known(
            instance_id=max(instance_id, known.instance_id),
            delivery_id=max(delivery_id, known.delivery_id),
            created_at=max(created_at, known.created_at),
        )

    def accept(
        self, arrivals: Sequence[Arrival], now: datetime, is_readable: Callable[[PayloadRef], bool]
    ) -> list[AcceptedInstance]:
        """Add instances with a delivery a dispatch, except what is still owed already and can be read."""
        now_us = microseconds(now)
        identities = [_identity(instance) for instance, _ in arrivals]
        owed = self._owed(arrivals, identities, is_readable)
        added = _Added()
        answers = [
            self._accept(instance, dispatches, owed.setdefault(identity, {}), now_us, added)
            for (instance, dispatches), identity in zip(arrivals, identities, strict=True)
        ]
        placed = self._index.place(added.entries, {row[0] for row in added.instances}) if added.entries else {}
        self._insert([row + placed.get(row[0], NOT_INDEXED) for row in added.instances], added, now_us)
        if added.kept:
            self._transactions.do("keep_facts", kept=batch(added.kept))
        return answers

    def _accept(
        self, instance: Instance, dispatches: Sequence[Dispatch], same: _Owed, now_us: int, added: _Added
    ) -> AcceptedInstance:
        fresh: dict[_Duty, Dispatch] = {}
        for dispatch in dispatches:
            if (key := dispatch.duty) not in same:
                fresh.setdefault(key, dispatch)
        if dispatches and not fresh:
            instance_id, payload = same[dispatches[0].duty]
            if instance.index is not None:
                added.entries.append((instance_id, instance.sop_instance_uid, instance.index))
            return AcceptedInstance(instance_id, 0, payload)
        known = self._known
        known.instance_id = instance_id = known.instance_id + 1
        association_id = self._association_id(instance.association)
        if instance.index is not None:
            added.entries.append((instance_id, instance.sop_instance_uid, instance.index))
        if instance.kept_facts:
            added.kept.append((instance_id, instance.kept_facts))
        added.instances.append(rows.instance_row(instance_id, instance, association_id, None if dispatches else now_us))
        for key, dispatch in fresh.items():
            known.delivery_id += 1
            row = rows.delivery_row(known.delivery_id, instance_id, instance, dispatch)
            (added.waiting if dispatch.is_waiting else added.deliveries).append(row)
            same[key] = (instance_id, instance.payload)
        return AcceptedInstance(instance_id, len(fresh))

    def _owed(
        self,
        arrivals: Sequence[Arrival],
        identities: Sequence[_Identity],
        is_readable: Callable[[PayloadRef], bool],
    ) -> dict[_Identity, _Owed]:
        """The deliveries that are still owed of the same objects: identity → (destination, actions) → its instance."""
        keys = [(uid, digest.hex(), syntax, sop_class) for uid, digest, syntax, sop_class, _ in identities]
        found: dict[_Identity, _Owed] = {}
        readable: dict[int, bool] = {}
        for index, instance_id, destination, actions, name, offset, length, facts in self._transactions.json(
            "find_duplicates", arrivals=batch(keys)
        ):
            if rows.sender(rows.association_facts(facts)) != identities[index][-1]:
                continue
            payload = PayloadRef(name, offset, length, arrivals[index][0].payload.digest)
            if instance_id not in readable:
                readable[instance_id] = is_readable(payload)
            if readable[instance_id]:
                same = found.setdefault(identities[index], {})
                same.setdefault((destination, actions), (instance_id, payload))
        return found

    def _association_id(self, facts: AssociationFacts) -> int:
        known = self._known.associations
        association_id = known.get(facts)
        if association_id is not None:
            return association_id
        association_id = int(self._transactions.single("insert_association", facts=rows.association_text(facts)))
        if len(known) >= ASSOCIATIONS_CACHED:
            known.clear()
        known[facts] = association_id
        return association_id

    def forget_associations(self, association_ids: Iterable[int]) -> None:
        """Delete the associations among these that no instance names any more."""
        orphans = set(self._transactions.json("find_orphan_associations", ids=batch(list(association_ids))))
        if not orphans:
            return
        self._transactions.do("forget_associations", ids=batch(sorted(orphans)))
        known = self._known.associations
        for facts in [facts for facts, association_id in known.items() if association_id in orphans]:
            del known[facts]

    def _insert(self, instances: Sequence[tuple[Any, ...]], added: _Added, now_us: int) -> None:
        if instances:
            self._transactions.insert("insert_instances", instances)
        if added.deliveries or added.waiting:
            self._known.created_at = due_at = self.horizon(now_us)
            made = [(*row, due_at, due_at) for row in added.deliveries]
            made += [(*_unlike(row), due_at, NEVER_US) for row in added.waiting]
            self._transactions.insert("insert_deliveries", made)
        if added.waiting:
            self._transactions.do("insert_waiting_deliveries", rows=batch([(row[13], row[0]) for row in added.waiting]))

    def horizon(self, now_us: int) -> int:
        """The present, or the newest arrival when the clock was set back a little."""
        newest = self._known.created_at
        at = horizon(self._transactions, str(self._transactions.path), newest, now_us)
        self._known.created_at = min(newest, at)
        return at


def _unlike(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `rows.delivery_row` with a likeness that no claim looks at."""
    return (*row[:6], -row[6], *row[7:])
