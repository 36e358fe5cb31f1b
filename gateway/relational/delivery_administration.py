"""Operators' reads and verbs in a relational database. A page is read beside the gateway and holds no lock."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime

from gateway.model.delivery import Attempt, Delivery, DeliveryState
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import (
    CorrectedDelivery,
    DeliveryFilter,
    DeliveryOrder,
    DeliveryTotal,
    StudyDeliveries,
)
from gateway.relational import rows
from gateway.relational.row_reader import RowReader
from gateway.relational.rows import batch, cleaned, microseconds
from gateway.relational.statements import Dialect, MadeStatement, Statements

OWED = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD)
FIRST_LOOKED_AT, MOST_LOOKED_AT = 1000, 64_000
"""Deliveries of which the studies are read at once, at first and at most."""
NEWEST = 2**63 - 1
"""No delivery has a greater identifier."""


class RelationalDeliveryAdministration:
    """The `DeliveryAdministration` port on one connection."""

    def __init__(self, statements: Statements, dialect: Dialect, reader: RowReader) -> None:
        self._statements = statements
        self._dialect = dialect
        self._reader = reader
        self._clock = statements.clock

    def list(self, which: DeliveryFilter, limit: int, *, order: DeliveryOrder = "oldest") -> builtins.list[Delivery]:
        """Deliveries that fit."""
        with self._statements.one_state():
            return self._reader.deliveries(self._find(which, limit, order))

    def studies(
        self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False
    ) -> builtins.list[StudyDeliveries]:
        """The deliveries that fit of up to `limit` studies, by study and destination."""
        with self._statements.one_state():
            wanted = self._studies(which, limit, is_newest_first=is_newest_first)
            statement, values = self._dialect.studies("sum_studies", which)
            found = self._statements.made_rows((statement, {**values, "studies": batch(wanted)}))
            place = {study: number for number, study in enumerate(wanted)}
            return sorted(
                rows.study_deliveries(found), key=lambda row: (place[row.study_instance_uid], row.destination)
            )

    def _studies(self, which: DeliveryFilter, limit: int, *, is_newest_first: bool) -> builtins.list[str]:
        """Study Instance UIDs. They are looked for among more and more deliveries at once, since a study has many."""
        statement, values = self._dialect.studies("find_studies", which, is_newest_first=is_newest_first)
        found: dict[str, None] = {}
        after, looked_at = NEWEST if is_newest_first else 0, FIRST_LOOKED_AT
        while len(found) < limit:
            more = [*self._statements.made_rows((statement, {**values, "after": after, "limit": looked_at}))]
            found |= dict.fromkeys(study for _, study in more)
            if len(more) < looked_at:
                break
            after, looked_at = more[-1][0], min(2 * looked_at, MOST_LOOKED_AT)
        return [*found][:limit]

    def attempts(self, delivery_id: int) -> builtins.list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        with self._statements.errors():
            return [rows.attempt(row) for row in self._statements.rows("attempts", delivery_id=delivery_id)]

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones that nobody works on: due now, and given up as late as if they had arrived now."""
        ids, present = self._take(which), self._clock.now_us()
        return self._statements.do("retry", ids=ids, now=microseconds(now), present=present)

    def hold(self, which: DeliveryFilter) -> int:
        """Pending and dead ones that nobody works on wait for an operator."""
        return self._statements.do("hold", ids=self._take(which), present=self._clock.now_us())

    def release(
        self, which: DeliveryFilter, now: datetime, destination: str | None = None, *, even_if_doubtful: bool = False
    ) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own. Those held
        without one stay when none is given. Doubtful ones go to no other destination, unless `even_if_doubtful`."""
        return self._statements.do(
            "release",
            ids=self._take(which),
            now=microseconds(now),
            destination=destination or "",
            even_if_doubtful=even_if_doubtful,
        )

    def retarget(
        self, which: DeliveryFilter, now: datetime, destination: str, *, even_if_doubtful: bool = False
    ) -> int:
        """Those that nobody works on go to `destination`: pending and dead ones due now, held ones stay held. What the
        former destination may have stays, unless `even_if_doubtful`."""
        return self._statements.do(
            "retarget",
            ids=self._take(which),
            now=microseconds(now),
            present=self._clock.now_us(),
            destination=destination,
            even_if_doubtful=even_if_doubtful,
        )

    def correct(self, correction: CorrectedDelivery, now: datetime, *, even_if_doubtful: bool = False) -> bool:
        """A held or dead delivery has other actions, and is due now; False: it changed meanwhile, or is doubtful."""
        self._take(DeliveryFilter(ids=(correction.delivery_id,)))
        actions, former = cleaned([correction.actions_json, correction.former_json])
        done = self._statements.do(
            "correct",
            delivery_id=correction.delivery_id,
            actions=actions,
            former=former,
            corrected_by=correction.operation_id,
            now=microseconds(now),
            even_if_doubtful=even_if_doubtful,
        )
        return done > 0

    def send_again(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """New deliveries of those that were delivered, to `destination` when it is given, else to their own."""
        if which.state not in (None, DeliveryState.DELIVERED):
            return 0
        # What is delivered stays so. One that is delivered between the two statements would owe without being woken.
        ids = self._find(dataclasses.replace(which, state=DeliveryState.DELIVERED))
        self._statements.do("wake_instances", ids=ids)
        self._statements.do("wake_kept", ids=ids)
        return self._statements.do("send_again", ids=ids, now=microseconds(now), destination=destination or "")

    def set_priority(self, which: DeliveryFilter, priority: Priority) -> int:
        """Another priority for those that nobody works on."""
        return self._statements.do(
            "set_priority", ids=self._take(which), priority=int(priority), present=self._clock.now_us()
        )

    def discard(self, which: DeliveryFilter, settled_at: datetime | None = None) -> int:
        """Delete dead, held and pending deliveries that nobody works on."""
        present = self._clock.now_us()
        gone = [*self._statements.rows("discard", ids=self._take(which), present=present)]
        if not gone:
            return 0
        self._statements.do("delete_attempts", ids=batch([row[0] for row in gone]))
        given_up = sorted({(collection_id, instance_id) for _, instance_id, collection_id in gone if collection_id})
        if given_up:
            self._statements.do("give_up_in_collections", given_up=batch(given_up))
        at = present if settled_at is None else microseconds(settled_at)
        self._mark_settled(batch(sorted({row[1] for row in gone})), at)
        return len(gone)

    def _mark_settled(self, instance_ids: str, now_us: int) -> None:
        """Instances of deliveries that were deleted may go when retention is over, if they owe nothing any more."""
        self._statements.do("mark_settled_instances", ids=instance_ids, now=now_us)
        self._statements.do("begin_keeping", ids=instance_ids, now=now_us)

    def _take(self, which: DeliveryFilter) -> str:
        """Identifiers of the deliveries that fit, as JSON, for a verb: nobody else changes them before it is done."""
        return self._find(which)

    def _find(self, which: DeliveryFilter, limit: int = -1, order: DeliveryOrder = "oldest") -> str:
        """Identifiers of the deliveries that fit, as JSON."""
        return str(self._statements.made(self._dialect.deliveries(which, limit, order)))

    # --- a page at a time ---------------------------------------------------------------------------------------

    def page(
        self, which: DeliveryFilter, states: Collection[DeliveryState], *, after: int, last: int, limit: int
    ) -> builtins.list[int]:
        """Up to `limit` deliveries that fit, in the order of their identifiers, behind `after` and up to `last`."""
        statement, values = self._dialect.paged("page", which, states)
        return self._column((statement, {**values, "after": after, "last": last, "limit": limit}))

    def count(self, which: DeliveryFilter, states: Collection[DeliveryState]) -> int:
        """The number that fit."""
        is_counted = _is_of_destination_and_state(which) and DeliveryState.DELIVERED not in states
        return self._column(self._dialect.paged("count_owed" if is_counted else "count", which, states))[0]

    def total(self, which: DeliveryFilter, looked_at: int) -> DeliveryTotal:
        """The number that fit, in any state. What is owed for a destination or in a state is exact; of anything else,
        the first `looked_at` deliveries are looked at."""
        owed, rest = 0, which
        with self._statements.one_state():  # a delivery that is settled meanwhile counts once
            if _is_of_destination_and_state(which):
                owed = 0 if which.state is DeliveryState.DELIVERED else self.count(which, OWED)
                if which.state in OWED:
                    return DeliveryTotal(owed, is_exact=True)
                rest = dataclasses.replace(which, state=DeliveryState.DELIVERED)
            ((fitting, seen),) = self._statements.made_rows(self._dialect.some(rest, looked_at))
        return DeliveryTotal(owed + fitting, is_exact=seen < looked_at)

    def last(self) -> int:
        """The newest delivery's identifier; 0 without any."""
        with self._statements.errors():
            return int(self._statements.single("last_delivery"))

    def missing(self, ids: Sequence[int]) -> builtins.list[int]:
        """The identifiers among `ids` that no delivery has."""
        with self._statements.errors():
            return [row[0] for row in self._statements.rows("missing", ids=batch([*ids]))]

    def held_for(self, ids: Sequence[int]) -> dict[str, int]:
        """Destination → how many of these deliveries are held for it."""
        with self._statements.errors():
            return dict(self._statements.rows("count_by_destination", ids=batch([*ids])))

    def has_destination(self, destination: str) -> bool:
        """True when any delivery names it."""
        with self._statements.errors():
            return bool(self._statements.single("has_destination", destination=destination))

    def _column(self, statement: MadeStatement) -> builtins.list[int]:
        with self._statements.errors():
            return [row[0] for row in self._statements.made_rows(statement)]

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The queue's time."""
        return self._clock.now()

    def on_the_wall(self, moment: datetime) -> datetime:
        """The wall clock's time at a moment of the queue's time that is near."""
        return self._clock.on_the_wall(moment)


def _is_of_destination_and_state(which: DeliveryFilter) -> bool:
    """True when it speaks of nothing else."""
    return which == DeliveryFilter(destination=which.destination, state=which.state)
