"""Answers of several sources to one question become one answer a thing. Pure: what time it is, is an argument.

Things are the same when the level's unique key is. Patients with one Patient ID are the same unless both name an Issuer
of Patient ID, and different ones. Of each attribute:

============================== =====================================================================================
Number of … Related …          the largest number: how far the sources' holdings overlap, counts do not tell
Modalities in Study, SOP       every value that any source names
Classes in Study
Instance Availability          the best: ONLINE, NEARLINE, OFFLINE, UNAVAILABLE
all others                     the value of the first source in the configuration's order that has one
============================== =====================================================================================

A match is given as soon as every source that is still answering named it, or ended, or when it waited for `patience_s`.
What a source says of it after that is not told any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.model import Attributes, QueryLevel, Value
from gateway.query.attributes import (
    COMPUTED,
    INSTANCE_AVAILABILITY,
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    SOP_CLASSES_IN_STUDY,
    UNIQUE,
)
from gateway.query.identifier import first_text

AVAILABILITY = ("ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE")
"""Defined terms of Instance Availability (0008,0056), best first."""

_GATHERED = (MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY)
_COUNTS = frozenset(COMPUTED) - frozenset(_GATHERED)

MOST_WAITING = 20_000
"""Matches that wait for other sources; beyond that the oldest are given as they are."""
WITH_UNSUPPORTED_KEYS = 0xFF01


@dataclass(frozen=True, slots=True)
class Merged:
    """One match."""

    attributes: Attributes
    status: int
    """0xFF01 when a source said so of its part (PS3.4 Table C.4-1)."""


@dataclass(slots=True)
class _Match:
    """What is known of one thing, by the rank of the source."""

    since_s: float
    parts: dict[int, Attributes] = field(default_factory=dict)
    status: int = 0
    is_given: bool = False


class Merger:
    """Collects the answers to one question.

    Args:
        level: of the question.
        ranks: the sources, as numbers in the configuration's order.
        patience_s: how long a match waits.
    """

    def __init__(self, level: QueryLevel, ranks: Iterable[int], patience_s: float) -> None:
        self._level = level
        self._running = set(ranks)
        self._patience_s = patience_s
        self._known: dict[str, list[_Match]] = {}
        self._waiting: dict[int, _Match] = {}
        """By identity, the longest first."""

    def add(self, rank: int, attributes: Attributes, status: int, now_s: float) -> list[Merged]:
        """What can be given now that the source `rank` answered this."""
        if not first_text(attributes, UNIQUE[self._level]):
            return [Merged(attributes, status)]  # a patient without an identifier: nobody knows who else it is
        match = self._match(attributes, now_s)
        if match.is_given or rank in match.parts:
            return []
        match.parts[rank] = attributes
        match.status = max(match.status, status)
        if self._running <= match.parts.keys():
            return [self._give(match)]
        self._waiting[id(match)] = match
        if len(self._waiting) > MOST_WAITING:
            return [self._give(next(iter(self._waiting.values())))]
        return []

    def ended(self, rank: int) -> list[Merged]:
        """The source has no more to say."""
        self._running.discard(rank)
        return [self._give(match) for match in list(self._waiting.values()) if self._running <= match.parts.keys()]

    def due(self, now_s: float) -> list[Merged]:
        """What has waited long enough."""
        found = []
        for match in list(self._waiting.values()):
            if match.since_s + self._patience_s > now_s:
                break
            found.append(self._give(match))
        return found

    @property
    def due_at_s(self) -> float | None:
        """When `due` has something to give; None when nothing waits."""
        match = next(iter(self._waiting.values()), None)
        return None if match is None else match.since_s + self._patience_s

    def _match(self, attributes: Attributes, now_s: float) -> _Match:
        candidates = self._known.setdefault(first_text(attributes, UNIQUE[self._level]), [])
        for match in candidates:
            if self._level is not QueryLevel.PATIENT or _is_one_issuer(match, attributes):
                return match
        candidates.append(_Match(now_s))
        return candidates[-1]

    def _give(self, match: _Match) -> Merged:
        self._waiting.pop(id(match), None)
        match.is_given = True
        parts = [match.parts[rank] for rank in sorted(match.parts)]
        if self._level is not QueryLevel.PATIENT:
            match.parts = {}
        return Merged(merged(parts), match.status)


def _is_one_issuer(match: _Match, attributes: Attributes) -> bool:
    issuer = first_text(attributes, ISSUER_OF_PATIENT_ID)
    others = {first_text(part, ISSUER_OF_PATIENT_ID) for part in match.parts.values()} - {""}
    return not issuer or not others or issuer in others


def merged(parts: Sequence[Attributes]) -> Attributes:
    """One answer out of several about the same thing, in the order in which they count."""
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
