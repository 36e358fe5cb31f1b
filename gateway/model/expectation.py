"""The whole of a collection, by its rules or by a source, and what is known of it: pure functions.

A number of instances or series stands in the rules, or in the objects. A source is asked for all its instances
(PS3.4 §C.6.2) when nothing comes any more, and again until its answers say the same twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

ExpectedKind = Literal["instances", "series"]

LONGEST_PAUSE = timedelta(minutes=10)
"""The longest time between two questions about one collection."""
SPARE = timedelta(seconds=5)
"""A question is given up so long after twice its limit: whoever asked it is gone."""
MOST_NAMED = 10
"""Missing instances that are named."""
_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class ExpectedTerms:
    """`expect` of the rules: a source, or a number."""

    source: str = ""
    """The peer that is asked; empty where a number says it."""
    every_s: float = 30.0
    timeout_s: float = 10.0
    kind: ExpectedKind = "instances"
    """The number counts these."""
    number: int = 0
    """0: the objects say it."""

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.every_s)

    @property
    def longest_question(self) -> timedelta:
        """The time after which a question is lost."""
        return timedelta(seconds=2 * self.timeout_s) + SPARE


@dataclass(frozen=True, slots=True)
class Expectation:
    """The knowledge of the whole of one collection. Times are the queue's."""

    expected: int | None = None
    """None: nobody has said it."""
    missing: int | None = None
    """None: it is not known."""
    missing_uids: tuple[str, ...] = ()
    """The first `MOST_NAMED` SOP Instance UIDs that the source has and we do not."""
    why: str = ""
    """Why it is not verified, in words."""
    question: int = 0
    """The number of the last question to the source."""
    queried_at: datetime = _NEVER
    querying_until: datetime = _NEVER
    """The question waits for its answer until then."""
    next_at: datetime = _NEVER
    """The source is asked again then, or when it is quiet after an arrival."""
    answer: str = ""
    """A digest of the last answer."""
    tries: int = 0
    """Questions in a row without an answer that we have all of."""

    def querying(self, terms: ExpectedTerms, now: datetime, last_arrival_at: datetime) -> Expectation:
        """The same, with the next question. What was known before the last arrival is known no more: the question may
        have no answer."""
        is_old = self.queried_at < last_arrival_at
        return dataclasses.replace(
            self,
            question=self.question + 1,
            queried_at=now,
            querying_until=now + terms.longest_question,
            missing=None if is_old else self.missing,
            missing_uids=() if is_old else self.missing_uids,
        )

    def failed(self, terms: ExpectedTerms, why: str, now: datetime) -> Expectation:
        """The same, after a question without an answer."""
        why = f"`{terms.source}` could not be asked: {why}"
        return dataclasses.replace(self._again(terms, now), missing=None, missing_uids=(), why=why)

    def answered(self, terms: ExpectedTerms, answer: str, total: int, lacking: list[str], now: datetime) -> Expectation:
        """The same, after an answer with `total` instances, of which we lack these."""
        if not total:
            why = f"`{terms.source}` does not have it"
            known = dataclasses.replace(self._again(terms, now), expected=None, missing=None, why=why)
        elif lacking:
            why = f"{len(lacking)} of the {total} instances of `{terms.source}` are missing"
            known = dataclasses.replace(self._again(terms, now), expected=total, missing=len(lacking), why=why)
        else:
            why = "" if answer == self.answer else f"`{terms.source}` has said so once, and is asked once more"
            known = dataclasses.replace(
                self, expected=total, missing=0, why=why, tries=0, querying_until=_NEVER, next_at=now + terms.every
            )
        return dataclasses.replace(known, answer=answer, missing_uids=tuple(sorted(lacking)[:MOST_NAMED]))

    def _again(self, terms: ExpectedTerms, now: datetime) -> Expectation:
        """Asked again, after a time that doubles."""
        pause = min(terms.every * 2 ** min(self.tries, 20), max(LONGEST_PAUSE, terms.every))
        return dataclasses.replace(self, tries=self.tries + 1, querying_until=_NEVER, next_at=now + pause)

    def known_at(self, now: datetime) -> Expectation:
        """The same; where the clock was set back behind the last question, it is asked anew."""
        if self.queried_at <= now:
            return self
        return dataclasses.replace(self, queried_at=_NEVER, querying_until=_NEVER, next_at=_NEVER)

    @property
    def is_whole(self) -> bool:
        """Everything expected is here."""
        return self.missing == 0 and not self.why


def matches_with(matches: str, number: int) -> str:
    """The tests that hold for an object (`Membership.matches`), and the number that it says the whole has."""
    return f"{matches}={number}" if number else matches


def counted(terms: ExpectedTerms, totals: Mapping[str, int], series: int) -> Expectation:
    """The knowledge that numbers give. `totals`: matches → instances."""
    expected = terms.number or max(_numbers(totals), default=0)
    have = series if terms.kind == "series" else sum(totals.values())
    if not expected:
        return Expectation(why=f"no object says how many {terms.kind} there are")
    missing = max(expected - have, 0)
    why = f"{have} of {expected} {terms.kind} are here"
    return Expectation(expected, missing, why="" if have == expected else why)


def _numbers(totals: Mapping[str, int]) -> Iterable[int]:
    return (int(number) for text in totals if (number := text.partition("=")[2]))
