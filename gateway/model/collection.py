"""Studies and series as wholes: the terms of a collection, its state, and the decisions about it as pure functions.

A collection has the instances of one study, or of one series, that one definition of the rules collects. Its
deliveries wait until it ends. It has generations: one that has ended stays so, and objects that come much later begin
the next one.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from gateway.common.quick_dataclass import quick_dataclass
from gateway.model.expectation import Expectation, ExpectedTerms

CollectionLevel = Literal["study", "series"]
Late = Literal["supplement", "new", "ignore"]
Again = Literal["never", "new", "replaced"]
IfIncomplete = Literal["send", "hold", "drop"]

CollectionResult = Literal["", "verified", "unverified", "overdue", "forced", "unmatched", "discarded"]
"""How it ended. Empty: it has not. `verified`: everything expected is there. `unverified`: nothing came for `quiet`,
and nobody says whether it is whole. `overdue`: objects still came, or were missing, at `at_most`. `forced`: an operator
completed it, or room was short. `unmatched`: `when` did not hold at `at_most`. `discarded`: an operator did."""
CollectionOutcome = Literal["", "send", "hold", "drop", "unmatched"]
"""The fate of the deliveries that wait. `unmatched`: that of an object that no route wants."""


class CollectionState(enum.StrEnum):
    """The state of one generation."""

    OPEN = "open"
    RELEASING = "releasing"
    """It has ended; its deliveries are let go, a page at a time."""
    COMPLETE = "complete"
    """Its deliveries were let go; objects may still come late."""
    CLOSED = "closed"
    """Objects that come begin a new generation."""
    UNREADABLE = "unreadable"
    """The stored word, or the fate of its deliveries, is of another version."""


@dataclass(frozen=True, slots=True)
class CollectionTest:
    """One part of `when`: a number of instances for which a condition holds."""

    kind: Literal["any", "every", "count"]
    at_least: int = 1
    at_most: int | None = None

    def holds(self, matching: int, total: int) -> bool:
        """True of `total` instances, of which the condition holds for `matching`."""
        if self.kind == "every":
            return matching == total
        return matching >= self.at_least and (self.at_most is None or matching <= self.at_most)


@dataclass(frozen=True, slots=True)
class CollectionTerms:
    """The definition of a collection as it was when its first object came: a reload changes no open collection."""

    name: str
    level: CollectionLevel = "study"
    quiet_s: float = 60.0
    at_most_s: float = 7200.0
    late: Late = "supplement"
    late_for_s: float = 86400.0
    again: Again = "never"
    if_incomplete: IfIncomplete = "send"
    tests: tuple[CollectionTest, ...] = ()
    """`when`, all of which are to hold."""
    expect: ExpectedTerms | None = None
    """The terms of what the whole is to have; None where nobody says it."""
    is_unmatched_held: bool = True
    """`unmatched` of the rules: an object that nothing else wants is held when the collection ends unmatched."""

    @property
    def quiet(self) -> timedelta:
        return timedelta(seconds=self.quiet_s)

    @property
    def at_most(self) -> timedelta:
        return timedelta(seconds=self.at_most_s)

    @property
    def late_for(self) -> timedelta:
        return timedelta(seconds=self.late_for_s)


@quick_dataclass(frozen=True, slots=True)
class Membership:
    """The collection that a dispatch waits for."""

    terms: CollectionTerms
    study_instance_uid: str
    series_instance_uid: str = ""
    """Empty where a study is collected."""
    patient: str = ""
    """A digest of the patient's identity. Instances with another one are another collection."""
    institution: str = ""
    """A digest of the institution's name; empty without one."""
    matches: str = ""
    """One digit for each of `terms.tests`: 1 when its condition holds for the object. Where the object says how much
    the whole has, `=` and that number follow (`gateway.model.expectation`)."""
    collection_id: int = 0
    """The store's key; 0 until it has joined."""
    is_waiting: bool = False
    """The delivery waits for the end of the collection."""

    @property
    def collected_key(self) -> str:
        """The same for all generations of one study or series in one definition, whoever the patient is."""
        level, series = self.terms.level, self.series_instance_uid
        return digest_of(self.terms.name, level, self.study_instance_uid, series)

    def joined(self, collection_id: int, *, is_waiting: bool) -> Membership:
        """The same, once the collection is known."""
        return Membership(
            self.terms,
            self.study_instance_uid,
            self.series_instance_uid,
            self.patient,
            self.institution,
            self.matches,
            collection_id,
            is_waiting,
        )


OUTCOMES: frozenset[str] = frozenset(get_args(CollectionOutcome))


def digest_of(*texts: str) -> str:
    """32 hexadecimal digits: short enough for the key of any database, and nothing that a person could read."""
    data = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


NOTHING_EXPECTED = Expectation()
"""No source was queried, and nothing counted."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One generation, as the store has it."""

    collection_id: int
    terms: CollectionTerms
    study_instance_uid: str
    series_instance_uid: str
    patient: str
    generation: int
    """From 1."""
    state: CollectionState
    opened_at: datetime
    last_arrival_at: datetime
    """Up to a second earlier than the last arrival."""
    at_most_at: datetime
    not_before_at: datetime
    """An operator extended it until then."""
    deadline_at: datetime | None
    """The time of the next decision: about its end; of one that is complete, its closing; of a closed one, the time at
    which it is forgotten."""
    completed_at: datetime | None = None
    result: CollectionResult = ""
    outcome: CollectionOutcome = ""
    flag: str = ""
    """`patients` where another patient has the same Study Instance UID, `institutions` where the names of institutions
    differ; with a space between them when both are so."""
    institution: str = ""
    """A digest of the institution's name that came first."""
    instances: int = 0
    late: int = 0
    """Instances that came after it was complete."""
    repeated: int = 0
    """Objects that came again with the same bytes after it was complete."""
    replaced: int = 0
    """Objects with a SOP Instance UID that was there, and other bytes."""
    ignored: int = 0
    """Objects that came late and were left out (`late: ignore`)."""
    expectation: Expectation = NOTHING_EXPECTED
    unreadable: str = ""
    """Its row has this, which another version wrote and this one does not know. Its `terms` are defaults then, but for
    their name and level."""

    @property
    def is_undecidable(self) -> bool:
        """This version decides nothing about it, and leaves it as it is."""
        return bool(self.unreadable) and self.state in (CollectionState.OPEN, CollectionState.UNREADABLE)

    @property
    def is_open(self) -> bool:
        return self.state is CollectionState.OPEN

    @property
    def quiet_at(self) -> datetime:
        """The time at which it is quiet, unless something comes."""
        return max(self.last_arrival_at + self.terms.quiet, self.not_before_at)


def flags(*words: str) -> str:
    """Words as a `Collection.flag`, in order, each once."""
    return " ".join(sorted({word for text in words for word in text.split()}))


# --- an object comes ------------------------------------------------------------------------------------------------


class JoinKind(enum.Enum):
    """The place where an arriving object goes."""

    NEW_GENERATION = enum.auto()
    JOIN = enum.auto()
    SUPPLEMENT = enum.auto()
    """It is sent at once, by the decision that was made."""
    IGNORE = enum.auto()
    REPEATED = enum.auto()
    """It has been there: the same bytes are not sent again to where they were delivered, or are on their way."""


LeftOutBecause = Literal["late", "again"]
"""`late`: it came after the end (`late: ignore`). `again`: the same bytes were delivered, or are on their way."""


@dataclass(frozen=True, slots=True)
class LeftOutObject:
    """Dispatches of an arriving object that a collection did not take."""

    collection_id: int
    name: str
    study_instance_uid: str
    why: LeftOutBecause


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of an object, and whether it replaces one with the same SOP Instance UID."""

    kind: JoinKind
    is_replacing: bool = False


def placement(
    newest: Collection | None, known: str | None, digest: str, terms: CollectionTerms, now: datetime
) -> Placement:
    """The place of an object.

    Args:
        newest: the newest generation.
        known: the digest that its SOP Instance UID has in this generation, or in an earlier one that takes late
            objects; None when it has not been there.
        digest: of the object.
        terms: of the rules in force when it came; those of `newest` hold while that takes objects.
        now: the queue's time.
    """
    is_replacing = known is not None and known != digest
    if newest is None or newest.state in (CollectionState.CLOSED, CollectionState.UNREADABLE):
        return Placement(JoinKind.NEW_GENERATION, is_replacing)
    if newest.is_open:
        return Placement(JoinKind.JOIN, is_replacing)
    if newest.state is CollectionState.RELEASING and newest.outcome in ("drop", "unmatched"):
        return Placement(JoinKind.NEW_GENERATION, is_replacing)
    terms = terms if newest.unreadable else newest.terms
    if newest.completed_at is not None and now >= newest.completed_at + terms.late_for:
        return Placement(JoinKind.NEW_GENERATION, is_replacing)
    if known == digest:
        return Placement(JoinKind.NEW_GENERATION if terms.again == "new" else JoinKind.REPEATED)
    if is_replacing and terms.again != "never":
        return Placement(JoinKind.NEW_GENERATION, is_replacing)
    late = {
        "supplement": JoinKind.SUPPLEMENT,
        "new": JoinKind.NEW_GENERATION,
        "ignore": JoinKind.IGNORE,
    }
    return Placement(late[terms.late], is_replacing)


# --- the end --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class QuerySource:
    """The source is queried now."""


@dataclass(frozen=True, slots=True)
class End:
    """It ends now."""

    result: CollectionResult
    outcome: CollectionOutcome


def decide(
    collection: Collection, totals: Mapping[str, int], now: datetime, *, is_arriving: bool = False
) -> Wait | QuerySource | End:
    """The decision about an open collection: the one place where it ends by itself.

    Args:
        collection: as it is now; where a number is expected, `expectation` is of now too.
        totals: matches (`Membership.matches`) → the number of instances that have them.
        now: the queue's time.
        is_arriving: an object of it is on its way in.
    """
    terms = collection.terms
    is_last = now >= collection.at_most_at
    is_quiet = not is_arriving and now >= collection.quiet_at
    if not is_quiet and not is_last:
        quiet_at = max(collection.quiet_at, now + terms.quiet) if is_arriving else collection.quiet_at
        return Wait(min(quiet_at, collection.at_most_at))
    if not holds(terms, totals):
        return End("unmatched", "unmatched") if is_last else Wait(collection.at_most_at)
    if terms.expect is not None:
        return _decide_expected(collection, terms.expect, now, is_quiet=is_quiet, is_arriving=is_arriving)
    if not is_quiet:
        return End("overdue", terms.if_incomplete)
    return End("unverified", "send")


def _decide_expected(
    collection: Collection, expect: ExpectedTerms, now: datetime, *, is_quiet: bool, is_arriving: bool
) -> Wait | QuerySource | End:
    """The decision about one that is quiet, or that may wait no longer, of which the rules say what is expected."""
    terms, known = collection.terms, collection.expectation.known_at(now)
    is_last = now >= collection.at_most_at
    is_current = not expect.source or known.queried_at >= collection.last_arrival_at
    if known.is_whole and is_current and (is_quiet or is_last):
        return End("verified", "send")
    if is_last and is_current and known.missing and not is_arriving:
        return End("overdue", terms.if_incomplete)
    if is_last:
        return End("unverified" if is_quiet else "overdue", unsure(terms))
    if expect.source:
        if now < known.querying_until:
            return Wait(min(known.querying_until, collection.at_most_at))
        return Wait(min(known.next_at, collection.at_most_at)) if is_current and now < known.next_at else QuerySource()
    if known.missing:
        return Wait(collection.at_most_at)
    return End("unverified", unsure(terms))


def unsure(terms: CollectionTerms) -> CollectionOutcome:
    """The fate of one of which nobody could say whether it is whole: what may be whole is not deleted."""
    return "hold" if terms.if_incomplete == "drop" else terms.if_incomplete


def holds(terms: CollectionTerms, totals: Mapping[str, int]) -> bool:
    """True when `when` holds for these instances."""
    total = sum(totals.values())
    return all(
        test.holds(sum(number for matches, number in totals.items() if matches[place : place + 1] == "1"), total)
        for place, test in enumerate(terms.tests)
    )
