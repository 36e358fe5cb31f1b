"""Collections in a relational database: decisions are written, deliveries are let go, operators look."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.model.collection import Collection, CollectionOutcome, End
from gateway.model.delivery import UNMATCHED_RULE
from gateway.model.expectation import Expectation
from gateway.ports.collections import CollectionCount, CollectionFilter, LetGo
from gateway.relational.collection_rows import collection, expectation_text, state_of
from gateway.relational.rows import batch, cleaned, microseconds, moment
from gateway.relational.statements import Statements


class RelationalCollections:
    """The `Collections` port on one connection."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    # --- decisions ----------------------------------------------------------------------------------------------

    def next_deadline(self) -> datetime | None:
        """The time at which something is to be decided."""
        with self._statements.errors():
            found = self._statements.single("next_collection_deadline")
        return None if found is None else moment(found)

    def due(self, now: datetime, limit: int) -> builtins.list[int]:
        """The collections whose deadline has come, earliest first."""
        with self._statements.errors():
            return [row[0] for row in self._statements.rows("due_collections", now=microseconds(now), limit=limit)]

    def take(self, collection_id: int) -> Collection | None:
        """A collection that nobody else changes until the transaction ends."""
        row = self._statements.single("take_collection", collection_id=collection_id)
        return None if row is None else collection(row)

    def totals(self, collection_id: int) -> Mapping[str, int]:
        """Matches → number of instances."""
        return dict(self._statements.rows("collection_totals", collection_id=collection_id))

    def series(self, collection_id: int) -> int:
        """The number of series that its instances are of."""
        return int(self._statements.single("series_of_collection", collection_id=collection_id))

    def lacking(self, collection_id: int, uid_keys: Sequence[str]) -> builtins.list[str]:
        """Those of these keys that are none of its instances'."""
        wanted = batch(uid_keys)
        return list(self._statements.json("lacking_in_collection", collection_id=collection_id, wanted=wanted))

    def expect(self, collection_id: int, expectation: Expectation) -> None:
        """This is known of the whole of it."""
        text = expectation_text(expectation)
        self._statements.do("expect_of_collection", collection_id=collection_id, expectation=text)

    def put_off(self, collection_id: int, until: datetime) -> None:
        """The next decision is not before `until`."""
        self._statements.do("put_off_collection", collection_id=collection_id, until=microseconds(until))

    def end(self, collection_id: int, end: End) -> None:
        """It ends so."""
        self._statements.do("end_collection", collection_id=collection_id, result=end.result, outcome=end.outcome)

    def let_go(self, collection: Collection, limit: int, now: datetime) -> LetGo:
        """Do with up to `limit` of its deliveries that wait what `outcome` says; with the last one it is complete."""
        number, now_us = collection.collection_id, microseconds(now)
        found = self._statements.json("waiting_of_collection", collection_id=number, limit=limit)
        destinations: frozenset[str] = frozenset()
        if found:
            destinations = self._let_go(batch(found), collection, now_us)
            self._statements.do("wait_no_longer", collection_id=number, ids=batch(found))
        is_last = len(found) < limit
        if is_last:
            until = microseconds(now + collection.terms.late_for)
            self._statements.do("complete_collection", collection_id=number, now=now_us, until=until)
        return LetGo(len(found), destinations, is_last)

    def _let_go(self, ids: str, collection: Collection, now_us: int) -> frozenset[str]:
        """The destinations for which some are due now."""
        outcome: CollectionOutcome = collection.outcome
        if outcome == "send":
            self._statements.do("send_waiting", ids=ids, now=now_us)
            return frozenset(row[0] for row in self._statements.rows("destinations_of", ids=ids))
        (reason,) = cleaned([f"the collection `{collection.terms.name}` is {collection.result}"])
        if outcome == "hold":
            self._statements.do("hold_waiting", ids=ids, now=now_us, reason=reason)
            return frozenset()
        if outcome == "unmatched" and collection.terms.is_unmatched_held:
            self._statements.do("hold_unmatched_waiting", ids=ids, now=now_us, reason=reason, rule=UNMATCHED_RULE)
        gone = sorted({row[1] for row in self._statements.rows("drop_waiting", ids=ids)})
        if gone:
            self._mark_settled(batch(gone), now_us)
        return frozenset()

    def _mark_settled(self, instance_ids: str, now_us: int) -> None:
        """Instances of deliveries that were deleted may go when retention is over, if they owe nothing any more."""
        self._statements.do("mark_settled_instances", ids=instance_ids, now=now_us)

    def close(self, collection_id: int, forget_at: datetime) -> None:
        """Objects that come begin a new generation. It forgets its instances, but for their number."""
        self._statements.do("close_collection", collection_id=collection_id, forget_at=microseconds(forget_at))
        self._statements.do("forget_collection_instances", collection_id=collection_id)

    def forget(self, collection_id: int) -> None:
        """Delete it."""
        self._statements.do("forget_collection", collection_id=collection_id)

    def arriving(self, study_instance_uids: Sequence[str], now: datetime) -> int:
        """Open collections of these studies are quiet later."""
        uids = batch(sorted(study_instance_uids))
        return self._statements.do("arriving", study_instance_uids=uids, now=microseconds(now))

    # --- operators ----------------------------------------------------------------------------------------------

    def list(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        """Collections that fit, oldest first."""
        with self._statements.errors():
            return [collection(row) for row in self._statements.rows("list_collections", **_values(which), limit=limit)]

    def newest(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        """Collections that fit, the last arrival first."""
        with self._statements.errors():
            found = self._statements.rows("newest_collections", **_values(which), limit=limit)
            return [collection(row) for row in found]

    def count(self, which: CollectionFilter) -> int:
        """The number of those that `newest` means."""
        with self._statements.errors():
            return int(self._statements.single("count_those_that_fit", **_values(which)))

    def waiting(self, collection_id: int) -> int:
        """The number of deliveries that wait for its end."""
        with self._statements.errors():
            return int(self._statements.single("count_waiting", collection_id=collection_id))

    def counts(self, now: datetime) -> builtins.list[CollectionCount]:
        """Numbers by name, state and result, of all that are not forgotten yet."""
        with self._statements.errors():
            return [
                CollectionCount(name, state_of(state), result, number, moment(oldest_at), *figures)
                for name, state, result, number, oldest_at, *figures in self._statements.rows(
                    "count_collections", now=microseconds(now)
                )
            ]

    def extend(self, collection_id: int, until: datetime) -> None:
        """An open one is not decided before `until`."""
        self._statements.do("extend_collection", collection_id=collection_id, until=microseconds(until))


def _values(which: CollectionFilter) -> dict[str, Any]:
    """The parameters of a statement that filters."""
    return {
        "every_id": not which.ids,
        "ids": batch(which.ids),
        "definition": which.name,
        "state": which.state or "",
        "study_instance_uid": which.study_instance_uid,
    }
