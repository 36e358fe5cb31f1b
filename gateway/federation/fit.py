"""Does what a source answered fit what it was asked? Pure."""

from __future__ import annotations

from dataclasses import replace

from gateway.dataset.dictionary import SEQUENCE
from gateway.model import Attributes, Query
from gateway.query.attributes import TIMEZONE_OFFSET_FROM_UTC, UNIQUE
from gateway.query.identifier import first_text
from gateway.query.matching import key_matches, matches


def is_named(query: Query, answer: Attributes) -> bool:
    """True when the answer has a value for the level's unique key: without, nobody can say what it is about.

    Patients without an identifier exist.
    """
    return query.level == "PATIENT" or bool(first_text(answer, UNIQUE[query.level]))


def fits(query: Query, answer: Attributes) -> bool:
    """True when no value of the answer speaks against the question. What the answer does not say speaks for it: sources
    leave out what they do not know, and need not know optional keys (PS3.4 §C.2.2.1.3). Items of sequences are not
    compared."""
    offset = first_text(answer, TIMEZONE_OFFSET_FROM_UTC)
    for key in query.keys:
        value = answer.get(key.tag, ())
        if key.vr != SEQUENCE and any(value) and not key_matches(key, value, offset):
            return False
    spans = tuple(span for span in query.spans if any(answer.get(span.date_tag, ())))
    return not spans or matches(replace(query, keys=(), spans=spans), answer)
