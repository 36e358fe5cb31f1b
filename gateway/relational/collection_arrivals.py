"""Objects join their collections, in the transaction that accepts them. Objects of none cost nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.model.collection import Collection, CollectionState, LeftOutObject, Membership, digest_of
from gateway.model.collection_joining import (
    Generations,
    JoinedInstance,
    Joining,
    KnownInstance,
    generations_of,
    members_of,
)
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.delivery_queue import AcceptedInstance
from gateway.relational.collection_rows import COLLECTED_KEY_COLUMN, collection, terms_text
from gateway.relational.rows import batch, cleaned, microseconds
from gateway.relational.statements import Statements

Arrivals = Sequence[tuple[Instance, Sequence[Dispatch]]]

WRITTEN_EACH = timedelta(seconds=1)
"""The last arrival of a collection is written once in this time."""
GIVEN_UP = "-"
"""Stands before the digest of an instance of which an operator gave a delivery up: it is taken anew."""


class CollectionArrivals:
    """The collections of arriving objects, on one connection. `hold` keeps others from beginning collections with these
    keys until the transaction ends."""

    def __init__(self, statements: Statements, hold: Callable[[Sequence[str]], object]) -> None:
        self._statements = statements
        self._hold = hold
        self._joined: Sequence[JoinedInstance] = ()
        self._left_out: Mapping[int, Sequence[LeftOutObject]] = {}

    def join(
        self, arrivals: Arrivals, now: datetime, is_readable: Callable[[PayloadRef], bool] = lambda _: True
    ) -> Arrivals:
        """The same arrivals with the collections that their dispatches have joined. What is owed and cannot be read is
        taken again, as everywhere. `note` follows in this transaction."""
        members = [member for _, dispatches in arrivals for member in members_of(dispatches)]
        keys = sorted({member.collected_key for member in members})
        if keys:
            self._hold(keys)
        there = self._statements.json("collections_of_studies", collected_keys=batch(keys)) if keys else []
        found = generations_of(members, ((row[COLLECTED_KEY_COLUMN], collection(row)) for row in there))

        def begin(member: Membership, generation: int, flag: str) -> Collection:
            return self._begin(member, generation, flag, now)

        known = self._known(arrivals, found, is_readable) if there else {}
        joining = Joining(found, known, begin, now)
        joined = [(each, joining.dispatches(place, each, made)) for place, (each, made) in enumerate(arrivals)]
        self._joined, self._left_out = joining.joined, joining.left_out
        self._change(found.values(), now)
        return joined

    def left_out(self, answers: Sequence[AcceptedInstance]) -> list[AcceptedInstance]:
        """The answers to the arrivals that joined, with what was not taken of each."""
        left_out, self._left_out = self._left_out, {}
        return [
            dataclasses.replace(answer, left_out=tuple(left_out[place])) if place in left_out else answer
            for place, answer in enumerate(answers)
        ]

    def note(self, instance_ids: Sequence[int], now: datetime) -> None:
        """The arrivals have these identifiers, in order."""
        joined, self._joined = self._joined, ()
        if joined:
            now_us = microseconds(now)
            noted = [
                (each.collection_id, each.uid_key, each.digest, instance_ids[each.arrival], each.matches, now_us)
                for each in joined
            ]
            self._statements.do("insert_collection_instances", rows=batch(noted))

    def _known(
        self,
        arrivals: Arrivals,
        found: dict[tuple[str, str], Generations],
        is_readable: Callable[[PayloadRef], bool],
    ) -> dict[tuple[int, str], KnownInstance]:
        """Collection and key of a SOP Instance UID → what is known of the instance."""
        wanted = {
            (one.collection_id, digest_of(instance.sop_instance_uid), instance.sop_instance_uid): None
            for instance, dispatches in arrivals
            for member in members_of(dispatches)
            for one in found[member.collected_key, member.patient].knowing
        }
        rows = self._statements.json("known_in_collections", wanted=batch([*wanted])) if wanted else []
        return {
            (collection_id, uid_key): _known_instance(digest, is_stored, deliveries, is_readable)
            for collection_id, uid_key, digest, is_stored, deliveries in rows
        }

    def _begin(self, member: Membership, generation: int, flag: str, now: datetime) -> Collection:
        """The next generation."""
        terms = member.terms
        at_most_at = now + terms.at_most
        deadline_at = min(now + terms.quiet, at_most_at)
        name, study, series = cleaned([terms.name, member.study_instance_uid, member.series_instance_uid])
        collection_id = self._statements.single(
            "insert_collection",
            collected_key=member.collected_key,
            patient=member.patient,
            generation=generation,
            definition=name,
            study_instance_uid=study,
            series_instance_uid=series,
            terms=terms_text(terms),
            now=microseconds(now),
            at_most_at=microseconds(at_most_at),
            deadline_at=microseconds(deadline_at),
            flag=flag,
            institution=member.institution,
        )
        return Collection(
            *(int(collection_id), terms, study, series, member.patient, generation, CollectionState.OPEN),
            *(now, now, at_most_at, now, deadline_at),
            flag=flag,
            institution=member.institution,
        )

    def _change(self, generations: Iterable[Generations], now: datetime) -> None:
        changes = []
        for each in generations:
            newest = each.newest
            if newest is None:
                continue
            is_later = each.has_arrivals and now - newest.last_arrival_at >= WRITTEN_EACH
            deadline_at = each.deadline_after(now)
            if is_later or each.is_changed or deadline_at != newest.deadline_at:
                at = max(now, newest.last_arrival_at) if each.has_arrivals else newest.last_arrival_at
                counts = [each.counts[word] for word in ("late", "repeated", "replaced", "ignored")]
                deadline_us = None if deadline_at is None else microseconds(deadline_at)
                changes.append(
                    (newest.collection_id, microseconds(at), each.flag, each.institution, *counts, deadline_us)
                )
        if changes:
            self._statements.do("change_collections", changes=batch(changes))


def _known_instance(
    digest: str, is_stored: bool, deliveries: Sequence[Sequence[Any]], is_readable: Callable[[PayloadRef], bool]
) -> KnownInstance:
    """`deliveries`: state, place, actions, and payload of those that its collection has for these bytes."""
    digest, is_given_up = digest.removeprefix(GIVEN_UP), digest.startswith(GIVEN_UP)
    if not is_stored and not is_given_up:
        return KnownInstance(digest, None)
    digest_bytes = bytes.fromhex(digest)
    settled = {
        (place, actions)
        for state, place, actions, name, offset_bytes, length_bytes in deliveries
        if state == DeliveryState.DELIVERED
        or (state == DeliveryState.PENDING and is_readable(PayloadRef(name, offset_bytes, length_bytes, digest_bytes)))
    }
    return KnownInstance(digest, frozenset(settled))
