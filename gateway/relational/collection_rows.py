"""Rows of collections (`gateway.model.collection`) in a relational database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.model.collection import NOTHING_EXPECTED, OUTCOMES, Collection, CollectionState, CollectionTerms
from gateway.model.expectation import Expectation
from gateway.relational.rows import cleaned, moment

COLLECTED_KEY_COLUMN = 21
"""The column at which a row of `list_collections` and its like has the key of the study."""
_STATES = {state.value: state for state in CollectionState}
_decoder = msgspec.json.Decoder(dict[str, Any])
_FIELDS = frozenset(field.name for field in dataclasses.fields(CollectionTerms))
_TEXTS_SHOWN = ("name", "level")
_expectation_decoder = msgspec.json.Decoder(Expectation)


def terms_text(terms: CollectionTerms) -> str:
    """Terms as JSON."""
    return msgspec.json.encode(terms).decode()


def expectation_text(expectation: Expectation) -> str:
    """An expectation as JSON, without what a database cannot keep."""
    return str(*cleaned([msgspec.json.encode(expectation).decode()]))


def collection(row: Sequence[Any]) -> Collection:
    """One row of `list_collections`, `take_collection` or `collections_of_studies`. What another version wrote and this
    one does not know is said in `unreadable`."""
    terms, fault = _terms(row[1])
    outcome = row[14]
    faults = [
        fault,
        "" if row[6] in _STATES else f"the state {row[6]!r}",
        "" if outcome in OUTCOMES else f"the outcome {outcome!r}",
    ]
    return Collection(
        collection_id=row[0],
        terms=terms,
        study_instance_uid=row[2],
        series_instance_uid=row[3],
        patient=row[4],
        generation=row[5],
        state=state_of(row[6]) if outcome in OUTCOMES else CollectionState.UNREADABLE,
        opened_at=moment(row[7]),
        last_arrival_at=moment(row[8]),
        at_most_at=moment(row[9]),
        not_before_at=moment(row[10]),
        deadline_at=_moment(row[11]),
        completed_at=_moment(row[12]),
        result=row[13],
        outcome=outcome,
        flag=row[15],
        instances=row[16],
        late=row[17],
        repeated=row[18],
        replaced=row[19],
        ignored=row[20],
        institution=row[22],
        unreadable="; ".join(filter(None, faults)),
        expectation=_expectation(row[23]),
    )


def state_of(word: str) -> CollectionState:
    """A stored state; those of other versions are one."""
    return _STATES.get(word, CollectionState.UNREADABLE)


def _terms(text: str) -> tuple[CollectionTerms, str]:
    """Terms, and what of them cannot be read. Those of an earlier version get defaults for what they do not have. A
    field of a later version says nothing where it is empty."""
    found: dict[str, Any] = {}
    try:
        found = _decoder.decode(text)
        unknown = sorted(name for name, value in found.items() if value and name not in _FIELDS)
        terms = msgspec.convert(found, CollectionTerms)
    except msgspec.MsgspecError as error:
        shown = {name: found[name] for name in _TEXTS_SHOWN if isinstance(found.get(name), str)}
        return dataclasses.replace(CollectionTerms(""), **shown), f"terms: {error}"
    return terms, f"terms: {', '.join(unknown)}" if unknown else ""


def _expectation(text: str) -> Expectation:
    """The knowledge of the whole. Of one that another version wrote nothing is: it is counted, or asked, anew."""
    try:
        return _expectation_decoder.decode(text) if text else NOTHING_EXPECTED
    except msgspec.MsgspecError:
        return NOTHING_EXPECTED


def _moment(microseconds_since_1970: int | None) -> datetime | None:
    return None if microseconds_since_1970 is None else moment(microseconds_since_1970).astimezone(UTC)
