"""The delivery queue in a relational database: settlements, and what is forgotten. Leases are fenced by tokens."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from gateway.model.delivery import Delivery, DeliveryState, Settlement
from gateway.model.instance import PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.delivery_queue import (
    IN_ORDER,
    URGENT_LOOKED_AT,
    AcceptedInstance,
    ClaimOrder,
    GroupPlace,
    QueueDepth,
)
from gateway.ports.trace_entries import LONGEST_STUDY
from gateway.relational import rows
from gateway.relational.collection_arrivals import Arrivals, CollectionArrivals
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import RowReader
from gateway.relational.rows import batch, microseconds, moment
from gateway.relational.statements import Statements

ATTEMPTS_KEPT = 20
"""Per delivery; the oldest go."""


class InstanceAcceptor(Protocol):
    """Adds instances and deliveries in one database; knows what its connection wrote last."""

    def accept(
        self, arrivals: Arrivals, now: datetime, is_readable: Callable[[PayloadRef], bool]
    ) -> list[AcceptedInstance]: ...

    def horizon(self, now_us: int) -> int:
        """The present, or the newest arrival when the clock was set back a little."""
        ...

    def forget_associations(self, association_ids: Sequence[int]) -> None:
        """Delete the associations among these that no instance names any more."""
        ...


class RelationalDeliveryQueue(ABC):
    """The `DeliveryQueue` port on one connection. Each database claims in its own way."""

    _find_due_urgent: str
    """The statement of this name."""
    _which_urgent: Mapping[str, str]
    """`ClaimOrder.only` → the condition of it that an index is for."""

    def __init__(
        self,
        statements: Statements,
        index: IndexTables,
        reader: RowReader,
        acceptor: InstanceAcceptor,
    ) -> None:
        self._statements = statements
        self._index = index
        self._reader = reader
        self._acceptor = acceptor
        self._collections = CollectionArrivals(statements, self._hold_studies)
        self._clock = statements.clock

    def accept(
        self, arrivals: Arrivals, now: datetime, is_readable: Callable[[PayloadRef], bool] = lambda _: True
    ) -> list[AcceptedInstance]:
        """Add instances with a delivery a dispatch, except what is still owed already and can be read."""
        if not any(dispatch.collection for _, dispatches in arrivals for dispatch in dispatches):
            return self._acceptor.accept(arrivals, now, is_readable)
        joined = self._collections.join(arrivals, now, is_readable)
        answers = self._acceptor.accept(joined, now, is_readable)
        self._collections.note([answer.instance_id for answer in answers], now)
        return self._collections.left_out(answers)

    def _hold_studies(self, collected_keys: Sequence[str]) -> None:  # noqa: B027 - nothing is to be done where one writes
        """Keep others from beginning collections of these until the transaction ends."""

    @abstractmethod
    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, by priority as `order` says, oldest due first, then
        in order of arrival; with `apart` by likeness."""

    def _urgent(self, values: dict[str, Any], apart: ExcludedLikenesses | None, order: ClaimOrder) -> str:
        """Identifiers of urgent ones that are due, as JSON. `values`: of the statement."""
        statement = self._find_due_urgent.replace("{which}", self._which_urgent[order.only])
        ranges = json.dumps([] if apart is None else apart.ranges)
        return str(self._statements.made((statement, {**values, "apart": ranges, "looked_at": URGENT_LOOKED_AT})))

    @abstractmethod
    def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime) -> list[Delivery]:
        """The same of one bundle, in its order."""

    def _apart(self, name: str, values: dict[str, Any], apart: ExcludedLikenesses) -> str:
        """Identifiers that the statement `name` gives, as JSON: from `apart.start` to the end, then from the first."""
        ids, ranges = "[]", json.dumps(apart.ranges)
        for start in dict.fromkeys((apart.start, 0)):
            ids = self._statements.single(name, **values, start=start, apart=ranges)
            if ids != "[]":
                break
        return ids

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Write attempts and states of those that still hold their lease; of one delivery the first counts. Those that
        were written before hold too: the answer was lost."""
        if not settlements:
            return []
        leases = batch([(each.delivery_id, each.lease) for each in settlements])
        attempts_before: dict[int, int] = {}
        held: dict[int, Settlement] = {}
        leased = sorted(self._leased(settlements, leases))
        written = self._written_before(settlements, {index for index, _ in leased})
        for index, attempts in leased:
            settlement = settlements[index]
            if settlement.delivery_id not in attempts_before:
                attempts_before[settlement.delivery_id] = attempts
                held[index] = settlement
        if held:
            self._write_attempts([each for each in held.values() if each.is_attempt], attempts_before)
            self._write_states(list(held.values()))
        return [index in held or index in written for index in range(len(settlements))]

    def _written_before(self, settlements: Sequence[Settlement], leased: Collection[int]) -> Collection[int]:
        """Indexes of those attempts that the queue has already. `leased`: those that it does not have."""
        some = [index for index, each in enumerate(settlements) if index not in leased and each.is_attempt]
        if not some:
            return ()
        found = self._statements.json(
            "find_settled", settlements=batch([rows.settled_row(settlements[i]) for i in some])
        )
        return {some[place] for place in found}

    def _leased(self, settlements: Sequence[Settlement], leases: str) -> Iterable[tuple[int, int]]:
        """Those of the settlements that hold: index, and attempts that ended before. They hold until the transaction
        ends. `leases`: their deliveries with leases, as JSON."""
        found: list[tuple[int, int]] = self._statements.json("find_leased", settlements=leases)
        return found

    def _write_attempts(self, settlements: Sequence[Settlement], before: dict[int, int]) -> None:
        if not settlements:
            return
        made = [rows.attempt_row(each, before[each.delivery_id] + 1) for each in settlements]
        self._statements.post("insert_attempts", attempts=batch(made))
        surplus = [(row[0], row[1] - ATTEMPTS_KEPT) for row in made if row[1] > ATTEMPTS_KEPT]
        if surplus:
            self._statements.post("drop_old_attempts", drops=batch(surplus))

    def _write_states(self, settlements: Sequence[Settlement]) -> None:
        now_us = self._clock.now_us()
        changed = batch([rows.settlement_row(each) for each in settlements])
        self._statements.post("settle", settlements=changed, now=now_us)
        delivered = [each for each in settlements if each.state is DeliveryState.DELIVERED]
        if delivered:
            keeps = [(each.delivery_id, microseconds(each.kept_until)) for each in delivered if each.kept_until]
            self._mark_settled(batch([each.delivery_id for each in delivered]), now_us, batch(keeps) if keeps else "")

    def _mark_settled(self, delivery_ids: str, now_us: int, keeps: str) -> None:
        """Instances of these that owe nothing any more may go when retention is over, and not before the times of
        `keeps`."""
        if keeps:
            self._statements.post("keep_copies", keeps=keeps)
        self._statements.post("mark_settled", ids=delivery_ids, now=now_us)
        self._statements.post("begin_keeping_delivered", ids=delivery_ids, now=now_us)

    def next_due(self, destination: str) -> datetime | None:
        """The time at which the next pending delivery of `destination` is due; the end of its lease for one under a
        lease.
        """
        with self._statements.errors():
            due_at = self._statements.single("next_due", destination=destination, now=self._clock.now_us())
        return None if due_at is None else moment(due_at)

    def expire_leases(self) -> int:
        """Leases of a process that is gone end now."""
        return self._statements.do("expire_leases")

    def depths(self) -> list[QueueDepth]:
        """Counts of what is still kept for a delivery."""
        with self._statements.errors():
            return [
                QueueDepth(destination, rows.STATES[state], count, size_bytes, moment(oldest_at))
                for destination, state, count, size_bytes, oldest_at in self._statements.rows("depths")
            ]

    def pending_destinations(self) -> list[str]:
        """Destinations that have pending deliveries, due or not."""
        with self._statements.errors():
            return [destination for (destination,) in self._statements.rows("pending_destinations")]

    # --- groups -------------------------------------------------------------------------------------------------

    def group_places(self) -> list[GroupPlace]:
        """Where deliveries wait that were chosen of groups."""
        with self._statements.errors():
            return [
                GroupPlace(group_name, destination, bool(has_movable), doubtful)
                for group_name, destination, has_movable, doubtful in self._statements.rows("group_places")
            ]

    def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, now: datetime, *, are_doubtful: bool = False
    ) -> int:
        """Give pending deliveries of a group to another destination: the number."""
        values = {"group": group_name, "source": source, "target": target, "limit": limit}
        return self._statements.do("move_in_group", **values, is_doubtful=int(are_doubtful), now=microseconds(now))

    def movable_in_group(self, group_name: str, source: str, limit: int) -> list[tuple[int, str]]:
        """Pending deliveries of a group that may leave `source`, each with its Study Instance UID."""
        with self._statements.errors():
            found = self._statements.rows("movable_in_group", group=group_name, source=source, limit=limit)
            return [(delivery_id, study_instance_uid) for delivery_id, study_instance_uid in found]

    def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]], now: datetime) -> int:
        """Give these deliveries each to its destination: how many."""
        values = {"group": group_name, "source": source, "moves": batch(moves), "now": microseconds(now)}
        return self._statements.do("move_each_in_group", **values)

    def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        """The number of pending deliveries at each of these."""
        with self._statements.errors():
            return dict(self._statements.rows("pending_at", destinations=batch(destinations), most=most))

    # --- forgetting ---------------------------------------------------------------------------------------------

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete up to `limit` instances that owe nothing and settled earlier, with all that belongs to them; of those
        in the index what settled before `indexed_before`."""
        gone = self._forget("find_forgettable", settled_before, limit)
        return gone + self._forget("find_forgettable_indexed", indexed_before or settled_before, limit - gone)

    def _forget(self, find: str, settled_before: datetime, limit: int) -> int:
        found = self._statements.json(find, before=microseconds(settled_before), limit=limit)
        ids, association_ids, series_keys = found
        ids = self._index.forgettable(ids) if ids else ids
        if not ids:
            return 0
        instances = batch(ids)
        if series_keys:
            self._index.promote(instances)
        senders = batch([*self._reader.senders(association_ids).items()])
        now_us, longest = self._clock.now_us(), LONGEST_STUDY
        self._statements.do("note_forgotten", ids=instances, senders=senders, now=now_us, longest=longest)
        for name in ("forget_attempts", "forget_deliveries", "forget_instances", "forget_kept"):
            self._statements.do(name, ids=instances)
        self._index.forget_series(series_keys)
        self._acceptor.forget_associations(association_ids)
        return len(ids)
