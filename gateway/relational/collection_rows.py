"""Rows of collections (`gateway.model.collection`) in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.model.collection import Collection, CollectionState, CollectionTerms
from gateway.relational.rows import moment

COLLECTED_KEY_COLUMN = 21
"""The column at which a row of `list_collections` and its like has the key of the study."""
_STATES = {state.value: state for state in CollectionState}
_decoder = msgspec.json.Decoder(CollectionTerms)


def terms_text(terms: CollectionTerms) -> str:
    """Terms as JSON."""
    return msgspec.json.encode(terms).decode()


def collection(row: Sequence[Any]) -> Collection:
    """One row of `list_collections`, `take_collection` or `collections_of_studies`. Terms of other versions get
    defaults for what they do not have."""
    return Collection(
        collection_id=row[0],
        terms=_decoder.decode(row[1]),
        study_instance_uid=row[2],
        series_instance_uid=row[3],
        patient=row[4],
        generation=row[5],
        state=_STATES[row[6]],
        opened_at=moment(row[7]),
        last_arrival_at=moment(row[8]),
        at_most_at=moment(row[9]),
        not_before_at=moment(row[10]),
        deadline_at=_moment(row[11]),
        completed_at=_moment(row[12]),
        result=row[13],
        outcome=row[14],
        flag=row[15],
        instances=row[16],
        late=row[17],
        repeated=row[18],
        replaced=row[19],
        ignored=row[20],
        institution=row[22],
    )


def _moment(microseconds_since_1970: int | None) -> datetime | None:
    return None if microseconds_since_1970 is None else moment(microseconds_since_1970).astimezone(UTC)
