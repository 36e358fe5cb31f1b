"""The instances that sources have of a retrieve: every source is queried side by side, down to its instances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.model.peer import Peer
from gateway.model.query import AnyValue, Attributes, Query, QueryLevel, QueryRoot, Value
from gateway.query.attributes import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    UNIQUE,
)
from gateway.query.identifier import first_text
from gateway.sources.query_steps import SourceQuery
from gateway.sources.source_query import LeftOut, SourceFailed, find
from gateway.sources.sources import Sources

OF_PATIENT = frozenset({PATIENT_ID, ISSUER_OF_PATIENT_ID})
NAMING = (*UNIQUE.values(), ISSUER_OF_PATIENT_ID)


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """One instance at a source, as the source describes it."""

    sop_instance_uid: str
    sop_class_uid: str
    """Empty where the source does not say."""
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class SourceInstances:
    """The instances that one source has of a retrieve."""

    peer: Peer
    items: Mapping[str, SourceInstance]
    """Instances by SOP Instance UID, in the order of its answers."""


@dataclass(slots=True)
class AllSourceInstances:
    """The answers of all sources together."""

    found: list[SourceInstances] = field(default_factory=list)
    """Sources in the configuration's order; those without an instance are left out."""
    failures: list[SourceFailed] = field(default_factory=list)


def instance_query_of(query: Query) -> SourceQuery:
    """The query for all instances below the keys of a retrieve."""
    named: dict[int, Value] = {
        key.tag: condition.values
        for key in query.keys
        for condition in key.conditions
        if isinstance(condition, AnyValue)
    }
    keys = {
        PATIENT_ID: (),
        STUDY_INSTANCE_UID: (),
        SERIES_INSTANCE_UID: (),
        SOP_INSTANCE_UID: (),
        SOP_CLASS_UID: (),
        **named,
    }
    is_of_study = STUDY_INSTANCE_UID in named or ACCESSION_NUMBER in named
    root: QueryRoot = "study" if is_of_study and PATIENT_ID not in named else "patient"
    return SourceQuery(root, QueryLevel.IMAGE, keys, is_relational=True)


async def query_instances(
    sources: Sources,
    peers: Sequence[Peer],
    query: Query,
    *,
    limit_s: float,
    run: Callable[[asyncio.Task[None]], None],
) -> AllSourceInstances:
    """The instances that `peers` have. A caller that is cancelled does not wait for their final responses.

    Args:
        limit_s: how long each may keep us waiting.
        run: keeps a task until it has ended.
    """
    source_query = instance_query_of(query)
    found: list[dict[str, SourceInstance]] = [{} for _ in peers]
    failures: dict[int, SourceFailed] = {}

    async def list_one(rank: int, peer: Peer) -> None:
        try:
            await _list_instances(sources, peer, source_query, limit_s, found[rank])
        except SourceFailed as error:
            failures[rank] = error

    tasks = [asyncio.create_task(list_one(rank, peer)) for rank, peer in enumerate(peers)]
    for task in tasks:
        run(task)
    try:
        await asyncio.gather(*(asyncio.shield(task) for task in tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
    return AllSourceInstances(
        [SourceInstances(peer, items) for peer, items in zip(peers, found, strict=True) if items],
        [failures[rank] for rank in sorted(failures)],
    )


async def _list_instances(
    sources: Sources, peer: Peer, source_query: SourceQuery, limit_s: float, found: dict[str, SourceInstance]
) -> None:
    """List the instances of one source in `found`, by SOP Instance UID. Raises SourceFailed."""
    listing = SourceListing(source_query)
    async with aclosing(find(sources, peer, source_query, limit_s=limit_s)) as answers:
        async for answer, _ in answers:
            item = listing.item(answer)
            if item is not None:
                found.setdefault(item.sop_instance_uid, item)
    listing.check(peer)


class SourceListing:
    """Reads the answers of one source as instances, and counts those that do not fit the query."""

    def __init__(self, source_query: SourceQuery) -> None:
        self._named = {tag: source_query.keys[tag] for tag in NAMING if any(source_query.keys.get(tag, ()))}
        self._numbers = source_query.keys.get(ACCESSION_NUMBER, ())
        self._of_others: set[str] = set()
        """Studies with instances of a patient who was not asked for."""
        self._studies: set[str] = set()
        self._unfit = 0
        self._unnamed = 0

    def item(self, answer: Attributes) -> SourceInstance | None:
        """The instance of an answer; None when it does not fit the query, or has no identifiers."""
        uids = [first_text(answer, tag) for tag in (SOP_INSTANCE_UID, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID)]
        if not all(uids):
            self._unnamed += 1
            return None
        others = [tag for tag in self._named if any(answer.get(tag, ())) and not self._is_named(tag, answer)]
        if self._numbers and first_text(answer, ACCESSION_NUMBER) not in self._numbers:
            self._unfit += 1  # it names the studies: a source that passes over it would bring all that it has
            return None
        if others and not set(others) & OF_PATIENT:
            self._unfit += 1
            return None
        if others:
            self._of_others.add(uids[2])
            return None
        self._studies.add(uids[2])
        return SourceInstance(
            uids[0], first_text(answer, SOP_CLASS_UID), uids[1], uids[2], first_text(answer, PATIENT_ID)
        )

    def _is_named(self, tag: int, answer: Attributes) -> bool:
        return first_text(answer, tag).strip() in {str(each).strip() for each in self._named[tag]}

    def check(self, peer: Peer) -> None:
        """Raises SourceFailed for answers that should not have been left out. Instances of another patient are left out
        of a study that both share. When a study has none of the patient who was asked for, the source uses another
        identifier for that patient."""
        LeftOut(unnamed=self._unnamed, unfit=self._unfit + len(self._of_others - self._studies)).check(peer)
