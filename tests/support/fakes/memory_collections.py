"""The `Collections` port of the store in memory."""

from __future__ import annotations

import builtins
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.model.collection import Collection, CollectionResult, CollectionState, End, Membership, digest_of
from gateway.model.collection_joining import Joining, KnownInstance, generations_of, members_of
from gateway.model.delivery import DeliveryState, Dispatch, Duty
from gateway.model.expectation import Expectation
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.collections import CollectionCount, CollectionFilter, LetGo

if TYPE_CHECKING:
    from tests.support.fakes.memory_store import MemoryStore, Row

RULE = "unmatched"


class MemoryCollections:
    """A view of the store's dictionaries."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    # --- arrivals ------------------------------------------------------------------------------------------------

    def joining(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool],
    ) -> Joining:
        members = [member for _, dispatches in arrivals for member in members_of(dispatches)]
        there = [(_collected_key(one), one) for _, one in sorted(self._store.collection_rows.items())]
        keys = {member.collected_key for member in members}
        found = generations_of(members, [(key, one) for key, one in there if key in keys])
        known = {
            (collection_id, uid_key): KnownInstance(digest, self._settled(collection_id, uid_key, digest, is_readable))
            for collection_id, noted in self._store.collection_members.items()
            for uid_key, (digest, _, _) in noted.items()
        }
        return Joining(found, known, lambda member, number, flag: self._begin(member, number, flag, now), now)

    def _settled(
        self, collection_id: int, uid_key: str, digest: str, is_readable: Callable[[PayloadRef], bool]
    ) -> frozenset[Duty] | None:
        """The duties of these bytes that were delivered or are on their way."""

        def is_same(instance: Instance) -> bool:
            return digest_of(instance.sop_instance_uid) == uid_key and instance.payload.digest.hex() == digest

        is_given_up = (collection_id, uid_key) in self._store.given_up
        if not is_given_up and not any(map(is_same, self._store.stored_instances())):
            return None
        deliveries = [row.delivery for row in self._store.rows.values() if is_same(row.delivery.instance)]
        return frozenset(
            (f"group {each.group_name}" if each.group_name else each.destination, each.actions_json)
            for each in deliveries
            if each.collection_id == collection_id
            and (
                each.state is DeliveryState.DELIVERED
                or (each.state is DeliveryState.PENDING and is_readable(each.instance.payload))
            )
        )

    def give_up(self, collection_id: int | None, instance: Instance) -> None:
        if collection_id is not None:
            self._store.given_up.add((collection_id, digest_of(instance.sop_instance_uid)))

    def note(self, joining: Joining, instance_ids: Sequence[int], now: datetime) -> None:
        for each in joining.joined:
            noted = self._store.collection_members.setdefault(each.collection_id, {})
            self._store.given_up.discard((each.collection_id, each.uid_key))
            noted[each.uid_key] = (each.digest, instance_ids[each.arrival], each.matches)
        for generations in joining.found.values():
            newest = generations.newest
            if newest is None:
                continue
            is_later = generations.has_arrivals and now - newest.last_arrival_at >= timedelta(seconds=1)
            deadline_at = generations.deadline_after(now)
            if is_later or generations.is_changed or deadline_at != newest.deadline_at:
                at = max(now, newest.last_arrival_at) if generations.has_arrivals else newest.last_arrival_at
                added = {word: getattr(newest, word) + number for word, number in generations.counts.items()}
                self._change(
                    newest.collection_id,
                    last_arrival_at=at,
                    flag=generations.flag,
                    institution=generations.institution,
                    deadline_at=deadline_at,
                    **added,
                )

    def _begin(self, member: Membership, generation: int, flag: str, now: datetime) -> Collection:
        number = max(self._store.collection_rows, default=0) + 1
        at_most_at = now + member.terms.at_most
        made = Collection(
            number,
            member.terms,
            member.study_instance_uid,
            member.series_instance_uid,
            member.patient,
            generation,
            CollectionState.OPEN,
            now,
            now,
            at_most_at,
            _EPOCH,
            min(now + member.terms.quiet, at_most_at),
            flag=flag,
            institution=member.institution,
        )
        self._store.collection_rows[number] = made
        return made

    def _change(self, collection_id: int, **values: Any) -> None:
        rows = self._store.collection_rows
        if collection_id in rows:
            rows[collection_id] = dataclasses.replace(rows[collection_id], **values)

    # --- decisions -----------------------------------------------------------------------------------------------

    def next_deadline(self) -> datetime | None:
        return min((one.deadline_at for one in self._store.collection_rows.values() if one.deadline_at), default=None)

    def due(self, now: datetime, limit: int) -> builtins.list[int]:
        rows = self._store.collection_rows.values()
        due = [(one.deadline_at, one.collection_id) for one in rows if one.deadline_at and one.deadline_at <= now]
        return [number for _, number in sorted(due)][:limit]

    def take(self, collection_id: int) -> Collection | None:
        found = self._store.collection_rows.get(collection_id)
        return None if found is None else self._counted(found)

    def totals(self, collection_id: int) -> Mapping[str, int]:
        return Counter(matches for _, _, matches in self._store.collection_members.get(collection_id, {}).values())

    def series(self, collection_id: int) -> int:
        noted = self._store.collection_members.get(collection_id, {}).values()
        instances = {row.delivery.instance.instance_id: row.delivery.instance for row in self._store.rows.values()}
        return len({instances[number].series_instance_uid for _, number, _ in noted})

    def lacking(self, collection_id: int, uid_keys: Sequence[str]) -> builtins.list[str]:
        noted = self._store.collection_members.get(collection_id, {})
        return [key for key in uid_keys if key not in noted]

    def expect(self, collection_id: int, expectation: Expectation) -> None:
        self._change(collection_id, expectation=expectation)

    def put_off(self, collection_id: int, until: datetime) -> None:
        self._change(collection_id, deadline_at=until)

    def end(self, collection_id: int, end: End) -> None:
        state = CollectionState.RELEASING
        self._change(collection_id, state=state, result=end.result, outcome=end.outcome, deadline_at=_EPOCH)

    def let_go(self, collection: Collection, limit: int, now: datetime) -> LetGo:
        number = collection.collection_id
        waiting = [
            row
            for _, row in sorted(self._store.rows.items())
            if row.delivery.is_waiting and row.delivery.collection_id == number
        ]
        page = waiting[:limit]
        for row in page:
            self._let_go(row, collection, now)
        destinations = {row.delivery.destination for row in page if row.delivery.state is DeliveryState.PENDING}
        if len(page) < limit and self._store.collection_rows[number].state is CollectionState.RELEASING:
            until = now + collection.terms.late_for
            self._change(number, state=CollectionState.COMPLETE, completed_at=now, deadline_at=until)
        return LetGo(len(page), frozenset(destinations if collection.outcome == "send" else ()), len(page) < limit)

    def _let_go(self, row: Row, collection: Collection, now: datetime) -> None:
        reason = f"the collection `{collection.terms.name}` is {collection.result}"
        if collection.outcome == "send":
            row.change(due_at=now, renewed_at=now)
        elif collection.outcome == "hold":
            row.change(state=DeliveryState.HELD, due_at=now, reason=reason)
        elif (
            collection.outcome == "unmatched"
            and collection.terms.is_unmatched_held
            and self._is_alone(row, collection.collection_id)
        ):
            row.change(
                state=DeliveryState.HELD,
                destination="",
                rule=RULE,
                actions_json="",
                group_name="",
                due_at=now,
                reason=reason,
            )
        else:
            del self._store.rows[row.delivery.delivery_id]
            self._store.mark_settled(row.delivery.instance.instance_id)

    def _is_alone(self, row: Row, collection_id: int) -> bool:
        """Nothing else wants its instance but later deliveries of this collection."""
        others = (
            each.delivery
            for each in self._store.rows.values()
            if each.delivery.instance.instance_id == row.delivery.instance.instance_id and each is not row
        )
        return all(
            other.is_waiting and other.collection_id == collection_id and other.delivery_id > row.delivery.delivery_id
            for other in others
        )

    def close(self, collection_id: int, forget_at: datetime) -> None:
        instances = len(self._store.collection_members.pop(collection_id, {}))
        self._change(collection_id, state=CollectionState.CLOSED, deadline_at=forget_at, instances=instances)

    def forget(self, collection_id: int) -> None:
        self._store.collection_rows.pop(collection_id, None)

    def arriving(self, study_instance_uids: Sequence[str], now: datetime) -> int:
        late = [
            one.collection_id
            for one in self._store.collection_rows.values()
            if one.study_instance_uid in study_instance_uids
            and one.is_open
            and now - one.last_arrival_at >= timedelta(seconds=1)
        ]
        for number in late:
            self._change(number, last_arrival_at=now)
        return len(late)

    # --- operators -----------------------------------------------------------------------------------------------

    def list(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        return [
            self._counted(one)
            for number, one in sorted(self._store.collection_rows.items())
            if (not which.ids or number in which.ids)
            and which.name in ("", one.terms.name)
            and which.state in (None, one.state)
            and which.study_instance_uid in ("", one.study_instance_uid)
        ][:limit]

    def newest(self, which: CollectionFilter, limit: int) -> builtins.list[Collection]:
        found = self._meant(which)
        return sorted(found, key=lambda one: (one.last_arrival_at, one.collection_id), reverse=True)[:limit]

    def count(self, which: CollectionFilter) -> int:
        return len(self._meant(which))

    def _meant(self, which: CollectionFilter) -> builtins.list[Collection]:
        closed = CollectionState.CLOSED
        found = self.list(which, len(self._store.collection_rows))
        return [one for one in found if one.state is not closed or which.state is closed]

    def waiting(self, collection_id: int) -> int:
        rows = (row.delivery for row in self._store.rows.values())
        return sum(delivery.is_waiting and delivery.collection_id == collection_id for delivery in rows)

    def counts(self, now: datetime) -> builtins.list[CollectionCount]:
        groups: dict[tuple[str, CollectionState, CollectionResult], builtins.list[Collection]] = {}
        for one in self.list(CollectionFilter(), len(self._store.collection_rows)):
            groups.setdefault((one.terms.name, one.state, one.result), []).append(one)
        return [
            CollectionCount(
                *key,
                len(group),
                min(one.opened_at for one in group),
                sum(one.is_open and one.at_most_at <= now for one in group),
                sum(one.ignored for one in group),
                sum(one.repeated for one in group),
            )
            for key, group in sorted(groups.items())
        ]

    def extend(self, collection_id: int, until: datetime) -> None:
        one = self._store.collection_rows.get(collection_id)
        if one is not None and one.is_open:
            self._change(collection_id, not_before_at=until, at_most_at=max(one.at_most_at, until), deadline_at=until)

    def _counted(self, one: Collection) -> Collection:
        if one.state is CollectionState.CLOSED:
            return one
        return dataclasses.replace(one, instances=len(self._store.collection_members.get(one.collection_id, {})))


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _collected_key(one: Collection) -> str:
    return Membership(one.terms, one.study_instance_uid, one.series_instance_uid).collected_key
