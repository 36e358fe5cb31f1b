"""Arriving objects join their collections: pure decisions, of which each sees what the former ones did."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from gateway.model.collection import (
    Collection,
    CollectionState,
    JoinKind,
    LeftOutBecause,
    LeftOutObject,
    Membership,
    Placement,
    digest_of,
    flags,
    placement,
)
from gateway.model.delivery import DeliveryState, Dispatch, Duty
from gateway.model.instance import Instance

Of = tuple[str, str]
"""The key of a study in a definition, and the patient."""

Begin = Callable[[Membership, int, str], Collection]
"""Makes the generation of this number, with this flag, in the store."""

PATIENTS, INSTITUTIONS = "patients", "institutions"


@dataclasses.dataclass(slots=True)
class Generations:
    """All generations of one study of one patient in one definition, and what arrivals change of the newest."""

    newest: Collection | None = None
    knowing: list[Collection] = dataclasses.field(default_factory=list)
    """Those that know their instances, newest first."""
    flag: str = ""
    institution: str = ""
    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    """The numbers to be added to `late`, `repeated`, `replaced` and `ignored`."""
    has_arrivals: bool = False

    def add(self, one: Collection) -> None:
        """A newer one."""
        self.newest = one
        self.flag = flags(self.flag, one.flag)
        self.institution = one.institution or self.institution
        if one.state is not CollectionState.CLOSED:
            self.knowing.insert(0, one)

    def deadline_after(self, now: datetime) -> datetime | None:
        """When the newest is looked at next. One for which `when` did not hold at its last look waits until `at_most`:
        what comes may make it hold, so that it is looked at when it is quiet again."""
        newest = self.newest
        if newest is None or newest.deadline_at is None or not (newest.is_open and self.has_arrivals):
            return None if newest is None else newest.deadline_at
        return min(newest.deadline_at, max(now + newest.terms.quiet, newest.not_before_at))

    @property
    def is_changed(self) -> bool:
        """More changed than the time of the last arrival."""
        newest = self.newest
        return newest is not None and (
            bool(self.counts) or self.flag != newest.flag or self.institution != newest.institution
        )


@dataclasses.dataclass(frozen=True, slots=True)
class JoinedInstance:
    """An instance of a collection, once its identifier is known."""

    arrival: int
    """The place of the arrival among those of the call."""
    collection_id: int
    uid_key: str
    digest: str
    matches: str


@dataclasses.dataclass(frozen=True, slots=True)
class KnownInstance:
    """An instance that has been in a collection."""

    digest: str
    """That of its newest bytes."""
    settled: frozenset[Duty] | None
    """The duties, without the collection, for which these bytes were delivered or are on their way. None: all were
    delivered, and the store has forgotten them."""


def members_of(dispatches: Iterable[Dispatch]) -> Iterator[Membership]:
    """The collections that these dispatches are for; what is held waits for an operator, and for nothing else."""
    for dispatch in dispatches:
        if dispatch.collection is not None and dispatch.state is DeliveryState.PENDING:
            yield dispatch.collection


def generations_of(memberships: Iterable[Membership], there: Iterable[tuple[str, Collection]]) -> dict[Of, Generations]:
    """`there`: key of the study, and each generation of it, oldest first. Two patients with one study are flagged."""
    found = {(member.collected_key, member.patient): Generations() for member in memberships}
    for collected_key, one in there:
        found.setdefault((collected_key, one.patient), Generations()).add(one)
    patients = Counter(collected_key for collected_key, _ in found)
    for (collected_key, _), each in found.items():
        if patients[collected_key] > 1:
            each.flag = flags(each.flag, PATIENTS)
    return found


class Joining:
    """The arrivals of one call.

    Args:
        found: the generations of their studies.
        known: collection and key of a SOP Instance UID → what it knows of the instance.
        begin: makes a generation.
        now: the queue's time.
    """

    def __init__(
        self,
        found: Mapping[Of, Generations],
        known: Mapping[tuple[int, str], KnownInstance],
        begin: Begin,
        now: datetime,
    ) -> None:
        self.found = found
        self._known = dict(known)
        self._begin = begin
        self._now = now
        self.joined: list[JoinedInstance] = []
        self.left_out: dict[int, list[LeftOutObject]] = {}
        """The place of an arrival → what was not taken of it."""

    def dispatches(self, arrival: int, instance: Instance, dispatches: Sequence[Dispatch]) -> tuple[Dispatch, ...]:
        """Those of one arrival, with the collections that they have joined. What comes late, or again, has another
        state, or none."""
        duties: dict[str, list[Duty]] = {}
        for dispatch in dispatches:
            if dispatch.collection is not None and dispatch.state is DeliveryState.PENDING:
                duties.setdefault(dispatch.collection.collected_key, []).append(duty_of(dispatch))
        decided: dict[str, _Decided] = {}
        made = []
        for dispatch in dispatches:
            member = dispatch.collection
            if member is None:
                made.append(dispatch)
            elif dispatch.state is not DeliveryState.PENDING:
                made.append(dataclasses.replace(dispatch, collection=None))
            else:
                key = member.collected_key
                if key not in decided:
                    decided[key] = self._decide(arrival, instance, member, duties[key])
                if decided[key].is_taking(dispatch):
                    made.append(decided[key].joined(dispatch, member))
        return tuple(made)

    def _decide(self, arrival: int, instance: Instance, member: Membership, duties: Sequence[Duty]) -> _Decided:
        """The place of one arrival in one collection, of which it has these duties."""
        here = self.found[member.collected_key, member.patient]
        uid_key, digest = digest_of(instance.sop_instance_uid), instance.payload.digest.hex()
        known = next((known for one in here.knowing if (known := self._known.get((one.collection_id, uid_key)))), None)
        placed = placement(here.newest, known.digest if known else None, digest, member.terms, self._now)
        if here.institution and member.institution not in ("", here.institution):
            here.flag = flags(here.flag, INSTITUTIONS)
        if placed.kind is JoinKind.NEW_GENERATION:
            number = 1 if here.newest is None else here.newest.generation + 1
            here.counts.clear()
            here.add(self._begin(member, number, here.flag))
        here.institution = here.institution or member.institution
        newest = here.newest
        assert newest is not None
        decided = _Decided(newest, placed.kind, known.settled if known else frozenset())
        taken = sum(map(decided.is_taking_duty, duties))
        here.counts += Counter(_counted(placed, has_taken=taken > 0, has_left_out=taken < len(duties)))
        if taken < len(duties):
            self._leave_out(arrival, newest, "late" if placed.kind is JoinKind.IGNORE else "again")
        if taken:
            here.has_arrivals = True
            settled = None if decided.settled is None else decided.settled | frozenset(duties)
            self._known[newest.collection_id, uid_key] = KnownInstance(digest, settled)
            self.joined.append(JoinedInstance(arrival, newest.collection_id, uid_key, digest, member.matches))
        return decided

    def _leave_out(self, arrival: int, newest: Collection, why: LeftOutBecause) -> None:
        left_out = LeftOutObject(newest.collection_id, newest.terms.name, newest.study_instance_uid, why)
        self.left_out.setdefault(arrival, []).append(left_out)


@dataclasses.dataclass(frozen=True, slots=True)
class _Decided:
    """The place of an arrival in one collection."""

    newest: Collection
    kind: JoinKind
    settled: frozenset[Duty] | None

    def is_taking(self, dispatch: Dispatch) -> bool:
        return self.is_taking_duty(duty_of(dispatch))

    def is_taking_duty(self, duty: Duty) -> bool:
        """False when nothing is to be sent for it."""
        if self.kind is JoinKind.REPEATED:
            return self.settled is not None and duty not in self.settled
        return self.kind is not JoinKind.IGNORE

    def joined(self, dispatch: Dispatch, member: Membership) -> Dispatch:
        """The dispatch as it is now."""
        is_waiting = self.kind in (JoinKind.JOIN, JoinKind.NEW_GENERATION)
        is_held = not is_waiting and self.newest.outcome == "hold"
        name, result = self.newest.terms.name, self.newest.result
        return dataclasses.replace(
            dispatch,
            collection=member.joined(self.newest.collection_id, is_waiting=is_waiting),
            state=DeliveryState.HELD if is_held else dispatch.state,
            reason=f"the collection `{name}` is {result}" if is_held else dispatch.reason,
        )


def duty_of(dispatch: Dispatch) -> Duty:
    """Its duty within its collection."""
    return dataclasses.replace(dispatch, collection=None).duty


def _counted(placed: Placement, *, has_taken: bool, has_left_out: bool) -> list[str]:
    """The counters that an arrival moves."""
    words = {
        "late": placed.kind is JoinKind.SUPPLEMENT or (placed.kind is JoinKind.REPEATED and has_taken),
        "ignored": placed.kind is JoinKind.IGNORE,
        "repeated": placed.kind is JoinKind.REPEATED and has_left_out,
        "replaced": placed.is_replacing,
    }
    return [word for word, is_counted in words.items() if is_counted]
