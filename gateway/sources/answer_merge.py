"""Answers of several sources to one query become one answer a thing. Pure: the time is an argument.

Things are the same when the level's unique key is. Two answers of one source are two things unless they say the same.
Patients with one Patient ID are two when both answers name an Issuer of Patient ID, and different ones, or differ in
name and birth date. Attributes are merged so:

============================== =====================================================================================
Number of … Related …          the largest number: how far the sources' holdings overlap, counts do not tell
Modalities in Study, SOP       every value that any source names
Classes in Study
Instance Availability          the best: ONLINE, NEARLINE, OFFLINE, UNAVAILABLE
all others                     the value of the first source in the configuration's order that has one
============================== =====================================================================================

Sources that name different patients for one thing give two answers: each is passed on, nothing of one is mixed into
the other, neither attributes nor numbers, whichever source answers first.

A match is given as soon as every source that is still answering named it, or ended, or when it waited for `patience_s`.
A later answer about it is not passed on, and is counted where it adds something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.model.query import Attributes, QueryLevel, Value
from gateway.query.attributes import (
    COMPUTED,
    INSTANCE_AVAILABILITY,
    MODALITIES_IN_STUDY,
    SOP_CLASSES_IN_STUDY,
    UNIQUE,
)
from gateway.query.identifier import first_text
from gateway.sources.same_patient import are_different, fingerprint_of

AVAILABILITY = ("ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE")
"""Defined terms of Instance Availability (0008,0056), best first."""

_GATHERED = (MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY)
_COUNTS = frozenset(COMPUTED) - frozenset(_GATHERED)
_COMBINED = frozenset((*COMPUTED, INSTANCE_AVAILABILITY))
"""Attributes whose value may be another one than each source's."""

MOST_WAITING = 20_000
"""Matches that wait for other sources; beyond that the oldest are given as they are."""
MOST_PARTS = 64
"""Answers under one unique key that are compared with each other; more are given as they come."""


@dataclass(frozen=True, slots=True)
class MergedAnswer:
    """One match."""

    attributes: Attributes
    status: int
    """0xFF01 when a source said so of its part (PS3.4 Table C.4-1)."""


@dataclass(slots=True)
class _Group:
    """The answers under one unique key."""

    since_s: float
    parts: list[tuple[int, Attributes, int]] = field(default_factory=list)
    """(rank, answer, status): what was not given yet."""
    ranks: set[int] = field(default_factory=set)
    """The ranks of the sources that named it."""
    given: list[Attributes] = field(default_factory=list)
    """The answers that were given before all sources had ended; of the first `MOST_WAITING` only."""
    is_given: bool = False
    is_plain: bool = True
    """Every source named one thing, and all of them the same patient."""


class Merger:
    """Collects the answers to one query.

    Args:
        level: of the query.
        ranks: the sources, as numbers in the configuration's order.
        patience_s: how long a match waits.
    """

    def __init__(self, level: QueryLevel, ranks: Iterable[int], patience_s: float) -> None:
        self._level = level
        self._running = set(ranks)
        self._patience_s = patience_s
        self._known: dict[str, _Group | None] = {}
        """None: given, and every source had its say."""
        self._seen: set[int] = set()
        """Fingerprints of answers, to know those that are repeated."""
        self._waiting: dict[str, _Group] = {}
        """Waiting groups by unique key, the longest wait first."""
        self._given_early = 0
        self.repeated: Counter[int] = Counter()
        """Answers that a source gave before, by rank."""
        self.late: Counter[int] = Counter()
        """Answers that would have added to a match that was given already."""
        self.of_other_patients: Counter[int] = Counter()
        """Answers that name another patient for a thing than a source before them; they are matches of their own."""

    def add(self, rank: int, attributes: Attributes, status: int, now_s: float) -> list[MergedAnswer]:
        """Add an answer of the source `rank`; the answers that can be given now."""
        uid = first_text(attributes, UNIQUE[self._level])
        if not uid:
            return [MergedAnswer(attributes, status)]  # a patient without an identifier: nobody knows who else it is
        fingerprint = hash((rank, fingerprint_of(attributes)))
        if fingerprint in self._seen:
            self.repeated[rank] += 1
            return []
        self._seen.add(fingerprint)
        group = self._known.setdefault(uid, _Group(now_s))
        if group is None or (group.is_given and rank in group.ranks):
            return [MergedAnswer(attributes, status)]  # two things of one source
        part = (rank, attributes, status)
        group.is_plain &= rank not in group.ranks and _are_of_one(group.parts, part)
        group.ranks.add(rank)
        if group.is_given:
            return self._late(group, rank, attributes, status)
        group.parts.append(part)
        if (group.is_plain and self._running <= group.ranks) or len(group.parts) == MOST_PARTS:
            return self._give(uid, group)
        self._waiting[uid] = group
        if len(self._waiting) > MOST_WAITING:
            return self._give(*next(iter(self._waiting.items())))
        return []

    def ended(self, rank: int) -> list[MergedAnswer]:
        """The source has no more to say."""
        self._running.discard(rank)
        ready = [(uid, group) for uid, group in self._waiting.items() if self._running <= group.ranks]
        return [match for uid, group in ready for match in self._give(uid, group)]

    def due(self, now_s: float) -> list[MergedAnswer]:
        """The answers that have waited long enough."""
        found: list[MergedAnswer] = []
        for uid, group in list(self._waiting.items()):
            if group.since_s + self._patience_s > now_s:
                break
            found += self._give(uid, group)
        return found

    @property
    def due_at_s(self) -> float | None:
        """The time at which `due` has something to give; None when nothing waits."""
        group = next(iter(self._waiting.values()), None)
        return None if group is None else group.since_s + self._patience_s

    def _give(self, uid: str, group: _Group) -> list[MergedAnswer]:
        self._waiting.pop(uid, None)
        group.is_given = True
        is_last = self._running <= group.ranks
        is_kept = not is_last and self._given_early < MOST_WAITING
        self._given_early += is_kept
        matches = []
        parts = sorted(group.parts, key=_rank) if len(group.parts) > 1 else group.parts
        for thing in [parts] if group.is_plain else self._things(parts):
            whole = merged([attributes for _, attributes, _ in thing])
            matches.append(MergedAnswer(whole, max(status for _, _, status in thing)))
            if is_kept:
                group.given.append(whole)
        group.parts = []
        if is_last:
            self._known[uid] = None
        return matches

    def _things(self, parts: Sequence[tuple[int, Attributes, int]]) -> list[list[tuple[int, Attributes, int]]]:
        """The answers under one unique key, thing by thing, in order of rank."""
        things: list[list[tuple[int, Attributes, int]]] = []
        for part in parts:
            open_to = [thing for thing in things if all(rank != part[0] for rank, _, _ in thing)]
            thing = next((each for each in open_to if _are_of_one(each, part)), None)
            if thing is None:
                if self._level is not QueryLevel.PATIENT and open_to and len(open_to) == len(things):
                    self.of_other_patients[part[0]] += 1
                things.append([part])
            else:
                thing.append(part)
        return things

    def _late(self, group: _Group, rank: int, attributes: Attributes, status: int) -> list[MergedAnswer]:
        """A source's first word about what was given without it: told when it is of another patient."""
        fit = [whole for whole in group.given if not are_different(whole, attributes)]
        if not fit and group.given:
            if self._level is not QueryLevel.PATIENT:
                self.of_other_patients[rank] += 1
            return [MergedAnswer(attributes, status)]
        if not group.given or _adds(fit[0], attributes):  # or there were too many to be remembered
            self.late[rank] += 1
        return []


def _are_of_one(thing: Sequence[tuple[int, Attributes, int]], part: tuple[int, Attributes, int]) -> bool:
    """True when the answer names no other patient than any of the thing's."""
    return not any(are_different(attributes, part[1]) for _, attributes, _ in thing)


def _rank(part: tuple[int, Attributes, int]) -> int:
    return part[0]


def _adds(given: Attributes, late: Attributes) -> bool:
    """True when something is missing in the given answer: a value where there is none, or a larger number or set."""
    whole = merged([given, late])
    return any(
        any(value) and (set(value) != set(given.get(tag, ())) if tag in _COMBINED else not any(given.get(tag, ())))
        for tag, value in whole.items()
    )


def merged(parts: Sequence[Attributes]) -> Attributes:
    """One answer out of several about the same thing of one patient, in the order in which they count."""
    if len(parts) == 1:
        return parts[0]
    tags = dict.fromkeys(tag for part in parts for tag in part)
    return {tag: _value(tag, [part[tag] for part in parts if tag in part]) for tag in tags}


def _value(tag: int, values: list[Value]) -> Value:
    if tag in _COUNTS:
        return _largest(values)
    if tag in _GATHERED:
        return tuple(dict.fromkeys(each for value in values for each in value if isinstance(each, str) and each))
    if tag == INSTANCE_AVAILABILITY:
        return best_availability(values)
    return next((value for value in values if any(value)), values[0])


def _largest(values: list[Value]) -> Value:
    counts = [int(value[0]) for value in values if value and isinstance(value[0], str) and value[0].strip().isdecimal()]
    return (str(max(counts)),) if counts else ()


def best_availability(values: Iterable[Value]) -> Value:
    """() when no value is one of the defined terms."""
    found = {each for value in values for each in value}
    return next(((term,) for term in AVAILABILITY if term in found), ())
